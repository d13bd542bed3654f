//! The pages that a problem's type leads to: what it means and what to do about it.

use std::fmt::Write;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderName;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use domain::problem::Kind;
use utoipa_swagger_ui::{Config, SwaggerUi, Url};

use super::rejections;

/// `/docs/problems` and `/docs/problems/{slug}`, and at `/docs` both APIs to browse.
pub fn pages() -> Router {
    Router::new()
        .route("/docs/problems", get(list))
        .route("/docs/problems/{slug}", get(one))
        .merge(browser().layer(map_response(|response: Response| async { (DOCS_POLICY, response) })))
}

/// What the documents' browser needs: its own files, pictures that its style sheet holds, and the one
/// inline style that it has (of an invisible drawing).
const DOCS_POLICY: [(HeaderName, &str); 1] = [(
    CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; \
     style-src 'self' 'unsafe-hashes' 'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
)];

/// Reads the documents where they are served.
fn browser() -> Router {
    let documents =
        [Url::new("Commands", "/command/openapi.json"), Url::new("Queries", "/query/openapi.json")];
    // Nothing is sent to a validator elsewhere.
    let config = Config::new(documents).validator_url("none").deep_linking(true);
    SwaggerUi::new("/docs").config(config).into()
}

async fn list() -> impl IntoResponse {
    let mut items = String::new();
    for kind in Kind::ALL {
        // Writing to a string does not fail.
        let _ = write!(
            items,
            "<li><a href=\"{}\">{}</a> ({}): {}</li>",
            kind.uri(),
            kind.slug(),
            kind.status(),
            kind.title()
        );
    }
    page("Problems", &format!("<p>What a refused request is told, by type.</p><ul>{items}</ul>"))
}

async fn one(Path(slug): Path<String>) -> Response {
    let Some(kind) = Kind::ALL.iter().copied().find(|kind| kind.slug() == slug) else {
        return rejections::not_found().await;
    };
    let (meaning, remedy) = words(kind);
    let body = format!(
        "<p>Status {}, type <code>{}</code></p><h2>What it means</h2><p>{meaning}</p>\
         <h2>What to do</h2><p>{remedy}</p><p><a href=\"/docs/problems\">All problems</a></p>",
        kind.status(),
        kind.uri()
    );
    page(kind.title(), &body).into_response()
}

/// Everything put in here is our own text; none of it needs escaping. No script and no style, so the
/// policy allows none.
fn page(title: &str, body: &str) -> impl IntoResponse + use<> {
    let policy = [(
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )];
    let page = Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} · Letopis</title></head><body><main><h1>{title}</h1>{body}</main></body></html>"
    ));
    (policy, page)
}

/// What a kind means, and what whoever meets it can do.
fn words(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Malformed => (
            "The body, a parameter or a header is missing or cannot be read; <code>errors</code> or <code>detail</code> names it.",
            "Correct the request. Sending it again unchanged gives the same answer.",
        ),
        Kind::PositionAhead => (
            "The position given in <code>X-Letopis-Position</code> or <code>after</code> lies beyond the end of the log.",
            "Forget that position: it came from another installation, or from before a backup was restored. Fetch the lists anew.",
        ),
        Kind::Unauthenticated => (
            "The request carries no credentials, or some that do not hold or have run out.",
            "Refresh the access token, or sign in.",
        ),
        Kind::BadCredentials => (
            "Email and password do not belong together, or there is no such account. Both look alike on purpose.",
            "Check both and try again.",
        ),
        Kind::SessionEnded => (
            "This session was signed out, ended from another device, ended by an old refresh token coming back, or has grown too old.",
            "Sign in again. If you did not end it yourself, end the others in the settings: somebody may know your password.",
        ),
        Kind::NotPermitted => (
            "The person signed in may not do this, or may not do it with this person.",
            "Nothing will change by asking again; ask somebody who may.",
        ),
        Kind::CrossSite => (
            "A browser sent this request, and not from the app's own pages.",
            "Use the app at its own address. Operators: LETOPIS_PUBLIC_URL must be that address. Programs: use a bearer token and no cookies.",
        ),
        Kind::NotFound => (
            "There is nothing at this path, or nothing that the person signed in may see.",
            "Check the path and the id.",
        ),
        Kind::MethodNotAllowed => (
            "The path exists, but not with this method.",
            "Commands are POST, queries are GET; the <code>Allow</code> header says which.",
        ),
        Kind::Conflict => (
            "Something changed between reading and writing.",
            "Fetch what you were looking at and try again.",
        ),
        Kind::EmailTaken => {
            ("There is an account with this email address.", "Sign in, or register with another address.")
        }
        Kind::NicknameTaken => {
            ("Somebody has this nickname, or one that looks the same.", "Choose another one.")
        }
        Kind::UserExists => {
            ("This account has a nickname and a name already.", "Change them with <code>edit_info</code>.")
        }
        Kind::MessageDeleted => (
            "The message was deleted, by its author or by a moderator. It takes neither edits nor reactions any more, and cannot be passed on.",
            "Show it as deleted; <code>get</code> says by whom.",
        ),
        Kind::NoSuchRequest => (
            "There is no pending friend request from this person; it was answered or withdrawn.",
            "Fetch the list of requests anew.",
        ),
        Kind::TooLarge => ("The body is larger than this command takes.", "Send less."),
        Kind::UnsupportedType => (
            "The body's <code>Content-Type</code> is not what this command takes.",
            "Send <code>application/json</code>.",
        ),
        Kind::Invalid => (
            "The request can be read but breaks a rule; each of <code>errors</code> names the field, the rule and its numbers.",
            "Correct the fields named.",
        ),
        Kind::KeyReused => (
            "This <code>Idempotency-Key</code> came before with another body.",
            "Take a fresh key for every new intention, and the same key only to repeat a request.",
        ),
        Kind::TooManyRequests => {
            ("Too many tries in too short a time.", "Wait as many seconds as <code>Retry-After</code> says.")
        }
        Kind::Internal => (
            "A fault of the server's; it is in its logs under the request's id, <code>instance</code>.",
            "Try again later. With the same <code>Idempotency-Key</code> nothing happens twice.",
        ),
        Kind::Unavailable => (
            "A part of the system is away or busy.",
            "Try again after as many seconds as <code>Retry-After</code> says, with the same <code>Idempotency-Key</code>.",
        ),
    }
}
