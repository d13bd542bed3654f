//! What sent a request.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use domain::caller::Client;
use ipnet::IpNet;

use super::origin::{PublicUrl, is_loopback};

/// The longest User-Agent that is kept, in bytes.
const USER_AGENT: usize = 512;

pub fn client(headers: &HeaderMap, peer: Option<IpAddr>, trusted: &[IpNet], public: &PublicUrl) -> Client {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut user_agent = text(header::USER_AGENT).to_owned();
    user_agent.truncate(USER_AGENT);
    Client {
        address: address(headers, peer, trusted)
            .map_or_else(|| "unknown".to_owned(), |address| address.to_string()),
        user_agent,
        browser: headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN),
        secure: public.https || !is_loopback(text(header::HOST)),
    }
}

/// The right-most address of X-Forwarded-For that is no trusted proxy's, or the peer's where that
/// is none. What cannot be read ends the walk: nothing left of it is believed.
fn address(headers: &HeaderMap, peer: Option<IpAddr>, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut client = peer?.to_canonical();
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .collect();
    for hop in forwarded.into_iter().rev() {
        if !is_trusted(&client) {
            break;
        }
        let Some(address) = hop_address(hop.trim()) else { break };
        client = address;
    }
    Some(client)
}

/// Some proxies add a port.
fn hop_address(hop: &str) -> Option<IpAddr> {
    hop.parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|it| it.ip()))
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().expect("a header value"));
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().expect("a network")).collect();
        let public = PublicUrl::parse("http://127.0.0.1:8080").expect("a url");
        client(&headers, Some(peer.parse().expect("an address")), &trusted, &public).address
    }

    #[test]
    fn a_stranger_cannot_choose_its_address() {
        assert_eq!(seen("203.0.113.9", &["192.0.2.1"], &[]), "203.0.113.9");
        assert_eq!(seen("203.0.113.9", &["192.0.2.1"], &["10.0.0.0/8"]), "203.0.113.9");
        assert_eq!(seen("10.0.0.1", &["192.0.2.1, 198.51.100.7"], &["10.0.0.0/8"]), "198.51.100.7");
    }

    #[test]
    fn the_client_is_the_right_most_untrusted_address() {
        let trusted = ["10.0.0.0/8", "fd00::/8"];
        assert_eq!(seen("10.0.0.1", &["192.0.2.1", "198.51.100.7, 10.0.0.2"], &trusted), "198.51.100.7");
        assert_eq!(seen("::ffff:10.0.0.1", &["[2001:db8::5]:443, fd00::2"], &trusted), "2001:db8::5");
        assert_eq!(seen("10.0.0.1", &["10.0.0.3"], &trusted), "10.0.0.3");
        assert_eq!(seen("10.0.0.1", &["192.0.2.1, nonsense, 10.0.0.2"], &trusted), "10.0.0.2");
        assert_eq!(seen("10.0.0.1", &[], &trusted), "10.0.0.1");
    }

    #[test]
    fn cookies_go_without_secure_on_plain_http_loopback_alone() {
        let secure = |host: &'static str, url| {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().expect("a header value"))]);
            client(&headers, None, &[], &PublicUrl::parse(url).expect("a url")).secure
        };
        assert!(!secure("localhost:8080", "http://127.0.0.1:8080"));
        assert!(secure("letopis.example", "http://127.0.0.1:8080"));
        assert!(secure("localhost:8080", "https://letopis.example"));
    }

    #[test]
    fn a_browser_says_where_it_comes_from() {
        let public = PublicUrl::parse("http://127.0.0.1:8080").expect("a url");
        let browser = |name: Option<&'static str>| {
            let headers =
                name.into_iter().map(|name| (name.parse().expect("a name"), "x".parse().expect("a value")));
            client(&headers.collect(), None, &[], &public).browser
        };
        assert!(browser(Some("sec-fetch-site")));
        assert!(browser(Some("origin")));
        assert!(!browser(Some("user-agent")));
        assert!(!browser(None));
    }
}
