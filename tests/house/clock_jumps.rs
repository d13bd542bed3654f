//! A clock that jumps while letopis serves. libfaketime stands between it and the machine's clock.

use std::path::PathBuf;

use domain::requests::{Authorize, Secret, SignedIn};
use domain::views::{List, Message};

use crate::api::{Answer, Api, new_key};
use crate::engine::{Engine, Place, on_both_engines};
use crate::letopis::{Settings, until};
use crate::load::assert_unavailable;
use crate::people::Person;

/// Debian's package puts it where the machine's own libraries are.
fn libfaketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("a Linux machine");
    let mut found =
        folders.filter_map(|folder| Some(folder.ok()?.path().join("faketime/libfaketimeMT.so.1"))).chain(
            ["/usr/lib/faketime/libfaketimeMT.so.1", "/usr/lib64/faketime/libfaketimeMT.so.1"]
                .map(PathBuf::from),
        );
    found
        .find(|library| library.exists())
        .expect("there is no libfaketime: run ./dev test, which installs it, or apt-get install faketime")
}

/// The clock that a process sees: the machine's, and so many seconds more or less.
struct Jumping(PathBuf);

impl Jumping {
    fn of(place: &Place) -> Self {
        let clock = Self(place.folder.beside("clock"));
        clock.jump(0);
        clock
    }

    fn jump(&self, seconds: i64) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, format!("{seconds:+}\n")).expect("written");
        std::fs::rename(&new, &self.0).expect("renamed");
    }

    /// Timers go on as ever: no machine's monotonic clock jumps.
    fn seen_by(&self, settings: Settings) -> Settings {
        settings
            .with("LD_PRELOAD", libfaketime().display())
            .with("FAKETIME_TIMESTAMP_FILE", self.0.display())
            .with("FAKETIME_NO_CACHE", 1)
            .with("FAKETIME_DONT_FAKE_MONOTONIC", 1)
    }
}

const HOUR: i64 = 3_600;

on_both_engines!(after_jumps_times_do_not_fall_and_nobody_is_thrown_out);

async fn after_jumps_times_do_not_fall_and_nobody_is_thrown_out(engine: Engine) {
    let place = Place::new(engine).await;
    let clock = Jumping::of(&place);
    let letopis = clock.seen_by(place.settings()).start().await;
    let api = Api::of(&letopis);
    let (mut ann, bob) = (Person::register(&api, "ann").await, Person::register(&api, "bob").await);
    ann.befriend(&api, &bob).await;
    let chat_id = ann.chat_with(&api, &bob).await;
    let mut sent = vec![ann.say(&api, chat_id, "in time").await];
    let send = serde_json::json!({ "chat_id": chat_id, "text": "at a wrong time" });

    let (mut before, mut waits) = (0, 0);
    for seconds in [1, -1, HOUR, -HOUR, 0] {
        clock.jump(seconds);
        if engine == Engine::Postgres && seconds.abs() > 2 {
            // Others append to this log, and trust its times: who is wrong waits. An hour ahead the
            // access token has ended, and the first thing that is asked for is a new one.
            let (name, body) =
                if seconds > 0 { ("refresh", refreshing(&ann)) } else { ("send", send.clone()) };
            let key = Some(new_key());
            assert_unavailable(&ann.on(&api).command(name, key, &body).await);
            waits += 1;
            let told = |said: &str| said.matches("it goes on by itself then").count() >= waits;
            letopis.says("that it waits", |said| told(said).then_some(())).await;
            clock.jump(0);
            let answer = until("it writes again", async || {
                let answer = ann.on(&api).command(name, key, &body).await;
                (answer.status == 200).then_some(answer)
            })
            .await;
            if seconds > 0 {
                ann = refreshed(ann, &answer);
            } else {
                sent.push(answer.ok());
            }
            continue;
        }
        // What was given out by a clock that was ahead still holds when it was put back. Forward, the
        // access token has ended by this clock; the session has not.
        let status = ann.on(&api).get("/query/v1/me").await.status;
        let expected = if seconds - before >= HOUR { 401 } else { 200 };
        assert_eq!(status, expected, "from {before} s to {seconds} s");
        ann = refresh(&api, ann).await;
        assert_eq!(ann.on(&api).get("/query/v1/me").await.status, 200, "thrown out at {seconds} s");
        before = seconds;
        sent.push(ann.say(&api, chat_id, &format!("at {seconds} s")).await);
        let again = Authorize { email: ann.email.clone(), password: Secret(ann.password.clone()) };
        let elsewhere: SignedIn = api.command("authorize", None, &again).await.ok();
        let elsewhere = api.by(&elsewhere.access_token.expect("in the body"));
        assert_eq!(elsewhere.get("/query/v1/me").await.status, 200, "a session of {seconds} s does not live");
    }
    assert!(sent.iter().map(|sent| sent.number).eq(1..=sent.len() as u64), "numbers are dense");
    assert!(sent.is_sorted_by_key(|sent| sent.sent_at), "sent_at falls");
    let page: List<Message> = ann.on(&api).query(&format!("/chats/{chat_id}/messages")).await;
    let seen: Vec<_> = page.items.iter().map(|message| (message.number, message.sent_at)).collect();
    let said: Vec<_> = sent.iter().map(|sent| (sent.number, sent.sent_at)).collect();
    assert_eq!(seen, said);
    letopis.stop().await;

    let rows = place.assert_sound().await;
    let span = rows.last().expect("events").recorded_at - rows[0].recorded_at;
    let ahead = HOUR * 1_000_000;
    match engine {
        Engine::Sqlite => assert!(span >= ahead, "the clock did not jump at all: {span} µs"),
        Engine::Postgres => assert!(span < ahead, "a wrong time is in the log: {span} µs"),
    }
}

fn refreshing(person: &Person) -> serde_json::Value {
    serde_json::json!({ "refresh_token": person.refresh })
}

fn refreshed(person: Person, answer: &Answer) -> Person {
    let answer: SignedIn = answer.ok();
    Person {
        access: answer.access_token.expect("in the body"),
        refresh: answer.refresh_token.expect("in the body"),
        ..person
    }
}

async fn refresh(api: &Api, person: Person) -> Person {
    let answer = api.command("refresh", Some(new_key()), &refreshing(&person)).await;
    refreshed(person, &answer)
}
