//! The configuration: one struct, every variable documented where it stands.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use command_api::Registration;
use command_api::passwords::Hashing;
use ipnet::IpNet;
use stores::Urls;
use stores::blobs::S3Access;

use crate::commands;
use crate::gateway::PublicUrl;

/// A messenger whose every state is a replay of its chronicle.
#[derive(Debug, clap::Parser)]
#[command(name = "letopis", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub config: Config,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Everything in one process (the default).
    Serve,
    /// What is made of the log: how far it is, building it anew, what is parked.
    #[command(subcommand)]
    Projections(commands::Projections),
    /// The log itself: whether it keeps its promises.
    #[command(subcommand)]
    Log(commands::Log),
    /// Prints the OpenAPI document of one of the two APIs, as it is served.
    Openapi { api: commands::Api },
    /// Looks at everything an operator would look at, and says what to do.
    Doctor {
        /// One JSON object instead of lines for people.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    On,
    Off,
}

/// Every variable. An engine that is not set is embedded, under `LETOPIS_DATA`.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Address and port to listen on.
    #[arg(long, env = "LETOPIS_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The folder of everything that is embedded.
    #[arg(long, env = "LETOPIS_DATA", default_value = "./data")]
    pub data: PathBuf,
    /// What browsers call this installation; `http://` and the listener's address if not set.
    #[arg(long, env = "LETOPIS_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// The log: `sqlite:<file>` or `postgres://<user>@<host>/<database>`.
    #[arg(long, env = "LETOPIS_LOG_URL")]
    pub log_url: Option<String>,
    /// The key store, never in the log's database: `sqlite:<file>` or
    /// `postgres://<user>@<host>/<database>`.
    #[arg(long, env = "LETOPIS_KEYS_URL")]
    pub keys_url: Option<String>,
    /// Sessions, revocations and counters of sign-ins: `sqlite:<folder>` or
    /// `keydb://[<user>:<password>@]<host>:<port>[/<db>]` (`keydbs:` over TLS).
    #[arg(long, env = "LETOPIS_SESSIONS_URL")]
    pub sessions_url: Option<String>,
    /// Users, friendships, blocks: `sqlite:<folder>` or `postgres://<user>@<host>/<database>`.
    #[arg(long, env = "LETOPIS_DIRECTORY_URL")]
    pub directory_url: Option<String>,
    /// Search for people: `tantivy:<folder>` or `elasticsearch://[<user>:<password>@]<host>:<port>[/<prefix>]`
    /// (`elasticsearchs:` over TLS).
    #[arg(long, env = "LETOPIS_SEARCH_URL")]
    pub search_url: Option<String>,
    /// Chats and messages: `sqlite:<folder>` or `cassandra://[<user>:<password>@]<host>:<port>[,…]/<keyspace>`.
    #[arg(long, env = "LETOPIS_TIMELINE_URL")]
    pub timeline_url: Option<String>,
    /// What changed, to whose screens: `memory:`, or `keydb:` as above where several processes serve.
    #[arg(long, env = "LETOPIS_LIVE_URL")]
    pub live_url: Option<String>,
    /// Photos, a primary store as log and keys are: `file:<folder>` or `s3://<bucket>[/<prefix>]`.
    /// For S3, AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
    /// AWS_SESSION_TOKEN are read.
    #[arg(long, env = "LETOPIS_BLOBS_URL")]
    pub blobs_url: Option<String>,
    /// Seconds for which a blob that no event names is kept: a day, and less only in tests.
    #[arg(long, env = "LETOPIS_BLOBS_KEEP", default_value_t = projectors::sweep::AGE.as_secs())]
    pub blobs_keep: u64,
    /// The file of the master key; made at the first start over an empty data folder, mode 0600.
    #[arg(long, env = "LETOPIS_MASTER_KEY")]
    pub master_key: Option<PathBuf>,
    /// Who may register: `open`, `domains:<host>,<host>` or `closed`.
    #[arg(long, env = "LETOPIS_REGISTRATION", default_value = "open")]
    pub registration: Registration,
    /// Cost of a password hash (Argon2id): `m=<KiB>,t=<passes>,p=<lanes>`, not less than the default. Older hashes
    /// are renewed when their owners sign in.
    #[arg(long, env = "LETOPIS_PASSWORD_HASH", default_value = "m=19456,t=2,p=1")]
    pub password_hash: Hashing,
    /// Networks of proxies whose X-Forwarded-For is believed, comma-separated (`10.0.0.0/8`).
    #[arg(long, env = "LETOPIS_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<IpNet>,
    /// `off` lifts every throttle; for benches and tests, and refused unless listener and public
    /// URL are loopback.
    #[arg(long, env = "LETOPIS_RATE_LIMIT", value_enum, default_value = "on")]
    pub rate_limit: Switch,
}

/// Where the log is, or the key store.
#[derive(Clone)]
pub enum Place {
    Sqlite(PathBuf),
    Postgres(String),
}

/// Variables of the design whose parts this version does not have. Set, they would promise
/// something; so they are refused.
const NOT_YET: &[&str] = &["LETOPIS_MAIL_URL", "LETOPIS_VERIFY_MAIL", "LETOPIS_ERASE_AFTER"];

/// # Errors
/// If one of the variables is set that this version can't honour.
#[expect(clippy::disallowed_methods, reason = "this is where configuration is read")]
pub fn refuse_what_is_not_there_yet() -> anyhow::Result<()> {
    for name in NOT_YET {
        if std::env::var_os(name).is_some() {
            bail!("{name} is set, and this version of letopis has nothing for it yet: unset it");
        }
    }
    Ok(())
}

/// What leads to an S3 bucket, by the variables that every S3 client reads. An empty one is as if it
/// were not set.
#[expect(clippy::disallowed_methods, reason = "this is where configuration is read")]
pub fn s3_access() -> S3Access {
    let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    S3Access {
        endpoint: read("AWS_ENDPOINT_URL_S3").or_else(|| read("AWS_ENDPOINT_URL")),
        region: read("AWS_REGION").or_else(|| read("AWS_DEFAULT_REGION")),
        access_key_id: read("AWS_ACCESS_KEY_ID"),
        secret_access_key: read("AWS_SECRET_ACCESS_KEY"),
        session_token: read("AWS_SESSION_TOKEN"),
    }
}

impl Config {
    /// The file of an `sqlite:` URL, or the embedded one under the data folder.
    fn sqlite(&self, variable: &str, url: Option<&String>, embedded: &str) -> anyhow::Result<PathBuf> {
        match url {
            None => Ok(self.data.join(embedded)),
            Some(url) => match url.strip_prefix("sqlite:") {
                Some(path) if !path.is_empty() => Ok(path.into()),
                _ => {
                    // A URL may hold a password; its scheme never does.
                    let scheme = url.split(':').next().unwrap_or_default();
                    bail!(
                        "{variable} has scheme {scheme:?}, and no engine of this version has that: \
                         use sqlite:<file> (log and keys: or postgres://…), or unset it"
                    )
                }
            },
        }
    }

    fn place(&self, variable: &str, url: Option<&String>, embedded: &str) -> anyhow::Result<Place> {
        match url {
            Some(url) if url.starts_with("postgres:") || url.starts_with("postgresql:") => {
                Ok(Place::Postgres(url.clone()))
            }
            url => self.sqlite(variable, url, embedded).map(Place::Sqlite),
        }
    }

    /// Where the log is.
    ///
    /// # Errors
    /// A URL that names no engine of this version.
    pub fn log(&self) -> anyhow::Result<Place> {
        self.place("LETOPIS_LOG_URL", self.log_url.as_ref(), "log.db")
    }

    /// Where the key store is.
    ///
    /// # Errors
    /// A URL that names no engine of this version.
    pub fn keys(&self) -> anyhow::Result<Place> {
        self.place("LETOPIS_KEYS_URL", self.keys_url.as_ref(), "keys.db")
    }

    /// Keys never lie in the log's database, and a projection throws away tables that it does not
    /// know: every engine has a file of its own.
    ///
    /// # Errors
    /// Two variables that name one file.
    pub fn refuse_shared_files(&self) -> anyhow::Result<()> {
        let urls = self.urls();
        let mut files = Vec::new();
        for (variable, place) in [("LETOPIS_LOG_URL", self.log()?), ("LETOPIS_KEYS_URL", self.keys()?)] {
            if let Place::Sqlite(file) = place {
                files.push((variable, file));
            }
        }
        for (variable, url) in [
            ("LETOPIS_SESSIONS_URL", &urls.sessions),
            ("LETOPIS_DIRECTORY_URL", &urls.directory),
            ("LETOPIS_TIMELINE_URL", &urls.timeline),
        ] {
            files.extend(url.strip_prefix("sqlite:").map(|path| (variable, PathBuf::from(path))));
        }
        for (index, (variable, file)) in files.iter().enumerate() {
            if let Some((other, _)) = files[..index].iter().find(|(_, it)| resolved(it) == resolved(file)) {
                bail!("{other} and {variable} name one file, {}: give each its own", file.display());
            }
        }
        Ok(())
    }

    pub fn master_key_file(&self) -> PathBuf {
        self.master_key.clone().unwrap_or_else(|| self.data.join("master.key"))
    }

    /// Where the projections are; all of it may be deleted, and is built again from the log.
    pub fn projections(&self) -> PathBuf {
        self.data.join("projections")
    }

    pub fn urls(&self) -> Urls {
        let Urls { sessions, directory, timeline, search, live } = Urls::embedded(&self.projections());
        let or = |url: &Option<String>, embedded| url.clone().unwrap_or(embedded);
        Urls {
            sessions: or(&self.sessions_url, sessions),
            directory: or(&self.directory_url, directory),
            timeline: or(&self.timeline_url, timeline),
            search: or(&self.search_url, search),
            live: or(&self.live_url, live),
        }
    }

    /// Where photos are.
    pub fn blobs(&self) -> String {
        self.blobs_url.clone().unwrap_or_else(|| format!("file:{}", self.data.join("blobs").display()))
    }

    /// What browsers call the installation when it listens on `bound`.
    ///
    /// # Errors
    /// A URL that is none, `LETOPIS_RATE_LIMIT=off` on anything but loopback, or a password hash that costs too little.
    pub fn public(&self, bound: SocketAddr) -> anyhow::Result<PublicUrl> {
        let url = self.public_url.clone().unwrap_or_else(|| format!("http://{bound}"));
        let public = PublicUrl::parse(&url)
            .with_context(|| format!("LETOPIS_PUBLIC_URL={url} is not of the form https://host[:port]"))?;
        let host = public.origin.split_once("://").map_or("", |(_, host)| host);
        if self.rate_limit == Switch::Off
            && !(bound.ip().is_loopback() && crate::gateway::origin::is_loopback(host))
        {
            bail!(
                "LETOPIS_RATE_LIMIT=off is for loopback alone, and LETOPIS_LISTEN or LETOPIS_PUBLIC_URL is not"
            );
        }
        if self.rate_limit == Switch::On && !self.password_hash.is_strong() {
            bail!(
                "LETOPIS_PASSWORD_HASH costs a thief too little: take at least m=19456,t=2,p=1 \
                 (less is for tests, with LETOPIS_RATE_LIMIT=off)"
            );
        }
        Ok(public)
    }
}

/// The file itself, whatever path leads to it; it need not exist yet.
fn resolved(file: &Path) -> PathBuf {
    let in_folder = || Some(file.parent()?.canonicalize().ok()?.join(file.file_name()?));
    file.canonicalize().ok().or_else(in_folder).unwrap_or_else(|| file.to_owned())
}
