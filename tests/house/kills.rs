//! `kill -9` in the middle of batches, again and again: what was answered stays, nothing comes
//! twice, and a key sent again gets the original answer.
//!
//! `LETOPIS_TEST_KILLS` says how often; `./dev soak` makes it a long run.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::api::{Answer, Api};
use crate::engine::{Engine, Place, on_both_engines};
use crate::load::{Circle, Load};
use crate::postgres::Server;

const SENDERS: usize = 16;

fn kills() -> usize {
    let kills = std::env::var("LETOPIS_TEST_KILLS").unwrap_or_else(|_| "20".to_owned());
    kills.parse().expect("LETOPIS_TEST_KILLS is a number")
}

/// Below `limit`.
fn random(limit: u64) -> u64 {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("random numbers");
    u64::from_le_bytes(random) % limit
}

/// Says how far a long run is.
fn say(what: &str, began: Instant, (done, of): (usize, usize), messages: usize) {
    if done % 20 == 0 || done == of {
        eprintln!("{what}: {done} of {of} kills, {messages} messages, {:?}", began.elapsed());
    }
}

on_both_engines!(kills_lose_nothing_double_nothing_and_forget_no_key);

async fn kills_lose_nothing_double_nothing_and_forget_no_key(engine: Engine) {
    let (place, kills, began) = (Place::new(engine).await, kills(), Instant::now());
    let mut letopis = place.start().await;
    let circle = Circle::gather(&Api::of(&letopis)).await;

    let mut all = Vec::new();
    let (mut cut_off, mut cut_off_in_log) = (0, 0);
    for kill in 1..=kills {
        let load = Load::until_it_breaks(&circle, &Api::of(&letopis), SENDERS);
        // Something is answered, and then it is let live a while.
        load.goes_on(1).await;
        tokio::time::sleep(Duration::from_millis(100 + random(256))).await;
        assert!(!load.broke(), "a sender stopped before the kill");
        letopis.kill().await;
        let mut attempts = load.ended().await;
        let open: BTreeSet<Uuid> =
            attempts.iter().filter(|attempt| attempt.answer.is_none()).map(|attempt| attempt.key).collect();
        assert!(!open.is_empty(), "it was not killed under load");
        cut_off += open.len();
        if random(4) == 0 {
            place.settings().cut_short(Duration::from_millis(random(400))).await;
        }
        letopis = place.start().await;
        let survived = place.head().await.0;
        circle.send_all_again(&Api::of(&letopis), &mut attempts).await;
        let in_log = attempts.iter().filter(|it| open.contains(&it.key) && it.sent().position <= survived);
        cut_off_in_log += in_log.count();
        all.extend(attempts);
        say(&format!("{engine:?}"), began, (kill, kills), all.len());
    }
    let api = Api::of(&letopis);
    circle.send_all_again(&api, &mut all).await;
    // Else no key was needed to find out what had become of a message, or no message was lost at all.
    assert!(
        0 < cut_off_in_log && cut_off_in_log < cut_off,
        "the kills fell on quiet moments: of {} messages {cut_off} got no answer, {cut_off_in_log} of them were written",
        all.len()
    );
    circle.assert_all_there(&api, &all).await;
    letopis.stop().await;
    let rows = place.assert_sound().await;
    assert_eq!(rows.iter().filter(|row| row.event_type == "MessageSent").count(), all.len());
}

/// The newest page of every chat, without waiting for anything.
async fn read_all_chats(api: &Api, circle: &Circle) {
    for chat_id in circle.chats() {
        let path = format!("/query/v1/chats/{chat_id}/messages");
        let page: Answer = circle.reader_of(chat_id).on(api).get(&path).await;
        let page: serde_json::Value = page.ok();
        assert!(!page["items"].as_array().expect("a list").is_empty(), "{chat_id} is empty");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letopis_outlives_kills_of_its_postgres_in_the_middle_of_batches() {
    let (mut server, kills, began) = (Server::new().await, kills().div_ceil(4), Instant::now());
    let place = Place::on(&server.url()).await;
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    let circle = Circle::gather(&api).await;
    let load = Load::through_refusals(&circle, &api, SENDERS);
    for kill in 1..=kills {
        // Everybody writes everywhere again.
        load.goes_on(4 * SENDERS).await;
        tokio::time::sleep(Duration::from_millis(random(100))).await;
        server.kill().await;
        // Away for a moment, or for so long that commands are refused.
        if kill % 2 == 1 {
            load.is_refused(SENDERS).await;
            read_all_chats(&api, &circle).await;
        }
        server.start().await;
        say("PostgreSQL's own", began, (kill, kills), load.answered());
    }
    load.goes_on(4 * SENDERS).await;
    assert!(load.refused() > 0);
    let mut all = load.stop().await;
    circle.send_all_again(&api, &mut all).await;
    circle.assert_all_there(&api, &all).await;
    api.is_ready().await;
    letopis.stop().await;
    let rows = place.assert_sound().await;
    assert_eq!(rows.iter().filter(|row| row.event_type == "MessageSent").count(), all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_key_store_letopis_refuses_and_goes_on_when_that_is_back() {
    let mut server = Server::new().await;
    let place = Place::with_keys_on(&server.url()).await;
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    let circle = Circle::gather(&api).await;
    let load = Load::through_refusals(&circle, &api, SENDERS);
    load.goes_on(4 * SENDERS).await;
    server.kill().await;
    // Nobody can say any more whose keys have been destroyed, so soon none is used.
    load.is_refused(SENDERS).await;
    server.start().await;
    load.goes_on(4 * SENDERS).await;
    read_all_chats(&api, &circle).await;
    let mut all = load.stop().await;
    circle.send_all_again(&api, &mut all).await;
    circle.assert_all_there(&api, &all).await;
    letopis.stop().await;
    place.assert_sound().await;
}
