//! A person's document, and how documents are written.

use std::collections::BTreeMap;

use domain::ids::PersonId;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::client::{ENGINE, Exception, No};
use crate::error::{Result, StoreError};
use crate::search::{Change, Document};

/// Bytes of a request, about; a row is some hundred.
const REQUEST: usize = 512 << 10;
/// A row as it is stored: what is shown, and what is looked for.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    pub user_id: PersonId,
    pub nickname: String,
    pub name: String,
    pub position: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folded: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    token: Vec<String>,
}

/// Of a row, what is asked back.
pub(super) const SHOWN: &[&str] = &["user_id", "nickname", "name", "position"];

impl Row {
    fn of(change: &Change) -> Self {
        match change {
            Change::Put(document) => {
                let is_tombstone = document.is_tombstone();
                Self {
                    user_id: document.user_id,
                    nickname: document.nickname.clone(),
                    name: document.name.clone(),
                    position: document.position,
                    folded: (!is_tombstone).then(|| document.folded_nickname()),
                    token: if is_tombstone { Vec::new() } else { document.tokens() },
                }
            }
            Change::Remove { user_id, position } => Self {
                user_id: *user_id,
                nickname: String::new(),
                name: String::new(),
                position: *position,
                folded: None,
                token: Vec::new(),
            },
        }
    }

    pub fn document(self) -> Document {
        let Self { user_id, nickname, name, position, .. } = self;
        Document { user_id, nickname, name, position }
    }
}

/// Of the answer to a `_bulk`, what went wrong.
#[derive(Deserialize)]
pub(super) struct Bulk {
    errors: bool,
    #[serde(default)]
    items: Vec<BTreeMap<String, Item>>,
}

#[derive(Deserialize)]
struct Item {
    status: u16,
    error: Option<Exception>,
}

/// Changes as `_bulk` takes them, the newest of each person, in requests of bounded size.
pub(super) fn requests(changes: &[Change]) -> Result<Vec<Vec<u8>>> {
    let mut newest: BTreeMap<PersonId, Row> = BTreeMap::new();
    for change in changes {
        let row = Row::of(change);
        if newest.get(&row.user_id).is_none_or(|known| known.position <= row.position) {
            newest.insert(row.user_id, row);
        }
    }
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for row in newest.values() {
        let head = json!({ "index": {
            "_id": row.user_id, "version": row.position, "version_type": "external_gte",
        } });
        if requests.last().is_none_or(|request| request.len() >= REQUEST) {
            requests.push(Vec::new());
        }
        if let Some(request) = requests.last_mut() {
            serde_json::to_writer(&mut *request, &head).map_err(unwritable)?;
            request.push(b'\n');
            serde_json::to_writer(&mut *request, row).map_err(unwritable)?;
            request.push(b'\n');
        }
    }
    Ok(requests)
}

/// A document that is newer than what was to be written is as it should be; anything else is not.
pub(super) fn refused_items(told: Bulk) -> Result<()> {
    if !told.errors {
        return Ok(());
    }
    for item in told.items.into_iter().flat_map(BTreeMap::into_values) {
        let Some(error) = item.error else { continue };
        if item.status != 409 {
            return Err(No::of(item.status, error).into_error());
        }
    }
    Ok(())
}

pub(super) fn unwritable(error: serde_json::Error) -> StoreError {
    StoreError::Engine { engine: ENGINE, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(number: u128, nickname: &str, position: u64) -> Change {
        let user_id = PersonId(uuid::Uuid::from_u128(number));
        Change::Put(Document { user_id, nickname: nickname.into(), name: "N".repeat(200), position })
    }

    #[test]
    fn requests_are_bounded_and_hold_everybody_once() {
        let changes: Vec<Change> =
            (0..10_000).flat_map(|n| [put(n, "old", 1), put(n, "new", 3), put(n, "late", 2)]).collect();
        let requests = requests(&changes).expect("written");
        assert!(requests.len() > 5, "{}", requests.len());
        assert!(requests.iter().all(|request| request.len() < REQUEST + 4_096 && request.ends_with(b"\n")));
        let all = String::from_utf8(requests.concat()).expect("text");
        assert_eq!(all.lines().count(), 20_000);
        assert_eq!(all.matches("\"nickname\":\"new\"").count(), 10_000);
    }

    #[test]
    fn newer_documents_alone_are_no_error() {
        let told = |statuses: &[u16]| {
            let item = |status: &u16| json!({ "index": { "status": status, "error": { "type": "it" } } });
            let items: Vec<_> = statuses.iter().map(item).collect();
            serde_json::from_value(json!({ "errors": true, "items": items })).expect("an answer")
        };
        assert!(refused_items(told(&[409, 409])).is_ok());
        assert!(matches!(refused_items(told(&[409, 429])), Err(StoreError::Engine { .. })));
        assert!(matches!(refused_items(told(&[409, 400])), Err(StoreError::Damaged { .. })));
    }
}
