//! Two processes on the same log and engines: one writes each projection, the other stands by. Who
//! was asleep while the other took over changes nothing.

use domain::requests::{Done, Revoke};

use crate::api::{Api, new_key};
use crate::engine::{Engine, Place};
use crate::letopis::{Folder, PATIENCE_WITH_COMMANDS, Settings, until, within};
use crate::load::{Circle, Load};
use crate::people::Person;
use crate::servers::Servers;

const SENDERS: usize = 4;
const PROJECTIONS: [&str; 4] = ["sessions", "directory", "timeline", "search"];

/// What `letopis projections status` says of each projection with rows.
async fn states(settings: &Settings) -> Vec<(String, u64, u64)> {
    let ran = settings.run(&["projections", "status", "--json"]).await;
    let status: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let of = |name: &str| {
        let all = status["projections"].as_array().expect("a list");
        let it = all.iter().find(|it| it["name"] == name).expect("it is there");
        let state = it["health"]["state"].as_str().expect("a state").to_owned();
        (state, it["epoch"].as_u64().expect("an epoch"), it["lag_events"].as_u64().expect("a lag"))
    };
    PROJECTIONS.map(of).to_vec()
}

async fn all_are(settings: &Settings, state: &str) {
    until(&format!("all are {state}"), async || {
        states(settings).await.iter().all(|it| it.0 == state).then_some(())
    })
    .await;
}

/// Each projection has one writer, and the other stands by. Mostly it is the one that was awake; but a busy machine may
/// keep that one from saying so in time.
async fn one_writes_each(both: [&Settings; 2]) {
    until("one writes each", async || {
        let (one, other) = (states(both[0]).await, states(both[1]).await);
        let is_fine = |(one, other): (&(String, u64, u64), &(String, u64, u64))| {
            let pair = [one.0.as_str(), other.0.as_str()];
            pair.contains(&"running") && pair.contains(&"standing_by")
        };
        one.iter().zip(&other).all(is_fine).then_some(())
    })
    .await;
}

/// A replay gives the same rows, says whoever writes them; who lost that meanwhile says nothing.
async fn is_a_replay(both: [&Settings; 2], at: usize) {
    let projection = PROJECTIONS[at];
    within(PATIENCE_WITH_COMMANDS, &format!("{projection} is built anew"), async || {
        for settings in both {
            let (state, epoch, _) = states(settings).await[at].clone();
            if state != "running" {
                continue;
            }
            let ran = settings.run(&["projections", "rebuild", projection]).await;
            if ran.code == Some(0) {
                return Some(());
            }
            let now = states(settings).await[at].clone();
            let lost = (now.0, now.1) != (state, epoch);
            assert!(lost, "{projection} is no replay: {}{}", ran.stdout, ran.stderr);
        }
        None
    })
    .await;
}

async fn all_show_the_head(settings: &Settings) {
    until("all show the head", async || states(settings).await.iter().all(|it| it.2 == 0).then_some(()))
        .await;
}

/// Whoever signs out on one process is out on the other, on both APIs, when that is answered.
async fn out_on_one_is_out_on_both(both: [&Api; 2]) {
    for (number, (here, there)) in [(both[0], both[1]), (both[1], both[0])].into_iter().enumerate() {
        let leaver = Person::register(here, &format!("leaver_{number}")).await;
        let elsewhere = leaver.on(there);
        until("they are in on both", async || {
            (elsewhere.get("/query/v1/me").await.status == 200).then_some(())
        })
        .await;
        leaver.on(here).done::<Done>("revoke", &Revoke { session_id: None, others: None }).await;
        assert_eq!(elsewhere.get("/query/v1/me").await.status, 401);
        assert_eq!(elsewhere.command("add", Some(new_key()), &leaver.whom()).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_writer_that_lost_its_lease_changes_nothing() {
    let (servers, place) = tokio::join!(
        Servers::start(&["keydb", "postgres", "elasticsearch", "cassandra"]),
        Place::new(Engine::Postgres)
    );
    let first = servers.under(place.settings()).await;
    let one = first.start().await;
    let beside = Folder::new();
    let second = servers.under(place.settings_in(&beside)).await;
    let second = second.with("LETOPIS_MASTER_KEY", place.folder.file("master.key").display());
    let two = second.start().await;
    one_writes_each([&first, &second]).await;
    let (on_one, on_two) = (Api::of(&one), Api::of(&two));
    let circle = Circle::gather(&on_one).await;
    let mut all = Vec::new();
    for round in 0..2 {
        // In the middle of its batches.
        let (asleep, awake) = if round == 0 { (&one, &second) } else { (&two, &first) };
        let (of_asleep, of_awake) = if round == 0 { (&on_one, &on_two) } else { (&on_two, &on_one) };
        let load = Load::gently_through_pauses(&circle, of_asleep, SENDERS);
        load.goes_on(200).await;
        asleep.pause();
        let beside = Load::gently(&circle, of_awake, SENDERS);
        all_are(awake, "running").await;
        beside.goes_on(200).await;
        asleep.resume();
        load.goes_on(50).await;
        one_writes_each([&first, &second]).await;
        all.extend(load.stop().await);
        all.extend(beside.stop().await);
        for settings in [&first, &second] {
            all_show_the_head(settings).await;
        }
        for at in 0..PROJECTIONS.len() {
            is_a_replay([&first, &second], at).await;
        }
    }
    for api in [&on_one, &on_two] {
        circle.send_all_again(api, &mut all).await;
        circle.assert_all_there(api, &all).await;
    }
    out_on_one_is_out_on_both([&on_one, &on_two]).await;
    // One that stops in order is succeeded at once; the next to come stands by.
    one.stop().await;
    all_are(&second, "running").await;
    let one = first.start().await;
    one_writes_each([&first, &second]).await;
    two.stop().await;
    one.stop().await;
    place.assert_sound().await;
}
