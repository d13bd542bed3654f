//! Durable before acknowledged, as the kernel sees it: strace watches the real binary.

use domain::requests::{Send, Sent};
use uuid::Uuid;

use crate::api::{Api, new_key};
use crate::letopis::{Folder, until};
use crate::people::Person;
use crate::traces::{Onward, going_on_first, synced_before, without_syncs};

const CALLS: &str = "trace=fsync,fdatasync,write,writev,sendto,sendmsg,pwrite64,openat";

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_synced_before_an_answer_and_a_key_before_what_it_seals() {
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
        let send = Send::text(chat_id, format!("message {count}"));
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
        assert_synced_before(&trace, &key.to_string(), "log.db-wal", Onward::Answer);
    }
    for person in [ann, bob] {
        let id = person.id.to_string();
        assert_synced_before(&trace, &id, "log.db-wal", Onward::Answer);
        // A seal whose key is lost in a crash would be lost with it.
        assert_synced_before(&trace, &id, "keys.db-wal", Onward::File("log.db-wal"));
    }
}

/// It is so; and it would have been noticed if it were not.
fn assert_synced_before(trace: &str, needle: &str, file: &str, onward: Onward) {
    assert_eq!(synced_before(trace, needle, file, onward), Ok(()), "{needle}");
    let never_synced = synced_before(&without_syncs(trace), needle, file, onward);
    assert!(never_synced.is_err(), "the check sees no difference without syncs");
    let too_early = synced_before(&going_on_first(trace, needle, onward), needle, file, onward);
    assert!(too_early.is_err(), "the check sees no difference in the wrong order");
}
