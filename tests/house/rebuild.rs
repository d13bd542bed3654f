//! Projections deleted and built again by a start: every query answers the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use domain::requests::{Done, MarkRead};
use domain::views::{List, Message};

use crate::api::Api;
use crate::letopis::Folder;
use crate::people::Person;

/// `%2B` and the like in a query's value.
fn escaped(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Every way to ask, for one person; cursors are followed as they come.
pub async fn ask_everything(
    api: &Api,
    asker: &Person,
    paths: impl IntoIterator<Item = String>,
    head: u64,
) -> BTreeMap<String, Vec<u8>> {
    let mut answers = BTreeMap::new();
    let mut open: Vec<String> = paths.into_iter().collect();
    let mut seen: BTreeSet<String> = open.iter().cloned().collect();
    while let Some(path) = open.pop() {
        let answer = asker.on(api).show(&path, head).await.expect("it answers");
        let body: serde_json::Value = answer.ok();
        assert_eq!(body["position"], head, "{path}");
        for direction in ["next", "prev"] {
            let Some(cursor) = body[direction].as_str() else { continue };
            let base = path.split("&cursor=").next().expect("the first part");
            let separator = if base.contains('?') { "" } else { "?limit=50" };
            let following = format!("{base}{separator}&cursor={}", escaped(cursor));
            if seen.insert(following.clone()) {
                open.push(following);
            }
        }
        answers.insert(path, answer.body);
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_answers_the_same_bytes_after_a_rebuild() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let mut people = Vec::new();
    for name in ["ann", "bob", "cyd", "anna", "Йозеф", "eve"] {
        people.push(Person::register(&api, name).await);
    }
    let [ann, bob, cyd, anna, josef, eve] = &people[..] else { panic!("six people") };
    ann.tell_about(&api, "first\nsecond «третья»").await;
    // Friends, requests both ways, declined, blocked, unfriended.
    for (one, other) in [(ann, bob), (ann, cyd), (bob, cyd), (ann, eve)] {
        one.befriend(&api, other).await;
    }
    anna.on(&api).done::<Done>("add", &ann.whom()).await;
    ann.on(&api).done::<Done>("add", &josef.whom()).await;
    anna.on(&api).done::<Done>("add", &bob.whom()).await;
    bob.on(&api).done::<Done>("decline", &anna.whom()).await;
    bob.on(&api).done::<Done>("block", &josef.whom()).await;
    let mut chats = Vec::new();
    for (one, other) in [(ann, bob), (ann, cyd), (bob, cyd), (eve, ann)] {
        chats.push(one.chat_with(&api, other).await);
    }
    let mut last = 0;
    for count in 0..12 {
        let (one, other) = if count % 3 == 0 { (bob, ann) } else { (ann, bob) };
        last = one.say(&api, chats[0], &format!("message {count} «ё» \u{1F600}")).await.number;
        if count == 5 {
            other.answer(&api, chats[0], 2, &"a long answer ".repeat(40)).await;
            let read = MarkRead { chat_id: chats[0], number: 4 };
            other.on(&api).done::<Done>("mark_read", &read).await;
        }
    }
    cyd.say(&api, chats[1], "  kept as it is \n").await;
    ann.say(&api, chats[3], "to eve").await;
    eve.on(&api).done::<Done>("remove", &ann.whom()).await;
    let head = ann.on(&api).done::<Done>("block", &eve.whom()).await.position;
    assert!(last > 10);

    let messages: List<Message> = ann.on(&api).query(&format!("/chats/{}/messages", chats[0])).await;
    let (early, late) = (messages.items[3].sent_at, messages.items[9].sent_at);
    let mut paths: Vec<String> =
        ["/me", "/sessions", "/friends", "/chats", "/chats?limit=1"].map(str::to_owned).to_vec();
    for state in ["accepted", "incoming", "outgoing", "blocked"] {
        paths.push(format!("/friends?state={state}&limit=1"));
    }
    for q in ["ann", "an", "cyd", "Йозеф", "person", "the person"] {
        paths.push(format!("/users?limit=1&q={}", escaped(q)));
        paths.push(format!("/users?q={}", escaped(q)));
    }
    paths.push(format!("/users?q={}", bob.id));
    paths.extend(people.iter().map(|person| format!("/users/{}", person.id)));
    let of_chat = |number: usize| {
        let base = format!("/chats/{}", chats[number]);
        let messages = format!("{base}/messages");
        let mut paths =
            vec![base, messages.clone(), format!("{messages}?limit=3"), format!("{messages}?before=7")];
        paths.push(format!("{messages}?after=4&limit=2"));
        paths.push(format!("{messages}?after=4&before=9"));
        paths.push(format!("{messages}?from={early}&to={late}"));
        paths.push(format!("{messages}?from={early}&to={late}&after=4&limit=2"));
        paths.push(format!("{messages}?to={late}&limit=2"));
        paths
    };
    // Three people, each with the chats that they are in.
    let asked = [
        (ann, [paths.clone(), of_chat(0), of_chat(1), of_chat(3)].concat()),
        (bob, [paths.clone(), of_chat(0), of_chat(2)].concat()),
        (eve, [paths, of_chat(3)].concat()),
    ];
    let mut before = Vec::new();
    for (asker, paths) in &asked {
        before.push(ask_everything(&api, asker, paths.clone(), head).await);
    }
    assert!(before.iter().all(|answers| answers.keys().any(|path| path.contains("cursor="))));
    assert!(before[0].values().any(|body| String::from_utf8_lossy(body).contains("\"blocked\":true")));
    letopis.stop().await;

    std::fs::remove_dir_all(folder.file("projections")).expect("they were there");
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    for ((asker, paths), before) in asked.iter().zip(before) {
        let after = ask_everything(&api, asker, paths.clone(), head).await;
        assert!(after.keys().eq(before.keys()), "{}: other cursors", asker.nickname);
        for (path, body) in before {
            assert!(
                body == after[&path],
                "{} asks {path}\nbefore {}\nafter  {}",
                asker.nickname,
                String::from_utf8_lossy(&body),
                String::from_utf8_lossy(&after[&path])
            );
        }
    }
}
