//! `kill -9` in the middle of batches, 20 times in a row: what was answered stays, nothing comes
//! twice, and a key sent again gets the original answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::ids::ChatId;
use domain::requests::{Send, Sent};
use domain::views::{List, Message};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use uuid::Uuid;

use crate::api::{Api, new_key};
use crate::letopis::{Folder, Letopis};
use crate::log_file;
use crate::people::Person;

const KILLS: usize = 20;
const SENDERS: usize = 16;

/// A message that was sent at least once, and the answer to it if one came.
#[derive(Clone)]
struct Attempt {
    author: usize,
    chat_id: ChatId,
    key: Uuid,
    text: String,
    answer: Option<Vec<u8>>,
}

impl Attempt {
    async fn send(&self, api: &Api, people: &[Person]) -> reqwest::Result<Vec<u8>> {
        let body = Send { chat_id: self.chat_id, text: self.text.clone(), reply_to: None };
        let answer = people[self.author].on(api).try_command("send", Some(self.key), &body).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Ok(answer.body)
    }

    fn sent(&self) -> Sent {
        serde_json::from_slice(self.answer.as_ref().expect("it was answered by now"))
            .expect("an answer of send")
    }
}

/// Sends until the connection breaks; what was tried and what was answered.
async fn send_until_it_breaks(
    api: Api,
    people: Arc<Vec<Person>>,
    (author, chat_id): (usize, ChatId),
    attempts: Arc<Mutex<Vec<Attempt>>>,
) {
    for count in 0.. {
        let key = new_key();
        let text = format!("{count} by {author}: {key} \u{2014} да");
        let attempt = Attempt { author, chat_id, key, text, answer: None };
        let at = {
            let mut attempts = attempts.lock().expect("no panic while it is held");
            attempts.push(attempt.clone());
            attempts.len() - 1
        };
        let Ok(answer) = attempt.send(&api, &people).await else { return };
        attempts.lock().expect("no panic while it is held")[at].answer = Some(answer);
    }
}

/// Loads the process from all sides and kills it after `load`.
async fn load_and_kill(
    letopis: Letopis,
    people: &Arc<Vec<Person>>,
    seats: &[(usize, ChatId)],
    load: Duration,
) -> Vec<Attempt> {
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let api = Api::of(&letopis);
    let mut senders: FuturesUnordered<_> = (0..SENDERS)
        .map(|sender| {
            let seat = seats[sender % seats.len()];
            tokio::spawn(send_until_it_breaks(api.clone(), people.clone(), seat, attempts.clone()))
        })
        .collect();
    // The load lasts as long as the process is let live; nobody stops before.
    let early = tokio::time::timeout(load, senders.next()).await;
    assert!(early.is_err(), "a sender stopped before the kill");
    letopis.kill().await;
    while let Some(sender) = senders.next().await {
        sender.expect("a sender does not panic");
    }
    std::mem::take(&mut attempts.lock().expect("no panic while it is held"))
}

/// Sends every key again. Answered ones get the same bytes; the others get an answer at last.
async fn send_all_again(api: &Api, people: &[Person], attempts: &mut [Attempt]) {
    let mut repeats = futures::stream::iter(attempts.iter_mut().map(|attempt| async move {
        let answer = attempt.send(api, people).await.expect("it answers");
        match &attempt.answer {
            Some(first) => assert!(
                *first == answer,
                "first {}, later {}",
                String::from_utf8_lossy(first),
                String::from_utf8_lossy(&answer)
            ),
            None => attempt.answer = Some(answer),
        }
    }))
    .buffer_unordered(SENDERS);
    while repeats.next().await.is_some() {}
}

async fn read_whole(api: &Api, reader: &Person, chat_id: ChatId) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let after = messages.last().map_or(0, |message| message.number);
        let page: List<Message> =
            reader.on(api).query(&format!("/chats/{chat_id}/messages?after={after}&limit=200")).await;
        if page.items.is_empty() {
            return messages;
        }
        messages.extend(page.items);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_nothing_double_nothing_and_forget_no_key() {
    let folder = Folder::new();
    let mut letopis = folder.start().await;
    let api = Api::of(&letopis);
    let mut people = Vec::new();
    for name in ["ann", "bob", "cyd"] {
        people.push(Person::register(&api, name).await);
    }
    let mut seats = Vec::new();
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        people[one].befriend(&api, &people[other]).await;
        let chat_id = people[one].chat_with(&api, &people[other]).await;
        seats.extend([(one, chat_id), (other, chat_id)]);
    }
    let people = Arc::new(people);

    let mut all: Vec<Attempt> = Vec::new();
    let (mut cut_off, mut cut_off_in_log) = (0, 0);
    for _ in 0..KILLS {
        let mut random = [0];
        getrandom::fill(&mut random).expect("random numbers");
        let load = Duration::from_millis(120 + u64::from(random[0]));
        let mut attempts = load_and_kill(letopis, &people, &seats, load).await;
        let (answered, open) = attempts.iter().partition::<Vec<_>, _>(|attempt| attempt.answer.is_some());
        assert!(!answered.is_empty() && !open.is_empty(), "it was not killed under load");
        cut_off += open.len();
        let open: BTreeSet<Uuid> = open.iter().map(|attempt| attempt.key).collect();
        letopis = folder.start().await;
        let survived = log_file::head(&log_file::open(&folder.file("log.db"))).0;
        send_all_again(&Api::of(&letopis), &people, &mut attempts).await;
        let in_log = attempts.iter().filter(|it| open.contains(&it.key) && it.sent().position <= survived);
        cut_off_in_log += in_log.count();
        all.extend(attempts);
    }
    let api = Api::of(&letopis);
    send_all_again(&api, &people, &mut all).await;
    // Else no key was needed to find out what had become of a message, or no message was lost at all.
    assert!(
        0 < cut_off_in_log && cut_off_in_log < cut_off,
        "the kills fell on quiet moments: of {} messages {cut_off} got no answer, {cut_off_in_log} of them were written",
        all.len()
    );

    let chats: BTreeSet<ChatId> = seats.iter().map(|(_, chat_id)| *chat_id).collect();
    for chat_id in chats {
        let expected: BTreeMap<u64, &Attempt> = all
            .iter()
            .filter(|attempt| attempt.chat_id == chat_id)
            .map(|attempt| (attempt.sent().number, attempt))
            .collect();
        let sent = all.iter().filter(|attempt| attempt.chat_id == chat_id).count();
        assert_eq!(expected.len(), sent, "two answers gave one number");
        assert!(expected.keys().copied().eq(1..=sent as u64), "numbers are not 1..={sent}");
        let reader = seats.iter().find(|(_, id)| *id == chat_id).map(|(person, _)| &people[*person]);
        let messages = read_whole(&api, reader.expect("somebody sits there"), chat_id).await;
        assert_eq!(messages.len(), sent, "one message a key");
        for (message, (number, attempt)) in messages.iter().zip(expected) {
            let answered = attempt.sent();
            assert_eq!(message.number, number);
            assert_eq!(
                (message.message_id.0, message.author.user_id),
                (attempt.key, people[attempt.author].id)
            );
            assert_eq!((&message.text, message.sent_at), (&attempt.text, answered.sent_at));
            assert_eq!(answered.message_id.0, attempt.key);
        }
    }
    letopis.stop().await;
    let rows = log_file::assert_sound(&log_file::open(&folder.file("log.db")));
    assert_eq!(rows.iter().filter(|row| row.event_type == "MessageSent").count(), all.len());
}
