//! Whether a request that a browser may have been made to send came from the app's own pages.
//!
//! `Sec-Fetch-Site` decides where it is sent, `Origin` where not. Credentials in an Authorization
//! header are nobody's but the sender's, so those requests are not examined; nor is the live socket,
//! whose endpoint is stricter.

use axum::http::{HeaderMap, Method, header};
use domain::Problem;
use domain::problem::Kind;

use super::credentials::is_open;
use super::origin::PublicUrl;

/// Browsers leave `Sec-Fetch-Site` out of its upgrade, so it goes by `Origin` alone.
const LIVE: &str = "/query/v1/live";

/// # Errors
/// `cross-site`
pub fn check(
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    carries_cookie: bool,
    public: &PublicUrl,
) -> Result<(), Problem> {
    let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let guarded = carries_cookie || (is_open(path) && !reads);
    if path == LIVE || !guarded {
        return Ok(());
    }
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    let origin = headers.get(header::ORIGIN).map(|origin| origin.as_bytes());
    let own = match (site, origin) {
        (Some(b"same-origin"), _) => true,
        // The person's own doing, as an address typed in: it can read but not act.
        (Some(b"none"), _) => reads,
        (Some(_), _) => false,
        (None, Some(origin)) => origin == public.origin.as_bytes(),
        (None, None) => !carries_cookie,
    };
    if own { Ok(()) } else { Err(Kind::CrossSite.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: &str = "https://letopis.example";
    const SEND: &str = "/command/v1/send";
    const AUTHORIZE: &str = "/command/v1/authorize";
    const ME: &str = "/query/v1/me";

    fn passes(path: &str, cookie: bool, site: Option<&str>, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(site) = site {
            headers.insert("sec-fetch-site", site.parse().expect("a value"));
        }
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a value"));
        }
        let method = if path == ME { Method::GET } else { Method::POST };
        let public = PublicUrl::parse(HOME).expect("a url");
        let checked = check(&method, path, &headers, cookie, &public);
        if let Err(problem) = &checked {
            assert_eq!(problem.slug(), "cross-site");
        }
        checked.is_ok()
    }

    #[test]
    fn cookie_commands_and_sign_in_come_from_the_same_origin() {
        for (path, cookie) in
            [(SEND, true), (AUTHORIZE, false), (AUTHORIZE, true), ("/command/v1/refresh", true)]
        {
            assert!(passes(path, cookie, Some("same-origin"), None), "{path}");
            assert!(passes(path, cookie, None, Some(HOME)), "{path}");
            for site in ["same-site", "cross-site", "none", "anything"] {
                assert!(!passes(path, cookie, Some(site), None), "{path} {site}");
                assert!(!passes(path, cookie, Some(site), Some(HOME)), "{path} {site}");
            }
            for origin in [
                "https://evil.example",
                "null",
                "https://letopis.example.evil.example",
                "http://letopis.example",
            ] {
                assert!(!passes(path, cookie, None, Some(origin)), "{path} {origin}");
            }
        }
    }

    #[test]
    fn a_cookie_with_neither_header_is_refused() {
        for path in [SEND, AUTHORIZE, ME] {
            assert!(!passes(path, true, None, None), "{path}");
        }
    }

    #[test]
    fn what_is_no_browser_passes() {
        for path in [SEND, AUTHORIZE, ME] {
            assert!(passes(path, false, None, None), "{path}");
        }
    }

    #[test]
    fn a_bearer_from_another_origins_page_passes() {
        assert!(passes(SEND, false, Some("cross-site"), Some("https://elsewhere.example")));
    }

    #[test]
    fn the_live_socket_is_left_to_its_endpoint() {
        assert!(passes("/query/v1/live", true, None, Some("http://localhost:8080")));
    }

    #[test]
    fn reading_with_a_cookie_is_for_the_same_origin_and_the_address_bar() {
        assert!(passes(ME, true, Some("same-origin"), None));
        assert!(passes(ME, true, Some("none"), None));
        assert!(!passes(ME, true, Some("cross-site"), None));
        assert!(!passes(ME, true, Some("same-site"), None));
        assert!(!passes(ME, true, None, Some("https://evil.example")));
    }
}
