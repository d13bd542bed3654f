//! The chat list and one chat.

use serde_json::{Value, json};

use crate::world::{World, items, person};

#[tokio::test]
async fn a_chat_is_seen_from_its_members_side() {
    let world = World::new().await;
    let (ann, bob) = (world.registered(1, "ann", "Ann").await, world.registered(2, "bob", "Bob").await);
    world.friends(ann, bob).await;
    let chat = world.chat(100, ann, bob).await;
    let empty = world.get(ann, &format!("/chats/{chat}")).await;
    assert_eq!((&empty["last_number"], &empty["unread"], empty.get("last")), (&json!(0), &json!(0), None));
    world.sent(chat, bob, 1, "one", None).await;
    world.sent(chat, bob, 2, "two", None).await;
    world.read(chat, ann, 1).await;
    let of_ann = world.get(ann, &format!("/chats/{chat}")).await;
    assert_eq!(of_ann["peer"]["nickname"], "bob");
    assert_eq!(of_ann["last"]["text"], "two");
    assert_eq!(
        (&of_ann["unread"], &of_ann["read_number"], &of_ann["peer_read_number"]),
        (&json!(1), &json!(1), &json!(2))
    );
    assert_eq!(
        (&of_ann["can_send"], &of_ann["kind"], &of_ann["member_count"]),
        (&json!(true), &json!("direct"), &json!(2))
    );
    let of_bob = world.get(bob, &format!("/chats/{chat}")).await;
    assert_eq!(
        (&of_bob["peer"]["nickname"], &of_bob["unread"], &of_bob["peer_read_number"]),
        (&json!("ann"), &json!(0), &json!(1))
    );
}

#[tokio::test]
async fn a_chat_that_one_is_not_in_is_not_there() {
    let world = World::new().await;
    let (ann, bob, eve) = (
        world.registered(1, "ann", "Ann").await,
        world.registered(2, "bob", "Bob").await,
        world.registered(3, "eve", "Eve").await,
    );
    let chat = world.chat(100, ann, bob).await;
    world.sent(chat, ann, 1, "private", None).await;
    for path in [format!("/chats/{chat}"), format!("/chats/{chat}/messages"), format!("/chats/{}", person(9))]
    {
        assert_eq!(world.refused(eve, &path).await, (404, "not-found".into(), String::new()), "{path}");
    }
    assert!(world.each(eve, "/chats", "chat_id").await.is_empty());
    assert_eq!(world.refused(ann, "/chats/nonsense").await, (400, "malformed".into(), "chat_id".into()));
}

#[tokio::test]
async fn chats_come_by_their_last_activity_and_are_paged() {
    let world = World::new().await;
    let me = world.registered(1, "me", "Me").await;
    let mut chats = Vec::new();
    for number in 2..=6 {
        let friend = world.registered(number, &format!("nick{number}"), "Friend").await;
        world.friends(me, friend).await;
        chats.push((world.chat(100 + number, me, friend).await, friend));
    }
    // The oldest chat is written in, and so comes first.
    let (first, friend) = chats[0];
    world.sent(first, friend, 1, "hello", None).await;
    let order: Vec<Value> = [0, 4, 3, 2, 1].map(|index: usize| json!(chats[index].0)).to_vec();
    assert_eq!(world.each(me, "/chats", "chat_id").await, order);

    let page = async |cursor: Option<&Value>| {
        let cursor =
            cursor.map(|it| format!("&cursor={}", it.as_str().expect("a cursor"))).unwrap_or_default();
        world.get(me, &format!("/chats?limit=2{cursor}")).await
    };
    let one = page(None).await;
    let two = page(one.get("next")).await;
    let three = page(two.get("next")).await;
    let walked: Vec<Value> = [&one, &two, &three].iter().flat_map(|page| items(page, "chat_id")).collect();
    assert_eq!(walked, order);
    assert_eq!((one.get("prev"), three.get("next")), (None, None));
    assert_eq!(page(three.get("prev")).await["items"], two["items"]);
}

#[tokio::test]
async fn nobody_writes_to_whom_they_blocked_or_who_is_no_friend() {
    let world = World::new().await;
    let (ann, bob) = (world.registered(1, "ann", "Ann").await, world.registered(2, "bob", "Bob").await);
    let chat = world.chat(100, ann, bob).await;
    let can_send = async |who| world.get(who, &format!("/chats/{chat}")).await["can_send"].clone();
    assert_eq!(can_send(ann).await, false);
    world.friends(ann, bob).await;
    assert_eq!(can_send(ann).await, true);
    world.blocks(bob, ann).await;
    assert_eq!((can_send(ann).await, can_send(bob).await), (json!(false), json!(false)));
}
