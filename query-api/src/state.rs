//! What queries are answered from.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chronicle::keys::Keyring;
use chronicle::log::{Log, LogError};
use domain::caller::Caller;
use domain::chat::Chat;
use domain::ids::{BlobId, ChatId, InviteId};
use domain::problem::Kind;
use domain::{Problem, Timestamp};
use stores::Stores;
use stores::blobs::{Blobs, Pictures};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::live::Sockets;
use crate::refusal::Refusal;

/// Names of the projections, as [`stores::Progress`] has them.
pub const SESSIONS: &str = "sessions";
pub const DIRECTORY: &str = "directory";
pub const TIMELINE: &str = "timeline";
pub const SEARCH: &str = "search";
pub const LIVE: &str = "live";

/// The longest that a query waits for the projections it reads.
const PATIENCE: Duration = Duration::from_secs(5);

/// Blobs that are opened at once: each takes its size three times.
const OPENING: usize = 8;

/// Port: where the log ends.
#[async_trait]
pub trait Head: Send + Sync {
    async fn position(&self) -> Result<u64, LogError>;
}

#[async_trait]
impl Head for Arc<dyn Log> {
    async fn position(&self) -> Result<u64, LogError> {
        Ok(self.head().await?.position)
    }
}

/// Port: whether a caller's session still lives; asked while a socket is open, by the very rule
/// that is asked at every request.
#[async_trait]
pub trait Standing: Send + Sync {
    /// # Errors
    /// `session-ended`, `unauthenticated`; `unavailable` says nothing about the session.
    async fn check(&self, caller: &Caller) -> Result<(), Problem>;
}

/// Port: what no read model has, and the write side says at once: who may come into a group, and whether
/// an upload was sent.
#[async_trait]
pub trait Invitations: Send + Sync {
    /// A chat as its stream adds up to.
    ///
    /// # Errors
    /// `unavailable`; so with the others.
    async fn chat(&self, chat_id: ChatId) -> Result<Chat, Problem>;

    /// Which invitation the secret `token` opens, or opened once.
    async fn find(&self, token: &str) -> Result<Option<(ChatId, InviteId)>, Problem>;

    /// Whether a message carries a blob, or carried it until it was deleted.
    async fn was_sent(&self, blob: BlobId) -> Result<bool, Problem>;

    /// The clock that ends them.
    fn now(&self) -> Timestamp;
}

/// What the queries are given.
pub struct Means {
    pub stores: Stores,
    pub keyring: Keyring,
    pub blobs: Arc<dyn Blobs>,
    pub pictures: Pictures,
    pub head: Arc<dyn Head>,
    pub standing: Arc<dyn Standing>,
    pub invitations: Arc<dyn Invitations>,
    /// What a browser on the app's own pages sends as `Origin`.
    pub public_origin: String,
    /// Closes the open sockets.
    pub shutdown: CancellationToken,
}

/// The state of the query router. Cheap to clone.
#[derive(Clone)]
pub struct QueryState {
    pub(crate) stores: Stores,
    pub(crate) keyring: Keyring,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) pictures: Pictures,
    pub(crate) head: Arc<dyn Head>,
    pub(crate) standing: Arc<dyn Standing>,
    pub(crate) invitations: Arc<dyn Invitations>,
    /// The origin of LETOPIS_PUBLIC_URL, as browsers write it.
    pub(crate) public_origin: Arc<str>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) sockets: Sockets,
    /// Blobs that are in memory sealed and open at once.
    pub(crate) opening: Arc<Semaphore>,
}

impl QueryState {
    pub fn new(means: Means) -> Self {
        let Means { stores, keyring, blobs, pictures, head, standing, invitations, public_origin, shutdown } =
            means;
        Self {
            stores,
            keyring,
            blobs,
            pictures,
            head,
            standing,
            invitations,
            public_origin: public_origin.into(),
            shutdown,
            sockets: Sockets::default(),
            opening: Arc::new(Semaphore::new(OPENING)),
        }
    }

    /// How many sockets are open.
    pub fn open_sockets(&self) -> usize {
        self.sockets.count()
    }

    /// Waits until every socket has been closed; for after `shutdown`.
    pub async fn sockets_closed(&self) {
        self.sockets.closed().await;
    }

    /// Refuses a position that the log has not reached.
    ///
    /// # Errors
    /// `position-ahead`, `unavailable`
    pub(crate) async fn check_position(&self, position: u64) -> Result<(), Refusal> {
        let head = self.log_head().await?;
        if position > head {
            return Err(Problem::new(Kind::PositionAhead).detail(format!("the log ends at {head}")).into());
        }
        Ok(())
    }

    /// Where the log ends.
    ///
    /// # Errors
    /// `unavailable`
    pub(crate) async fn log_head(&self) -> Result<u64, Refusal> {
        self.head.position().await.map_err(|error| {
            tracing::error!(%error, "the log's head is not known");
            Kind::Unavailable.into()
        })
    }

    /// Waits until `projections` show the `wanted` position, at most [`PATIENCE`], and answers the
    /// lowest that they show. To be called before any row is read, so that an answer never claims
    /// more than it shows.
    ///
    /// # Errors
    /// `position-ahead`, `unavailable`
    pub(crate) async fn shown(&self, projections: &[&str], wanted: Option<u64>) -> Result<u64, Refusal> {
        let shown = self.lowest(projections);
        match wanted {
            Some(wanted) if wanted > shown => {
                self.check_position(wanted).await?;
                Ok(self.wait(projections, wanted).await)
            }
            _ => Ok(shown),
        }
    }

    /// The lowest position that `projections` show after waiting for `position`, at most
    /// [`PATIENCE`].
    pub(crate) async fn wait(&self, projections: &[&str], position: u64) -> u64 {
        self.stores.progress.wait(projections, position, PATIENCE).await
    }

    fn lowest(&self, projections: &[&str]) -> u64 {
        projections.iter().map(|name| self.stores.progress.position(name)).min().unwrap_or(0)
    }
}
