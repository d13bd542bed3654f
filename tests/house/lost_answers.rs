//! A connection lost after the commit and before the reply: nobody learns what became of a message
//! until somebody asks again under its key.

use crate::api::{Api, new_key};
use crate::engine::{Engine, Place, on_both_engines};
use crate::letopis::{PATIENCE, until};
use crate::load::{Attempt, Circle, assert_unavailable};
use crate::proxy::Proxy;

const ROUNDS: usize = 5;

fn attempt(circle: &Circle, text: &str) -> Attempt {
    let (author, chat_id) = circle.seats[0];
    Attempt { author, chat_id, key: new_key(), text: text.to_owned(), answer: None }
}

/// Waits until the log's head is beyond `before`.
async fn head_moved(place: &Place, before: u64) {
    until("the log's head moves", async || (place.head().await.0 > before).then_some(())).await;
}

/// The body of an HTTP answer, once all of it is there.
fn body_of(answer: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(answer);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    let body = &answer[head.len() + 4..];
    (body.len() == length).then(|| body.to_vec())
}

on_both_engines!(an_answer_that_its_client_never_heard_is_had_again);

async fn an_answer_that_its_client_never_heard_is_had_again(engine: Engine) {
    let place = Place::new(engine).await;
    let letopis = place.start().await;
    let proxy = Proxy::before(letopis.address).await;
    let (api, far) = (Api::of(&letopis), Api::of(&letopis).through(proxy.address));
    let circle = Circle::gather(&api).await;
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let mut attempt = attempt(&circle, &format!("unheard {round}"));
        let before = place.head().await.0;
        proxy.hold_replies_to(&attempt.key.to_string());
        let heard = {
            let (circle, far, attempt) = (circle.clone(), far.clone(), attempt.clone());
            tokio::spawn(async move { circle.send(&far, &attempt).await.is_ok() })
        };
        head_moved(&place, before).await;
        let unheard = until("it answers", async || body_of(&proxy.held())).await;
        proxy.cut_once();
        assert!(!heard.await.expect("no panic"), "the client heard something");
        let again = circle.send(&far, &attempt).await.expect("it answers");
        assert_eq!(again.status, 200, "{}", again.text());
        assert!(again.body == unheard, "first {}, later {}", String::from_utf8_lossy(&unheard), again.text());
        assert_eq!(place.head().await.0, before + 1, "one event");
        attempt.answer = Some(again.body);
        all.push(attempt);
    }
    circle.send_all_again(&api, &mut all).await;
    circle.assert_all_there(&api, &all).await;
    letopis.stop().await;
    place.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_reply_postgres_could_not_deliver_is_found_again() {
    let place = Place::new(Engine::Postgres).await;
    let log = place.log.as_ref().expect("a database");
    let proxy = Proxy::before(log.address()).await;
    let far = log.url_at(proxy.address);
    let letopis = place.settings().with("LETOPIS_LOG_URL", far).start().await;
    let api = Api::of(&letopis);
    let circle = Circle::gather(&api).await;
    let mut all = Vec::new();
    for (round, away) in [false, true, false, true].into_iter().enumerate() {
        // Long enough without a stranger for a batch to be one statement; the second of two losses
        // meets one that is written under the lock.
        if round % 2 == 0 {
            for count in 0..60 {
                let mut calm = [attempt(&circle, &format!("{count} before round {round}"))];
                circle.send_all_again(&api, &mut calm).await;
                all.extend(calm);
            }
        }
        let mut attempt = attempt(&circle, &format!("lost {round}"));
        let before = place.head().await.0;
        let key = attempt.key.to_string();
        proxy.hold_replies_to(if round % 2 == 0 { &key } else { "COMMIT" });
        let sending = {
            let (circle, api, attempt) = (circle.clone(), api.clone(), attempt.clone());
            tokio::spawn(async move { circle.send(&api, &attempt).await.expect("letopis is not cut off") })
        };
        head_moved(&place, before).await;
        assert!(!sending.is_finished(), "it was answered before PostgreSQL had replied");
        if away {
            proxy.cut();
            // For longer than one waits: nobody can say what became of it.
            let answer = tokio::time::timeout(PATIENCE, sending).await.expect("an answer in time");
            assert_unavailable(&answer.expect("no panic"));
            proxy.mend();
            let answer = until("it is found", async || {
                let answer = circle.send(&api, &attempt).await.expect("it answers");
                (answer.status == 200).then_some(answer)
            })
            .await;
            attempt.answer = Some(answer.body);
        } else {
            // Back at once: the same batch goes again, finds itself, and the client notices nothing.
            proxy.cut_once();
            let answer = sending.await.expect("no panic");
            assert_eq!(answer.status, 200, "{}", answer.text());
            attempt.answer = Some(answer.body);
        }
        assert_eq!(attempt.sent().position, before + 1, "the answer is the first one's");
        assert_eq!(place.head().await.0, before + 1, "one event");
        let again = circle.send(&api, &attempt).await.expect("it answers");
        assert_eq!(Some(again.body), attempt.answer);
        all.push(attempt);
    }
    circle.send_all_again(&api, &mut all).await;
    circle.assert_all_there(&api, &all).await;
    letopis.stop().await;
    let rows = place.assert_sound().await;
    assert_eq!(rows.iter().filter(|row| row.event_type == "MessageSent").count(), all.len());
}
