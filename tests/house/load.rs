//! Load, and what has to be left of it: each message that was ever sent stands in its chat once,
//! where its answer said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use domain::ids::ChatId;
use domain::requests::{Send, Sent};
use domain::views::{List, Message};
use futures::StreamExt;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::api::{Answer, Api, new_key};
use crate::letopis::until;
use crate::people::Person;

/// A message that was sent at least once, and the answer to it if one came.
#[derive(Clone)]
pub struct Attempt {
    pub author: usize,
    pub chat_id: ChatId,
    pub key: Uuid,
    pub text: String,
    pub answer: Option<Vec<u8>>,
}

impl Attempt {
    pub fn sent(&self) -> Sent {
        serde_json::from_slice(self.answer.as_ref().expect("it was answered by now"))
            .expect("an answer of send")
    }
}

/// Who writes where.
pub type Seat = (usize, ChatId);

/// Three friends with a chat each two, and the seats in them.
#[derive(Clone)]
pub struct Circle {
    pub people: Arc<Vec<Person>>,
    pub seats: Vec<Seat>,
}

impl Circle {
    pub async fn gather(api: &Api) -> Self {
        let mut people = Vec::new();
        for name in ["ann", "bob", "cyd"] {
            people.push(Person::register(api, name).await);
        }
        let mut seats = Vec::new();
        for (one, other) in [(0, 1), (0, 2), (1, 2)] {
            people[one].befriend(api, &people[other]).await;
            let chat_id = people[one].chat_with(api, &people[other]).await;
            seats.extend([(one, chat_id), (other, chat_id)]);
        }
        Self { people: Arc::new(people), seats }
    }

    pub fn chats(&self) -> BTreeSet<ChatId> {
        self.seats.iter().map(|(_, chat_id)| *chat_id).collect()
    }

    /// Somebody who sits there.
    pub fn reader_of(&self, chat_id: ChatId) -> &Person {
        let (person, _) = self.seats.iter().find(|(_, id)| *id == chat_id).expect("a chat of theirs");
        &self.people[*person]
    }

    /// # Errors
    /// If no answer comes.
    pub async fn send(&self, api: &Api, attempt: &Attempt) -> reqwest::Result<Answer> {
        let body = Send::text(attempt.chat_id, attempt.text.clone());
        self.people[attempt.author].on(api).try_command("send", Some(attempt.key), &body).await
    }

    /// Sends every key again. Answered ones get the same bytes; the others get an answer at last.
    pub async fn send_all_again(&self, api: &Api, attempts: &mut [Attempt]) {
        const AT_ONCE: usize = 16;
        let mut repeats = futures::stream::iter(attempts.iter_mut().map(|attempt| async move {
            let answer = self.send(api, attempt).await.expect("it answers");
            assert_eq!(answer.status, 200, "{}", answer.text());
            match &attempt.answer {
                Some(first) => assert!(
                    *first == answer.body,
                    "first {}, later {}",
                    String::from_utf8_lossy(first),
                    answer.text()
                ),
                None => attempt.answer = Some(answer.body),
            }
        }))
        .buffer_unordered(AT_ONCE);
        while repeats.next().await.is_some() {}
    }

    /// Every chat holds exactly these messages, each where its answer said.
    pub async fn assert_all_there(&self, api: &Api, all: &[Attempt]) {
        for chat_id in self.chats() {
            let of_chat = || all.iter().filter(|attempt| attempt.chat_id == chat_id);
            let expected: BTreeMap<u64, &Attempt> =
                of_chat().map(|attempt| (attempt.sent().number, attempt)).collect();
            let sent = of_chat().count();
            assert_eq!(expected.len(), sent, "two answers gave one number");
            assert!(expected.keys().copied().eq(1..=sent as u64), "numbers are not 1..={sent}");
            let messages = read_whole(api, self.reader_of(chat_id), chat_id).await;
            assert_eq!(messages.len(), sent, "one message a key");
            for (message, (number, attempt)) in messages.iter().zip(expected) {
                let answered = attempt.sent();
                assert_eq!(message.number, number);
                assert_eq!(
                    (message.message_id.0, message.author.user_id),
                    (attempt.key, self.people[attempt.author].id)
                );
                assert_eq!((&message.text, message.sent_at), (&attempt.text, answered.sent_at));
                assert_eq!(answered.message_id.0, attempt.key);
            }
        }
    }
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

/// What senders share.
#[derive(Default)]
struct Shared {
    attempts: Mutex<Vec<Attempt>>,
    answered: AtomicUsize,
    refused: AtomicUsize,
    enough: AtomicBool,
    /// After each answer.
    pause: Duration,
}

impl Shared {
    fn attempts(&self) -> MutexGuard<'_, Vec<Attempt>> {
        self.attempts.lock().expect("no panic while it is held")
    }

    fn begin(&self, (author, chat_id): Seat, count: usize) -> (usize, Attempt) {
        let key = new_key();
        let text = format!("{count} by {author}: {key} \u{2014} да");
        let attempt = Attempt { author, chat_id, key, text, answer: None };
        let mut attempts = self.attempts();
        attempts.push(attempt.clone());
        (attempts.len() - 1, attempt)
    }

    fn answered(&self, at: usize, answer: Answer) {
        self.attempts()[at].answer = Some(answer.body);
        self.answered.fetch_add(1, Ordering::SeqCst);
    }
}

async fn send_until_it_breaks(circle: Circle, api: Api, seat: Seat, shared: Arc<Shared>) {
    for count in 0.. {
        let (at, attempt) = shared.begin(seat, count);
        let Ok(answer) = circle.send(&api, &attempt).await else { return };
        assert_eq!(answer.status, 200, "{}", answer.text());
        shared.answered(at, answer);
    }
}

async fn send_through_refusals(circle: Circle, api: Api, seat: Seat, shared: Arc<Shared>) {
    send_on(circle, api, seat, shared, false).await;
}

async fn send_through_kills(circle: Circle, api: Api, seat: Seat, shared: Arc<Shared>) {
    send_on(circle, api, seat, shared, true).await;
}

async fn send_on(circle: Circle, api: Api, seat: Seat, shared: Arc<Shared>, may_break: bool) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for count in 0.. {
        if shared.enough.load(Ordering::SeqCst) {
            return;
        }
        let (at, attempt) = shared.begin(seat, count);
        loop {
            match circle.send(&api, &attempt).await {
                Ok(answer) if answer.status == 200 => {
                    shared.answered(at, answer);
                    tokio::time::sleep(shared.pause).await;
                    break;
                }
                Ok(answer) => assert_unavailable(&answer),
                Err(error) => assert!(may_break, "it answers: {error}"),
            }
            shared.refused.fetch_add(1, Ordering::SeqCst);
            ticks.tick().await;
        }
    }
}

/// People who send without a pause, from all seats.
pub struct Load {
    shared: Arc<Shared>,
    senders: Vec<JoinHandle<()>>,
}

impl Load {
    /// Each sender goes on until its connection breaks.
    pub fn until_it_breaks(circle: &Circle, api: &Api, senders: usize) -> Self {
        Self::start(circle, api, senders, Duration::ZERO, send_until_it_breaks)
    }

    /// Each sender goes on until [`Load::stop`], and repeats what was refused by 503 `unavailable`.
    /// Any other refusal, or a broken connection, fails the test.
    pub fn through_refusals(circle: &Circle, api: &Api, senders: usize) -> Self {
        Self::start(circle, api, senders, Duration::ZERO, send_through_refusals)
    }

    /// The same with a pause after each answer: where it is not speed that is tried.
    pub fn gently(circle: &Circle, api: &Api, senders: usize) -> Self {
        Self::start(circle, api, senders, Duration::from_millis(25), send_through_refusals)
    }

    /// The same where the process is paused for longer than a connection may wait for a request.
    pub fn gently_through_pauses(circle: &Circle, api: &Api, senders: usize) -> Self {
        Self::start(circle, api, senders, Duration::from_millis(25), send_through_kills)
    }

    /// Each sender goes on until [`Load::stop`], and repeats what was refused or broke.
    pub fn through_kills(circle: &Circle, api: &Api, senders: usize) -> Self {
        Self::start(circle, api, senders, Duration::ZERO, send_through_kills)
    }

    fn start<F: Future<Output = ()> + core::marker::Send + 'static>(
        circle: &Circle,
        api: &Api,
        senders: usize,
        pause: Duration,
        sender: fn(Circle, Api, Seat, Arc<Shared>) -> F,
    ) -> Self {
        let shared = Arc::new(Shared { pause, ..Shared::default() });
        let senders = (0..senders)
            .map(|number| {
                let seat = circle.seats[number % circle.seats.len()];
                tokio::spawn(sender(circle.clone(), api.clone(), seat, shared.clone()))
            })
            .collect();
        Self { shared, senders }
    }

    /// Whether a sender has stopped by itself.
    pub fn broke(&self) -> bool {
        self.senders.iter().any(JoinHandle::is_finished)
    }

    /// How many messages were answered so far.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// How often somebody was refused so far.
    pub fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::SeqCst)
    }

    /// Waits until `more` messages are answered from now on; for each anew, since many take a slow machine long.
    pub async fn goes_on(&self, more: usize) {
        let wanted = self.answered() + more;
        loop {
            let answered = self.answered();
            if answered >= wanted {
                return;
            }
            until("messages are answered", async || {
                assert!(!self.broke(), "a sender stopped");
                (self.answered() > answered).then_some(())
            })
            .await;
        }
    }

    /// Waits until `more` refusals came from now on.
    pub async fn is_refused(&self, more: usize) {
        let before = self.refused();
        until("messages are refused", async || {
            assert!(!self.broke(), "a sender stopped");
            (self.refused() >= before + more).then_some(())
        })
        .await;
    }

    /// Lets everybody finish what they began; what was tried and what was answered.
    pub async fn stop(self) -> Vec<Attempt> {
        self.shared.enough.store(true, Ordering::SeqCst);
        self.ended().await
    }

    /// Waits until every sender has stopped by itself.
    pub async fn ended(mut self) -> Vec<Attempt> {
        for sender in std::mem::take(&mut self.senders) {
            sender.await.expect("a sender does not panic");
        }
        std::mem::take(&mut self.shared.attempts())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.senders.iter().for_each(JoinHandle::abort);
    }
}

/// 503 as the rules have it: a problem, and when to come again.
#[track_caller]
pub fn assert_unavailable(answer: &Answer) {
    answer.problem(503, "unavailable");
    let seconds: u64 = answer.header("retry-after").parse().expect("Retry-After is a number of seconds");
    assert!((1..=60).contains(&seconds), "Retry-After: {seconds}");
}
