//! Every projection on an engine of its own, and the engines meet with bad luck under load: killed
//! by the kernel, started again, given older data.
//!
//! Commands go on with log and keys alone; a query that has lost its engine says 503 and when to
//! come again, and the others answer; afterwards the rows are what a replay gives.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::requests::{Authorize, Done, PhotoChanged, Revoke, Secret, SignedIn};
use tokio::task::JoinHandle;

use crate::api::{Answer, Api};
use crate::engine::{Engine, Place};
use crate::letopis::{Letopis, PATIENCE, PATIENCE_WITH_COMMANDS, Settings, until, within};
use crate::load::{Circle, Load, assert_unavailable};
use crate::people::Person;
use crate::photos;
use crate::servers::Servers;

const SENDERS: usize = 4;

/// A server, the projection whose rows it holds, and a query that reads them.
struct Part {
    server: &'static str,
    projection: &'static str,
    query: &'static str,
    /// Queries that read none of its rows.
    others: &'static [&'static str],
}

const PARTS: &[Part] = &[
    Part {
        server: "keydb",
        projection: "sessions",
        query: "/sessions",
        others: &["/me", "/friends", "/chats", "/users?q=bob"],
    },
    Part { server: "postgres", projection: "directory", query: "/me", others: &["/sessions"] },
    Part {
        server: "elasticsearch",
        projection: "search",
        query: "/users?q=bob",
        others: &["/me", "/sessions", "/friends", "/chats"],
    },
    Part {
        server: "cassandra",
        projection: "timeline",
        query: "/chats",
        others: &["/me", "/sessions", "/friends", "/users?q=bob"],
    },
];

/// Asks with a session that was revoked, again and again: it must never be let in.
struct Watch {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Watch {
    fn over(api: &Api, revoked: String) -> Self {
        let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (api, stopped, count) = (api.by(&revoked), stop.clone(), asked.clone());
        let task = tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                let answer = api.get("/query/v1/me").await;
                // A machine that stands still for long has it asked again.
                let refused = matches!(answer.status, 401 | 503);
                assert!(refused, "a revoked session is let in: {}", answer.text());
                count.fetch_add(u64::from(answer.status == 401), Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Self { stop, asked, task }
    }

    async fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.task.await.expect("a revoked session is never let in");
        assert!(self.asked.load(Ordering::SeqCst) > 100, "it was asked too seldom");
    }
}

/// Signs in once more, and out again: a session that is revoked.
async fn revoked(api: &Api, person: &Person) -> String {
    let signed_in = sign_in(api, person).await;
    let access = signed_in.access_token.expect("no browser: the body carries it");
    let revoke = Revoke { session_id: None, others: None };
    api.by(&access).done::<Done>("revoke", &revoke).await;
    access
}

async fn sign_in(api: &Api, person: &Person) -> SignedIn {
    let authorize = Authorize { email: person.email.clone(), password: Secret(person.password.clone()) };
    api.done("authorize", &authorize).await
}

async fn asked(api: &Api, path: &str) -> Answer {
    Answer::of(api.request("GET", &format!("/query/v1{path}"))).await.expect("it answers")
}

/// All projections show the head.
async fn all_shown(settings: &Settings) {
    // An engine that starts on a busy machine takes its time, and so does whoever catches up with it.
    within(PATIENCE * 4, "all projections show the head", async || {
        let ran = settings.run(&["projections", "status", "--json"]).await;
        let status: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let all = status["projections"].as_array().expect("a list");
        let fine = |it: &serde_json::Value| it["lag_events"] == 0 && it["health"]["state"] == "running";
        all.iter().all(fine).then_some(())
    })
    .await;
}

/// A replay gives the same rows: a rebuild compares counts and checksums, and refuses to be served
/// where they differ.
async fn equals_a_replay(settings: &Settings, projection: &str) {
    let ran = within(PATIENCE_WITH_COMMANDS, "it is rebuilt", async || {
        let ran = settings.run(&["projections", "rebuild", projection]).await;
        // Both pass: it has not come to comparing then.
        let busy = ["did not do it", "did not answer"].iter().any(|words| ran.stderr.contains(words));
        (ran.code == Some(0) || !busy).then_some(ran)
    })
    .await;
    assert_eq!(ran.code, Some(0), "the rows of {projection} are not a replay: {}{}", ran.stdout, ran.stderr);
}

struct Installation {
    servers: Servers,
    place: Place,
    settings: Settings,
    letopis: Letopis,
    api: Api,
    circle: Circle,
}

impl Installation {
    async fn new() -> Self {
        let (servers, place) = tokio::join!(
            Servers::start(&["keydb", "postgres", "elasticsearch", "cassandra", "s3"]),
            Place::new(Engine::Postgres)
        );
        let settings = servers.under(place.settings()).await;
        let letopis = settings.start().await;
        let api = Api::of(&letopis);
        let circle = Circle::gather(&api).await;
        Self { servers, place, settings, letopis, api, circle }
    }

    async fn end(self, load: Load) {
        let Self { place, letopis, api, circle, settings, .. } = self;
        let mut all = load.stop().await;
        circle.send_all_again(&api, &mut all).await;
        all_shown(&settings).await;
        circle.assert_all_there(&api, &all).await;
        letopis.stop().await;
        let rows = place.assert_sound().await;
        assert_eq!(rows.iter().filter(|row| row.event_type == "MessageSent").count(), all.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_killed_costs_its_own_part_alone() {
    let house = Installation::new().await;
    let Installation { servers, settings, api, circle, .. } = &house;
    let ann = &circle.people[0];
    let watch = Watch::over(api, revoked(api, ann).await);
    let load = Load::gently(circle, api, SENDERS);
    load.goes_on(50).await;
    let mut registered = BTreeSet::new();
    for Part { server, projection, query, others } in PARTS {
        let own = ann.on(api);
        assert_eq!(asked(&own, query).await.status, 200, "{query} before");
        servers.kill(server).await;
        load.goes_on(100).await;
        let lost = asked(&own, query).await;
        assert_unavailable(&lost);
        for other in *others {
            let answer = asked(&own, other).await;
            assert_eq!(answer.status, 200, "{other} without {server}: {}", answer.text());
        }
        // People come and go meanwhile.
        let newcomer = format!("came without {projection}").replace(' ', "_");
        let newcomer = Person::register(api, &newcomer).await;
        registered.insert(newcomer.id);
        sign_in(api, ann).await;
        let meanwhile = Watch::over(api, revoked(api, ann).await);
        load.goes_on(100).await;
        assert_eq!(load.refused(), 0, "commands need log and keys alone, not {server}");

        servers.up(server).await;
        all_shown(settings).await;
        // Whoever was refused last waits for a second before it is asked again.
        until("it answers afterwards", async || (asked(&own, query).await.status == 200).then_some(())).await;
        meanwhile.end().await;
        equals_a_replay(settings, projection).await;
    }
    assert_eq!(registered.len(), PARTS.len());
    photos_wait_for_their_store(&house, &load).await;
    watch.end().await;
    house.end(load).await;
}

/// The blob store is no projection: nothing catches up, what it held is there again, and sizes that
/// could not be made are made.
async fn photos_wait_for_their_store(house: &Installation, load: &Load) {
    let Installation { servers, api, circle, .. } = house;
    let ann = &circle.people[0];
    let kept: PhotoChanged = photos::send(api, ann, &photos::picture([200, 0, 0])).await.ok();
    let id = kept.photo_id.to_string();
    let before = photos::photo(api, ann, &id, "", kept.position).await;
    assert_eq!(before.status, 200, "{}", before.text());
    // Killed while its sizes are being made, or a moment after.
    servers.kill("s3").await;
    load.goes_on(50).await;
    assert_unavailable(&photos::photo(api, ann, &id, "", 0).await);
    assert_unavailable(&photos::send(api, ann, &photos::picture([0, 200, 0])).await);
    for Part { query, others, .. } in PARTS {
        for path in others.iter().chain([query]) {
            let answer = asked(&ann.on(api), path).await;
            assert_eq!(answer.status, 200, "{path} without the blob store: {}", answer.text());
        }
    }
    load.goes_on(100).await;
    assert_eq!(load.refused(), 0, "commands but those of photos need no blob store");
    servers.up("s3").await;
    until("the photo is there again", async || {
        let photo = photos::photo(api, ann, &id, "", 0).await;
        (photo.status == 200).then(|| assert_eq!(photo.body, before.body))
    })
    .await;
    until("its sizes are made", async || {
        let sized = photos::photo(api, ann, &id, "?size=64", 0).await;
        (sized.status == 200 && sized.header("etag").contains("-64")).then_some(())
    })
    .await;
    photos::send(api, ann, &photos::picture([0, 0, 200])).await.ok::<PhotoChanged>();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_gets_older_data_catches_up_by_itself() {
    let house = Installation::new().await;
    let Installation { servers, settings, api, circle, .. } = &house;
    let ann = &circle.people[0];
    let load = Load::gently(circle, api, SENDERS);
    load.goes_on(50).await;
    for Part { server, .. } in PARTS {
        servers.kill(server).await;
        servers.save(server);
        servers.up(server).await;
    }
    all_shown(settings).await;
    for Part { server, projection, query, .. } in PARTS {
        // Signed in before the loss or after the copy, and out since: what the copy does not know.
        let watch = Watch::over(api, revoked(api, ann).await);
        load.goes_on(200).await;
        servers.kill(server).await;
        servers.restore(server);
        servers.up(server).await;
        load.goes_on(50).await;
        all_shown(settings).await;
        // Whoever was refused last waits for a second before it is asked again.
        until("it answers afterwards", async || {
            (asked(&ann.on(api), query).await.status == 200).then_some(())
        })
        .await;
        watch.end().await;
        equals_a_replay(settings, projection).await;
    }
    assert_eq!(load.refused(), 0, "commands need log and keys alone");
    house.end(load).await;
}
