//! Sessions in KeyDB.
//!
//! Under a generation's keys (see `crate::keydb::rows`):
//!
//! | key | what |
//! |---|---|
//! | `row:<session>` | hash: a live session's fields; of an ended one `person`, `until`, `position` |
//! | `of:<person>` | set: one's live sessions |
//! | `started`, `refreshed` | sorted sets: live sessions by when |
//! | `ended` | sorted set, the revocation list: ended sessions by when their last token has run out |
//!
//! What ran out is forgotten by the events' time, so that rows at a position are the same in every
//! generation; beneath that, a day later by the server's clock, the row of an ended session expires.
//! To whoever asks that is a session that nobody knows: the log decides.
//!
//! A server that lost its last seconds says nothing about a session until it has caught up
//! ([`Rows::believe`]): what it has forgotten may have been a revocation.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{EventId, PersonId, SessionId};
use domain::personal::Sealed;
use redis::Script;
use uuid::Uuid;

use super::{Change, SessionRow, SessionState, Sessions};
use crate::error::{Result, StoreError};
use crate::keydb::rows::{Rows, Space, field, put_script, unreadable};
use crate::keydb::{Address, ENGINE, Keydb};
use crate::read_model::{Batch, ReadModel, Sum, Summary, Summing};
use crate::{Checkpoint, Parked};

/// Rows that are summed up in one script.
const PAGE: usize = 1_000;

static PUT: LazyLock<Script> = LazyLock::new(|| put_script(include_str!("put.lua")));
static SESSION: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("session.lua")));
static SESSIONS_OF: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("sessions_of.lua")));
static PAGE_OF: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("page.lua")));

type Hash = HashMap<String, String>;
/// A session by an index: its id, what it is sorted by, its row.
type Indexed = (String, String, Hash);

/// Where the sessions lie behind this URL.
pub(crate) async fn space(url: &str) -> Result<Space<dyn Sessions>> {
    let address = Address::parse(url)?;
    let keydb = Keydb::open(&address).await?;
    Ok(Space::new(keydb, &address.prefix, "sessions", |rows| Arc::new(KeydbSessions(rows))))
}

/// The sessions of a generation.
struct KeydbSessions(Rows);

/// A change as `put.lua` reads it.
fn texts(change: &Change) -> Vec<String> {
    match change {
        Change::Started(row) => vec![
            "started".to_owned(),
            row.session_id.to_string(),
            row.person.to_string(),
            row.method.clone(),
            row.device.token.clone(),
            row.address.token.clone(),
            row.started_at.0.to_string(),
            row.refreshed_at.0.to_string(),
            row.generation.to_string(),
            row.position.to_string(),
            row.device.event_id.map_or(String::new(), |id| id.0.to_string()),
        ],
        Change::Refreshed { session_id, generation, at, position } => vec![
            "refreshed".to_owned(),
            session_id.to_string(),
            generation.to_string(),
            at.0.to_string(),
            position.to_string(),
        ],
        Change::Ended { session_id, person, until, position } => vec![
            "ended".to_owned(),
            session_id.to_string(),
            person.to_string(),
            until.0.to_string(),
            position.to_string(),
        ],
        Change::Forget { now, started_before, refreshed_before } => vec![
            "forget".to_owned(),
            now.0.to_string(),
            started_before.0.to_string(),
            refreshed_before.0.to_string(),
        ],
    }
}

fn row(session_id: SessionId, hash: &Hash) -> Result<SessionRow> {
    let id = |text: String| text.parse::<Uuid>().map_err(|error| unreadable(&error));
    let event_id: String = field(hash, "event_id")?;
    let event_id = if event_id.is_empty() { None } else { Some(EventId(id(event_id)?)) };
    let sealed = |name| Ok::<_, StoreError>(Sealed { token: field(hash, name)?, event_id });
    Ok(SessionRow {
        session_id,
        person: PersonId(id(field(hash, "person")?)?),
        method: field(hash, "method")?,
        device: sealed("device")?,
        address: sealed("address")?,
        started_at: Timestamp(field(hash, "started_at")?),
        refreshed_at: Timestamp(field(hash, "refreshed_at")?),
        generation: field(hash, "generation")?,
        position: field(hash, "position")?,
    })
}

impl KeydbSessions {
    fn row_key(&self, session_id: SessionId) -> String {
        format!("{}row:{session_id}", self.0.base)
    }

    /// The rows of an index, a page in one script. Nobody writes meanwhile but their one writer,
    /// who waits for this; if somebody has all the same, it is no sum.
    async fn sum(
        &self,
        index: &str,
        as_of: &(u64, u64),
        canonical: fn(&str, &str, &Hash) -> Vec<u8>,
    ) -> Result<Sum> {
        let mut sum = Sum::default();
        for first in (0_usize..).step_by(PAGE) {
            let (position, epoch, rows): (Option<u64>, Option<u64>, Vec<Indexed>) = self
                .0
                .keydb
                .read(
                    PAGE_OF
                        .key(self.0.key("checkpoint"))
                        .key(self.0.key(index))
                        .arg(format!("{}row:", self.0.base))
                        .arg(first)
                        .arg(first + PAGE - 1),
                )
                .await?;
            if (position.unwrap_or(0), epoch.unwrap_or(0)) != *as_of {
                let message = "rows were written while they were summed up".to_owned();
                return Err(StoreError::Engine { engine: ENGINE, message });
            }
            for (id, score, hash) in &rows {
                sum.add(&canonical(id, score, hash));
            }
            if rows.len() < PAGE {
                break;
            }
        }
        Ok(sum)
    }
}

/// Texts, each with its length, so that no two rows read alike.
fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut joined = Vec::with_capacity(512);
    for text in texts {
        joined.extend_from_slice(&(text.len() as u64).to_be_bytes());
        joined.extend_from_slice(text.as_bytes());
    }
    joined
}

fn live(id: &str, _: &str, hash: &Hash) -> Vec<u8> {
    let mut fields: Vec<(&str, &str)> = hash.iter().map(|(name, value)| (&**name, &**value)).collect();
    fields.sort_unstable();
    joined([id].into_iter().chain(fields.into_iter().flat_map(|(name, value)| [name, value])))
}

/// Its row may have expired.
fn ended(id: &str, until: &str, _: &Hash) -> Vec<u8> {
    joined([id, until])
}

#[async_trait]
impl ReadModel for KeydbSessions {
    type Change = Change;

    async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.0.checkpoint().await
    }

    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        self.0.take_over(fresh).await
    }

    async fn put(&self, batch: Arc<Batch<Change>>) -> Result<()> {
        let changes: Vec<Vec<String>> = batch.changes.iter().map(texts).collect();
        self.0.put(&PUT, &changes, &batch.parking, &batch.checkpoint, batch.follows).await
    }

    async fn parked(&self) -> Result<Vec<Parked>> {
        self.0.parked().await
    }

    async fn summary(&self) -> Result<Summing> {
        let held = self.0.checkpoint().await?;
        let as_of = held.map_or((0, 0), |held| (held.position, held.epoch));
        let mut summary = Summary { position: as_of.0, ..Summary::default() };
        summary.tables.insert("sessions".to_owned(), self.sum("started", &as_of, live).await?);
        summary.tables.insert("ended".to_owned(), self.sum("ended", &as_of, ended).await?);
        Ok(Box::pin(std::future::ready(Ok(summary))))
    }
}

#[async_trait]
impl Sessions for KeydbSessions {
    async fn session(&self, session_id: SessionId) -> Result<SessionState> {
        let mut ask = SESSION.key(self.0.key("checkpoint"));
        ask.key(self.row_key(session_id));
        let seen = self.0.seen();
        let (position, hash): (Option<String>, Hash) = self.0.keydb.read(&ask).await?;
        self.0.believe(seen, position.as_deref())?;
        Ok(if hash.is_empty() {
            SessionState::Unknown
        } else if hash.contains_key("until") {
            SessionState::Ended
        } else {
            SessionState::Live(row(session_id, &hash)?)
        })
    }

    async fn sessions_of(&self, person: PersonId) -> Result<Vec<SessionRow>> {
        let mut ask = SESSIONS_OF.key(self.0.key("checkpoint"));
        ask.key(format!("{}of:{person}", self.0.base)).arg(format!("{}row:", self.0.base));
        let seen = self.0.seen();
        let (position, found): (Option<String>, Vec<(String, Hash)>) = self.0.keydb.read(&ask).await?;
        self.0.believe(seen, position.as_deref())?;
        let mut rows = Vec::with_capacity(found.len());
        for (id, hash) in &found {
            let id = id.parse::<Uuid>().map_err(|error| unreadable(&error))?;
            rows.push(row(SessionId(id), hash)?);
        }
        rows.sort_by_key(|row| (std::cmp::Reverse(row.started_at), row.session_id));
        Ok(rows)
    }
}
