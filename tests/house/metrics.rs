//! `/metrics` of the real binary: a page that Prometheus can read, figures that move by what was done, and nobody in it.

use std::collections::{BTreeMap, BTreeSet};

use domain::requests::{Authorize, Done, Refresh, Secret, Send};

use crate::api::{Answer, Api, new_key};
use crate::engine::{Engine, Place};
use crate::letopis::{Folder, until};
use crate::load::{Attempt, Circle};
use crate::people::{Person, registration};
use crate::proxy::Proxy;
use crate::signals::open_socket;

/// Samples by name and labels, as they are written: `name{a="b"}`.
type Samples = BTreeMap<String, f64>;

/// Reads a page and insists on Prometheus' text format 0.0.4: a sample belongs to the family whose TYPE line stands
/// before it, no sample comes twice, and a histogram's buckets add up.
fn read(page: &str) -> Samples {
    let mut families: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut samples, mut current) = (Samples::new(), "");
    assert!(page.ends_with('\n'), "the last line has an end");
    for line in page.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, rest) = (words.next(), words.next().expect(line), words.next().expect(line));
            match what {
                Some("HELP") => assert!(!rest.is_empty(), "{line}"),
                Some("TYPE") => {
                    assert!(["counter", "gauge", "histogram"].contains(&rest), "{line}");
                    assert_eq!(families.insert(name, rest), None, "a family comes twice: {line}");
                    current = name;
                }
                _ => panic!("neither HELP nor TYPE: {line}"),
            }
            continue;
        }
        let (key, value) = line.rsplit_once(' ').expect(line);
        let (name, labels) = key.split_once('{').map_or((key, ""), |(name, rest)| {
            (name, rest.strip_suffix('}').unwrap_or_else(|| panic!("labels without an end: {line}")))
        });
        let plain = |text: &str| text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_');
        assert!(plain(name) && name.starts_with(|it: char| it.is_ascii_lowercase()), "{line}");
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (label, _) = label.split_once("=\"").unwrap_or_else(|| panic!("a label like that: {line}"));
            assert!(plain(label), "{line}");
        }
        let of_family = match families.get(current) {
            Some(&"histogram") => {
                let part = name.strip_prefix(current).unwrap_or_else(|| panic!("no TYPE before {line}"));
                ["_bucket", "_sum", "_count"].contains(&part)
            }
            _ => name == current,
        };
        assert!(of_family, "no TYPE before {line}");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert_eq!(samples.insert(key.to_owned(), value), None, "a sample comes twice: {line}");
        if families[current] == "counter" {
            assert!(value >= 0.0, "{line}");
        }
    }
    for (family, _) in families.iter().filter(|(_, kind)| **kind == "histogram") {
        check_histogram(family, page, &samples);
    }
    samples
}

/// Buckets stand in the order of their bounds and never fall; the last one is the count.
fn check_histogram(family: &str, page: &str, samples: &Samples) {
    let bucket = format!("{family}_bucket{{");
    let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with(&bucket)) {
        let (key, value) = line.rsplit_once(' ').expect(line);
        let (labels, bound) = key[bucket.len()..].trim_end_matches('}').rsplit_once("le=\"").expect(line);
        let bound = match bound.trim_end_matches('"') {
            "+Inf" => f64::INFINITY,
            bound => bound.parse().expect(line),
        };
        let labels = labels.trim_end_matches(',').to_owned();
        series.entry(labels).or_default().push((bound, value.parse().expect(line)));
    }
    assert!(!series.is_empty(), "{family} has no buckets, so it is no histogram");
    for (labels, buckets) in series {
        let rising = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        assert!(buckets.windows(2).all(rising), "{family}{{{labels}}}: {buckets:?}");
        let count =
            if labels.is_empty() { format!("{family}_count") } else { format!("{family}_count{{{labels}}}") };
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, samples[&count])), "{family}{{{labels}}}");
    }
}

async fn page(api: &Api) -> String {
    let answer = api.get("/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    answer.text()
}

/// What a sample says; 0 before it is there.
fn sample(samples: &Samples, key: &str) -> f64 {
    samples.get(key).copied().unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_moves_by_what_was_done_and_names_nobody() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let (ann, bob) =
        (Person::register(&api, "kanarejka_ann").await, Person::register(&api, "kanarejka_bob").await);
    ann.befriend(&api, &bob).await;
    let chat_id = ann.chat_with(&api, &bob).await;
    let before = read(&page(&api).await);

    // Three messages, one of them asked twice; one that is refused; a wish that is fulfilled already; a sign-in that is
    // refused.
    for text in ["one", "two"] {
        ann.say(&api, chat_id, text).await;
    }
    let (key, third) = (new_key(), Send::text(chat_id, "three"));
    let first = ann.on(&api).command("send", Some(key), &third).await.ok::<Done>();
    assert_eq!(ann.on(&api).command("send", Some(key), &third).await.ok::<Done>(), first);
    ann.on(&api)
        .command("send", Some(key), &Send { text: "four".to_owned(), ..third })
        .await
        .problem(422, "key-reused");
    ann.on(&api).done::<Done>("add", &bob.whom()).await;
    let wrong = Authorize { email: ann.email.clone(), password: Secret("not it at all".to_owned()) };
    api.command("authorize", None, &wrong).await.problem(401, "bad-credentials");
    let _socket = open_socket(&letopis, &bob).await;

    let text = page(&api).await;
    let after = read(&text);
    let moved = |key: &str| sample(&after, key) - sample(&before, key);
    let expected = [
        ("letopis_events_committed_total", 3.0),
        ("letopis_log_position", 3.0),
        ("letopis_commands_total{operation=\"send\",outcome=\"done\"}", 3.0),
        ("letopis_commands_total{operation=\"send\",outcome=\"repeated\"}", 1.0),
        ("letopis_commands_total{operation=\"send\",outcome=\"key-reused\"}", 1.0),
        ("letopis_commands_total{operation=\"add\",outcome=\"unchanged\"}", 1.0),
        ("letopis_command_seconds_count{operation=\"send\"}", 5.0),
        ("letopis_batch_events_sum", 3.0),
        ("letopis_http_requests_total{method=\"POST\",route=\"/command/v1/send\",status=\"200\"}", 4.0),
        ("letopis_http_requests_total{method=\"POST\",route=\"/command/v1/send\",status=\"422\"}", 1.0),
        ("letopis_http_request_seconds_count{method=\"POST\",route=\"/command/v1/send\"}", 5.0),
        ("letopis_http_requests_total{method=\"GET\",route=\"/metrics\",status=\"200\"}", 1.0),
        ("letopis_password_hash_seconds_count", 1.0),
        ("letopis_password_hash_wait_seconds_count", 1.0),
        ("letopis_live_sockets", 1.0),
    ];
    let seen = expected.map(|(key, _)| (key, moved(key)));
    assert_eq!(seen, expected, "{text}");
    assert!(moved("letopis_append_seconds_count{engine=\"sqlite\"}") >= 3.0, "{text}");
    assert!(moved("letopis_appends_total{engine=\"sqlite\",outcome=\"committed\"}") >= 3.0, "{text}");
    for (key, least) in [
        ("process_resident_memory_bytes", 1e6),
        ("process_open_fds", 5.0),
        ("process_max_fds", 5.0),
        ("process_threads", 2.0),
        ("process_start_time_seconds", 1e9),
        ("letopis_http_connections", 1.0),
    ] {
        assert!(sample(&after, key) >= least, "{key}: {text}");
    }
    assert_eq!(
        sample(&after, &format!("letopis_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))),
        1.0
    );

    // Every projection comes to where the log ends.
    let head = sample(&after, "letopis_log_position");
    until("every projection has no lag", async || {
        let samples = read(&page(&api).await);
        let of = |name: &str, family: &str| {
            samples[&format!("letopis_projection_{family}{{projection=\"{name}\"}}")]
        };
        ["sessions", "directory", "timeline", "search", "live"]
            .iter()
            .all(|name| {
                assert_eq!((of(name, "running"), of(name, "parked_streams")), (1.0, 0.0), "{name}");
                assert_eq!(of(name, "rebuilding"), 0.0, "{name}");
                of(name, "position") == head
                    && of(name, "lag_events") == 0.0
                    && of(name, "lag_seconds") == 0.0
            })
            .then_some(())
    })
    .await;

    let ids = [ann.id.to_string(), bob.id.to_string(), ann.session.to_string(), chat_id.to_string()];
    for personal in ids.iter().map(String::as_str).chain(["kanarejka", "letopis.example", "three", "house"]) {
        assert!(!text.contains(personal), "{personal} is on the page:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_not_for_those_who_come_through_a_proxy() {
    let folder = Folder::new();
    let letopis = folder.settings().with("LETOPIS_TRUSTED_PROXIES", "127.0.0.0/8").start().await;
    let api = Api::of(&letopis);
    let with = async |name: &str, value: &str| {
        Answer::of(api.request("GET", "/metrics").header(name, value)).await.expect("it answers")
    };
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1"),
        ("via", "1.1 proxy"),
        ("host", "letopis.example"),
    ] {
        let answer = with(name, value).await;
        assert_eq!(answer.status, 403, "{name}");
        assert!(!answer.text().contains("letopis_"), "{name}: {}", answer.text());
    }
    assert_eq!(with("accept", "*/*").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_paths_and_methods_add_no_series() {
    let folder = Folder::new();
    let letopis = folder.start().await;
    let api = Api::of(&letopis);
    let series = async || {
        let samples = read(&page(&api).await);
        let requests = samples.keys().filter(|key| key.starts_with("letopis_http_requests_total"));
        requests.cloned().collect::<BTreeSet<_>>()
    };
    let ask = async |n: usize| {
        for (method, path) in [
            (format!("ODD{n}"), format!("/odd/{n}")),
            ("GET".to_owned(), format!("/command/v1/odd-{n}")),
            ("GET".to_owned(), format!("/query/v1/users/{n}")),
        ] {
            Answer::of(api.request(&method, &path)).await.expect("it answers");
        }
    };
    ask(0).await;
    series().await;
    let few = series().await;
    for n in 1..30 {
        ask(n).await;
    }
    assert_eq!(series().await, few);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_line_says_whose_request_it_is_and_what_came_of_it() {
    let folder = Folder::new();
    let letopis = folder.settings().with("RUST_LOG", "letopis=debug,chronicle=debug").start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let answers = [
        (ann.on(&api).get("/query/v1/me").await, "GET", "/query/v1/me", 200),
        (ann.on(&api).get("/query/v1/chats?limit=201").await, "GET", "/query/v1/chats", 422),
        (api.command("add", Some(new_key()), &ann.whom()).await, "POST", "/command/v1/add", 401),
    ];
    let said = letopis.stop().await;
    for (answer, method, route, status) in answers {
        assert_eq!(answer.status, status, "{}", answer.text());
        let id = answer.header("x-request-id");
        assert!(!id.is_empty(), "{route}");
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(id)).collect();
        let [line] = lines[..] else { panic!("{route}: {lines:?}\n{said}") };
        for part in [
            "answered".to_owned(),
            format!("id={id}"),
            format!("method=\"{method}\""),
            format!("route=\"{route}\""),
            format!("status={status}"),
        ] {
            assert!(line.contains(&part), "no {part} in {line}");
        }
        let seconds = line.split_once("seconds=").and_then(|(_, rest)| rest.split_whitespace().next());
        let seconds: f64 = seconds.and_then(|it| it.parse().ok()).expect("how long it took");
        assert!((0.0..60.0).contains(&seconds), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_refused_leaves_a_line() {
    let folder = Folder::new();
    // As it is without a word about it.
    let letopis = folder.settings().start().await;
    let api = Api::of(&letopis);
    let ann = Person::register(&api, "ann").await;
    let stranger =
        Authorize { email: "nobody@letopis.example".into(), password: Secret("wrong, wrong".into()) };
    let refresh = Refresh { refresh_token: Some(Secret("a token that is none".into())) };
    let elsewhere = ann.on(&api).request("POST", "/command/v1/authorize").json(&stranger);
    let elsewhere = Answer::of(elsewhere.header("Sec-Fetch-Site", "cross-site")).await.expect("it answers");
    let answers = [
        (api.command("authorize", None, &stranger).await, "authorize", 401),
        (api.command("register", Some(new_key()), &registration("ann")).await, "register", 409),
        (api.command("refresh", None, &refresh).await, "refresh", 401),
        (elsewhere, "authorize", 403),
    ];
    let said = letopis.stop().await;
    for (answer, command, status) in answers {
        assert_eq!(answer.status, status, "{}", answer.text());
        let id = answer.header("x-request-id");
        let line = said.lines().find(|line| line.contains(id) && line.contains("answered"));
        let line = line.unwrap_or_else(|| panic!("{command}: nothing of {id} in\n{said}"));
        assert!(line.contains(&format!("route=\"/command/v1/{command}\"")), "{line}");
        assert!(line.contains(&format!("status={status}")), "{line}");
    }
    assert!(said.contains("did not come from the app's own pages"), "{said}");
    assert!(!said.contains("nobody@letopis.example"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_strangers_are_counted() {
    let place = Place::new(Engine::Postgres).await;
    let log = place.log.as_ref().expect("a database");
    let proxy = Proxy::before(log.address()).await;
    let near = place.settings().with("LETOPIS_LOG_URL", log.url_at(proxy.address)).start().await;
    let other_folder = Folder::new();
    let master_key = place.folder.file("master.key").display().to_string();
    let other = place.settings_in(&other_folder).with("LETOPIS_MASTER_KEY", master_key).start().await;
    let (api, other_api) = (Api::of(&near), Api::of(&other));
    let circle = Circle::gather(&api).await;
    let (author, chat_id) = circle.seats[0];
    let attempt =
        |text: &str| Attempt { author, chat_id, key: new_key(), text: text.to_owned(), answer: None };
    let appends = |samples: &Samples, outcome: &str| {
        sample(samples, &format!("letopis_appends_total{{engine=\"postgres\",outcome=\"{outcome}\"}}"))
    };
    let sends = |outcome: &str| format!("letopis_commands_total{{operation=\"send\",outcome=\"{outcome}\"}}");
    let before = read(&page(&api).await);
    assert_eq!((appends(&before, "lost"), appends(&before, "fenced")), (0.0, 0.0));

    // The answer to the first is lost, and the second waits behind it in the same chat.
    let (first, second) = (attempt("first"), attempt("second"));
    let head = place.head().await.0;
    proxy.hold_replies_to(&first.key.to_string());
    let send = |attempt: &Attempt| {
        let (circle, api, attempt) = (circle.clone(), api.clone(), attempt.clone());
        tokio::spawn(async move { circle.send(&api, &attempt).await.expect("it answers").status })
    };
    let first = send(&first);
    until("the first is written", async || (place.head().await.0 > head).then_some(())).await;
    let second = send(&second);
    until("both are in the committer", async || {
        let samples = read(&page(&api).await);
        (sample(&samples, "letopis_committer_backlog") == 2.0).then_some(())
    })
    .await;
    proxy.cut_once();
    assert_eq!((first.await.expect("no panic"), second.await.expect("no panic")), (200, 200));
    let text = page(&api).await;
    let after = read(&text);
    assert!(
        appends(&after, "lost") >= 1.0 && sample(&after, "letopis_append_resends_total") >= 1.0,
        "{text}"
    );
    assert!(sample(&after, "letopis_commands_decided_again_total") >= 1.0, "{text}");
    assert_eq!(sample(&after, &sends("repeated")) - sample(&before, &sends("repeated")), 1.0, "{text}");
    assert_eq!(sample(&after, &sends("done")) - sample(&before, &sends("done")), 1.0, "{text}");
    until("the committer is at rest", async || {
        (sample(&read(&page(&api).await), "letopis_committer_backlog") == 0.0).then_some(())
    })
    .await;
    let pools = ["idle", "busy"].map(|state| {
        sample(&after, &format!("letopis_pool_connections{{pool=\"log-readers\",state=\"{state}\"}}"))
    });
    assert!(pools.iter().sum::<f64>() >= 1.0, "{text}");

    // The other process still believes in the head that it started at.
    let before = read(&page(&other_api).await);
    assert_eq!(circle.send(&other_api, &attempt("third")).await.expect("it answers").status, 200);
    let after = read(&page(&other_api).await);
    assert_eq!((appends(&before, "fenced"), appends(&after, "fenced")), (0.0, 1.0));
    assert_eq!((appends(&after, "committed"), sample(&after, "letopis_events_committed_total")), (1.0, 1.0));
    near.stop().await;
    other.stop().await;
}
