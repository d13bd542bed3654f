//! What each one sees of a group: its history by spans, its members, its place in the list.

use domain::ids::PersonId;
use domain::views::{Deleted, History, Role};
use serde_json::{Value, json};

use crate::changes::{from, span};
use crate::world::{World, at, items};

async fn numbers(world: &World, who: PersonId, path: &str) -> Vec<u64> {
    let numbers = world.each(who, path, "number").await;
    numbers.iter().map(|number| number.as_u64().expect("a number")).collect()
}

#[tokio::test]
async fn one_reads_from_joining_on_or_all_as_the_group_has_it() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.says(group, ann, 1..=5).await;
    world.added(group, ann, cy, 5, &[from(6)]).await;
    let chat = format!("/chats/{group}");
    let (of_ann, of_cy) = (world.get(ann, &chat).await, world.get(cy, &chat).await);
    assert_eq!(
        (of_cy.get("last"), &of_cy["active_at"]),
        (None, &of_ann["last"]["sent_at"]),
        "as lively as it is"
    );
    world.says(group, bob, 6..=8).await;
    let all = world.group(101, ann, &[bob], "Open", History::All).await;
    world.says(all, ann, 1..=3).await;
    world.added(all, ann, cy, 3, &[from(1)]).await;

    let path = format!("/chats/{group}/messages");
    assert_eq!(numbers(&world, bob, &path).await, (1..=8).collect::<Vec<_>>());
    assert_eq!(numbers(&world, cy, &path).await, [6, 7, 8]);
    assert_eq!(numbers(&world, cy, &format!("{path}?after=2&limit=2")).await, [6, 7]);
    assert_eq!(numbers(&world, cy, &format!("{path}?before=7")).await, [6]);
    assert_eq!(numbers(&world, cy, &format!("{path}?before=5")).await, Vec::<u64>::new());
    assert_eq!(numbers(&world, cy, &format!("{path}?from={}", at(0))).await, [6, 7, 8]);
    assert_eq!(world.get(cy, &format!("{path}?limit=3")).await.get("prev"), None, "as if it began there");
    assert_eq!(numbers(&world, cy, &format!("/chats/{all}/messages")).await, [1, 2, 3]);
    let hidden = world.refused(cy, &format!("{path}/5/versions")).await;
    assert_eq!(hidden, (404, "not-found".into(), String::new()));
}

#[tokio::test]
async fn who_left_and_came_again_reads_both_stretches_page_by_page() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.says(group, ann, 1..=4).await;
    world.parted(group, None, bob, 4, &[span(1, 4)]).await;
    world.says(group, ann, 5..=7).await;
    let path = format!("/chats/{group}/messages");
    assert_eq!(numbers(&world, bob, &path).await, [1, 2, 3, 4], "up to leaving");
    world.added(group, ann, bob, 7, &[span(1, 4), from(8)]).await;
    world.says(group, ann, 8..=10).await;

    let (mut back, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(bob, &format!("{path}?limit=2{cursor}")).await;
        back.push(items(&page, "number"));
        match page.get("prev") {
            Some(prev) => cursor = format!("&cursor={}", prev.as_str().expect("a cursor")),
            None => break,
        }
    }
    assert_eq!(json!(back), json!([[9, 10], [4, 8], [2, 3], [1]]));
    let (mut on, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.get(bob, &format!("{path}?after=0&limit=3{cursor}")).await;
        on.push(items(&page, "number"));
        match page.get("next") {
            Some(next) => cursor = format!("&cursor={}", next.as_str().expect("a cursor")),
            None => break,
        }
    }
    assert_eq!(json!(on), json!([[1, 2, 3], [4, 8, 9], [10]]));
}

#[tokio::test]
async fn of_a_group_that_was_left_nothing_is_told_that_came_later() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.says(group, ann, 1..=2).await;
    world.parted(group, Some(ann), bob, 2, &[span(1, 2)]).await;
    let path = format!("/chats/{group}");
    let before = world.get(bob, &path).await;
    let shown = ["title", "left", "can_send", "last_number", "unread", "member_count"];
    assert_eq!(json!(shown.map(|name| &before[name])), json!(["Choir", true, false, 2, 2, 0]));
    assert_eq!(before["last"]["number"], 2);
    let other = world.chat(101, ann, bob).await;
    world.sent(other, ann, 1, "come back", None).await;
    world.renamed(group, ann, "Conspiracy", 2).await;
    world.says(group, ann, 3..=5).await;
    world.dissolved(group, ann, 5).await;
    let after = |mut chat: Value| {
        chat.as_object_mut().expect("a chat").remove("position");
        chat
    };
    assert_eq!(after(world.get(bob, &path).await), after(before));
    let order = async |who| world.each(who, "/chats", "chat_id").await;
    assert_eq!(order(bob).await, [json!(other), json!(group)], "nor by its place in the list");
    assert_eq!(order(ann).await, [json!(group), json!(other)]);
    let of_ann = world.get(ann, &path).await;
    assert_eq!((&of_ann["title"], &of_ann["dissolved"]), (&json!("Conspiracy"), &json!(true)));
    assert_eq!((&of_ann["can_send"], &of_ann["member_count"]), (&json!(false), &json!(1)));
    assert_eq!(world.refused(bob, &format!("{path}/members")).await.0, 403);
}

#[tokio::test]
async fn what_is_made_of_messages_after_one_has_left_is_not_told_but_that_they_are_deleted() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob, cy], "Choir", History::Joining).await;
    world.says(group, ann, 1..=2).await;
    world.sent(group, ann, 3, "an answer", Some(1)).await;
    world.edited(group, ann, 1, "first").await;
    world.edited(group, ann, 2, "second").await;
    world.reacted(group, 1, cy, Some("👍")).await;
    world.parted(group, Some(ann), bob, 3, &[span(1, 3)]).await;
    let path = format!("/chats/{group}/messages");
    let versions = format!("{path}/1/versions");
    let before = world.get(bob, &path).await["items"].clone();
    let first = world.each(bob, &versions, "text").await;
    assert_eq!((&before[0]["text"], &before[2]["reply_to"]["excerpt"]), (&json!("first"), &json!("first")));

    world.edited(group, ann, 1, "not for Bob").await;
    world.edited(group, ann, 3, "nor this").await;
    world.reacted(group, 1, ann, Some("🎉")).await;
    world.reacted(group, 2, cy, Some("🎉")).await;
    assert_eq!(world.get(bob, &path).await["items"], before);
    assert_eq!(world.each(bob, &versions, "text").await, first);
    assert_eq!(world.get(bob, "/chats").await["items"][0]["last"], before[2]);
    let of_cy = world.get(cy, &path).await["items"].clone();
    assert_eq!((&of_cy[0]["text"], &of_cy[2]["text"]), (&json!("not for Bob"), &json!("nor this")));
    assert_eq!(of_cy[0]["reactions"].as_array().map(Vec::len), Some(2));

    world.deleted(group, 1, Deleted::Author).await;
    let after = world.get(bob, &path).await["items"].clone();
    assert_eq!((&after[0]["deleted"], &after[0]["text"]), (&json!("author"), &json!("")));
    assert_eq!((after[2]["reply_to"].get("excerpt"), &after[1]), (None, &before[1]));
    assert!(world.each(bob, &versions, "text").await.is_empty());
}

#[tokio::test]
async fn a_group_shows_its_title_its_rules_and_what_one_is_in_it() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob], " Хор ", History::All).await;
    let of_bob = world.get(bob, &format!("/chats/{group}")).await;
    let shown = ["kind", "title", "history", "my_role", "member_count", "can_send", "pinned"];
    let expected = json!(["group", " Хор ", "all", "member", 2, true, false]);
    assert_eq!(json!(shown.map(|name| &of_bob[name])), expected);
    assert_eq!((of_bob.get("peer"), of_bob.get("left"), of_bob.get("last")), (None, None, None));
    world.renamed(group, ann, "Choir", 0).await;
    assert_eq!(world.get(bob, &format!("/chats/{group}")).await["title"], "Choir");
    world.keyring.destroy(&chronicle::keys::subject_of(ann)).expect("destroyed");
    assert_eq!(world.get(bob, &format!("/chats/{group}")).await["title"], "", "with whoever gave it");
    assert_eq!(world.refused(cy, &format!("/chats/{group}")).await.0, 404);
}

#[tokio::test]
async fn members_come_by_role_and_are_paged() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let dan = world.registered(4, "dan", "Dan").await;
    let eve = world.registered(5, "eve", "Eve").await;
    let group = world.group(100, bob, &[cy], "Choir", History::Joining).await;
    world.says(group, bob, 1..=2).await;
    world.added(group, bob, ann, 2, &[from(3)]).await;
    world.added(group, bob, dan, 2, &[from(3)]).await;
    world.role_set(group, bob, dan, Role::Admin, 2).await;
    world.added(group, bob, eve, 2, &[from(3)]).await;
    world.parted(group, None, eve, 2, &[]).await;
    let path = format!("/chats/{group}/members");
    let all = world.get(ann, &path).await;
    assert_eq!(items(&all, "nickname"), ["bob", "dan", "cy", "ann"]);
    assert_eq!(items(&all, "role"), ["owner", "admin", "member", "member"]);
    assert_eq!(items(&all, "relation"), ["none", "none", "none", "self"]);
    let one = world.get(ann, &format!("{path}?limit=3")).await;
    assert_eq!(items(&one, "nickname"), ["bob", "dan", "cy"]);
    let next = one["next"].as_str().expect("more");
    let two = world.get(ann, &format!("{path}?limit=3&cursor={next}")).await;
    assert_eq!((items(&two, "nickname"), two.get("next")), (vec![json!("ann")], None));
    let prev = two["prev"].as_str().expect("a page before");
    let back = world.get(ann, &format!("{path}?limit=3&cursor={prev}")).await;
    assert_eq!(items(&back, "nickname"), ["bob", "dan", "cy"]);
    let bad = (400, "malformed".into(), "cursor".into());
    assert_eq!(world.refused(bob, &format!("{path}?cursor={next}")).await, bad);
    let stranger = world.registered(6, "stranger", "Stranger").await;
    assert_eq!(world.refused(stranger, &path).await.0, 404);
    assert_eq!(world.refused(eve, &path).await.0, 403);
}

#[tokio::test]
async fn pinned_chats_come_first_and_cursors_know_it() {
    let world = World::new().await;
    let [me, ..] = world.three().await;
    let mut groups = Vec::new();
    for number in 100..105 {
        groups.push(world.group(number, me, &[], "Group", History::Joining).await);
    }
    // By activity 4, 3, 2, 1, 0; the oldest and the middle one are pinned.
    world.kept(groups[0], me, true).await;
    world.kept(groups[2], me, true).await;
    let order = [2, 0, 4, 3, 1].map(|index: usize| json!(groups[index])).to_vec();
    assert_eq!(world.each(me, "/chats", "chat_id").await, order);
    let first = world.get(me, "/chats?limit=1").await;
    let chat = &first["items"][0];
    assert_eq!((&chat["pinned"], &chat["muted_until"]), (&json!(true), &json!(at(5_000))));
    let (mut walked, mut page) = (items(&first, "chat_id"), first);
    while let Some(next) = page.get("next") {
        page = world.get(me, &format!("/chats?limit=1&cursor={}", next.as_str().expect("a cursor"))).await;
        walked.extend(items(&page, "chat_id"));
    }
    assert_eq!(walked, order);
    let prev = page["prev"].as_str().expect("a page before");
    let back = world.get(me, &format!("/chats?limit=3&cursor={prev}")).await;
    assert_eq!(items(&back, "chat_id"), order[1..4]);
    world.kept(groups[0], me, false).await;
    assert_eq!(world.each(me, "/chats?limit=2", "chat_id").await, [json!(groups[2]), json!(groups[4])]);
}

#[tokio::test]
async fn unread_counts_what_others_said_that_is_there_and_is_not_collapsed() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob, cy], "Choir", History::Joining).await;
    let unread = async |who| world.get(who, &format!("/chats/{group}")).await["unread"].clone();
    world.says(group, bob, 1..=3).await;
    world.says(group, cy, 4..=6).await;
    assert_eq!((unread(ann).await, unread(bob).await, unread(cy).await), (json!(6), json!(3), json!(0)));
    world.deleted(group, 2, Deleted::Author).await;
    world.deleted(group, 5, Deleted::Moderator).await;
    assert_eq!((unread(ann).await, unread(bob).await), (json!(4), json!(2)));
    world.blocks(ann, bob).await;
    assert_eq!((unread(ann).await, unread(cy).await), (json!(2), json!(0)));
    world.read(group, ann, 5).await;
    assert_eq!(unread(ann).await, json!(1));
    world.says(group, ann, 7..=7).await;
    assert_eq!((unread(ann).await, unread(bob).await), (json!(0), json!(3)));
    // A collapsed message is the last one all the same.
    world.says(group, bob, 8..=8).await;
    let of_ann = world.get(ann, &format!("/chats/{group}")).await;
    assert_eq!((&of_ann["unread"], &of_ann["last"]["collapsed"]), (&json!(0), &json!(true)));
}

#[tokio::test]
async fn what_could_not_be_read_in_between_is_not_unread() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.says(group, ann, 1..=3).await;
    let unread = async || world.get(bob, &format!("/chats/{group}")).await["unread"].clone();
    world.parted(group, None, bob, 3, &[span(1, 3)]).await;
    assert_eq!(unread().await, json!(3));
    world.says(group, ann, 4..=6).await;
    assert_eq!(unread().await, json!(3));
    world.added(group, ann, bob, 6, &[span(1, 3), from(7)]).await;
    assert_eq!(unread().await, json!(0), "joining advances it");
    world.says(group, ann, 7..=8).await;
    assert_eq!(unread().await, json!(2));
}

#[tokio::test]
async fn above_a_thousand_unread_is_a_difference() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    let chat = world.chat(100, ann, bob).await;
    world.says(chat, ann, 1..=1_001).await;
    world.deleted(chat, 3, Deleted::Author).await;
    let unread = async || world.get(bob, &format!("/chats/{chat}")).await["unread"].clone();
    assert_eq!(unread().await, json!(1_001));
    world.read(chat, bob, 1).await;
    assert_eq!(unread().await, json!(999));
    world.blocks(bob, ann).await;
    assert_eq!(unread().await, json!(0), "those of blocked people apart");
}

#[tokio::test]
async fn members_of_a_common_group_write_to_each_other() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let chat = world.chat(99, ann, bob).await;
    let can_send = async |who| world.get(who, &format!("/chats/{chat}")).await["can_send"].clone();
    assert_eq!(can_send(ann).await, json!(false));
    let group = world.group(100, cy, &[ann, bob], "Choir", History::Joining).await;
    assert_eq!((can_send(ann).await, can_send(bob).await), (json!(true), json!(true)));
    world.blocks(ann, bob).await;
    assert_eq!((can_send(ann).await, can_send(bob).await), (json!(false), json!(false)));
    world.unfriends(ann, bob).await;
    world.parted(group, None, bob, 0, &[]).await;
    assert_eq!((can_send(ann).await, can_send(bob).await), (json!(false), json!(false)));
    let other = world.group(101, cy, &[ann, bob], "Band", History::Joining).await;
    assert_eq!(can_send(bob).await, json!(true));
    world.dissolved(other, cy, 0).await;
    assert_eq!(can_send(bob).await, json!(false), "one that goes on");
}
