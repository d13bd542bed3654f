//! Serves the browser app that is embedded in the binary: hashed files for ever, the page for every path of the app.

use std::borrow::Cow;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rust_embed::RustEmbed;

/// What the bundler made.
#[derive(RustEmbed)]
#[folder = "frontend/dist"]
struct Dist;

const PAGE: &str = "index.html";

/// No inline script or style, nothing from elsewhere. WebSockets to one's own origin are within `'self'`.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const NOT_BUILT: &str =
    "The browser app is not built into this server. Run ./dev app, then build the server again.\n";

/// Paths that belong to others: what is unknown there is not a page of the app.
const NOT_PAGES: &[&str] = &["command", "query", "docs", "healthz", "readyz", "metrics"];

/// Answers whatever no other route has taken.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().fallback(|request: Request| async move {
        respond(request.method(), request.uri().path(), request.headers(), &embedded)
    })
}

/// Where files come from: the binary, or a test's own few.
type Source = dyn Fn(&str) -> Option<Cow<'static, [u8]>> + Sync;

fn embedded(name: &str) -> Option<Cow<'static, [u8]>> {
    Dist::get(name).map(|file| file.data)
}

fn respond(method: &Method, path: &str, headers: &HeaderMap, files: &Source) -> Response {
    let mut response = answer(method, path, headers, files);
    let headers = response.headers_mut();
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn answer(method: &Method, path: &str, headers: &HeaderMap, files: &Source) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET, HEAD")]).into_response();
    }
    let name = path.trim_start_matches('/');
    let first = name.split('/').next().unwrap_or_default();
    if NOT_PAGES.contains(&first) || first.starts_with('.') {
        return plain(StatusCode::NOT_FOUND, "There is nothing here.\n");
    }
    let name = if is_page(name) { PAGE } else { name };
    match files(name) {
        Some(bytes) => file(name, bytes, headers, files),
        None if name == PAGE => plain(StatusCode::SERVICE_UNAVAILABLE, NOT_BUILT),
        None => plain(StatusCode::NOT_FOUND, "There is nothing here.\n"),
    }
}

/// The app's paths have no extension, its files have one.
fn is_page(name: &str) -> bool {
    name == PAGE || !name.rsplit('/').next().unwrap_or_default().contains('.')
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], text).into_response()
}

fn file(name: &str, bytes: Cow<'static, [u8]>, headers: &HeaderMap, files: &Source) -> Response {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let packed = [("br", "br"), ("gzip", "gz")]
        .into_iter()
        .filter(|(encoding, _)| accepts(accepted, encoding))
        .find_map(|(encoding, extension)| Some((encoding, files(&format!("{name}.{extension}"))?)));
    let (encoding, bytes) = packed.map_or((None, bytes), |(encoding, bytes)| (Some(encoding), bytes));

    let mut response = Response::new(Body::empty());
    let out = response.headers_mut();
    out.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    out.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        out.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if content_type(name).starts_with("text/html") {
        out.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    if is_hashed(name) {
        out.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    } else {
        out.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // Of the bytes that go out, so that each variant has a tag of its own.
        let tag = etag(&bytes);
        let known = headers.get_all(IF_NONE_MATCH).iter().any(|value| names_tag(value, &tag));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            out.insert(ETAG, tag);
        }
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
    }
    *response.body_mut() = match bytes {
        Cow::Borrowed(bytes) => Body::from(bytes),
        Cow::Owned(bytes) => Body::from(bytes),
    };
    response
}

fn etag(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..12]))
}

/// Whether an If-None-Match names the tag; weak and strong compare alike here (RFC 9110, 13.1.2).
fn names_tag(value: &HeaderValue, tag: &str) -> bool {
    let Ok(value) = value.to_str() else { return false };
    value.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}

/// Whether an Accept-Encoding admits `encoding` (RFC 9110, 12.5.3).
fn accepts(header: &str, encoding: &str) -> bool {
    let mut by_star = false;
    for item in header.split(',') {
        let mut parts = item.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let refused = parts.filter_map(|part| part.strip_prefix("q=")).any(|q| q.parse() == Ok(0.0));
        if name.eq_ignore_ascii_case(encoding) {
            return !refused;
        }
        by_star |= name == "*" && !refused;
    }
    by_star
}

/// Whether the bundler put a hash of the content into the name: `name-0123456789abcdef.ext`.
fn is_hashed(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    stem.rsplit_once('-')
        .is_some_and(|(_, hash)| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::CONTENT_LENGTH;

    const ASSET: &str = "app-0123456789abcdef.js";

    fn bundle(name: &str) -> Option<Cow<'static, [u8]>> {
        Some(Cow::Borrowed(match name {
            "index.html" => b"<!doctype html>",
            "index.html.br" => b"page, brotli",
            "index.html.gz" => b"page, gzip",
            "app-0123456789abcdef.js" => b"script",
            "app-0123456789abcdef.js.br" => b"script, brotli",
            "robots.txt" => b"User-agent: *",
            _ => return None,
        }))
    }

    fn get(path: &str, headers: &[(HeaderName, &str)]) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("a value")));
        respond(&Method::GET, path, &headers.collect(), &bundle)
    }

    fn header(response: &Response, name: HeaderName) -> &str {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    async fn body(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn every_path_of_the_app_is_the_page_under_its_policy() {
        for path in ["/", "/signin", "/chats/0190-11", "/index.html", "/people"] {
            let response = get(path, &[]);
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header(&response, CONTENT_TYPE), "text/html; charset=utf-8");
            assert_eq!(header(&response, CACHE_CONTROL), "no-cache");
            assert_eq!(header(&response, CONTENT_SECURITY_POLICY), POLICY);
            assert_eq!(header(&response, X_CONTENT_TYPE_OPTIONS), "nosniff");
            assert_eq!(body(response).await, "<!doctype html>", "{path}");
        }
        assert!(!POLICY.contains("unsafe-inline") && !POLICY.contains("'unsafe-eval'"));
    }

    #[test]
    fn paths_of_the_apis_are_never_the_page() {
        for path in
            ["/command", "/command/v1/nothing", "/query/v1/x", "/docs/x", "/metrics", "/.well-known/x"]
        {
            assert_eq!(get(path, &[]).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn a_hashed_file_is_kept_for_ever_and_a_missing_one_is_404() {
        let response = get(&format!("/{ASSET}"), &[]);
        assert_eq!(header(&response, CACHE_CONTROL), "public, max-age=31536000, immutable");
        assert_eq!(header(&response, CONTENT_TYPE), "text/javascript; charset=utf-8");
        assert_eq!(header(&response, CONTENT_SECURITY_POLICY), "");
        assert_eq!(header(&get("/robots.txt", &[]), CACHE_CONTROL), "no-cache");
        for path in ["/app-ffffffffffffffff.js", "/../Cargo.toml", "/favicon.ico"] {
            assert_eq!(get(path, &[]).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[tokio::test]
    async fn the_best_variant_that_the_browser_takes_goes_out() {
        for (accepted, encoding, text) in [
            ("gzip, deflate, br, zstd", "br", "page, brotli"),
            ("gzip", "gzip", "page, gzip"),
            ("br;q=0, gzip;q=0.5", "gzip", "page, gzip"),
            ("*", "br", "page, brotli"),
            ("identity", "", "<!doctype html>"),
            ("", "", "<!doctype html>"),
        ] {
            let response = get("/", &[(ACCEPT_ENCODING, accepted)]);
            assert_eq!(header(&response, CONTENT_ENCODING), encoding, "{accepted}");
            assert_eq!(header(&response, VARY), "accept-encoding");
            assert_eq!(header(&response, CONTENT_TYPE), "text/html; charset=utf-8");
            assert_eq!(body(response).await, text, "{accepted}");
        }
        // No gzip of it exists.
        assert_eq!(header(&get(&format!("/{ASSET}"), &[(ACCEPT_ENCODING, "gzip")]), CONTENT_ENCODING), "");
    }

    #[tokio::test]
    async fn an_unchanged_page_is_not_sent_again() {
        let first = get("/", &[(ACCEPT_ENCODING, "br")]);
        let tag = header(&first, ETAG).to_owned();
        let weak = format!("\"other\", W/{tag}");
        let again = get("/", &[(ACCEPT_ENCODING, "br"), (IF_NONE_MATCH, &weak)]);
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(header(&again, ETAG), tag);
        assert_eq!(body(again).await, "");
        // The other variant is another representation.
        assert_eq!(get("/", &[(IF_NONE_MATCH, &tag)]).status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn without_an_app_the_page_says_how_to_build_it() {
        let response = respond(&Method::GET, "/signin", &HeaderMap::new(), &|_| None);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(body(response).await.contains("./dev app"));
    }

    #[test]
    fn only_reading_is_allowed() {
        let response = respond(&Method::POST, "/", &HeaderMap::new(), &bundle);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(header(&response, ALLOW), "GET, HEAD");
    }

    #[tokio::test]
    async fn the_router_serves_head_without_a_body() {
        use tower::ServiceExt;
        let request = Request::builder()
            .method("HEAD")
            .uri("/robots.txt.missing")
            .body(Body::empty())
            .expect("a request");
        let response = routes::<()>().with_state(()).oneshot(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_ne!(header(&response, CONTENT_LENGTH), "0");
        assert_eq!(body(response).await, "");
    }
}
