//! Where people reach this installation.

use axum::http::Uri;

/// LETOPIS_PUBLIC_URL, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// As browsers write it in `Origin`: scheme, host, and the port unless it is the scheme's own.
    pub origin: String,
    pub https: bool,
}

impl PublicUrl {
    /// `None` unless it is an http or https URL.
    pub fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let https = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = uri.host()?.to_ascii_lowercase();
        let scheme = if https { "https" } else { "http" };
        let origin = match uri.port_u16() {
            Some(port) if port != if https { 443 } else { 80 } => format!("{scheme}://{host}:{port}"),
            _ => format!("{scheme}://{host}"),
        };
        Some(Self { origin, https })
    }
}

/// Whether a `Host` header's value names this very machine.
pub fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        let origin = |url| PublicUrl::parse(url).map(|public| public.origin);
        assert_eq!(origin("https://Letopis.example:443/").as_deref(), Some("https://letopis.example"));
        assert_eq!(origin("http://127.0.0.1:8080").as_deref(), Some("http://127.0.0.1:8080"));
        assert_eq!(origin("http://[::1]:8080/x").as_deref(), Some("http://[::1]:8080"));
        assert_eq!(origin("ftp://letopis.example"), None);
        assert_eq!(origin("letopis.example"), None);
    }

    #[test]
    fn loopback_is_this_machine_alone() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["letopis.example", "localhost.example", "192.168.0.1:80", "[::2]", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
