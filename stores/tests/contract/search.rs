use std::path::Path;
use std::sync::Arc;

use stores::Port;
use stores::search::{CANDIDATES, Change, Document, Search, SearchQuery};

use crate::{Open, at, carry, checkpoint, elastic, engines, fresh, generations, person};

engines!([
    the_checkpoint_moves_with_the_rows,
    a_stale_writer_changes_nothing,
    a_generation_is_built_beside_and_switched_to,
    a_summary_tells_rows_apart,
    what_is_parked_is_kept,
    people_are_found_by_prefix_typo_and_id,
    whatever_the_ranking_takes_is_found,
    a_changed_name_is_found_and_the_old_one_is_not,
    an_old_change_written_again_changes_nothing,
    a_crowd_does_not_hide_the_exact_one,
    however_many_are_near_all_are_found,
]
    tantivy => async |folder: &Path| -> Port<dyn Search> {
        stores::resolver::search(&format!("tantivy:{}/i", folder.display())).await.expect("opened")
    },
    elasticsearch => async |folder: &Path| -> Port<dyn Search> { elastic::open(folder).await },
);

fn document(n: u128, nickname: &str, name: &str, position: u64) -> Document {
    Document { user_id: person(n), nickname: nickname.into(), name: name.into(), position }
}

fn put(n: u128, nickname: &str, name: &str, position: u64) -> Change {
    Change::Put(document(n, nickname, name, position))
}

async fn written(open: Open<'_, dyn Search>, changes: Vec<Change>, position: u64) -> Arc<dyn Search> {
    let store = open().await.serving();
    store.take_over(fresh()).await.expect("taken over");
    carry(&*store, changes, at(position, 1)).await;
    store
}

async fn found(store: &dyn Search, query: &str) -> Vec<String> {
    let found = store.candidates(SearchQuery::of(query)).await.expect("an answer");
    let mut names: Vec<_> = found.into_iter().map(|it| it.nickname).collect();
    names.sort();
    names
}

async fn the_checkpoint_moves_with_the_rows(open: Open<'_, dyn Search>) {
    checkpoint::moves_with_rows(open, put(1, "ann", "Ann", 7)).await;
    assert_eq!(found(&*open().await.serving(), "ann").await, ["ann"]);
}

async fn a_stale_writer_changes_nothing(open: Open<'_, dyn Search>) {
    let store = open().await.serving();
    checkpoint::refuses_a_stale_writer(&*store, put(1, "ann", "", 7), put(2, "anna", "", 8)).await;
    assert_eq!(found(&*store, "ann").await, ["ann"]);
}

async fn a_generation_is_built_beside_and_switched_to(open: Open<'_, dyn Search>) {
    generations::is_built_beside_and_switched_to(open, put(1, "ann", "Ann", 7), put(2, "bob", "Bob", 8))
        .await;
}

async fn a_summary_tells_rows_apart(open: Open<'_, dyn Search>) {
    generations::tells_rows_apart(
        open,
        [put(1, "ann", "Ann", 7), put(2, "bob", "Bob", 8)],
        put(1, "anna", "Ann", 7),
    )
    .await;
}

async fn what_is_parked_is_kept(open: Open<'_, dyn Search>) {
    generations::keeps_what_is_parked(open, put(1, "ann", "Ann", 7)).await;
}

async fn people_are_found_by_prefix_typo_and_id(open: Open<'_, dyn Search>) {
    let changes = vec![
        put(1, "Ann_Lee", "Анна Петрова", 1),
        put(2, "alexander", "José Núñez", 2),
        put(3, "bob", "Bob", 3),
    ];
    let store = written(open, changes, 3).await;
    for query in ["ann", "ANN_L", "ann_lee", "@ann_lee", "lee", "лнна", "анна петр", "пертова"]
    {
        assert_eq!(found(&*store, query).await, ["Ann_Lee"], "{query}");
    }
    for query in ["alex", "aelxander", "alexandr", "alxnder k", "jose", "nunez jos"] {
        let expected: &[&str] = if query == "alxnder k" { &[] } else { &["alexander"] };
        assert_eq!(found(&*store, query).await, expected, "{query}");
    }
    assert_eq!(found(&*store, &person(3).to_string()).await, ["bob"]);
    assert!(found(&*store, &person(9).to_string()).await.is_empty());
    assert!(found(&*store, "?!").await.is_empty());
    assert!(found(&*store, "zzzz").await.is_empty());
}

/// The engine may find more than the ranking takes, never less.
async fn whatever_the_ranking_takes_is_found(open: Open<'_, dyn Search>) {
    let people = [
        ("maria", "Third"),
        ("marla", "Someone"),
        ("maria2", "Other"),
        ("zed", "Maria Petrova"),
        ("mp.x", "Мария"),
        ("o'neill", "O Neill"),
        ("straße", "Großmann"),
        ("an", "Aa"),
        ("on", "B"),
        ("nan", "Кот"),
        ("nna", "И"),
        ("ﬁona", "Ｆｉｏｎａ Apple"),
        ("김철수", "김 철수"),
        ("aleksander", "x"),
        ("alexander", "y"),
        ("alexandre", "z"),
        ("a-b_c.d", "w"),
        ("𐌰𐌱𐌲", "Beyond the basic plane"),
        ("wolfeschlegelsteinhausenberger", "Longer than what is indexed of a word"),
    ];
    let documents: Vec<_> =
        (1..).zip(people).map(|(n, (nickname, name))| document(n, nickname, name, n as u64)).collect();
    let changes = documents.iter().cloned().map(Change::Put).collect();
    let store = written(open, changes, people.len() as u64).await;
    let everybody: Vec<_> = documents
        .iter()
        .map(|it| domain::rank::Candidate {
            user_id: it.user_id,
            nickname: it.nickname.clone(),
            name: it.name.clone(),
        })
        .collect();
    let queries = [
        "maria",
        "mariaa",
        "amria",
        "petr mar",
        "petorva maria",
        "neill",
        "o'neill",
        "strasse",
        "GROSSMANN",
        "an",
        "ann",
        "nan",
        "fiona",
        "fiona app",
        "김철",
        "철수",
        "aleksander",
        "alexander",
        "a-b_c.d",
        "a-b_c",
        "мария",
        "марияя",
        "b_c",
        "𐌰",
        "𐌰𐌱",
        "𐌱𐌰𐌲",
        "wolfeschlegelsteinhausen",
        "wolfeschlegelstienhausenberger",
    ];
    for query in queries {
        let candidates = store.candidates(SearchQuery::of(query)).await.expect("an answer");
        for taken in domain::rank::rank(query, everybody.clone()) {
            assert!(candidates.iter().any(|it| it.user_id == taken), "{query} must find {taken}");
        }
    }
}

async fn a_changed_name_is_found_and_the_old_one_is_not(open: Open<'_, dyn Search>) {
    let store = written(open, vec![put(1, "ann", "Ann", 1)], 1).await;
    let changes = vec![put(1, "anna", "Anna", 2), put(1, "olga", "Olga", 3), put(2, "bob", "", 4)];
    store.write(changes, at(4, 1)).await.expect("written");
    assert!(found(&*store, "ann").await.is_empty());
    assert_eq!(found(&*store, "olga").await, ["olga"]);
    let held = store.documents(&[person(1), person(9)]).await.expect("an answer");
    assert_eq!(held, [document(1, "olga", "Olga", 3)]);
    let removed = Change::Remove { user_id: person(1), position: 5 };
    store.write(vec![removed], at(5, 1)).await.expect("written");
    assert!(found(&*store, "olga").await.is_empty());
    assert!(found(&*store, &person(1).to_string()).await.is_empty());
}

async fn an_old_change_written_again_changes_nothing(open: Open<'_, dyn Search>) {
    let changes = vec![
        put(1, "ann", "", 1),
        put(2, "bob", "", 2),
        put(1, "olga", "", 3),
        Change::Remove { user_id: person(2), position: 4 },
    ];
    let store = written(open, changes.clone(), 4).await;
    store.write(changes[..2].to_vec(), at(2, 1)).await.expect("written");
    assert_eq!(found(&*store, "olga").await, ["olga"]);
    assert!(found(&*store, "ann").await.is_empty());
    assert!(found(&*store, "bob").await.is_empty(), "whoever was removed stays so");
    store.write(changes, at(4, 1)).await.expect("written");
    assert_eq!(found(&*store, "olga").await, ["olga"], "one document a person");
}

async fn a_crowd_does_not_hide_the_exact_one(open: Open<'_, dyn Search>) {
    let crowd = CANDIDATES as u128 + 20;
    let mut changes: Vec<_> = (1..=crowd).map(|n| put(n, &format!("anna{n:04}"), "Anna", n as u64)).collect();
    changes.push(put(crowd + 1, "zanna", "Anna", 9_000));
    changes.push(put(crowd + 2, "anna", "Zed", 9_001));
    let store = written(open, changes, 9_001).await;
    let names = found(&*store, "anna").await;
    assert_eq!(names.len(), CANDIDATES);
    assert!(names.contains(&"anna".to_owned()));
    assert!(names.contains(&"anna0001".to_owned()));
    assert!(!names.contains(&"zanna".to_owned()), "cut by nickname, as the ranking orders");
}

/// An engine that tries so many words near the query and no more would miss some.
async fn however_many_are_near_all_are_found(open: Open<'_, dyn Search>) {
    let letters = || 'b'..='s';
    let names: Vec<String> =
        letters().flat_map(|a| letters().map(move |b| format!("aaaaaa{a}{b}"))).collect();
    let changes = (1..).zip(&names).map(|(n, name)| put(n, name, "", n as u64)).collect();
    let store = written(open, changes, 400).await;
    assert_eq!(found(&*store, "aaaaaaaa").await, names);
}
