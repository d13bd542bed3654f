//! The directory in SQLite.

use std::collections::HashMap;
use std::path::Path;

use async_trait::async_trait;
use domain::ids::{BlobId, Pair, PersonId, PhotoId};
use domain::user::Photo;
use domain::views::{Relation, Settings};
use rusqlite::{OptionalExtension, Row, Transaction};

use super::{
    AccountRow, Change, Directory, LinkRow, LinkState, Linked, LinkedQuery, RelationRow, Seen, UserRow,
    json_of,
};
use crate::error::Result;
use crate::sqlite::{Schema, Sqlite, id, name_of, named, read_model};

const SCHEMA: Schema = Schema {
    version: 4,
    sql: include_str!("../../../migrations/sqlite/directory/schema.sql"),
    indexes: include_str!("../../../migrations/sqlite/directory/indexes.sql"),
    tables: &["accounts", "users", "links", "relations"],
};

const PUT_ACCOUNT: &str = "
    INSERT INTO accounts VALUES (?1, ?2, ?3, ?4) ON CONFLICT (user_id) DO UPDATE SET
        email = excluded.email, state = excluded.state, position = excluded.position
    WHERE excluded.position >= position";
const PUT_USER: &str = "
    INSERT INTO users VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (user_id) DO UPDATE SET
        nickname = excluded.nickname, nickname_key = excluded.nickname_key,
        name = excluded.name, about = excluded.about, sort_key = excluded.sort_key,
        photo_id = excluded.photo_id, photo_blob = excluded.photo_blob, settings = excluded.settings,
        state = excluded.state, position = excluded.position
    WHERE excluded.position >= position";
const PUT_PHOTO: &str = "
    UPDATE users SET photo_id = ?2, photo_blob = ?3, position = ?4
    WHERE user_id = ?1 AND position <= ?4";
const PUT_SETTINGS: &str =
    "UPDATE users SET settings = ?2, position = ?3 WHERE user_id = ?1 AND position <= ?3";
const EDIT_USER: &str = "
    UPDATE users SET
        nickname = coalesce(?2, nickname), nickname_key = coalesce(?3, nickname_key),
        name = coalesce(?4, name), sort_key = coalesce(?5, sort_key),
        about = coalesce(?6, about), position = ?7
    WHERE user_id = ?1 AND position <= ?7";
const PUT_LINK: &str = "
    INSERT INTO links VALUES (?1, ?2, ?3, ?4) ON CONFLICT (low, high) DO UPDATE SET
        state = excluded.state, position = excluded.position
    WHERE excluded.position >= position";
const PUT_RELATION: &str = "
    INSERT INTO relations VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    ON CONFLICT (person, other) DO UPDATE SET
        shown_position = CASE
            WHEN relation <> excluded.relation OR blocked <> excluded.blocked
            THEN excluded.position ELSE shown_position END,
        relation = excluded.relation, blocked = excluded.blocked,
        blocked_me = excluded.blocked_me, parted = excluded.parted, parted_me = excluded.parted_me,
        position = excluded.position
    WHERE excluded.position >= position";
const ACCOUNT: &str = "SELECT user_id, email, state, position FROM accounts WHERE user_id = ?1";
const USER: &str = "
    SELECT user_id, nickname, nickname_key, name, about, sort_key, photo_id, photo_blob, settings, state, position
    FROM users WHERE user_id = ?1";
const BY_PHOTO: &str = "
    SELECT user_id, nickname, nickname_key, name, about, sort_key, photo_id, photo_blob, settings, state, position
    FROM users WHERE photo_id = ?1 ORDER BY position DESC LIMIT 1";
const HAS_BLOB: &str = "SELECT EXISTS (SELECT 1 FROM users WHERE photo_blob = ?1)";
const BY_NICKNAME: &str = "
    SELECT user_id, nickname, nickname_key, name, about, sort_key, photo_id, photo_blob, settings, state, position
    FROM users WHERE nickname_key = ?1 AND nickname_key <> '' ORDER BY position DESC LIMIT 1";
const RELATION: &str = "
    SELECT other, relation, blocked, blocked_me, parted, parted_me, shown_position
    FROM relations WHERE person = ?1 AND other = ?2";
const LINKED: &str = "
    SELECT u.user_id, u.nickname, u.nickname_key, u.name, u.about, u.sort_key,
        u.photo_id, u.photo_blob, u.settings, u.state, u.position,
        r.other, r.relation, r.blocked, r.blocked_me, r.parted, r.parted_me, r.shown_position
    FROM relations r JOIN users u ON u.user_id = r.other
    WHERE r.person = ?1";
const LINKED_WITH: &str =
    "SELECT person FROM relations WHERE other = ?1 AND relation <> 'none' ORDER BY person";
const LINK: &str = "SELECT state, position FROM links WHERE low = ?1 AND high = ?2";

/// The directory of one file.
pub struct SqliteDirectory(Sqlite);

impl SqliteDirectory {
    /// Opens the rows in a generation's folder, or makes them.
    ///
    /// # Errors
    /// A file that cannot be opened or is something else.
    pub fn open(folder: &Path) -> Result<Self> {
        Sqlite::open(folder, &SCHEMA).map(Self)
    }
}

fn user(row: &Row<'_>) -> rusqlite::Result<UserRow> {
    Ok(UserRow {
        user_id: id(row, 0)?,
        nickname: row.get(1)?,
        nickname_key: row.get(2)?,
        name: row.get(3)?,
        about: row.get(4)?,
        sort_key: row.get(5)?,
        photo: photo(row, 6)?,
        settings: settings(row, 8)?,
        state: named(row, 9)?,
        position: row.get(10)?,
    })
}

/// Settings in the column `at`.
fn settings(row: &Row<'_>, at: usize) -> rusqlite::Result<Settings> {
    let json: String = row.get(at)?;
    serde_json::from_str(&json).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, error.into())
    })
}

/// A photo whose columns begin at `at`.
fn photo(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Photo>> {
    let Some(photo_id) = row.get::<_, Option<[u8; 16]>>(at)? else { return Ok(None) };
    Ok(Some(Photo { photo_id: PhotoId(uuid::Uuid::from_bytes(photo_id)), blob: BlobId(row.get(at + 1)?) }))
}

/// A relation whose columns begin at `at`.
fn relation(row: &Row<'_>, at: usize) -> rusqlite::Result<RelationRow> {
    Ok(RelationRow {
        other: id(row, at)?,
        relation: named(row, at + 1)?,
        blocked: row.get(at + 2)?,
        blocked_me: row.get(at + 3)?,
        parted: row.get(at + 4)?,
        parted_me: row.get(at + 5)?,
        shown_position: row.get(at + 6)?,
    })
}

fn linked(row: &Row<'_>) -> rusqlite::Result<Linked> {
    Ok(Linked { user: user(row)?, relation: relation(row, 11)? })
}

fn apply(tx: &Transaction<'_>, change: &Change) -> Result<()> {
    match change {
        Change::Account(account) => {
            tx.prepare_cached(PUT_ACCOUNT)?.execute((
                account.user_id.0.as_bytes(),
                &account.email,
                name_of(account.state),
                account.position,
            ))?;
        }
        Change::User(user) => {
            tx.prepare_cached(PUT_USER)?.execute((
                user.user_id.0.as_bytes(),
                &user.nickname,
                &user.nickname_key,
                &user.name,
                &user.about,
                &user.sort_key,
                user.photo.as_ref().map(|it| it.photo_id.0.as_bytes()),
                user.photo.as_ref().map(|it| &it.blob.0),
                json_of(user.settings),
                name_of(user.state),
                user.position,
            ))?;
        }
        Change::UserEdited { user_id, nickname, name, about, position } => {
            tx.prepare_cached(EDIT_USER)?.execute((
                user_id.0.as_bytes(),
                nickname.as_ref().map(|it| &it.nickname),
                nickname.as_ref().map(|it| &it.key),
                name.as_ref().map(|it| &it.name),
                name.as_ref().map(|it| &it.sort_key),
                about,
                position,
            ))?;
        }
        Change::Photo { user_id, photo, position } => {
            tx.prepare_cached(PUT_PHOTO)?.execute((
                user_id.0.as_bytes(),
                photo.as_ref().map(|it| it.photo_id.0.as_bytes()),
                photo.as_ref().map(|it| &it.blob.0),
                position,
            ))?;
        }
        Change::Settings { user_id, settings, position } => {
            tx.prepare_cached(PUT_SETTINGS)?.execute((user_id.0.as_bytes(), json_of(*settings), position))?;
        }
        Change::Link { pair, state, seen, position } => {
            let [low, high] = pair.both();
            tx.prepare_cached(PUT_LINK)?.execute((low.0.as_bytes(), high.0.as_bytes(), state, position))?;
            let [of_low, of_high] = *seen;
            see(tx, (low, high), of_low, of_high, *position)?;
            see(tx, (high, low), of_high, of_low, *position)?;
        }
    }
    Ok(())
}

fn see(
    tx: &Transaction<'_>,
    (person, other): (PersonId, PersonId),
    seen: Seen,
    theirs: Seen,
    position: u64,
) -> Result<()> {
    let nothing_to_see = seen.relation == Relation::None && !seen.blocked;
    tx.prepare_cached(PUT_RELATION)?.execute((
        person.0.as_bytes(),
        other.0.as_bytes(),
        name_of(seen.relation),
        seen.blocked,
        theirs.blocked,
        seen.parted,
        theirs.parted,
        if nothing_to_see { 0 } else { position },
        position,
    ))?;
    Ok(())
}

/// The tables are apart, and a row's changes keep their order: so in the order of keys, which is
/// what a load is fast in.
fn apply_all(tx: &Transaction<'_>, changes: &[Change]) -> Result<()> {
    let mut sorted: Vec<&Change> = changes.iter().collect();
    sorted.sort_by_key(|change| match change {
        Change::Account(account) => (0, account.user_id, account.user_id),
        Change::User(user) => (1, user.user_id, user.user_id),
        Change::UserEdited { user_id, .. }
        | Change::Photo { user_id, .. }
        | Change::Settings { user_id, .. } => (1, *user_id, *user_id),
        Change::Link { pair, .. } => {
            let [low, high] = pair.both();
            (2, low, high)
        }
    });
    sorted.into_iter().try_for_each(|change| apply(tx, change))
}

read_model!(SqliteDirectory, Change, apply_all);

#[async_trait]
impl Directory for SqliteDirectory {
    async fn account(&self, user_id: PersonId) -> Result<Option<AccountRow>> {
        self.0
            .read(move |tx| {
                let found = tx.prepare_cached(ACCOUNT)?.query_row([user_id.0.as_bytes()], |row| {
                    Ok(AccountRow {
                        user_id: id(row, 0)?,
                        email: row.get(1)?,
                        state: named(row, 2)?,
                        position: row.get(3)?,
                    })
                });
                Ok(found.optional()?)
            })
            .await
    }

    async fn persons(&self, ids: &[PersonId]) -> Result<Vec<UserRow>> {
        let ids = ids.to_vec();
        self.0
            .read(move |tx| {
                let mut by_id = tx.prepare_cached(USER)?;
                let mut found = Vec::with_capacity(ids.len());
                for id in &ids {
                    found.extend(by_id.query_row([id.0.as_bytes()], user).optional()?);
                }
                Ok(found)
            })
            .await
    }

    async fn by_nickname(&self, nickname_key: &str) -> Result<Option<UserRow>> {
        let key = nickname_key.to_owned();
        self.0.read(move |tx| Ok(tx.prepare_cached(BY_NICKNAME)?.query_row([key], user).optional()?)).await
    }

    async fn by_photo(&self, photo_id: PhotoId) -> Result<Option<UserRow>> {
        self.0
            .read(move |tx| {
                Ok(tx.prepare_cached(BY_PHOTO)?.query_row([photo_id.0.as_bytes()], user).optional()?)
            })
            .await
    }

    async fn photos_in(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>> {
        let blobs = blobs.to_vec();
        self.0
            .read(move |tx| {
                let mut has = tx.prepare_cached(HAS_BLOB)?;
                let mut found = Vec::new();
                for blob in blobs {
                    if has.query_row([blob.0], |row| row.get(0))? {
                        found.push(blob);
                    }
                }
                Ok(found)
            })
            .await
    }

    async fn relations(&self, person: PersonId, others: &[PersonId]) -> Result<Vec<RelationRow>> {
        let others = others.to_vec();
        self.0
            .read(move |tx| {
                let mut by_pair = tx.prepare_cached(RELATION)?;
                let mut found = Vec::with_capacity(others.len());
                for other in &others {
                    let pair = [person.0.as_bytes(), other.0.as_bytes()];
                    found.extend(by_pair.query_row(pair, |row| relation(row, 0)).optional()?);
                }
                Ok(found)
            })
            .await
    }

    async fn linked(&self, person: PersonId, query: LinkedQuery) -> Result<Vec<Linked>> {
        let state = match query.state {
            LinkState::Accepted => "r.relation = 'friends'",
            LinkState::Incoming => "r.relation = 'incoming'",
            LinkState::Outgoing => "r.relation = 'outgoing'",
            LinkState::Blocked => "r.blocked = 1",
        };
        // Backwards from `before`, so that the limit keeps those nearest to it.
        let backwards = query.before.is_some() && query.after.is_none();
        let order = if backwards { "DESC" } else { "ASC" };
        let sql = format!(
            "{LINKED} AND {state}
                AND (?2 IS NULL OR (u.sort_key, u.user_id) > (?2, ?3))
                AND (?4 IS NULL OR (u.sort_key, u.user_id) < (?4, ?5))
            ORDER BY u.sort_key {order}, u.user_id {order} LIMIT ?6"
        );
        self.0
            .read(move |tx| {
                let bound = |it: &Option<(String, PersonId)>| {
                    (it.as_ref().map(|it| it.0.clone()), it.as_ref().map(|it| *it.1.0.as_bytes()))
                };
                let (after_key, after_id) = bound(&query.after);
                let (before_key, before_id) = bound(&query.before);
                let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
                let mut statement = tx.prepare_cached(&sql)?;
                let rows = statement.query_map(
                    (person.0.as_bytes(), after_key, after_id, before_key, before_id, limit),
                    linked,
                )?;
                let mut found: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
                if backwards {
                    found.reverse();
                }
                Ok(found)
            })
            .await
    }

    async fn relations_changed_since(
        &self,
        person: PersonId,
        position: u64,
        limit: usize,
    ) -> Result<Vec<Linked>> {
        let sql = format!(
            "{LINKED} AND (r.shown_position > ?2 OR (r.relation <> 'none' AND u.position > ?2))
            ORDER BY CASE WHEN r.relation <> 'none'
                THEN max(r.shown_position, u.position) ELSE r.shown_position END, u.user_id
            LIMIT ?3"
        );
        self.0
            .read(move |tx| {
                let limit = i64::try_from(limit).unwrap_or(i64::MAX);
                let mut statement = tx.prepare_cached(&sql)?;
                let rows = statement.query_map((person.0.as_bytes(), position, limit), linked)?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn linked_with(&self, person: PersonId) -> Result<Vec<PersonId>> {
        self.0
            .read(move |tx| {
                let mut statement = tx.prepare_cached(LINKED_WITH)?;
                let rows = statement.query_map([person.0.as_bytes()], |row| id(row, 0))?;
                Ok(rows.collect::<rusqlite::Result<_>>()?)
            })
            .await
    }

    async fn links(&self, pairs: &[Pair]) -> Result<HashMap<Pair, LinkRow>> {
        let pairs = pairs.to_vec();
        self.0
            .read(move |tx| {
                let mut by_pair = tx.prepare_cached(LINK)?;
                let mut found = HashMap::with_capacity(pairs.len());
                for pair in pairs {
                    let [low, high] = pair.both();
                    let ids = [low.0.as_bytes(), high.0.as_bytes()];
                    let link = by_pair
                        .query_row(ids, |row| Ok(LinkRow { state: row.get(0)?, position: row.get(1)? }));
                    if let Some(link) = link.optional()? {
                        found.insert(pair, link);
                    }
                }
                Ok(found)
            })
            .await
    }
}
