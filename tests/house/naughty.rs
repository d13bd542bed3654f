//! The list of naughty strings goes in and comes out unchanged.

use domain::problem::FieldError;
use domain::requests::Send;
use domain::views::{List, Message};
use naughty_strings::BLNS;

use crate::api::{Api, new_key};
use crate::letopis::Folder;
use crate::people::Person;

/// The only ones that are refused: nothing is left of them once they are trimmed.
const EMPTY: [&str; 2] = ["", " "];

#[tokio::test(flavor = "multi_thread")]
async fn every_one_of_them_comes_out_as_it_went_in() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let (ann, bob) = (Person::register(&api, "ann").await, Person::register(&api, "bob").await);
    ann.befriend(&api, &bob).await;
    let chat = ann.chat_with(&api, &bob).await;
    let (mut refused, mut sent) = (Vec::new(), Vec::new());
    for text in BLNS {
        let answer = ann.on(&api).command("send", Some(new_key()), &Send::text(chat, *text)).await;
        if answer.status == 422 {
            let problem = answer.problem(422, "invalid");
            assert_eq!(problem.errors, [FieldError::new("/text", "too-short").with("min", 1)], "{text:?}");
            refused.push(*text);
        } else {
            assert_eq!(answer.status, 200, "{text:?}: {}", answer.text());
            sent.push(*text);
        }
    }
    assert_eq!(refused, EMPTY);
    assert!(sent.len() > 400 && sent.len() + refused.len() == BLNS.len());
    let (mut received, mut after) = (Vec::new(), 0);
    loop {
        let path = format!("/chats/{chat}/messages?after={after}&limit=200");
        let page: List<Message> = bob.on(&api).query(&path).await;
        let Some(last) = page.items.last() else { break };
        after = last.number;
        received.extend(page.items.into_iter().map(|message| message.text));
    }
    assert_eq!(received, sent);
    letopis.stop().await;
}
