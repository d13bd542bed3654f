//! The gateway's ports on the real thing.

use std::sync::Arc;

use async_trait::async_trait;
use chronicle::Executor;
use chronicle::log::Head;
use chronicle::tokens::Tokens;
use domain::caller::Caller;
use domain::chat::Chat;
use domain::ids::{BlobId, ChatId, InviteId, SessionId, read_invite_owner};
use domain::session::Session;
use domain::{Problem, Timestamp};
use stores::sessions::{SessionState, Sessions};
use stores::{Port, Progress};
use tokio::sync::watch;
use tokio::time::Instant;

use super::credentials::{self, Verified};
use super::standing::{Away, Log, Row, Rows, Standing};

/// The name of the sessions projection on the board of positions.
const SESSIONS: &str = "sessions";

impl credentials::Tokens for Arc<Tokens> {
    fn verify(&self, token: &str, now: Timestamp) -> Option<Verified> {
        // Which check failed is of no use to whoever sent it, unless they forge tokens.
        let claims = Tokens::verify(self, token, now).ok()?;
        Some(Verified { person: claims.person, session: claims.session, expires_at: claims.expires_at })
    }
}

/// The sessions engine with what it shows.
pub struct SessionRows {
    pub sessions: Port<dyn Sessions>,
    pub progress: Progress,
}

#[async_trait]
impl Rows for SessionRows {
    async fn session(&self, session: SessionId) -> Result<Row, Away> {
        match self.sessions.serving().session(session).await {
            Ok(SessionState::Live(row)) => {
                let (started_at, refreshed_at) = (row.started_at, row.refreshed_at);
                Ok(Row::Live { person: row.person, started_at, refreshed_at })
            }
            Ok(SessionState::Ended) => Ok(Row::Ended),
            Ok(SessionState::Unknown) => Ok(Row::Unknown),
            Err(error) => {
                tracing::warn!(%error, "the sessions engine is away: the log decides");
                Err(Away)
            }
        }
    }
    fn shown(&self) -> u64 {
        self.progress.position(SESSIONS)
    }
}

#[async_trait]
impl Log for Executor {
    async fn session(&self, session: SessionId) -> Result<Session, Away> {
        self.state::<Session>(session).await.map_err(|_unavailable| Away)
    }
}

/// Tells `standing` of every move of the log's head, until the log is gone.
pub async fn follow(standing: Arc<Standing>, mut head: watch::Receiver<Head>) {
    loop {
        let position = head.borrow_and_update().position;
        standing.lag.head(position, Instant::now());
        if head.changed().await.is_err() {
            return;
        }
    }
}

/// The same rule for open sockets.
pub struct SocketStanding {
    pub standing: Arc<Standing>,
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

#[async_trait]
impl query_api::Standing for SocketStanding {
    async fn check(&self, caller: &Caller) -> Result<(), Problem> {
        self.standing.check(caller, (self.now)()).await
    }
}

/// Invitations as the log has them.
pub struct Invitations(pub Executor);

#[async_trait]
impl query_api::Invitations for Invitations {
    async fn chat(&self, chat_id: ChatId) -> Result<Chat, Problem> {
        self.0.state::<Chat>(chat_id).await
    }
    async fn find(&self, token: &str) -> Result<Option<(ChatId, InviteId)>, Problem> {
        Ok(self.0.claim("invite/1", token).await?.as_deref().and_then(read_invite_owner))
    }
    async fn was_sent(&self, blob: BlobId) -> Result<bool, Problem> {
        Ok(self.0.claim("blob/1", &blob.to_string()).await?.is_some())
    }
    fn now(&self) -> Timestamp {
        self.0.clock().now()
    }
}
