use std::path::Path;
use std::sync::Arc;

use domain::ids::{BlobId, Pair, PersonId, PhotoId};
use domain::user::Photo;
use domain::views::{Audience, PersonState, Relation, Settings};
use stores::Port;
use stores::directory::{
    AccountRow, Change, Directory, LinkRow, LinkState, LinkedQuery, NameText, NicknameText, RelationRow,
    Seen, UserRow,
};

use crate::{Open, at, checkpoint, engines, fresh, generations, person};

engines!([
    the_checkpoint_moves_with_the_rows,
    a_stale_writer_changes_nothing,
    a_generation_is_built_beside_and_switched_to,
    a_summary_tells_rows_apart,
    what_is_parked_is_kept,
    a_profile_is_found_by_id_and_by_nickname,
    an_edit_changes_only_what_it_names,
    a_photo_is_found_by_its_id_until_another_takes_its_place,
    what_one_lets_others_see_is_kept_with_the_profile,
    each_of_two_sees_their_own_side_of_a_link,
    what_one_must_not_notice_moves_nothing,
    an_old_change_written_again_changes_nothing,
    lists_are_ordered_by_name_and_paged_both_ways,
    whoever_was_away_learns_what_changed,
]
    sqlite => async |folder: &Path| -> Port<dyn Directory> {
        stores::resolver::directory(&format!("sqlite:{}/directory", folder.display())).await.expect("opened")
    },
    postgres => async |folder: &Path| -> Port<dyn Directory> {
        let (server, schema) = (crate::engine("POSTGRES"), crate::namespace(folder));
        stores::resolver::directory(&format!("{server}/postgres?schema={schema}")).await.expect("opened")
    },
);

fn user(n: u128, nickname: &str, position: u64) -> UserRow {
    UserRow {
        user_id: person(n),
        nickname: nickname.into(),
        nickname_key: nickname.to_lowercase(),
        name: format!("Name of {nickname}"),
        about: String::new(),
        sort_key: nickname.to_lowercase(),
        photo: None,
        settings: Settings::default(),
        state: PersonState::Active,
        position,
    }
}

fn link(a: u128, b: u128, seen_by_a: Relation, seen_by_b: Relation, position: u64) -> Change {
    blocking(a, b, (seen_by_a, false), (seen_by_b, false), position)
}

/// `a` is the lower id.
fn blocking(a: u128, b: u128, of_a: (Relation, bool), of_b: (Relation, bool), position: u64) -> Change {
    let seen = [of_a, of_b].map(|(relation, blocked)| Seen { relation, blocked, parted: blocked });
    let pair = Pair::of(person(a), person(b)).expect("two people");
    Change::Link { pair, state: format!("{position}"), seen, position }
}

async fn written(open: Open<'_, dyn Directory>, changes: Vec<Change>, position: u64) -> Arc<dyn Directory> {
    let store = open().await.serving();
    store.take_over(fresh()).await.expect("taken over");
    store.write(changes, at(position, 1)).await.expect("written");
    store
}

async fn relation(store: &dyn Directory, of: u128, to: u128) -> RelationRow {
    let found = store.relations(person(of), &[person(to)]).await.expect("an answer");
    found.first().copied().unwrap_or(RelationRow::none(person(to)))
}

async fn the_user(store: &dyn Directory, n: u128) -> Option<UserRow> {
    store.persons(&[person(n)]).await.expect("an answer").pop()
}

async fn the_checkpoint_moves_with_the_rows(open: Open<'_, dyn Directory>) {
    checkpoint::moves_with_rows(open, Change::User(user(1, "ann", 7))).await;
    assert_eq!(the_user(&*open().await.serving(), 1).await, Some(user(1, "ann", 7)));
}

async fn a_stale_writer_changes_nothing(open: Open<'_, dyn Directory>) {
    let store = open().await.serving();
    let (old, stale) = (Change::User(user(1, "ann", 7)), Change::User(user(1, "bob", 8)));
    checkpoint::refuses_a_stale_writer(&*store, old, stale).await;
    assert_eq!(the_user(&*store, 1).await, Some(user(1, "ann", 7)));
}

async fn a_generation_is_built_beside_and_switched_to(open: Open<'_, dyn Directory>) {
    generations::is_built_beside_and_switched_to(
        open,
        Change::User(user(1, "ann", 7)),
        Change::User(user(2, "bob", 8)),
    )
    .await;
}

async fn a_summary_tells_rows_apart(open: Open<'_, dyn Directory>) {
    generations::tells_rows_apart(
        open,
        [Change::User(user(1, "ann", 7)), Change::User(user(2, "bob", 8))],
        Change::User(user(1, "anna", 7)),
    )
    .await;
}

async fn what_is_parked_is_kept(open: Open<'_, dyn Directory>) {
    generations::keeps_what_is_parked(open, Change::User(user(1, "ann", 7))).await;
}

async fn a_profile_is_found_by_id_and_by_nickname(open: Open<'_, dyn Directory>) {
    let account = AccountRow {
        user_id: person(1),
        email: "ann@example.org".into(),
        state: PersonState::Active,
        position: 1,
    };
    let changes = vec![
        Change::Account(account.clone()),
        Change::User(user(1, "Ann", 2)),
        Change::User(user(2, "Bob", 3)),
    ];
    let store = written(open, changes, 3).await;
    assert_eq!(store.account(person(1)).await.expect("an answer"), Some(account));
    assert_eq!(store.account(person(2)).await.expect("an answer"), None);
    assert_eq!(store.by_nickname("ann").await.expect("an answer"), Some(user(1, "Ann", 2)));
    assert_eq!(store.by_nickname("").await.expect("an answer"), None);
    let mut both = store.persons(&[person(2), person(9), person(1)]).await.expect("an answer");
    both.sort_by_key(|it| it.user_id);
    assert_eq!(both, [user(1, "Ann", 2), user(2, "Bob", 3)]);
}

async fn an_edit_changes_only_what_it_names(open: Open<'_, dyn Directory>) {
    let edited =
        |nickname: Option<&str>, name: Option<&str>, about: Option<&str>, position| Change::UserEdited {
            user_id: person(1),
            nickname: nickname.map(|it| NicknameText { nickname: it.into(), key: it.to_lowercase() }),
            name: name.map(|it| NameText { name: it.into(), sort_key: it.to_lowercase() }),
            about: about.map(str::to_owned),
            position,
        };
    let store = written(open, vec![Change::User(user(1, "ann", 1))], 1).await;
    let changes = vec![
        edited(Some("Anna"), None, None, 2),
        edited(None, Some("Other"), None, 3),
        edited(None, None, Some("Hello"), 4),
        edited(Some("too old"), None, None, 3),
    ];
    store.write(changes, at(4, 1)).await.expect("written");
    let expected = UserRow {
        nickname: "Anna".into(),
        nickname_key: "anna".into(),
        name: "Other".into(),
        sort_key: "other".into(),
        about: "Hello".into(),
        position: 4,
        ..user(1, "ann", 1)
    };
    assert_eq!(store.by_nickname("anna").await.expect("an answer"), Some(expected));
    assert_eq!(store.by_nickname("ann").await.expect("an answer"), None, "given up");
}

async fn a_photo_is_found_by_its_id_until_another_takes_its_place(open: Open<'_, dyn Directory>) {
    let photo = |n: u8| Photo { photo_id: PhotoId(uuid::Uuid::from_u128(n.into())), blob: BlobId([n; 32]) };
    let change = |photo, position| Change::Photo { user_id: person(1), photo, position };
    let edit = Change::UserEdited {
        user_id: person(1),
        nickname: None,
        name: None,
        about: Some("Hello".into()),
        position: 3,
    };
    let changes = vec![
        Change::User(user(1, "ann", 1)),
        change(Some(photo(1)), 2),
        edit,
        Change::User(user(2, "bob", 1)),
    ];
    let friends = link(1, 2, Relation::Friends, Relation::Friends, 3);
    let store = written(open, changes, 3).await;
    store.write(vec![friends], at(3, 1)).await.expect("written");
    let expected = UserRow { about: "Hello".into(), photo: Some(photo(1)), ..user(1, "ann", 3) };
    assert_eq!(store.by_photo(photo(1).photo_id).await.expect("an answer"), Some(expected.clone()));
    assert_eq!(store.by_nickname("ann").await.expect("an answer"), Some(expected.clone()));
    let query = LinkedQuery { state: LinkState::Accepted, after: None, before: None, limit: 9 };
    let list = store.linked(person(2), query).await.expect("an answer");
    assert_eq!(list.into_iter().map(|it| it.user).collect::<Vec<_>>(), [expected]);

    store.write(vec![change(Some(photo(2)), 4), change(Some(photo(9)), 3)], at(4, 1)).await.expect("written");
    assert_eq!(store.by_photo(photo(1).photo_id).await.expect("an answer"), None);
    assert_eq!(store.by_photo(photo(9).photo_id).await.expect("an answer"), None, "too old");
    assert_eq!(the_user(&*store, 1).await.and_then(|it| it.photo), Some(photo(2)));
    let named = store.photos_in(&[1, 2, 3].map(|n| photo(n).blob)).await.expect("an answer");
    assert_eq!(named, [photo(2).blob]);

    store.write(vec![change(None, 5)], at(5, 1)).await.expect("written");
    let expected = UserRow { about: "Hello".into(), ..user(1, "ann", 5) };
    assert_eq!(the_user(&*store, 1).await, Some(expected));
    assert!(store.photos_in(&[photo(2).blob]).await.expect("an answer").is_empty());
}

async fn what_one_lets_others_see_is_kept_with_the_profile(open: Open<'_, dyn Directory>) {
    let hidden = Settings { discoverable: false, photo: Audience::Friends, ..Settings::default() };
    let changed = |settings, position| Change::Settings { user_id: person(1), settings, position };
    let store = written(open, vec![Change::User(user(1, "ann", 1)), changed(hidden, 3)], 3).await;
    let expected = UserRow { settings: hidden, ..user(1, "ann", 3) };
    assert_eq!(the_user(&*store, 1).await, Some(expected.clone()));
    assert_eq!(store.by_nickname("ann").await.expect("an answer"), Some(expected.clone()));
    store.write(vec![changed(Settings::default(), 2)], at(4, 1)).await.expect("written");
    assert_eq!(the_user(&*store, 1).await, Some(expected), "too old");
    let open_again = Settings { discoverable: true, ..hidden };
    store.write(vec![changed(open_again, 5)], at(5, 1)).await.expect("written");
    assert_eq!(the_user(&*store, 1).await.map(|it| it.settings), Some(open_again));
}

async fn each_of_two_sees_their_own_side_of_a_link(open: Open<'_, dyn Directory>) {
    let store = written(open, vec![link(1, 2, Relation::Outgoing, Relation::Incoming, 5)], 5).await;
    assert_eq!(relation(&*store, 1, 2).await.relation, Relation::Outgoing);
    assert_eq!(relation(&*store, 2, 1).await.relation, Relation::Incoming);
    assert_eq!(relation(&*store, 1, 3).await, RelationRow::none(person(3)));

    let blocked = blocking(1, 2, (Relation::None, true), (Relation::None, false), 6);
    store.write(vec![blocked], at(6, 1)).await.expect("written");
    let (one, two) = (relation(&*store, 1, 2).await, relation(&*store, 2, 1).await);
    assert_eq!((one.relation, one.blocked, one.blocked_me), (Relation::None, true, false));
    assert_eq!((two.relation, two.blocked, two.blocked_me), (Relation::None, false, true));
    assert_eq!((one.parted, one.parted_me, two.parted, two.parted_me), (true, false, false, true));

    let pair = Pair::of(person(1), person(2)).expect("two people");
    let stranger = Pair::of(person(1), person(3)).expect("two people");
    let links = store.links(&[pair, stranger]).await.expect("an answer");
    assert_eq!(links.into_iter().collect::<Vec<_>>(), [(pair, LinkRow { state: "6".into(), position: 6 })]);
}

async fn what_one_must_not_notice_moves_nothing(open: Open<'_, dyn Directory>) {
    let store = written(open, vec![link(1, 2, Relation::Outgoing, Relation::Incoming, 5)], 5).await;
    // Declined: the asker goes on seeing it outgoing.
    store.write(vec![link(1, 2, Relation::Outgoing, Relation::None, 6)], at(6, 1)).await.expect("written");
    assert_eq!(relation(&*store, 1, 2).await.shown_position, 5);
    assert_eq!(relation(&*store, 2, 1).await.shown_position, 6);
    // Two who have no history: the blocked one's first row says nothing of it.
    let blocked = blocking(3, 4, (Relation::None, true), (Relation::None, false), 7);
    store.write(vec![blocked], at(7, 1)).await.expect("written");
    assert_eq!(relation(&*store, 3, 4).await.shown_position, 7);
    assert_eq!(relation(&*store, 4, 3).await.shown_position, 0);
    // Who has parted is nothing that one sees.
    let seen = |parted| Seen { relation: Relation::None, blocked: false, parted };
    for (seen, position) in [([seen(true), seen(false)], 8), ([seen(false), seen(true)], 9)] {
        let pair = Pair::of(person(3), person(4)).expect("two people");
        let link = Change::Link { pair, state: "{}".into(), seen, position };
        store.write(vec![link], at(position, 1)).await.expect("written");
    }
    let (of_three, of_four) = (relation(&*store, 3, 4).await, relation(&*store, 4, 3).await);
    assert_eq!((of_three.shown_position, of_three.parted, of_three.parted_me), (8, false, true));
    assert_eq!((of_four.shown_position, of_four.parted, of_four.parted_me), (0, true, false));
}

async fn an_old_change_written_again_changes_nothing(open: Open<'_, dyn Directory>) {
    let changes = vec![
        Change::User(user(1, "ann", 1)),
        link(1, 2, Relation::Outgoing, Relation::Incoming, 2),
        Change::User(user(1, "anna", 3)),
        link(1, 2, Relation::Friends, Relation::Friends, 4),
    ];
    let store = written(open, changes.clone(), 4).await;
    store.write(changes[..2].to_vec(), at(2, 1)).await.expect("written");
    assert_eq!(the_user(&*store, 1).await, Some(user(1, "anna", 3)));
    let seen = relation(&*store, 1, 2).await;
    assert_eq!((seen.relation, seen.shown_position), (Relation::Friends, 4));
    store.write(changes, at(4, 1)).await.expect("written");
    assert_eq!(relation(&*store, 1, 2).await, seen);
}

async fn lists_are_ordered_by_name_and_paged_both_ways(open: Open<'_, dyn Directory>) {
    let names = [(2, "Cid"), (3, "ann"), (4, "Bob"), (5, "bob"), (6, "dan")];
    let mut changes: Vec<_> = names.iter().map(|(n, name)| Change::User(user(*n, name, 1))).collect();
    changes.extend(names[..4].iter().map(|(n, _)| link(1, *n, Relation::Friends, Relation::Friends, 2)));
    changes.push(blocking(1, 6, (Relation::None, true), (Relation::None, false), 3));
    let store = written(open, changes, 3).await;

    let list = async |state, after: Option<(&str, PersonId)>, before: Option<(&str, PersonId)>, limit| {
        let bound = |it: Option<(&str, PersonId)>| it.map(|(key, id)| (key.to_owned(), id));
        let query = LinkedQuery { state, after: bound(after), before: bound(before), limit };
        let found = store.linked(person(1), query).await.expect("an answer");
        found.into_iter().map(|it| it.user.nickname).collect::<Vec<_>>()
    };
    assert_eq!(list(LinkState::Accepted, None, None, 9).await, ["ann", "Bob", "bob", "Cid"]);
    assert_eq!(list(LinkState::Accepted, None, None, 2).await, ["ann", "Bob"]);
    assert_eq!(list(LinkState::Accepted, Some(("bob", person(4))), None, 9).await, ["bob", "Cid"]);
    assert_eq!(list(LinkState::Accepted, None, Some(("cid", person(2))), 2).await, ["Bob", "bob"]);
    assert_eq!(list(LinkState::Blocked, None, None, 9).await, ["dan"]);
    assert!(list(LinkState::Incoming, None, None, 9).await.is_empty());
    let linked_with = store.linked_with(person(4)).await.expect("an answer");
    assert_eq!(linked_with, [person(1)]);
    assert!(store.linked_with(person(6)).await.expect("an answer").is_empty());
}

async fn whoever_was_away_learns_what_changed(open: Open<'_, dyn Directory>) {
    let changes = vec![
        Change::User(user(1, "ann", 1)),
        Change::User(user(2, "bob", 2)),
        Change::User(user(3, "cid", 3)),
        Change::User(user(4, "dan", 4)),
        link(1, 2, Relation::Friends, Relation::Friends, 5),
        link(1, 3, Relation::Incoming, Relation::Outgoing, 6),
        link(1, 4, Relation::Friends, Relation::Friends, 7),
        link(1, 4, Relation::None, Relation::None, 8),
        Change::User(user(2, "bobby", 9)),
        Change::User(user(4, "danny", 10)),
    ];
    let store = written(open, changes, 10).await;
    let changed = async |position, limit| {
        let found = store.relations_changed_since(person(1), position, limit).await.expect("an answer");
        found.into_iter().map(|it| (it.user.nickname, it.relation.relation)).collect::<Vec<_>>()
    };
    let (cid, dan, bob) = (
        ("cid".to_owned(), Relation::Incoming),
        ("danny".to_owned(), Relation::None),
        ("bobby".to_owned(), Relation::Friends),
    );
    assert_eq!(changed(5, 9).await, [cid.clone(), dan.clone(), bob.clone()]);
    assert_eq!(changed(5, 1).await, [cid]);
    assert_eq!(changed(8, 9).await, [bob], "a former friend's profile is no news");
    assert!(changed(9, 9).await.is_empty());
}
