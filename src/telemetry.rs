//! What the process says about itself while it runs: log lines to stderr, chosen by `RUST_LOG`, and traces to an
//! OpenTelemetry collector where `OTEL_EXPORTER_OTLP_ENDPOINT` (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) names one.
//! No secret and nothing personal is in either.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use async_trait::async_trait;
use axum::http::HeaderMap;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{Status, TracerProvider};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::level_filters::LevelFilter;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// The variables that turn traces on; the first that is set counts.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// What a stop waits for the last spans to leave, beside everything else that it waits for.
const FLUSH_PATIENCE: Duration = Duration::from_millis(1_500);
/// One attempt to reach the collector.
const ATTEMPT: Duration = Duration::from_secs(5);
/// The most that is read of a collector's answer, in bytes.
const LARGEST_ANSWER: usize = 64 * 1024;
/// Whose spans are sent.
const OURS: [&str; 6] = ["letopis", "chronicle", "stores", "projectors", "command_api", "query_api"];

static EXPORTING: AtomicBool = AtomicBool::new(false);

/// To be stopped at the end.
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
}

/// Starts writing log lines, and if it `serves` sending traces if a variable asks for them.
///
/// # Errors
/// Variables that name no collector which this program can speak to.
pub fn start(serves: bool) -> anyhow::Result<Telemetry> {
    // A subcommand has its own words for whoever runs it.
    let level = if serves { "info,tantivy=warn,sqlx=warn" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let endpoint = if serves { endpoint()? } else { None };
    let Some(variable) = endpoint else {
        tracing_subscriber::registry().with(filter).with(lines()).init();
        return Ok(Telemetry { traces: None });
    };
    let provider = provider().with_context(|| format!("{variable}: traces can't be sent"))?;
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("letopis"))
        .with_location(false)
        .with_threads(false)
        .with_filter(Targets::new().with_targets(OURS.map(|target| (target, LevelFilter::DEBUG))));
    tracing_subscriber::registry().with(lines().with_filter(filter)).with(spans).init();
    EXPORTING.store(true, Ordering::Relaxed);
    tracing::info!("traces go to the collector of {variable}");
    Ok(Telemetry { traces: Some(provider) })
}

fn lines<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    // Colours are for people who watch; in a file they are noise.
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours)
}

impl Telemetry {
    /// Sends what has not left yet; gives up after [`FLUSH_PATIENCE`]. Not to be called on an async
    /// thread.
    pub fn stop(self) {
        let Some(traces) = self.traces else { return };
        if let Err(error) = traces.shutdown_with_timeout(FLUSH_PATIENCE) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Whether traces are sent. Where not, nothing is done for them.
pub fn exporting() -> bool {
    EXPORTING.load(Ordering::Relaxed)
}

/// Makes `span` a part of the trace that a request's `traceparent` names. The span must not have
/// been entered yet.
pub fn continue_trace(span: &Span, headers: &HeaderMap) {
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    // A span that the filter leaves out has no trace to be part of.
    let _ = span.set_parent(parent);
}

/// Puts what a request came to on its span, by OpenTelemetry's own names.
pub fn answered(span: &Span, method: &str, route: &str, status: u16) {
    span.set_attribute("http.request.method", method.to_owned());
    span.set_attribute("http.route", route.to_owned());
    span.set_attribute("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
}

/// The variable that names a collector, if one does.
#[expect(
    clippy::disallowed_methods,
    reason = "configuration is read in src/; these variables are OpenTelemetry's"
)]
fn endpoint() -> anyhow::Result<Option<&'static str>> {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let Some((variable, url)) = ENDPOINTS.into_iter().find_map(|name| Some((name, set(name)?))) else {
        return Ok(None);
    };
    // The URL may hold a password, so it is not repeated.
    if !url.starts_with("http://") {
        bail!(
            "{variable} does not begin with http://, and this version sends traces over plain HTTP alone: run a \
             collector beside it (http://127.0.0.1:4318) that sends them on, or unset it"
        );
    }
    for name in ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"] {
        if set(name).is_some_and(|protocol| protocol != "http/protobuf") {
            bail!("{name} is set, and this version speaks http/protobuf alone: set it to that, or unset it");
        }
    }
    Ok(Some(variable))
}

fn provider() -> anyhow::Result<SdkTracerProvider> {
    let exporter = SpanExporter::builder().with_http().with_http_client(Collector::new()?).build()?;
    let resource = Resource::builder().with_attribute(version());
    let resource = if named() { resource } else { resource.with_service_name("letopis") };
    // The SDK's batches leave from a thread of their own; a queue that is full drops spans and never waits.
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build())
}

fn version() -> opentelemetry::KeyValue {
    opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))
}

/// Whether the operator named the service.
#[expect(
    clippy::disallowed_methods,
    reason = "configuration is read in src/; these variables are OpenTelemetry's"
)]
fn named() -> bool {
    std::env::var_os("OTEL_SERVICE_NAME").is_some()
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|it| it.contains("service.name="))
}

/// Speaks to the collector from the SDK's thread, on a runtime of its own, so that it neither needs
/// nor holds up the server's.
#[derive(Debug)]
struct Collector {
    runtime: tokio::runtime::Runtime,
    client: Client<HttpConnector, Full<Bytes>>,
    /// Whether the last attempt failed; said once.
    away: AtomicBool,
}

impl Collector {
    fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // Between two batches nobody drives the runtime, so no connection outlives a batch.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Ok(Self { runtime, client, away: AtomicBool::new(false) })
    }

    async fn attempt(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = self.client.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await?.to_bytes();
        Ok(Response::from_parts(parts, body))
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let attempt = async { tokio::time::timeout(ATTEMPT, self.attempt(request)).await };
        let answer = self.runtime.block_on(attempt).unwrap_or_else(|elapsed| Err(elapsed.into()));
        let refused = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        match refused {
            Some(why) if !self.away.swap(true, Ordering::Relaxed) => {
                tracing::warn!(
                    why,
                    "the collector of traces is away: what does not fit the queue is dropped"
                );
            }
            None if self.away.swap(false, Ordering::Relaxed) => {
                tracing::info!("the collector of traces is back");
            }
            _ => {}
        }
        answer
    }
}
