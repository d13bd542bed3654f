//! The gateway: what stands before both APIs, whichever process serves them.
//!
//! From the outside in: a request id and a span ([`gate`]); a panic or a rejection of the
//! framework's becomes a problem ([`rejections`]); who sent it ([`client`]); whether the app's own
//! pages sent it ([`csrf`]); whose credentials it carries and whether that session lives
//! ([`credentials`], [`standing`]); on the way, how often it has asked ([`limits`]). Handlers find `domain::caller::Client` in every request's
//! extensions, beside `domain::caller::RequestId`, and
//! `domain::caller::Caller` in those that are signed in.
//!
//! Everything outside is a port in [`Gateway`]; [`ports`] holds the real ones.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use domain::caller::RequestId;
use domain::problem::Kind;
use domain::{Problem, Timestamp};
use futures::FutureExt;
use ipnet::IpNet;
use metrics::{counter, histogram};
use tracing::Instrument;
use tracing::field::Empty;
use uuid::Uuid;

use crate::telemetry;

pub mod client;
pub mod credentials;
pub mod csrf;
pub mod jwks;
pub mod limits;
pub mod origin;
pub mod pages;
pub mod ports;
pub mod rejections;
pub mod standing;

#[cfg(test)]
mod tests;

pub use origin::PublicUrl;

/// The longest that a request may take before it is answered `unavailable`. A socket counts only
/// until it is upgraded.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// What the gateway needs of the rest.
#[derive(Clone)]
pub struct Gateway {
    pub credentials: Arc<credentials::Credentials>,
    pub standing: Arc<standing::Standing>,
    /// LETOPIS_PUBLIC_URL.
    pub public: PublicUrl,
    /// LETOPIS_TRUSTED_PROXIES.
    pub trusted_proxies: Arc<[IpNet]>,
    /// None with `LETOPIS_RATE_LIMIT=off`.
    pub limits: Option<Arc<limits::Limits>>,
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// Makes a request's id.
    pub request_id: Arc<dyn Fn() -> Uuid + Send + Sync>,
    /// [`TIMEOUT`], but in tests.
    pub timeout: Duration,
}

/// Puts the gateway before everything in `router`, its fallbacks included. The server must hand
/// over `ConnectInfo<SocketAddr>`.
pub fn layer(gateway: Gateway, router: Router) -> Router {
    router.layer(from_fn_with_state(gateway, gate))
}

async fn gate(State(gateway): State<Gateway>, mut request: Request, next: Next) -> Response {
    let id = (gateway.request_id)();
    let path = request.uri().path();
    let (speaks_problems, signs_in) = (rejections::speaks_problems(path), credentials::is_open(path));
    request.extensions_mut().insert(RequestId(id));
    // The route's pattern and never the path, which names people and chats.
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = method(request.method());
    let exporting = telemetry::exporting();
    let span = tracing::info_span!(
        "request", %id, method, route, status = Empty,
        // What OpenTelemetry calls it, where it is told.
        otel.name = exporting.then(|| format!("{method} {route}")), otel.kind = exporting.then_some("server"),
    );
    if exporting {
        telemetry::continue_trace(&span, request.headers());
    }
    let began = Instant::now();
    let answer = async {
        let admitted = AssertUnwindSafe(admit(&gateway, request, next)).catch_unwind();
        match tokio::time::timeout(gateway.timeout, admitted).await {
            Ok(Ok(response)) => response,
            Ok(Err(_panic)) => {
                tracing::error!("a handler panicked");
                rejections::respond(&Kind::Internal.into())
            }
            Err(_elapsed) => {
                tracing::error!("a request took too long");
                rejections::respond(&Kind::Unavailable.into())
            }
        }
    };
    let answer = answer.instrument(span.clone()).await;
    let mut answer = rejections::as_problem(answer, id, speaks_problems).await;
    let status = answer.status().as_u16();
    span.record("status", status);
    if exporting {
        telemetry::answered(&span, method, &route, status);
    }
    let took = began.elapsed();
    span.in_scope(|| {
        let seconds = took.as_secs_f64();
        // 503 alone is no fault of ours: a start that catches up, an engine that is away, which is said elsewhere.
        if status >= 500 && status != 503 {
            tracing::warn!(seconds, "answered")
        } else if signs_in && (400..500).contains(&status) {
            // Whoever was refused leaves a trace, as whoever was let in does.
            tracing::info!(seconds, "answered")
        } else {
            tracing::debug!(seconds, "answered")
        }
    });
    histogram!("letopis_http_request_seconds", "method" => method, "route" => route.clone()).record(took);
    let status = status.to_string();
    counter!("letopis_http_requests_total", "method" => method, "route" => route, "status" => status)
        .increment(1);
    let headers = answer.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        headers.insert("x-request-id", id);
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    answer
}

/// A method's name; of those that somebody made up, none.
fn method(method: &Method) -> &'static str {
    const KNOWN: [(Method, &str); 7] = [
        (Method::GET, "GET"),
        (Method::POST, "POST"),
        (Method::HEAD, "HEAD"),
        (Method::PUT, "PUT"),
        (Method::DELETE, "DELETE"),
        (Method::PATCH, "PATCH"),
        (Method::OPTIONS, "OPTIONS"),
    ];
    KNOWN.iter().find(|(known, _)| known == method).map_or("other", |(_, name)| name)
}

async fn admit(gateway: &Gateway, mut request: Request, next: Next) -> Response {
    match examine(gateway, &mut request).await {
        Ok(()) => next.run(request).await,
        Err(problem) => rejections::respond(&problem),
    }
}

/// Puts `Client` and `Caller` in the request's extensions, or says why it may not go on.
async fn examine(gateway: &Gateway, request: &mut Request) -> Result<(), Problem> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip());
    let client = client::client(request.headers(), peer, &gateway.trusted_proxies, &gateway.public);
    let secure = client.secure;
    if let Some(limits) = &gateway.limits
        && credentials::is_api(request.uri().path())
    {
        limits.network(&client)?;
    }
    request.extensions_mut().insert(client);

    let path = request.uri().path();
    if !credentials::is_api(path) {
        return Ok(());
    }
    let headers = request.headers();
    let open = credentials::is_open(path);
    let carried = if open { None } else { credentials::carried(headers, secure)? };
    let carries_cookie = credentials::carries_cookie(headers, secure);
    csrf::check(request.method(), path, headers, carries_cookie, &gateway.public)
        .inspect_err(|_| tracing::info!("refused: it did not come from the app's own pages"))?;
    let Some(carried) = carried else {
        return Ok(());
    };
    let caller = gateway.credentials.resolve(&carried, (gateway.now)())?;
    if let Some(limits) = &gateway.limits {
        limits.person(caller.person, path)?;
    }
    gateway.standing.check(&caller, (gateway.now)()).await?;
    request.extensions_mut().insert(caller);
    Ok(())
}
