//! The way to Elasticsearch: where it is, how long it is waited for, and what its answers mean.

use std::path::PathBuf;
use std::time::Duration;

use elasticsearch::auth::Credentials;
use elasticsearch::cert::{Certificate, CertificateValidation};
use elasticsearch::http::response::Response;
use elasticsearch::http::transport::{SingleNodeConnectionPool, TransportBuilder};
use elasticsearch::{Elasticsearch, Error};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use crate::error::{Result, StoreError};
use crate::guard::{Guard, Limits};

pub(super) const ENGINE: &str = "elasticsearch";
/// See docs/operations.md.
const LIMITS: Limits = Limits { timeout: Duration::from_secs(5), attempts: 3 };
/// Of indices, where the URL names none.
const PREFIX: &str = "letopis";
const FORM: &str = "elasticsearch://[user:password@]host:port[/prefix][?ca=file]";

/// What an engine's URL says.
pub(super) struct Address {
    server: Url,
    credentials: Option<Credentials>,
    /// A PEM file of who signs the server's certificate, beside those that are known.
    authority: Option<PathBuf>,
    pub prefix: String,
}

fn refused(why: &str) -> StoreError {
    StoreError::Refused(format!("the URL of Elasticsearch {why}: write {FORM}"))
}

impl Address {
    /// # Errors
    /// [`StoreError::Refused`]
    pub fn of(url: &str) -> Result<Self> {
        let url = Url::parse(url).map_err(|error| refused(&format!("cannot be read ({error})")))?;
        let scheme = if url.scheme() == "elasticsearchs" { "https" } else { "http" };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| refused("names no host"))?;
        let port = url.port().unwrap_or(9200);
        let server = Url::parse(&format!("{scheme}://{host}:{port}/"))
            .map_err(|error| refused(&format!("cannot be read ({error})")))?;
        let decoded = |text: &str| {
            let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
            decoded.map(String::from).map_err(|_| refused("holds a name or password that is no text"))
        };
        let credentials = match url.username() {
            "" => None,
            user => Some(Credentials::Basic(decoded(user)?, decoded(url.password().unwrap_or(""))?)),
        };
        let mut authority = None;
        for (name, value) in url.query_pairs() {
            match &*name {
                "ca" => authority = Some(PathBuf::from(&*value)),
                name => return Err(refused(&format!("has a parameter {name:?} that nobody knows"))),
            }
        }
        let prefix = match url.path().trim_matches('/') {
            "" => PREFIX.to_owned(),
            prefix => prefix.to_owned(),
        };
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let begins = prefix.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if !begins || prefix.len() > 100 || !prefix.chars().all(fits) {
            return Err(refused("has a prefix that is not of a-z, 0-9, - and _, beginning with a letter"));
        }
        Ok(Self { server, credentials, authority, prefix })
    }

    pub fn is_loopback(&self) -> bool {
        match self.server.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }
}

/// A connection with its guard. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    pub server: Elasticsearch,
    pub guard: Guard,
}

impl Client {
    /// Speaks to nobody yet.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a certificate file that cannot be used.
    pub fn of(address: &Address) -> Result<Self> {
        let mut transport = TransportBuilder::new(SingleNodeConnectionPool::new(address.server.clone()))
            .timeout(LIMITS.timeout)
            // Proxies would be taken from the environment, which is read in one place alone.
            .disable_proxy();
        if let Some(credentials) = &address.credentials {
            transport = transport.auth(credentials.clone());
        }
        if let Some(file) = &address.authority {
            let unusable = |why: String| {
                StoreError::Refused(format!("the certificate file {} cannot be used: {why}", file.display()))
            };
            let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
            let authority = Certificate::from_pem(&pem).map_err(|error| unusable(error.to_string()))?;
            transport = transport.cert_validation(CertificateValidation::Full(authority));
        }
        let transport = transport.build().map_err(|error| StoreError::Refused(error.to_string()))?;
        Ok(Self { server: Elasticsearch::new(transport), guard: Guard::new(ENGINE, LIMITS) })
    }
}

/// What the server said no with.
#[derive(Clone, Debug, Default)]
pub(super) struct No {
    pub status: u16,
    /// As `version_conflict_engine_exception`; empty where it gave none.
    pub kind: String,
    pub reason: String,
}

impl No {
    /// Whether what is written is older than what is held.
    pub fn is_conflict(&self) -> bool {
        self.status == 409
    }

    /// Whether there is no such document or index.
    pub fn is_nothing(&self) -> bool {
        self.status == 404
    }

    /// Whether asking again may help without anybody doing anything to the rows.
    fn may_pass(&self) -> bool {
        let lasting = self.kind.contains("corrupt");
        let settled_by_hand = matches!(
            &*self.kind,
            "cluster_block_exception" | "index_closed_exception" | "security_exception"
        );
        let expired = self.kind == "search_context_missing_exception";
        settled_by_hand
            || expired
            || matches!(self.status, 401 | 403 | 408 | 429)
            || self.status >= 500 && !lasting
    }

    /// What is to be done, for what an operator can put right.
    fn advice(&self) -> &'static str {
        let blocked = self.kind == "cluster_block_exception";
        if blocked && (self.reason.contains("flood") || self.reason.contains("read-only-allow-delete")) {
            ": its disk is nearly full and takes no writes; make room, and it lifts the block by itself"
        } else if blocked && self.status != 503 {
            ": a block forbids it; lift it (index.blocks and cluster.blocks in its settings)"
        } else if self.kind == "index_closed_exception" {
            ": open the index again"
        } else if self.status == 401 {
            ": set user and password in the URL right"
        } else if self.kind == "security_exception" || self.status == 403 {
            ": the URL's user needs the privileges read, write and manage on these indices"
        } else {
            ""
        }
    }

    pub fn into_error(self) -> StoreError {
        let (engine, message) = (ENGINE, format!("{} {}{}", self.status, self.said(), self.advice()));
        if self.may_pass() {
            StoreError::Engine { engine, message }
        } else {
            StoreError::Damaged { engine, message }
        }
    }

    fn said(&self) -> String {
        match (&*self.kind, &*self.reason) {
            ("", "") => "without a word".to_owned(),
            ("", said) | (said, "") => said.to_owned(),
            (kind, reason) => format!("{kind}: {reason}"),
        }
    }
}

/// An error's body, as most answers have it.
#[derive(Deserialize)]
struct Told {
    error: Cause,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Cause {
    Exception(Exception),
    Text(String),
}

#[derive(Deserialize)]
pub(super) struct Exception {
    #[serde(rename = "type", default)]
    pub kind: String,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    root_cause: Vec<Exception>,
}

impl Exception {
    /// A failed search names its phase, and what failed beneath.
    fn root(mut self) -> Self {
        if self.root_cause.is_empty() { self } else { self.root_cause.swap_remove(0) }
    }
}

impl No {
    pub fn of(status: u16, exception: Exception) -> Self {
        let root = exception.root();
        Self { status, kind: root.kind, reason: root.reason.unwrap_or_default() }
    }
}

/// The body of an answer, or what the server said no with.
///
/// # Errors
/// What may pass: [`StoreError::Engine`].
pub(super) async fn answer<T: DeserializeOwned>(
    sent: std::result::Result<Response, Error>,
) -> Result<std::result::Result<T, No>> {
    let away = |error: Error| {
        let mut message = chain(&error);
        if message.contains("UnknownIssuer") {
            message.push_str(": name the file of who signed the server's certificate, as ?ca=<file>");
        }
        StoreError::Engine { engine: ENGINE, message }
    };
    let response = sent.map_err(away)?;
    let status = response.status_code();
    let body = response.bytes().await.map_err(away)?;
    if status.is_success() {
        return serde_json::from_slice(&body).map(Ok).map_err(|error| {
            let message = format!("what answers is no Elasticsearch that this version knows ({error})");
            StoreError::Engine { engine: ENGINE, message }
        });
    }
    let no = match serde_json::from_slice(&body) {
        Ok(Told { error: Cause::Exception(exception) }) => No::of(status.as_u16(), exception),
        Ok(Told { error: Cause::Text(reason) }) => No { status: status.as_u16(), reason, ..No::default() },
        Err(_) => No { status: status.as_u16(), ..No::default() },
    };
    if no.may_pass() { Err(no.into_error()) } else { Ok(Err(no)) }
}

/// The body of an answer that has to be one.
///
/// # Errors
/// [`StoreError::Damaged`] too, for what asking again does not help against.
pub(super) async fn done<T: DeserializeOwned>(sent: std::result::Result<Response, Error>) -> Result<T> {
    answer(sent).await?.map_err(No::into_error)
}

/// An error and its causes: the outermost alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_said = inner.to_string();
        if !said.contains(&inner_said) {
            said = format!("{said}: {inner_said}");
        }
        cause = inner.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_as_whom() {
        let address =
            Address::of("elasticsearchs://ann:p%40ss%2Bw%20rd@[::1]:9201/one-two").expect("an address");
        assert_eq!(address.server.as_str(), "https://[::1]:9201/");
        assert!(address.is_loopback());
        assert_eq!(address.prefix, "one-two");
        let Some(Credentials::Basic(user, password)) = address.credentials else { panic!("credentials") };
        assert_eq!((&*user, &*password), ("ann", "p@ss+w rd"));
        let short = Address::of("elasticsearch://search.example").expect("an address");
        assert_eq!((short.server.as_str(), &*short.prefix), ("http://search.example:9200/", "letopis"));
        assert!(!short.is_loopback() && short.credentials.is_none());
    }

    #[test]
    fn a_url_that_cannot_be_used_is_refused_without_its_secrets() {
        for url in [
            "elasticsearch:",
            "elasticsearch://ann:secret@host:99999",
            "elasticsearch://ann:secret@host/Upper",
            "elasticsearch://ann:secret@host/-dash",
            "elasticsearch://ann:secret@host/one/two",
            "elasticsearch://ann:secret@host/one?prefix=two",
        ] {
            let Err(StoreError::Refused(why)) = Address::of(url).map(drop) else { panic!("{url}") };
            assert!(why.contains(FORM) && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn what_an_operator_can_put_right_may_pass() {
        let no = |status, kind: &str, reason: &str| No { status, kind: kind.into(), reason: reason.into() };
        let full = "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark]";
        for (no, advice) in [
            (no(429, "cluster_block_exception", full), "make room"),
            (no(403, "cluster_block_exception", "index write (api)"), "lift it"),
            (no(400, "index_closed_exception", "closed"), "open the index"),
            (no(401, "security_exception", "unable to authenticate"), "password"),
            (no(403, "security_exception", "unauthorized"), "privileges"),
            (no(429, "es_rejected_execution_exception", "busy"), ""),
            (no(503, "", ""), ""),
        ] {
            let error = no.into_error();
            assert!(
                matches!(&error, StoreError::Engine { message, .. } if message.contains(advice)),
                "{error}"
            );
        }
        for no in [
            no(404, "index_not_found_exception", "gone"),
            no(400, "strict_dynamic_mapping_exception", "another mapping"),
            no(500, "corrupt_index_exception", "checksum"),
        ] {
            let error = no.into_error();
            assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        }
    }
}
