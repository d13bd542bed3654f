//! Durable before acknowledged, as the kernel sees it: strace watches the real binary.

use domain::requests::{Send, Sent};
use uuid::Uuid;

use crate::api::{Api, new_key};
use crate::letopis::{Folder, until};
use crate::people::Person;
use crate::traces::{synced_before_answered, with_answer_first, without_syncs};

const CALLS: &str = "trace=fsync,fdatasync,write,writev,sendto,sendmsg,pwrite64,openat";

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_wal_is_synced_before_a_message_is_acknowledged() {
    let strace = std::process::Command::new("strace").arg("-V").output();
    assert!(strace.is_ok_and(|ran| ran.status.success()), "this test needs strace: apt-get install strace");

    let folder = Folder::new();
    let file = folder.beside("trace");
    let trace = file.to_str().expect("a plain path");
    // -D leaves the process that we started to letopis, so that signals reach it.
    let wrapper = ["strace", "-D", "-f", "-yy", "-s", "5000", "-e", CALLS, "-o", trace];
    let letopis = folder.settings().under(&wrapper).start().await;
    let api = Api::of(&letopis);
    let (ann, bob) = (Person::register(&api, "ann").await, Person::register(&api, "bob").await);
    ann.befriend(&api, &bob).await;
    let chat_id = ann.chat_with(&api, &bob).await;
    let mut keys: Vec<Uuid> = Vec::new();
    for count in 0..10 {
        let key = new_key();
        let send = Send { chat_id, text: format!("message {count}"), reply_to: None };
        let sent: Sent = ann.on(&api).command("send", Some(key), &send).await.ok();
        assert_eq!(sent.message_id.0, key);
        keys.push(key);
    }
    letopis.stop().await;
    let trace = until("strace has written all", async || {
        let trace = String::from_utf8_lossy(&std::fs::read(&file).ok()?).into_owned();
        // The leader's end is the last line.
        trace.lines().last()?.contains("+++ exited with 0 +++").then_some(trace)
    })
    .await;

    for key in keys {
        let key = key.to_string();
        assert_eq!(synced_before_answered(&trace, &key), Ok(()), "{key}");
        let never_synced = synced_before_answered(&without_syncs(&trace), &key);
        assert!(never_synced.is_err(), "the check sees no difference without syncs");
        let answered_first = synced_before_answered(&with_answer_first(&trace, &key), &key);
        assert!(answered_first.is_err(), "the check sees no difference when the answer comes first");
    }
}
