//! Answers that are bytes and not JSON: seen by whoever may, and by no other page.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};

/// What is asked for often enough not to ask again at once; each is authorised anew after it.
pub const KEEP: &str = "private, max-age=300";
/// Something else is sent while what was asked for is made.
pub const KEEP_NOT: &str = "private, no-cache";

/// The ETag of something in a size.
pub fn tag(id: impl std::fmt::Display, size: Option<u32>) -> String {
    match size {
        Some(size) => format!("\"{id}-{size}\""),
        None => format!("\"{id}\""),
    }
}

/// Whether who asks has the bytes with this ETag already.
pub fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|value| value.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag)
}

pub fn unchanged(tag: &str) -> Response {
    with_headers(StatusCode::NOT_MODIFIED, KEEP, tag, Body::empty())
}

/// The caller says what they are.
pub fn respond(keep: &'static str, tag: &str, bytes: Vec<u8>) -> Response {
    with_headers(StatusCode::OK, keep, tag, Body::from(bytes))
}

fn with_headers(status: StatusCode, keep: &'static str, tag: &str, body: Body) -> Response {
    let headers = [
        (CACHE_CONTROL, keep),
        (ETAG, tag),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (status, headers, body).into_response()
}
