//! Two processes, each with a store handle of its own, race on one file.

use std::process::{Command, Stdio};

use domain::aggregate::Event;
use domain::chat::ChatEvent;
use tempfile::TempDir;

use crate::support::{House, everything, key};

const FOLDER: &str = "LETOPIS_RACE_FOLDER";
const MESSAGES: u64 = 150;

/// Runs in the test process, which starts itself twice as a racer.
#[test]
#[expect(clippy::disallowed_methods, reason = "how the racers are told that they are racers")]
fn two_processes_race_on_one_file() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Ok(folder) = std::env::var(FOLDER) {
        runtime.block_on(race(std::path::Path::new(&folder)));
        return;
    }
    let folder = TempDir::new().expect("a folder");
    runtime.block_on(async {
        let house = House::open(folder.path()).await;
        house.make_chat(1).await.expect("a chat");
    });
    let racers: Vec<_> = (0..2)
        .map(|_| {
            Command::new(std::env::current_exe().expect("this test's binary"))
                .args(["--exact", "race::two_processes_race_on_one_file", "--nocapture"])
                .env(FOLDER, folder.path())
                .stdout(Stdio::null())
                .spawn()
                .expect("a racer")
        })
        .collect();
    for mut racer in racers {
        assert!(racer.wait().expect("a racer ends").success());
    }
    let log = runtime.block_on(async { everything(&*House::open(folder.path()).await.log).await });
    let numbers: Vec<u64> = log
        .iter()
        .filter_map(|event| match event.decode().expect("readable") {
            Event::Chat(ChatEvent::MessageSent { number, .. }) => Some(number),
            _ => None,
        })
        .collect();
    assert!(numbers.into_iter().eq(1..=2 * MESSAGES), "numbers are dense, nothing is lost or doubled");
}

async fn race(folder: &std::path::Path) {
    let house = House::open(folder).await;
    let me = u64::from(std::process::id());
    let mut last = 0;
    for message in 0..MESSAGES {
        let done = house.send_in_time(1, 0, key(me, message)).await;
        assert!(done.position > last, "positions of one writer rise");
        last = done.position;
    }
}
