//! Who asks: what the gateway finds out about a request and hands to both APIs as request
//! extensions. And the names of the cookies that carry credentials.

use std::net::IpAddr;

use crate::ids::{PersonId, SessionId};

/// Whose credentials a request carries. Absent where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub person: PersonId,
    pub session: SessionId,
    /// Whether the access cookie carried them, and not an Authorization header.
    pub by_cookie: bool,
}

/// What sent a request. Always present.
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    /// Its IP address, as text.
    pub address: String,
    /// Its User-Agent; empty if it sent none.
    pub user_agent: String,
    /// Whether it is a browser: it sent `Sec-Fetch-Site` or `Origin`.
    pub browser: bool,
    /// Whether cookies are `Secure`: everywhere but on plain-http loopback.
    pub secure: bool,
}

impl Client {
    /// What throttles count by: the IPv4 address, or the /64 that an IPv6 address lies in.
    pub fn network(&self) -> String {
        match self.address.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
            }
            Ok(IpAddr::V4(address)) => address.to_string(),
            Err(_) => self.address.clone(),
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("browser", &self.browser)
            .field("secure", &self.secure)
            .finish_non_exhaustive()
    }
}

/// The id of the HTTP request, as problems and log lines name it. Always present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub uuid::Uuid);

/// Where the refresh cookie is sent to and nowhere else.
pub const REFRESH_PATH: &str = "/command/v1/refresh";

/// Name of the cookie that carries the access token.
pub fn access_cookie(secure: bool) -> &'static str {
    if secure { "__Host-letopis-access" } else { "letopis-access" }
}

/// Name of the cookie that carries the refresh token; its path is [`REFRESH_PATH`].
pub fn refresh_cookie(secure: bool) -> &'static str {
    if secure { "__Secure-letopis-refresh" } else { "letopis-refresh" }
}

/// Name of the cookie that says that somebody has signed in here before; no credential.
pub fn device_cookie(secure: bool) -> &'static str {
    if secure { "__Host-letopis-device" } else { "letopis-device" }
}

/// The value of cookie `name` in a request's `Cookie` headers; an empty one counts as none. Others may hold any bytes:
/// they are set by whatever else is at home on the same host.
pub fn cookie_value<'a>(headers: impl Iterator<Item = &'a [u8]>, name: &str) -> Option<&'a str> {
    headers
        .flat_map(|header| header.split(|byte| *byte == b';'))
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty())
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name_in_any_header() {
        let headers = ["a=1; bb=2; у=я; \u{fe}=".as_bytes(), b"\xff=\xfe; c=; d=x=y"];
        let of = |name| cookie_value(headers.into_iter(), name);
        assert_eq!((of("a"), of("bb"), of("d")), (Some("1"), Some("2"), Some("x=y")));
        assert_eq!((of("b"), of("c"), of("e")), (None, None, None));
    }

    #[test]
    fn throttles_count_ipv6_by_its_64() {
        let at = |address: &str| {
            Client { address: address.into(), user_agent: String::new(), browser: false, secure: true }
                .network()
        };
        assert_eq!(at("2001:db8:1:2:3:4:5:6"), at("2001:db8:1:2:ffff::1"));
        assert_ne!(at("2001:db8:1:2::1"), at("2001:db8:1:3::1"));
        assert_eq!(at("::ffff:192.0.2.7"), at("192.0.2.7"));
        assert_ne!(at("192.0.2.7"), at("192.0.2.8"));
    }
}
