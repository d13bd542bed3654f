//! History.

use chronicle::keys::subject_of;
use domain::ids::{ChatId, PersonId};
use serde_json::{Value, json};

use crate::world::{World, at, items};

/// Ann's and bob's chat with `count` messages, the odd ones ann's; message n is at position n + 4.
async fn talked(count: u64) -> (World, PersonId, PersonId, ChatId) {
    let world = World::new().await;
    let (ann, bob) = (world.registered(1, "ann", "Ann").await, world.registered(2, "bob", "Bob").await);
    world.friends(ann, bob).await;
    let chat = world.chat(100, ann, bob).await;
    for number in 1..=count {
        let author = if number % 2 == 1 { ann } else { bob };
        world.sent(chat, author, number, &format!("text {number}"), None).await;
    }
    (world, ann, bob, chat)
}

fn numbers(list: &Value) -> Vec<u64> {
    items(list, "number").iter().map(|number| number.as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn a_message_is_opened_and_joined_with_its_author() {
    let (world, ann, bob, chat) = talked(1).await;
    let text = " Как дела?\n\t👩‍👩‍👧 e\u{301} ";
    world.sent(chat, bob, 2, text, Some(1)).await;
    let list = world.get(ann, &format!("/chats/{chat}/messages")).await;
    let message = &list["items"][1];
    assert_eq!(message["text"], text, "exactly as sent");
    assert_eq!((&message["author"]["user_id"], &message["author"]["nickname"]), (&json!(bob), &json!("bob")));
    assert_eq!((&message["chat_id"], &message["sent_at"]), (&json!(chat), &json!(at(6))));
    let reply = &message["reply_to"];
    assert_eq!(
        (&reply["number"], &reply["excerpt"], &reply["author"]["user_id"]),
        (&json!(1), &json!("text 1"), &json!(ann))
    );
}

#[tokio::test]
async fn an_answer_quotes_what_lies_outside_the_page() {
    let (world, ann, bob, chat) = talked(3).await;
    world.sent(chat, bob, 4, "yes", Some(1)).await;
    let list = world.get(ann, &format!("/chats/{chat}/messages?limit=1")).await;
    assert_eq!(list["items"][0]["reply_to"]["excerpt"], "text 1");
}

#[tokio::test]
async fn without_parameters_it_is_the_newest_page() {
    let (world, ann, _, chat) = talked(60).await;
    let newest = world.get(ann, &format!("/chats/{chat}/messages")).await;
    assert_eq!(numbers(&newest), (11..=60).collect::<Vec<_>>());
    assert_eq!(newest.get("next"), None);
    let prev = newest["prev"].as_str().expect("older ones");
    let older = world.get(ann, &format!("/chats/{chat}/messages?cursor={prev}")).await;
    assert_eq!(numbers(&older), (1..=10).collect::<Vec<_>>());
    assert_eq!(older.get("prev"), None);
    let next = older["next"].as_str().expect("newer ones");
    let again = world.get(ann, &format!("/chats/{chat}/messages?cursor={next}")).await;
    assert_eq!(again["items"], newest["items"]);
}

#[tokio::test]
async fn history_is_cut_by_number_and_time_which_combine() {
    let (world, ann, _, chat) = talked(10).await;
    let get = async |query: &str| numbers(&world.get(ann, &format!("/chats/{chat}/messages?{query}")).await);
    assert_eq!(get("before=8&limit=3").await, [5, 6, 7]);
    assert_eq!(get("after=3&limit=3").await, [4, 5, 6]);
    assert_eq!(get("after=3&before=6").await, [4, 5]);
    // Message n was sent at the time of position n + 4.
    let (from, to) = (at(7), at(10));
    assert_eq!(get(&format!("from={from}&to={to}")).await, [3, 4, 5]);
    assert_eq!(get(&format!("from={from}&limit=2")).await, [3, 4]);
    assert_eq!(get(&format!("to={to}&limit=2")).await, [4, 5]);
    assert_eq!(get(&format!("from={from}&before=6&limit=2")).await, [4, 5]);
    assert_eq!(get(&format!("from={from}&to={to}&after=4")).await, [5]);
    assert_eq!(get("before=18446744073709551615&limit=1").await, [10]);
    assert_eq!(get("after=18446744073709551615").await, Vec::<u64>::new());
}

#[tokio::test]
async fn cursors_walk_a_bounded_list_to_its_end() {
    let (world, ann, _, chat) = talked(10).await;
    let mut walked = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(ann, &format!("/chats/{chat}/messages?after=2&before=8&limit=2{cursor}")).await;
        walked.push(numbers(&page));
        match page.get("next") {
            Some(next) => cursor = format!("&cursor={}", next.as_str().expect("a cursor")),
            None => break,
        }
    }
    assert_eq!(walked, [vec![3, 4], vec![5, 6], vec![7]]);
}

#[tokio::test]
async fn a_cursor_is_its_persons_and_its_querys_alone() {
    let (world, ann, bob, chat) = talked(5).await;
    let page = world.get(ann, &format!("/chats/{chat}/messages?limit=2")).await;
    let prev = page["prev"].as_str().expect("older ones").to_owned();
    let bad = (400, "malformed".into(), "cursor".into());
    assert_eq!(world.refused(bob, &format!("/chats/{chat}/messages?cursor={prev}")).await, bad);
    assert_eq!(world.refused(ann, &format!("/chats/{chat}/messages?before=9&cursor={prev}")).await, bad);
    for forged in ["x", "", &prev[1..], &format!("A{}", &prev[1..])] {
        assert_eq!(
            world.refused(ann, &format!("/chats/{chat}/messages?cursor={forged}")).await,
            bad,
            "{forged}"
        );
    }
}

#[tokio::test]
async fn of_an_erased_author_nothing_is_left() {
    let (world, ann, bob, chat) = talked(2).await;
    world.sent(chat, ann, 3, "an answer", Some(2)).await;
    world.keyring.destroy(&subject_of(bob)).expect("destroyed");
    let list = world.get(ann, &format!("/chats/{chat}/messages")).await;
    let message = &list["items"][1];
    assert_eq!(
        (&message["text"], &message["author"]["state"], &message["author"]["name"]),
        (&json!(""), &json!("erased"), &json!(""))
    );
    let reply = &list["items"][2]["reply_to"];
    assert_eq!((&reply["author"]["state"], reply.get("excerpt")), (&json!("erased"), None));
    assert_eq!(list["items"][0]["text"], "text 1", "others' texts open");
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let (world, ann, _, chat) = talked(1).await;
    for (query, status, field) in [
        ("from=yesterday", 400, "from"),
        ("to=2024", 400, "to"),
        ("before=x", 400, "before"),
        ("after=-1", 400, "after"),
        ("limit=0", 422, "limit"),
        ("limit=201", 422, "limit"),
        ("limit=many", 400, "limit"),
        ("offset=3", 400, "offset"),
        ("limit=1&limit=2", 400, "limit"),
    ] {
        let (got, _, named) = world.refused(ann, &format!("/chats/{chat}/messages?{query}")).await;
        assert_eq!((got, named.as_str()), (status, field), "{query}");
    }
}
