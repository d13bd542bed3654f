//! A process that stands still (SIGSTOP) and comes back when the log has gone on without it.

use crate::api::{Api, new_key};
use crate::engine::{Engine, Place};
use crate::letopis::{Folder, PATIENCE, within};
use crate::load::{Attempt, Circle, Load};

const SENDERS: usize = 4;

/// Somebody's messages in one chat, one after the other, each answered.
async fn send(circle: &Circle, api: &Api, messages: usize, what: &str) -> Vec<Attempt> {
    let (author, chat_id) = circle.seats[0];
    let mut sent: Vec<Attempt> = (0..messages)
        .map(|count| Attempt {
            author,
            chat_id,
            key: new_key(),
            text: format!("{what} {count}"),
            answer: None,
        })
        .collect();
    circle.send_all_again(api, &mut sent).await;
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_on_one_log_a_paused_one_comes_back_and_goes_on() {
    let place = Place::new(Engine::Postgres).await;
    let one = place.start().await;
    let beside = Folder::new();
    let master = place.folder.file("master.key");
    let two = place.settings_in(&beside).with("LETOPIS_MASTER_KEY", master.display()).start().await;
    let (first, second) = (Api::of(&one), Api::of(&two));
    let circle = Circle::gather(&first).await;
    // Both know the chats.
    let mut all = send(&circle, &first, 3, "by the first").await;
    all.extend(send(&circle, &second, 3, "by the second").await);

    // At rest: what it believes in is old when it comes back.
    one.pause();
    all.extend(send(&circle, &second, 300, "while the first stood still").await);
    let (author, chat_id) = circle.seats[0];
    let attempt = Attempt { author, chat_id, key: new_key(), text: "to the one paused".into(), answer: None };
    let waiting = {
        let (circle, first, attempt) = (circle.clone(), first.clone(), attempt.clone());
        // A connection that waited for longer than one may is closed.
        let answered = async move || circle.send(&first, &attempt).await.ok();
        tokio::spawn(async move { within(PATIENCE * 4, "it answers", answered).await })
    };
    all.extend(send(&circle, &second, 10, "while somebody waits for the first").await);
    assert!(!waiting.is_finished(), "a paused process answers");
    one.resume();
    let answer = waiting.await.expect("no panic");
    assert_eq!(answer.status, 200, "{}", answer.text());
    all.push(Attempt { answer: Some(answer.body), ..attempt });

    // Under load on both, wherever it is then: in a batch, or with the log's lock in its hand.
    for _ in 0..5 {
        let (on_one, on_two) = (
            Load::through_kills(&circle, &first, SENDERS),
            Load::through_refusals(&circle, &second, SENDERS),
        );
        on_one.goes_on(20).await;
        on_two.goes_on(20).await;
        one.pause();
        let before = on_one.answered();
        // The other goes on alone.
        on_two.goes_on(100).await;
        // An answer may have been on its way.
        assert!(on_one.answered() <= before + SENDERS, "a paused process answers");
        one.resume();
        on_one.goes_on(20).await;
        on_two.goes_on(20).await;
        all.extend(on_one.stop().await);
        all.extend(on_two.stop().await);
    }
    for api in [&first, &second] {
        circle.send_all_again(api, &mut all).await;
        circle.assert_all_there(api, &all).await;
    }
    one.stop().await;
    two.stop().await;
    let rows = place.assert_sound().await;
    assert_eq!(rows.iter().filter(|row| row.event_type == "MessageSent").count(), all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_the_folder_of_a_paused_process() {
    let place = Place::new(Engine::Sqlite).await;
    let letopis = place.start().await;
    let api = Api::of(&letopis);
    let circle = Circle::gather(&api).await;
    let load = Load::through_kills(&circle, &api, SENDERS);
    load.goes_on(20).await;
    letopis.pause();
    let said = place.settings().refused().await;
    for words in ["another letopis", "LETOPIS_DATA"] {
        assert!(said.contains(words), "it does not say {words:?}:\n{said}");
    }
    letopis.resume();
    load.goes_on(20).await;
    let mut all = load.stop().await;
    circle.send_all_again(&api, &mut all).await;
    circle.assert_all_there(&api, &all).await;
    api.is_ready().await;
    letopis.stop().await;
    place.assert_sound().await;
}
