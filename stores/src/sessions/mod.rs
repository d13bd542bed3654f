//! Who is signed in: live sessions, and those that ended lately.

use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{PersonId, SessionId};
use domain::personal::Sealed;

use crate::ReadModel;
use crate::error::Result;

pub(crate) mod keydb;
mod sqlite;

pub use sqlite::SqliteSessions;

/// A live session. Device and address are sealed under aggregate `Session`, id `session_id`,
/// fields `device` and `address`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    pub session_id: SessionId,
    pub person: PersonId,
    /// How one signed in, as `password`.
    pub method: String,
    pub device: Sealed,
    pub address: Sealed,
    pub started_at: Timestamp,
    pub refreshed_at: Timestamp,
    /// Of its refresh token.
    pub generation: u64,
    pub position: u64,
}

/// What is known of a session id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionState {
    Live(SessionRow),
    /// Revoked; remembered until its last access token has run out.
    Ended,
    /// Never seen, not seen yet, or forgotten after its end. Not a licence: the log decides.
    Unknown,
}

/// What an event changes.
#[derive(Clone, Debug)]
pub enum Change {
    Started(SessionRow),
    Refreshed {
        session_id: SessionId,
        generation: u64,
        at: Timestamp,
        position: u64,
    },
    /// `until`: when its last access token has run out and the id may be forgotten.
    Ended {
        session_id: SessionId,
        person: PersonId,
        until: Timestamp,
        position: u64,
    },
    /// Forgets sessions that ended and may be forgotten by now, and live ones that have run out:
    /// started or last refreshed before these times.
    Forget {
        now: Timestamp,
        started_before: Timestamp,
        refreshed_before: Timestamp,
    },
}

/// The sessions engine.
#[async_trait]
pub trait Sessions: ReadModel<Change = Change> {
    async fn session(&self, session_id: SessionId) -> Result<SessionState>;

    /// One's live sessions, the latest started first, then by id.
    async fn sessions_of(&self, person: PersonId) -> Result<Vec<SessionRow>>;
}
