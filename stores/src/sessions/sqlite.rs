//! Sessions in SQLite.

use std::path::Path;

use async_trait::async_trait;
use domain::Timestamp;
use domain::ids::{PersonId, SessionId};
use rusqlite::{OptionalExtension, Row, Transaction};

use super::{Change, SessionRow, SessionState, Sessions};
use crate::error::Result;
use crate::sqlite::{Schema, Sqlite, event_of, id, read_model, sealed};

const SCHEMA: Schema = Schema {
    version: 1,
    sql: include_str!("../../../migrations/sqlite/sessions/schema.sql"),
    indexes: include_str!("../../../migrations/sqlite/sessions/indexes.sql"),
    tables: &["sessions"],
};

const START: &str = "
    INSERT INTO sessions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL, ?10)
    ON CONFLICT (session_id) DO UPDATE SET
        person = excluded.person, method = excluded.method, device = excluded.device,
        address = excluded.address, event_id = excluded.event_id,
        started_at = excluded.started_at, refreshed_at = excluded.refreshed_at,
        generation = excluded.generation, ended_until = NULL, position = excluded.position
    WHERE excluded.position >= position";
const REFRESH: &str = "
    UPDATE sessions SET generation = ?2, refreshed_at = ?3, position = ?4
    WHERE session_id = ?1 AND position <= ?4 AND ended_until IS NULL";
/// An end is kept even of a session that is not known, and looks the same whether it was: so a
/// row does not tell when what ran out was forgotten.
const END: &str = "
    INSERT INTO sessions VALUES (?1, ?2, '', '', '', NULL, 0, 0, 0, ?3, ?4)
    ON CONFLICT (session_id) DO UPDATE SET
        person = excluded.person, method = '', device = '', address = '', event_id = NULL,
        started_at = 0, refreshed_at = 0, generation = 0, ended_until = excluded.ended_until,
        position = excluded.position
    WHERE excluded.position >= position";
const FORGET_ENDED: &str = "DELETE FROM sessions WHERE ended_until < ?1";
const FORGET_OLD: &str = "DELETE FROM sessions WHERE ended_until IS NULL AND started_at < ?1";
const FORGET_IDLE: &str = "DELETE FROM sessions WHERE ended_until IS NULL AND refreshed_at < ?1";
const COLUMNS: &str = "
    SELECT session_id, person, method, device, address, event_id, started_at, refreshed_at,
        generation, position, ended_until
    FROM sessions";

/// The sessions of one file.
pub struct SqliteSessions(Sqlite);

impl SqliteSessions {
    /// Opens the rows in a generation's folder, or makes them.
    ///
    /// # Errors
    /// A file that cannot be opened or is something else.
    pub fn open(folder: &Path) -> Result<Self> {
        Sqlite::open(folder, &SCHEMA).map(Self)
    }
}

fn row(row: &Row<'_>) -> rusqlite::Result<SessionRow> {
    Ok(SessionRow {
        session_id: id(row, 0)?,
        person: id(row, 1)?,
        method: row.get(2)?,
        device: sealed(row, 3, 5)?,
        address: sealed(row, 4, 5)?,
        started_at: Timestamp(row.get(6)?),
        refreshed_at: Timestamp(row.get(7)?),
        generation: row.get(8)?,
        position: row.get(9)?,
    })
}

fn apply(tx: &Transaction<'_>, change: &Change) -> Result<()> {
    match change {
        Change::Started(session) => tx.prepare_cached(START)?.execute((
            session.session_id.0.as_bytes(),
            session.person.0.as_bytes(),
            &session.method,
            &session.device.token,
            &session.address.token,
            event_of(&session.device),
            session.started_at.0,
            session.refreshed_at.0,
            session.generation,
            session.position,
        ))?,
        Change::Refreshed { session_id, generation, at, position } => {
            tx.prepare_cached(REFRESH)?.execute((session_id.0.as_bytes(), generation, at.0, position))?
        }
        Change::Ended { session_id, person, until, position } => tx.prepare_cached(END)?.execute((
            session_id.0.as_bytes(),
            person.0.as_bytes(),
            until.0,
            position,
        ))?,
        Change::Forget { now, started_before, refreshed_before } => {
            tx.prepare_cached(FORGET_ENDED)?.execute([now.0])?;
            tx.prepare_cached(FORGET_OLD)?.execute([started_before.0])?;
            tx.prepare_cached(FORGET_IDLE)?.execute([refreshed_before.0])?
        }
    };
    Ok(())
}

fn apply_all(tx: &Transaction<'_>, changes: &[Change]) -> Result<()> {
    changes.iter().try_for_each(|change| apply(tx, change))
}

read_model!(SqliteSessions, Change, apply_all);

#[async_trait]
impl Sessions for SqliteSessions {
    async fn session(&self, session_id: SessionId) -> Result<SessionState> {
        // Asked at every request.
        self.0.read_here(|tx| {
            let found = tx
                .prepare_cached(&format!("{COLUMNS} WHERE session_id = ?1"))?
                .query_row([session_id.0.as_bytes()], |it| {
                    let ended = it.get::<_, Option<i64>>(10)?.is_some();
                    Ok(if ended { SessionState::Ended } else { SessionState::Live(row(it)?) })
                })
                .optional()?;
            Ok(found.unwrap_or(SessionState::Unknown))
        })
    }

    async fn sessions_of(&self, person: PersonId) -> Result<Vec<SessionRow>> {
        self.0
            .read(move |tx| {
                let sql = format!(
                    "{COLUMNS} WHERE person = ?1 AND ended_until IS NULL
                    ORDER BY started_at DESC, session_id"
                );
                let mut found = tx.prepare_cached(&sql)?;
                let rows = found.query_map([person.0.as_bytes()], row)?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }
}
