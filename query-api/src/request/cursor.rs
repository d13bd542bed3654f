//! Cursors: where a page ended, in the domain's own keys, so that they go on working across a
//! rebuild or another engine. What a cursor says is authenticated together with who asked and
//! what, so it is of no use to anyone else, nor for another query.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chronicle::keys::Keyring;
use domain::ids::PersonId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::params::{Params, malformed};
use crate::refusal::Refusal;

const TAG: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    Next,
    Prev,
}

/// The page that follows (or precedes) the item with this key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor<K> {
    pub direction: Direction,
    pub key: K,
}

/// The part of `rows`, which are sorted by `key`, that a page shows.
pub fn window<T, K: Ord>(
    rows: &[T],
    key: impl Fn(&T) -> K,
    cursor: Option<&Cursor<K>>,
    limit: usize,
) -> std::ops::Range<usize> {
    match cursor {
        None => 0..rows.len().min(limit),
        Some(Cursor { direction: Direction::Next, key: last }) => {
            let start = rows.partition_point(|row| key(row) <= *last);
            start..rows.len().min(start + limit)
        }
        Some(Cursor { direction: Direction::Prev, key: first }) => {
            let end = rows.partition_point(|row| key(row) < *first);
            end.saturating_sub(limit)..end
        }
    }
}

/// Cursors of one person's one query.
pub struct Cursors<'a> {
    keyring: &'a Keyring,
    /// What the tag covers besides the cursor.
    bound_to: Vec<u8>,
}

impl<'a> Cursors<'a> {
    /// `query` is everything that chooses the list: the operation and its parameters, but neither
    /// the limit nor the cursor.
    pub fn new(keyring: &'a Keyring, person: PersonId, query: &impl Serialize) -> Self {
        // JSON keeps the parts apart whatever is in them; none of ours fails to serialise.
        let bound_to = serde_json::to_vec(&(person, query)).unwrap_or_default();
        Self { keyring, bound_to }
    }

    pub fn write<K: Serialize>(&self, direction: Direction, key: K) -> String {
        let mut bytes = serde_json::to_vec(&Cursor { direction, key }).unwrap_or_default();
        bytes.extend(self.keyring.cursor_mac(&self.covered(&bytes)));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Where the list goes on after (and before) the page that shows `range` of all `rows`.
    pub fn around<T, K: Serialize>(
        &self,
        rows: &[T],
        key: impl Fn(&T) -> K,
        range: &std::ops::Range<usize>,
    ) -> (Option<String>, Option<String>) {
        let page = &rows[range.clone()];
        let next = page.last().filter(|_| range.end < rows.len());
        let prev = page.first().filter(|_| range.start > 0);
        (
            next.map(|row| self.write(Direction::Next, key(row))),
            prev.map(|row| self.write(Direction::Prev, key(row))),
        )
    }

    /// The parameter `cursor`, if it is there.
    ///
    /// # Errors
    /// `malformed` for one that we did not make for this person and query.
    pub fn read<K: DeserializeOwned>(&self, params: &Params) -> Result<Option<Cursor<K>>, Refusal> {
        params
            .text("cursor")
            .map(|text| self.open(text).ok_or_else(|| malformed("cursor", "unreadable")))
            .transpose()
    }

    fn open<K: DeserializeOwned>(&self, text: &str) -> Option<Cursor<K>> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (cursor, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
        if !self.keyring.is_cursor_mac(&self.covered(cursor), tag) {
            return None;
        }
        serde_json::from_slice(cursor).ok()
    }

    fn covered(&self, cursor: &[u8]) -> Vec<u8> {
        let mut covered = b"letopis-cursor/1\n".to_vec();
        covered.extend((self.bound_to.len() as u64).to_be_bytes());
        covered.extend(&self.bound_to);
        covered.extend(cursor);
        covered
    }
}
