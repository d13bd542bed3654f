//! The lines among the messages of a group.

use domain::ids::{ChatId, PersonId};
use domain::views::{History, Role};
use serde_json::{Value, json};

use crate::changes::{from, span};
use crate::world::World;

/// Kind and place of the lines of a page.
fn told(page: &Value) -> Vec<(String, u64)> {
    let lines = page.get("lines").and_then(Value::as_array).cloned().unwrap_or_default();
    let told = lines.iter().map(|line| {
        let kind = line["kind"].as_str().expect("a kind").to_owned();
        (kind, line["after_number"].as_u64().expect("a number"))
    });
    told.collect()
}

fn of(lines: &[(&str, u64)]) -> Vec<(String, u64)> {
    lines.iter().map(|(kind, after)| ((*kind).to_owned(), *after)).collect()
}

async fn lines(world: &World, who: PersonId, chat: ChatId, query: &str) -> Vec<(String, u64)> {
    told(&world.get(who, &format!("/chats/{chat}/messages{query}")).await)
}

#[tokio::test]
async fn a_line_tells_what_happened_and_who_did_it() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.says(group, ann, 1..=1).await;
    let renamed = world.renamed(group, ann, "Big choir", 1).await;
    world.role_set(group, ann, bob, Role::Admin, 1).await;
    world.added(group, bob, cy, 1, &[from(2)]).await;
    let page = world.get(bob, &format!("/chats/{group}/messages")).await;
    let lines = page["lines"].as_array().expect("lines");
    assert_eq!(told(&page), of(&[("created", 0), ("renamed", 1), ("role_set", 1), ("added", 1)]));
    assert_eq!((&lines[0]["by"]["nickname"], &lines[0]["title"]), (&json!("ann"), &json!("Choir")));
    assert_eq!((&lines[0]["count"], lines[0].get("person")), (&json!(1), None));
    assert_eq!((&lines[1]["title"], &lines[1]["position"]), (&json!("Big choir"), &json!(renamed)));
    assert_eq!((&lines[2]["person"]["nickname"], &lines[2]["role"]), (&json!("bob"), &json!("admin")));
    let (by, person) = (&lines[3]["by"]["nickname"], &lines[3]["person"]["nickname"]);
    assert_eq!((by, person), (&json!("bob"), &json!("cy")));
}

#[tokio::test]
async fn a_page_has_the_lines_above_its_messages_and_the_newest_what_follows() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    for number in 1..=6 {
        world.says(group, ann, number..=number).await;
        if number % 2 == 0 {
            world.renamed(group, ann, "Choir", number).await;
        }
    }
    let page = async |query: &str| world.get(bob, &format!("/chats/{group}/messages{query}")).await;
    let newest = page("?limit=2").await;
    assert_eq!(told(&newest), of(&[("renamed", 4), ("renamed", 6)]));
    let prev = newest["prev"].as_str().expect("older ones");
    let middle = page(&format!("?limit=2&cursor={prev}")).await;
    assert_eq!(told(&middle), of(&[("renamed", 2)]));
    let prev = middle["prev"].as_str().expect("older ones");
    let oldest = page(&format!("?limit=2&cursor={prev}")).await;
    assert_eq!(told(&oldest), of(&[("created", 0)]));
    let next = oldest["next"].as_str().expect("newer ones");
    let again = page(&format!("?limit=2&cursor={next}")).await;
    assert_eq!((&again["items"], &again["lines"]), (&middle["items"], &middle["lines"]));
    assert_eq!(told(&page("?after=4").await), of(&[("renamed", 4), ("renamed", 6)]));
    assert_eq!(told(&page("?before=5&limit=1").await), Vec::new(), "what follows 4 is told with 5");
    assert_eq!(told(&page("?after=6").await), of(&[("renamed", 6)]), "nothing was said since");
    assert_eq!(told(&page("?before=1").await), Vec::new());
    world.added(group, ann, cy, 6, &[from(7)]).await;
    assert_eq!(lines(&world, cy, group, "").await, of(&[("added", 6)]), "their own coming");
}

#[tokio::test]
async fn a_chat_without_messages_shows_its_lines() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.renamed(group, ann, "Chorus", 0).await;
    world.added(group, ann, cy, 0, &[from(1)]).await;
    world.renamed(group, ann, "Choir", 0).await;
    let whole = of(&[("created", 0), ("renamed", 0), ("added", 0), ("renamed", 0)]);
    assert_eq!(lines(&world, bob, group, "").await, whole);
    assert_eq!(lines(&world, cy, group, "").await, whole[2..], "from their coming on");
    world.says(group, ann, 1..=1).await;
    assert_eq!(lines(&world, bob, group, "").await, whole);
    assert_eq!(lines(&world, cy, group, "").await, whole[2..]);
    let open = world.group(101, ann, &[bob], "Open", History::All).await;
    world.added(open, ann, cy, 0, &[from(1)]).await;
    assert_eq!(lines(&world, cy, open, "").await, of(&[("created", 0), ("added", 0)]), "all of it");
    let direct = world.chat(102, ann, bob).await;
    assert!(lines(&world, bob, direct, "").await.is_empty());
}

#[tokio::test]
async fn what_happened_while_one_was_away_is_not_shown_but_ones_going_and_coming_are() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.says(group, ann, 1..=2).await;
    world.renamed(group, ann, "Before", 2).await;
    world.parted(group, Some(ann), bob, 2, &[span(1, 2)]).await;
    world.renamed(group, ann, "Secret", 2).await;
    let gone = of(&[("created", 0), ("renamed", 2), ("removed", 2)]);
    assert_eq!(lines(&world, bob, group, "").await, gone);
    world.says(group, ann, 3..=4).await;
    world.renamed(group, ann, "Secret too", 4).await;
    assert_eq!(lines(&world, bob, group, "").await, gone);
    world.added(group, ann, cy, 4, &[from(5)]).await;
    world.added(group, ann, bob, 4, &[span(1, 2), from(5)]).await;
    world.renamed(group, ann, "After", 4).await;
    let (came, renamed) = (("added".to_owned(), 4), ("renamed".to_owned(), 4));
    let now = [&gone[..], &[came.clone(), renamed.clone()]].concat();
    assert_eq!(lines(&world, bob, group, "?after=2").await, of(&[("added", 4), ("renamed", 4)]));
    world.says(group, ann, 5..=6).await;
    assert_eq!(lines(&world, bob, group, "").await, now);
    assert_eq!(lines(&world, bob, group, "?limit=2").await, of(&[("added", 4), ("renamed", 4)]));
    assert_eq!(lines(&world, bob, group, "?before=5&limit=1").await, of(&[("renamed", 2), ("removed", 2)]));
    let all = lines(&world, ann, group, "").await;
    assert_eq!(all.len(), 8, "whoever stayed sees all of it");
}

#[tokio::test]
async fn who_came_and_went_in_silence_sees_that() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    world.says(group, ann, 1..=2).await;
    world.added(group, ann, cy, 2, &[from(3)]).await;
    world.parted(group, None, cy, 2, &[]).await;
    world.renamed(group, ann, "Secret", 2).await;
    world.says(group, ann, 3..=3).await;
    let page = world.get(cy, &format!("/chats/{group}/messages")).await;
    assert_eq!((told(&page), &page["items"]), (of(&[("added", 2), ("left", 2)]), &json!([])));
}

#[tokio::test]
async fn of_many_lines_the_newest_500_come() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    for number in 1..=2 {
        world.says(group, ann, number..=number).await;
        for _ in 0..300 {
            world.renamed(group, ann, "Choir", number).await;
        }
    }
    let lines = lines(&world, bob, group, "").await;
    assert_eq!(lines.len(), 500);
    assert_eq!(lines.iter().filter(|(_, after)| *after == 2).count(), 300);
}
