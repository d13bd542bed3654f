//! Problems on the wire. Whatever refuses a request, a handler, the framework or a layer of it,
//! the answer is `application/problem+json` with the request's id.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::Problem;
use domain::problem::Kind;
use uuid::Uuid;

pub const CONTENT_TYPE: &str = "application/problem+json";
/// No problem of ours is larger, in bytes.
const LARGEST: usize = 256 * 1024;
/// The most that is kept of the framework's own words, in characters.
const LONGEST_DETAIL: usize = 300;

/// A problem as a response.
pub fn respond(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response();
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Whether every refusal of a path is a problem. People meet the app's own paths, and read its
/// words.
pub fn speaks_problems(path: &str) -> bool {
    matches!(path.split('/').nth(1), Some("command" | "query" | "docs"))
}

/// Puts the request's id into a problem, and with `every` makes any refusal one; other answers go
/// through untouched.
pub async fn as_problem(response: Response, id: Uuid, every: bool) -> Response {
    let status = response.status();
    let (ours, plain) = (is(response.headers(), CONTENT_TYPE), is(response.headers(), "text/plain"));
    if !(status.is_client_error() || status.is_server_error()) || !(ours || every) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, LARGEST).await.unwrap_or_default();
    let known = if ours { serde_json::from_slice::<Problem>(&body).ok() } else { None };
    let mut problem = known.unwrap_or_else(|| {
        let problem = Problem::new(kind_of(status));
        match std::str::from_utf8(&body) {
            Ok(words) if plain && status.is_client_error() && !words.is_empty() => {
                problem.detail(words.chars().take(LONGEST_DETAIL).collect::<String>())
            }
            _ => problem,
        }
    });
    problem.instance = Some(id.to_string());
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    let mut answer = respond(&problem);
    if answer.status() == StatusCode::UNAUTHORIZED {
        parts.headers.entry(header::WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("Bearer"));
    }
    // What the refusal came with stays, as Allow, Retry-After or Set-Cookie.
    let own = std::mem::take(answer.headers_mut());
    *answer.headers_mut() = parts.headers;
    for (name, value) in &own {
        if !answer.headers().contains_key(name) {
            answer.headers_mut().insert(name, value.clone());
        }
    }
    *answer.extensions_mut() = parts.extensions;
    answer
}

fn is(headers: &HeaderMap, content_type: &str) -> bool {
    let found = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok());
    found.is_some_and(|it| it.starts_with(content_type))
}

/// The kind that says what a bare status says.
fn kind_of(status: StatusCode) -> Kind {
    match status.as_u16() {
        401 => Kind::Unauthenticated,
        403 => Kind::NotPermitted,
        404 | 410 => Kind::NotFound,
        405 => Kind::MethodNotAllowed,
        409 => Kind::Conflict,
        413 => Kind::TooLarge,
        415 => Kind::UnsupportedType,
        422 => Kind::Malformed,
        429 => Kind::TooManyRequests,
        408 | 502 | 503 | 504 => Kind::Unavailable,
        500.. => Kind::Internal,
        _ => Kind::Malformed,
    }
}

/// The answer where no route fits.
pub async fn not_found() -> Response<Body> {
    respond(&Kind::NotFound.into())
}
