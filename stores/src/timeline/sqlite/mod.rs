//! The timeline in SQLite. What is written: `write.rs`; what is read: `read.rs`.

use std::path::Path;

use crate::error::Result;
use crate::sqlite::{Schema, Sqlite, read_model};

use super::Change;

mod read;
mod write;

const SCHEMA: Schema = Schema {
    version: 2,
    sql: include_str!("../../../../migrations/sqlite/timeline/schema.sql"),
    indexes: include_str!("../../../../migrations/sqlite/timeline/indexes.sql"),
    tables: &["chats", "members", "messages", "touches", "edits", "reactions", "lines", "blobs"],
};

/// The timeline of one file.
pub struct SqliteTimeline(Sqlite);

impl SqliteTimeline {
    /// Opens the rows in a generation's folder, or makes them.
    ///
    /// # Errors
    /// A file that cannot be opened or is something else.
    pub fn open(folder: &Path) -> Result<Self> {
        Sqlite::open(folder, &SCHEMA).map(Self)
    }
}

read_model!(SqliteTimeline, Change, write::apply_all);
