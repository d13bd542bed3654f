//! `/metrics`: what this process counts, in Prometheus' text format. `docs/operations.md` says what the names mean.
//!
//! Counters and histograms are kept where things happen, through the `metrics` facade. What can simply be looked at (a
//! queue, a pool, how far a projection is) is looked at when somebody asks. Labels hold names from the program and
//! never an id, so that their number is bounded and nothing personal is in them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chronicle::log::Log;
use command_api::passwords::Passwords;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use projectors::Projections;
use projectors::desk::{Health, Stage, Status};
use query_api::QueryState;
use tokio_util::sync::CancellationToken;

use crate::gateway::origin::is_loopback;

mod process;

/// Upper bounds of what takes time, in seconds.
const SECONDS: [f64; 17] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0,
];
/// Upper bounds of how many are in a batch; 200 commands are the most.
const SIZES: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];
/// How often histograms are folded where nobody asks for them.
const UPKEEP: Duration = Duration::from_secs(5);
/// Headers that a proxy adds.
const FORWARDED: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"];

enum Kind {
    Counter,
    Gauge,
    Histogram,
}
use Kind::{Counter, Gauge, Histogram};

/// Every family of ours, as its HELP line has it.
const FAMILIES: &[(&str, Kind, &str)] = &[
    ("letopis_build_info", Gauge, "1, labelled with the version"),
    ("letopis_append_seconds", Histogram, "Writing one batch to the log, by engine"),
    ("letopis_appends_total", Counter, "Batches by engine and outcome"),
    ("letopis_append_resends_total", Counter, "Batches sent again after a lost answer"),
    ("letopis_batch_events", Histogram, "Events of a written batch"),
    ("letopis_batch_commands", Histogram, "Commands of a written batch"),
    ("letopis_events_committed_total", Counter, "Events written by this process"),
    ("letopis_log_position", Gauge, "Where the log ends, as far as this process has seen"),
    ("letopis_commands_total", Counter, "Commands by operation and outcome"),
    ("letopis_command_seconds", Histogram, "From the executor's inbox to the answer, by operation"),
    ("letopis_commands_decided_again_total", Counter, "Decisions repeated because others had written"),
    ("letopis_committer_backlog", Gauge, "Commands that are queued or wait for a read"),
    ("letopis_projection_position", Gauge, "Everything up to here is shown"),
    ("letopis_projection_lag_events", Gauge, "Events of the log that are not shown yet"),
    ("letopis_projection_lag_seconds", Gauge, "Age of the oldest event that is not shown yet"),
    ("letopis_projection_running", Gauge, "1 if the projection runs, 0 if it waits or has halted"),
    ("letopis_reactions_passed_over_total", Counter, "Events that were not reacted to, by reactor"),
    ("letopis_blobs_swept_total", Counter, "Blobs deleted since no event names them"),
    ("letopis_projection_parked_streams", Gauge, "Streams that are passed over until they are retried"),
    ("letopis_projection_generation", Gauge, "The generation of rows that is served"),
    ("letopis_projection_rebuilding", Gauge, "1 while a rebuild is under way"),
    ("letopis_projection_rebuild_progress_ratio", Gauge, "Part of the log that the rebuild has read"),
    ("letopis_password_hashes_running", Gauge, "Password hashes being computed"),
    ("letopis_password_hashes_waiting", Gauge, "Password hashes that wait for their turn"),
    ("letopis_password_hash_wait_seconds", Histogram, "Waiting for the turn of a password hash"),
    ("letopis_password_hash_seconds", Histogram, "Computing a password hash"),
    ("letopis_password_hashes_refused_total", Counter, "Sign-ins refused because too many waited"),
    ("letopis_pool_connections", Gauge, "Connections to a database, by pool and state"),
    ("letopis_live_sockets", Gauge, "Open live sockets"),
    ("letopis_http_connections", Gauge, "Open connections, sockets included"),
    ("letopis_http_requests_total", Counter, "Requests by method, route and status"),
    (
        "letopis_http_request_seconds",
        Histogram,
        "From a request's headers to its answer, by method and route",
    ),
    ("process_cpu_seconds_total", Gauge, "CPU time, user and system"),
    ("process_resident_memory_bytes", Gauge, "Resident memory"),
    ("process_open_fds", Gauge, "Open file descriptors"),
    ("process_max_fds", Gauge, "The most file descriptors that may be open"),
    ("process_threads", Gauge, "Threads"),
    ("process_start_time_seconds", Gauge, "When the process started, in seconds since 1970"),
];

/// Starts counting, until `stop`. `started_at` is in seconds since 1970.
///
/// # Errors
/// If it was started before.
pub fn start(started_at: f64, stop: CancellationToken) -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Prefix("letopis_batch_".to_owned()), &SIZES)?
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok().context("metrics are counted already")?;
    for (name, kind, help) in FAMILIES {
        match kind {
            Counter => describe_counter!(*name, *help),
            Gauge => describe_gauge!(*name, *help),
            Histogram if name.ends_with("_seconds") => describe_histogram!(*name, Unit::Seconds, *help),
            Histogram => describe_histogram!(*name, *help),
        }
    }
    gauge!("letopis_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!("process_start_time_seconds").set(started_at);
    // So that they are there before anything happened.
    counter!("letopis_events_committed_total").increment(0);
    counter!("letopis_password_hashes_refused_total").increment(0);
    counter!("letopis_blobs_swept_total").increment(0);
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            upkeep.run_upkeep();
        }
    });
    Ok(handle)
}

/// What is looked at when somebody asks.
#[derive(Clone)]
pub struct Sources {
    pub log: Arc<dyn Log>,
    pub projections: Projections,
    pub passwords: Passwords,
    pub queries: QueryState,
}

/// `/metrics`.
pub fn routes(handle: PrometheusHandle, sources: Sources) -> Router {
    Router::new().route(
        "/metrics",
        get(move |request: Request| {
            let (handle, sources) = (handle.clone(), sources.clone());
            async move { page(&handle, &sources, &request) }
        }),
    )
}

fn page(handle: &PrometheusHandle, sources: &Sources, request: &Request) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0);
    if !is_of_this_machine(peer, request.headers()) {
        let why = "/metrics is for this machine alone: ask http://127.0.0.1, and not through a proxy\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    sources.look();
    process::look();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render()).into_response()
}

/// How busy an installation is, is for those who run it. Whoever can open a connection on the machine itself is one of
/// them; a proxy there, or a browser that a foreign page has sent here, is not.
fn is_of_this_machine(peer: Option<SocketAddr>, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback())
        && is_loopback(host)
        && !FORWARDED.iter().any(|name| headers.contains_key(*name))
}

impl Sources {
    fn look(&self) {
        gauge!("letopis_log_position").set(self.log.watch().borrow().position as f64);
        for pool in self.log.pools() {
            let state = |state, connections: u32| {
                gauge!("letopis_pool_connections", "pool" => pool.name, "state" => state)
                    .set(f64::from(connections));
            };
            state("idle", pool.idle);
            state("busy", pool.size.saturating_sub(pool.idle));
        }
        let hashes = self.passwords.queue();
        gauge!("letopis_password_hashes_running").set(hashes.running as f64);
        gauge!("letopis_password_hashes_waiting").set(hashes.waiting as f64);
        gauge!("letopis_live_sockets").set(self.queries.open_sockets() as f64);
        self.projections.status().iter().for_each(show);
    }
}

fn show(status: &Status) {
    let set = |family: &'static str, value: f64| {
        gauge!(family, "projection" => status.name.clone()).set(value);
    };
    set("letopis_projection_position", status.position as f64);
    set("letopis_projection_lag_events", status.lag_events as f64);
    set("letopis_projection_lag_seconds", status.lag_seconds);
    set(
        "letopis_projection_running",
        if matches!(status.health, Health::Running | Health::StandingBy) { 1.0 } else { 0.0 },
    );
    set("letopis_projection_parked_streams", status.parked.len() as f64);
    set("letopis_projection_generation", status.generation as f64);
    let progress = status.rebuild.as_ref().and_then(progress);
    set("letopis_projection_rebuilding", if progress.is_some() { 1.0 } else { 0.0 });
    set("letopis_projection_rebuild_progress_ratio", progress.unwrap_or(0.0));
}

/// The part of the log that a rebuild has read; none where it has ended.
fn progress(stage: &Stage) -> Option<f64> {
    match stage {
        Stage::Loading { head: 0, .. } => Some(0.0),
        Stage::Loading { position, head, .. } => Some(*position as f64 / *head as f64),
        stage if stage.is_end() => None,
        _ => Some(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_for_this_machine_alone() {
        let asks = |peer: &str, headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| {
                (header::HeaderName::from_static(name), header::HeaderValue::from_static(value))
            });
            is_of_this_machine(peer.parse().ok(), &headers.collect())
        };
        let here = ("host", "127.0.0.1:8080");
        assert!(asks("127.0.0.1:5000", &[here]));
        assert!(asks("[::1]:5000", &[("host", "localhost")]));
        assert!(asks("[::ffff:127.0.0.1]:5000", &[here]));
        assert!(!asks("203.0.113.9:5000", &[here]), "from elsewhere");
        assert!(!asks("nobody", &[here]), "from nowhere");
        assert!(!asks("127.0.0.1:5000", &[("host", "letopis.example")]), "by the public name");
        assert!(!asks("127.0.0.1:5000", &[]), "by no name");
        for name in FORWARDED {
            assert!(!asks("127.0.0.1:5000", &[here, (name, "192.0.2.1")]), "{name}");
        }
    }

    #[test]
    fn the_operations_guide_lists_every_family() {
        let guide = include_str!("../docs/operations.md");
        let rows = guide.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        let listed: Vec<&str> = rows
            .flat_map(|names| names.split(", "))
            .filter_map(|name| name.strip_prefix('`')?.strip_suffix('`'))
            .filter(|name| name.starts_with("letopis_") || name.starts_with("process_"))
            .collect();
        assert_eq!(listed, FAMILIES.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn a_rebuild_shows_how_far_it_is() {
        let loading = |position, head| Stage::Loading { position, head, per_second: 1.0, seconds_left: None };
        assert_eq!(progress(&loading(0, 0)), Some(0.0));
        assert_eq!(progress(&loading(50, 200)), Some(0.25));
        assert_eq!(progress(&Stage::Indexing), Some(1.0));
        assert_eq!(progress(&Stage::Failed { why: String::new(), differences: Vec::new() }), None);
    }
}
