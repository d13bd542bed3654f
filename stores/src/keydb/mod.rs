//! KeyDB, or what speaks its protocol: one connection for all requests of a port, opened anew when
//! it is lost, and what every port's keys have in common ([`rows`]).
//!
//! Only commands of KeyDB 6.3 (Redis 6.2) are spoken. Scripts reach keys that they are not told of,
//! so a cluster is refused; and a replica, and a server that may evict keys when memory is short.

use std::collections::HashMap;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::io::tcp::TcpSettings;
use redis::{Client, FromRedisValue, IntoConnectionInfo, RedisError, ScriptInvocation};
use url::Url;

use crate::error::{Result, StoreError};
use crate::guard::{Guard, Limits};

pub(crate) mod inspect;
pub(crate) mod rows;

pub(crate) const ENGINE: &str = "keydb";
/// Where the URL names none.
const PREFIX: &str = "letopis";
const CONNECT: Duration = Duration::from_secs(2);
/// Bytes that nobody acknowledges for so long mean a lost connection.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);
const READS: Limits = Limits { timeout: Duration::from_secs(1), attempts: 2 };
const WRITES: Limits = Limits { timeout: Duration::from_secs(5), attempts: 1 };

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        use redis::ErrorKind;
        let message = error.to_string();
        match error.kind() {
            ErrorKind::UnexpectedReturnType | ErrorKind::Parse => {
                Self::Unreadable { engine: ENGINE, message }
            }
            _ => Self::Engine { engine: ENGINE, message },
        }
    }
}

/// A server and the prefix of our keys in it.
#[derive(Clone)]
pub(crate) struct Address {
    pub client: Client,
    pub prefix: String,
}

impl Address {
    /// Of `keydb://[user:password@]host:port[/db][?prefix=letopis]`; `keydbs:` is over TLS.
    ///
    /// # Errors
    /// [`StoreError::Refused`]
    pub fn parse(url: &str) -> Result<Self> {
        let refused = |what: &str| StoreError::Refused(format!("{what}: write keydb://host:port"));
        let mut parsed = Url::parse(url).map_err(|_| refused("it is no URL"))?;
        let mut prefix = PREFIX.to_owned();
        for (name, value) in parsed.query_pairs() {
            let is_name = !value.is_empty()
                && value.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
            match (&*name, is_name) {
                ("prefix", true) => prefix = value.into_owned(),
                ("prefix", false) => return Err(refused("a prefix is made of a-z, 0-9, - and _")),
                _ => return Err(refused("prefix is all that may follow the question mark")),
            }
        }
        parsed.set_query(None);
        let scheme = if parsed.scheme() == "keydbs" {
            // The process's own, where it has one already.
            let _ = rustls::crypto::ring::default_provider().install_default();
            "rediss"
        } else {
            "redis"
        };
        let rest = parsed.as_str().split_once(':').map_or("", |(_, rest)| rest);
        let info = format!("{scheme}:{rest}").into_connection_info();
        // What is wrong with it may hold a password.
        let info = info.map_err(|_| refused("it names no host, or no database by number"))?;
        let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(UNACKNOWLEDGED);
        Ok(Self { client: Client::open(info.set_tcp_settings(tcp))?, prefix })
    }
}

/// A port's connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Keydb {
    connection: ConnectionManager,
    reads: Guard,
    writes: Guard,
}

impl Keydb {
    /// Connects, and looks whether it may be relied on.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a server that would lose rows or refuse them, by name.
    pub async fn open(address: &Address) -> Result<Self> {
        let this = Self::connect(address).await?;
        let facts = this.facts().await?;
        match facts.refusal() {
            Some((what, advice)) => Err(StoreError::Refused(format!("{what}: {advice}"))),
            None => Ok(this),
        }
    }

    pub async fn connect(address: &Address) -> Result<Self> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(WRITES.timeout))
            .set_min_delay(Duration::from_millis(20))
            .set_max_delay(Duration::from_millis(200))
            .set_number_of_retries(1);
        let connecting = address.client.get_connection_manager_with_config(config);
        let late = |_| StoreError::Engine { engine: ENGINE, message: "it does not answer".to_owned() };
        let connection = tokio::time::timeout(CONNECT * 2, connecting).await.map_err(late)??;
        Ok(Self { connection, reads: Guard::new(ENGINE, READS), writes: Guard::new(ENGINE, WRITES) })
    }

    /// Runs a script that changes nothing, or the same however often it runs.
    pub async fn read<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T> {
        self.reads
            .read(|| {
                let mut connection = self.connection.clone();
                async move { Ok(script.invoke_async(&mut connection).await?) }
            })
            .await
    }

    /// Runs a script once.
    pub async fn write<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T> {
        let mut connection = self.connection.clone();
        self.writes.once(async { Ok(script.invoke_async(&mut connection).await?) }).await
    }

    /// Asks one command that changes nothing.
    pub async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T> {
        self.reads
            .read(|| {
                let mut connection = self.connection.clone();
                async move { Ok(command.query_async(&mut connection).await?) }
            })
            .await
    }

    /// Sends commands whose answers say nothing, in their order.
    pub async fn send(&self, commands: &redis::Pipeline) -> Result<()> {
        let mut connection = self.connection.clone();
        self.writes.once(async { Ok(commands.query_async(&mut connection).await?) }).await
    }

    /// What the server says about itself.
    pub async fn facts(&self) -> Result<Facts> {
        let info: String = match self.ask(&redis::cmd("INFO")).await {
            Ok(info) => info,
            Err(error) if is_forbidden(&error) => String::new(),
            Err(error) => return Err(error),
        };
        let info = info
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut settings = HashMap::new();
        for name in ["maxmemory-policy", "appendonly", "appendfsync"] {
            match self.ask::<HashMap<String, String>>(redis::cmd("CONFIG").arg("GET").arg(name)).await {
                Ok(found) => settings.extend(found),
                Err(error) if is_forbidden(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(Facts { info, settings })
    }
}

/// A server where others rule may keep commands to itself.
fn is_forbidden(error: &StoreError) -> bool {
    let words = error.to_string().to_lowercase();
    words.contains("noperm") || words.contains("permission") || words.contains("unknown command")
}

/// Of a server, as far as it tells them.
pub(crate) struct Facts {
    info: HashMap<String, String>,
    settings: HashMap<String, String>,
}

impl Facts {
    pub fn info(&self, name: &str) -> Option<&str> {
        self.info.get(name).map(String::as_str)
    }

    pub fn setting(&self, name: &str) -> Option<&str> {
        // INFO says this one, too, where CONFIG is forbidden.
        let info = name == "maxmemory-policy";
        let of_info = info.then(|| self.info("maxmemory_policy")).flatten();
        self.settings.get(name).map(String::as_str).or(of_info)
    }

    /// Why it can't be used, and what to do.
    pub fn refusal(&self) -> Option<(String, &'static str)> {
        if let Some(policy) = self.setting("maxmemory-policy").filter(|it| *it != "noeviction") {
            let what = format!("its maxmemory-policy is {policy}, so it may drop rows when memory is short");
            return Some((
                what,
                "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file",
            ));
        }
        if let Some(role) = self.info("role").filter(|it| *it != "master") {
            let what = format!("its role is {role}, and what is written to a copy is lost or refused");
            return Some((what, "name the one that is written to"));
        }
        if self.info("cluster_enabled") == Some("1") {
            let what = "it is in cluster mode, which this version does not speak".to_owned();
            return Some((what, "use a single server, with a replica for its failure"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_under_which_prefix() {
        let of = |url: &str| Address::parse(url).map(|it| it.prefix).map_err(|error| error.to_string());
        assert_eq!(of("keydb://127.0.0.1:6379"), Ok("letopis".to_owned()));
        assert_eq!(of("keydbs://user:pass@example.org:6380/2?prefix=house_2"), Ok("house_2".to_owned()));
        for wrong in [
            "keydb:",
            "keydb://:secret@h:6379/none",
            "keydb://:secret@h:1?prefix=a*",
            "keydb://:secret@h:1?prefix=",
            "keydb://:secret@h:1?db=2",
        ] {
            let why = of(wrong).expect_err("it must be refused");
            assert!(why.contains("keydb://host:port") && !why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_server_that_would_lose_rows_is_refused_by_name() {
        let of = |info: &[(&str, &str)], settings: &[(&str, &str)]| {
            let map = |it: &[(&str, &str)]| it.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
            let facts = Facts { info: map(info), settings: map(settings) };
            facts.refusal().map_or(String::new(), |(what, _)| what)
        };
        let well = ("maxmemory-policy", "noeviction");
        assert_eq!(of(&[("role", "master"), ("cluster_enabled", "0")], &[well]), "");
        assert_eq!(of(&[], &[]), "", "one that tells nothing is believed");
        assert!(of(&[], &[("maxmemory-policy", "allkeys-lru")]).contains("allkeys-lru"));
        assert!(of(&[("maxmemory_policy", "volatile-ttl")], &[]).contains("volatile-ttl"));
        assert!(of(&[("role", "active-replica")], &[well]).contains("active-replica"));
        assert!(of(&[("cluster_enabled", "1")], &[well]).contains("cluster"));
    }
}
