//! From a URL to an engine, and from nothing else.
//!
//! An engine's arm says which scheme names it; a scheme without an arm is refused by name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::blobs::{Blobs, FileBlobs, S3Access, S3Blobs};
use crate::counters::Counters;
use crate::counters::keydb::KeydbCounters;
use crate::directory::postgres::PostgresDirectories;
use crate::directory::{Directory, SqliteDirectory};
use crate::error::{Result, StoreError};
use crate::folder::Folder;
use crate::live::keydb::KeydbLive;
use crate::live::{Live, MemoryLive};
use crate::progress::Progress;
use crate::read_model::ReadModel;
use crate::search::{Elastic, Search, TantivySearch};
use crate::sessions::{Sessions, SqliteSessions};
use crate::shared::{Engine, Shared};
use crate::shelf::Port;
use crate::timeline::{CassandraTimelines, SqliteTimeline, Timeline};

/// Which engine serves each port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    pub sessions: String,
    pub directory: String,
    pub timeline: String,
    pub search: String,
    pub live: String,
}

impl Urls {
    /// The embedded engines, under a data folder.
    pub fn embedded(data: &Path) -> Self {
        let under = |scheme: &str, name: &str| format!("{scheme}:{}", data.join(name).display());
        Self {
            sessions: under("sqlite", "sessions"),
            directory: under("sqlite", "directory"),
            timeline: under("sqlite", "timeline"),
            search: under("tantivy", "search"),
            live: "memory:".to_owned(),
        }
    }
}

/// The read side, opened.
#[derive(Clone)]
pub struct Stores {
    pub sessions: Port<dyn Sessions>,
    pub directory: Port<dyn Directory>,
    pub timeline: Port<dyn Timeline>,
    pub search: Port<dyn Search>,
    pub live: Arc<dyn Live>,
    pub progress: Progress,
}

impl Stores {
    /// Opens every engine.
    ///
    /// # Errors
    /// [`StoreError::Refused`], naming the variable's port, the URL and what to do.
    pub async fn open(urls: &Urls) -> Result<Self> {
        Ok(Self {
            sessions: sessions(&urls.sessions).await?,
            directory: directory(&urls.directory).await?,
            timeline: timeline(&urls.timeline).await?,
            search: search(&urls.search).await?,
            live: live(&urls.live).await?,
            progress: Progress::default(),
        })
    }
}

/// The sessions engine of a URL.
///
/// # Errors
/// See [`Stores::open`]; so with the others.
pub async fn sessions(url: &str) -> Result<Port<dyn Sessions>> {
    match scheme(url) {
        ("sqlite", path) => {
            let open = |folder: &Path| Ok(Arc::new(SqliteSessions::open(folder)?) as Arc<dyn Sessions>);
            opened("sessions", url, Folder::open(&file("sessions", url, path)?, open))
        }
        ("keydb" | "keydbs", _) => {
            reached("sessions", url, shared(crate::sessions::keydb::space(url).await).await)
        }
        _ => Err(unknown("sessions", url, "sqlite:<folder> or keydb://<host>:<port>")),
    }
}

/// The counters beside the sessions of a URL; `None` where only one process has them.
///
/// # Errors
/// See [`Stores::open`].
pub async fn counters(url: &str) -> Result<Option<Arc<dyn Counters>>> {
    match scheme(url) {
        ("keydb" | "keydbs", _) => match KeydbCounters::open(url).await {
            Ok(counters) => Ok(Some(Arc::new(counters))),
            Err(error) => Err(unreached("sessions", url, &error)),
        },
        _ => Ok(None),
    }
}

/// The directory engine of a URL.
///
/// # Errors
/// See [`Stores::open`].
pub async fn directory(url: &str) -> Result<Port<dyn Directory>> {
    match scheme(url) {
        ("sqlite", path) => {
            let open = |folder: &Path| Ok(Arc::new(SqliteDirectory::open(folder)?) as Arc<dyn Directory>);
            opened("directory", url, Folder::open(&file("directory", url, path)?, open))
        }
        ("postgres" | "postgresql", _) => {
            let engine = async { Shared::open(PostgresDirectories::open(url).await?).await };
            reached("directory", url, engine.await)
        }
        _ => Err(unknown("directory", url, "sqlite:<folder> or postgres://<user>@<host>/<database>")),
    }
}

/// The timeline engine of a URL.
///
/// # Errors
/// See [`Stores::open`].
pub async fn timeline(url: &str) -> Result<Port<dyn Timeline>> {
    match scheme(url) {
        ("sqlite", path) => {
            let open = |folder: &Path| Ok(Arc::new(SqliteTimeline::open(folder)?) as Arc<dyn Timeline>);
            opened("timeline", url, Folder::open(&file("timeline", url, path)?, open))
        }
        ("cassandra", _) => reached("timeline", url, CassandraTimelines::open(url).await),
        _ => Err(unknown("timeline", url, "sqlite:<folder> or cassandra://<host>:<port>/<keyspace>")),
    }
}

/// The search engine of a URL.
///
/// # Errors
/// See [`Stores::open`].
pub async fn search(url: &str) -> Result<Port<dyn Search>> {
    match scheme(url) {
        ("tantivy", path) => {
            let open = |folder: &Path| Ok(Arc::new(TantivySearch::open(folder)?) as Arc<dyn Search>);
            opened("search", url, Folder::open(&file("search", url, path)?, open))
        }
        ("elasticsearch" | "elasticsearchs", _) => reached("search", url, Elastic::open(url).await),
        _ => Err(unknown("search", url, "tantivy:<folder> or elasticsearch://<host>:<port>")),
    }
}

/// The live engine of a URL.
///
/// # Errors
/// See [`Stores::open`].
pub async fn live(url: &str) -> Result<Arc<dyn Live>> {
    match scheme(url) {
        ("memory", "") => Ok(Arc::new(MemoryLive::default())),
        ("keydb" | "keydbs", _) => match KeydbLive::open(url).await {
            Ok(live) => Ok(Arc::new(live)),
            Err(error) => Err(unreached("live", url, &error)),
        },
        _ => Err(unknown("live", url, "memory: or keydb://<host>:<port>")),
    }
}

/// The blob store of a URL. `access` is for `s3:`.
///
/// # Errors
/// See [`Stores::open`].
pub async fn blobs(url: &str, access: &S3Access) -> Result<Arc<dyn Blobs>> {
    let opened = match scheme(url) {
        ("file", path) => {
            let folder = file("blobs", url, path.strip_prefix("//").unwrap_or(path))?;
            FileBlobs::open(&folder).map(|blobs| Arc::new(blobs) as Arc<dyn Blobs>)
        }
        ("s3", path) => {
            let blobs = S3Blobs::open(path.trim_start_matches('/'), access).await;
            blobs.map(|blobs| Arc::new(blobs) as Arc<dyn Blobs>)
        }
        _ => return Err(unknown("blobs", url, "file:<folder> or s3://<bucket>[/<prefix>]")),
    };
    opened.map_err(|error| {
        StoreError::Refused(format!(
            "LETOPIS_BLOBS_URL: the blob store {} cannot be used ({error}): see that the folder may be written to, \
             or that the bucket is there and AWS_ENDPOINT_URL_S3, AWS_REGION, AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY lead to it",
            without_secrets(url)
        ))
    })
}

fn scheme(url: &str) -> (&str, &str) {
    url.split_once(':').unwrap_or((url, ""))
}

/// The variable that names the port's engine.
fn variable(port: &str) -> String {
    format!("LETOPIS_{}_URL", port.to_uppercase())
}

fn file(port: &str, url: &str, path: &str) -> Result<PathBuf> {
    if path.is_empty() {
        let what = format!(
            "{}: the {port} engine's URL {url:?} names no path: write one after the colon",
            variable(port)
        );
        return Err(StoreError::Refused(what));
    }
    Ok(PathBuf::from(path))
}

fn opened<M: ReadModel + ?Sized>(port: &str, url: &str, engine: Result<Folder<M>>) -> Result<Port<M>> {
    engine.map(Port::new).map_err(|error| {
        StoreError::Refused(format!(
            "{}: the {port} engine {url:?} cannot be opened ({error}): see that its folder exists, \
             may be written to, and that no other letopis uses it",
            variable(port)
        ))
    })
}

/// Opens the generations of an engine on the network that answers.
async fn shared<M: ReadModel + ?Sized, E: Engine<M>>(engine: Result<E>) -> Result<Shared<M, E>> {
    Shared::open(engine?).await
}

/// What [`opened`] is to a folder, for an engine on the network.
fn reached<M, E>(port: &str, url: &str, engine: Result<Shared<M, E>>) -> Result<Port<M>>
where
    M: ReadModel + ?Sized,
    E: Engine<M>,
{
    engine.map(Port::new).map_err(|error| unreached(port, url, &error))
}

/// An engine that does not answer, or not as it must.
fn unreached(port: &str, url: &str, error: &StoreError) -> StoreError {
    StoreError::Refused(format!(
        "{}: the {port} engine at {} cannot be used ({error}): start it, or set the URL right; \
         letopis doctor looks closer",
        variable(port),
        without_secrets(url)
    ))
}

/// A URL as it may be shown: without its user and password.
pub(crate) fn without_secrets(url: &str) -> String {
    let Ok(mut shown) = url::Url::parse(url) else { return scheme(url).0.to_owned() };
    // Refused by URLs that cannot have any.
    let _ = shown.set_password(None);
    let _ = shown.set_username("");
    // PostgreSQL's may hold one, too.
    shown.set_query(None);
    shown.to_string()
}

fn unknown(port: &str, url: &str, known: &str) -> StoreError {
    // A URL may hold a password; its scheme never does.
    let (scheme, _) = scheme(url);
    StoreError::Refused(format!(
        "{}: the {port} engine's URL has scheme {scheme:?}, which this build does not serve: use {known}, \
         or leave it unset for the embedded engine",
        variable(port)
    ))
}
