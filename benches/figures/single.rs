//! The rival on SQLite: one transaction a command, in the log's own tables, as durable as the log.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::measure::{Dice, Window};
use crate::texts::Texts;

const SCHEMA: &str = include_str!("../../migrations/sqlite/log/1.sql");
const INSERT: &str = include_str!("single_insert.sql");
const HEAD: &str = include_str!("single_head.sql");

/// One connection that commits after each message. One thread keeps it busy: handing commands over
/// to it from clients would only slow it down.
pub struct Single(Arc<Mutex<Inner>>);

struct Inner {
    connection: Connection,
    position: u64,
    dice: Dice,
}

impl Single {
    /// # Errors
    /// If the file can't be made.
    pub fn open(file: &Path) -> anyhow::Result<Self> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Arc::new(Mutex::new(Inner { connection, position: 0, dice: Dice::new(11) }))))
    }

    /// What the connection says of its durability.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn settings(&self) -> anyhow::Result<String> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let journal: String = inner.connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        let synchronous: i64 = inner.connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
        Ok(format!("journal_mode={journal} synchronous={synchronous}"))
    }

    /// Commands a second.
    ///
    /// # Errors
    /// If a transaction fails.
    pub async fn rate(&self, window: Window, texts: &Arc<Texts>) -> anyhow::Result<f64> {
        let (inner, texts) = (self.0.clone(), texts.clone());
        tokio::task::spawn_blocking(move || {
            let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            inner.send_for(window.warm, &texts)?;
            inner.send_for(window.time, &texts)
        })
        .await?
    }
}

impl Inner {
    fn send_for(&mut self, time: Duration, texts: &Texts) -> anyhow::Result<f64> {
        let (began, mut done) = (Instant::now(), 0_u64);
        while began.elapsed() < time {
            self.send(texts)?;
            done += 1;
        }
        Ok(done as f64 / began.elapsed().as_secs_f64())
    }

    fn send(&mut self, texts: &Texts) -> anyhow::Result<()> {
        self.position += 1;
        let text = texts.pick(&mut self.dice);
        let event_id = Uuid::from_u64_pair(self.position << 20, self.dice.roll()).to_string();
        let chat = format!("chat-{}", self.dice.below(1_000));
        let payload = serde_json::json!({ "MessageSent": { "author": event_id, "number": self.position, "text": text } });
        let transaction = self.connection.transaction()?;
        let position = i64::try_from(self.position)?;
        transaction.prepare_cached(INSERT)?.execute(params![
            position,
            event_id,
            position,
            "Chat",
            chat,
            position,
            "MessageSent",
            "1",
            payload.to_string(),
            "{}"
        ])?;
        transaction.prepare_cached(HEAD)?.execute(params![position, event_id, position])?;
        transaction.commit()?;
        Ok(())
    }
}
