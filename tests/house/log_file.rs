//! The log's file, looked at from outside.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

/// One row of the log.
pub struct Row {
    pub position: u64,
    pub event_id: String,
    pub recorded_at: i64,
    pub event_type: String,
    pub payload: String,
}

/// Opens the log of a letopis that runs or not; reading only.
pub fn open(path: &Path) -> Connection {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("the log's file")
}

pub fn rows(log: &Connection) -> Vec<Row> {
    log.prepare("SELECT position, event_id, recorded_at, event_type, payload FROM events ORDER BY position")
        .expect("the design's columns")
        .query_map([], |row| {
            Ok(Row {
                position: row.get(0)?,
                event_id: row.get(1)?,
                recorded_at: row.get(2)?,
                event_type: row.get(3)?,
                payload: row.get(4)?,
            })
        })
        .expect("rows")
        .collect::<rusqlite::Result<_>>()
        .expect("rows")
}

/// Position, event_id and recorded_at of the newest event.
pub fn head(log: &Connection) -> (u64, Option<String>, i64) {
    let read = "SELECT position, event_id, recorded_at FROM head";
    log.query_row(read, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("a head")
}

/// What is wrong with a log's order; `head` is what its row says.
pub fn faults(rows: &[Row], head: (u64, Option<String>, i64)) -> Vec<String> {
    let mut faults = Vec::new();
    for (expected, row) in (1..).zip(rows) {
        if row.position != expected {
            faults.push(format!("position {} where {expected} belongs", row.position));
            break;
        }
    }
    let ids: HashSet<&str> = rows.iter().map(|row| row.event_id.as_str()).collect();
    if ids.len() != rows.len() {
        faults.push("an event_id stands twice".to_owned());
    }
    for pair in rows.windows(2) {
        if pair[1].recorded_at < pair[0].recorded_at {
            faults.push(format!("recorded_at falls at position {}", pair[1].position));
        }
    }
    let last = rows.last().map(|row| (row.position, Some(row.event_id.clone()), row.recorded_at));
    if last.is_none_or(|last| last != head) {
        faults.push(format!("the head says {head:?}"));
    }
    faults
}

/// Positions without a hole, unique ids, times that do not fall, and a head that is the last row.
pub fn assert_sound(log: &Connection) -> Vec<Row> {
    let rows = rows(log);
    assert_eq!(faults(&rows, head(log)), Vec::<String>::new());
    let intact: String = log.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
    assert_eq!(intact, "ok");
    rows
}

#[test]
fn an_unsound_log_is_found_out() {
    let row = |position: u64, recorded_at| Row {
        position,
        event_id: position.to_string(),
        recorded_at,
        event_type: String::new(),
        payload: String::new(),
    };
    let head = |position: u64, at| (position, Some(position.to_string()), at);
    assert_eq!(faults(&[row(1, 5), row(2, 5)], head(2, 5)), Vec::<String>::new());
    assert!(!faults(&[], head(0, 0)).is_empty(), "nothing at all");
    assert_eq!(faults(&[row(1, 5), row(3, 5)], head(3, 5)), ["position 3 where 2 belongs"]);
    assert_eq!(faults(&[row(1, 5), row(2, 4)], head(2, 4)), ["recorded_at falls at position 2"]);
    assert_eq!(faults(&[row(1, 5), row(2, 5)], head(1, 5)).len(), 1, "an old head");
    let twice = Row { event_id: "1".into(), ..row(2, 5) };
    assert_eq!(faults(&[row(1, 5), twice], (2, Some("1".into()), 5)), ["an event_id stands twice"]);
}
