//! The directory in PostgreSQL: the tables of `migrations/postgres/directory/`, a schema a generation
//! ([`crate::postgres`]).
//!
//! A batch is a few statements, however many changes it has: what several of them do to one row is
//! put together first ([`write`]), on the rows as they are held under the checkpoint's lock.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::ids::{BlobId, Pair, PersonId, PhotoId};
use domain::user::Photo;
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};
use uuid::Uuid;

use super::{AccountRow, Change, Directory, LinkRow, LinkState, Linked, LinkedQuery, RelationRow, UserRow};
use crate::error::Result;
use crate::postgres::{Postgres, Rows, Tables, is_missing, named, number, text, unreadable, unsigned};
use crate::shared::{Engine, Pointer};
use crate::{Batch, Checkpoint, Parked, ReadModel, Summing};

mod write;

/// Where a URL names no other.
pub(crate) const SCHEMA: &str = "letopis_directory";
const TABLES: Tables = Tables {
    version: 4,
    sql: include_str!("../../../migrations/postgres/directory/schema.sql"),
    indexes: include_str!("../../../migrations/postgres/directory/indexes.sql"),
    names: &["accounts", "users", "links", "relations"],
};

const ACCOUNT: &str = "SELECT email, state, position FROM generation.accounts WHERE user_id = $1";
const USERS: &str = include_str!("postgres/sql/users.sql");
const BY_NICKNAME: &str = include_str!("postgres/sql/by_nickname.sql");
const BY_PHOTO: &str = include_str!("postgres/sql/by_photo.sql");
const PHOTOS_IN: &str = "SELECT photo_blob FROM generation.users WHERE photo_blob = ANY ($1)";
const RELATIONS: &str = include_str!("postgres/sql/relations.sql");
const LINKED: &str = include_str!("postgres/sql/linked.sql");
const LINKED_WITH: &str =
    "SELECT person FROM generation.relations WHERE other = $1 AND relation <> 'none' ORDER BY person";
const LINKS: &str = include_str!("postgres/sql/links.sql");

/// The directory of a PostgreSQL database.
pub(crate) struct PostgresDirectories(Postgres);

impl PostgresDirectories {
    /// Connects; makes nothing.
    ///
    /// # Errors
    /// [`crate::StoreError::Refused`]: what is in the way, and what to do.
    pub async fn open(url: &str) -> Result<Self> {
        Postgres::open(url, SCHEMA, &TABLES).await.map(Self)
    }
}

#[async_trait]
impl Engine<dyn Directory> for PostgresDirectories {
    async fn pointer(&self) -> Result<Option<Pointer>> {
        self.0.pointer().await
    }
    async fn put_pointer(&self, held: Option<u64>, next: &Pointer) -> Result<bool> {
        self.0.put_pointer(held, next).await
    }
    async fn open(&self, number: u64) -> Result<Arc<dyn Directory>> {
        Ok(Arc::new(PostgresDirectory(self.0.rows(number).await?)))
    }
    async fn remove(&self, number: u64) -> Result<()> {
        self.0.remove(number).await
    }
}

/// One generation.
struct PostgresDirectory(Rows);

type UserColumns =
    (Uuid, String, String, String, String, String, Option<Uuid>, Option<[u8; 32]>, String, String, i64);
type RelationColumns = (Uuid, String, bool, bool, bool, bool, i64);

/// Both, one after the other.
struct LinkedColumns {
    user: UserColumns,
    relation: RelationColumns,
}

impl FromRow<'_, PgRow> for LinkedColumns {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let relation = (
            row.try_get(11)?,
            row.try_get(12)?,
            row.try_get(13)?,
            row.try_get(14)?,
            row.try_get(15)?,
            row.try_get(16)?,
            row.try_get(17)?,
        );
        Ok(Self { user: UserColumns::from_row(row)?, relation })
    }
}

fn user(columns: UserColumns) -> Result<UserRow> {
    let (user_id, nickname, nickname_key, name, about, sort_key, photo_id, blob, settings, state, position) =
        columns;
    let photo = photo_id.zip(blob).map(|(id, blob)| Photo { photo_id: PhotoId(id), blob: BlobId(blob) });
    let (user_id, state, position) = (PersonId(user_id), named(state)?, unsigned(position)?);
    let settings = serde_json::from_str(&settings).map_err(|error| unreadable(&error))?;
    Ok(UserRow { user_id, nickname, nickname_key, name, about, sort_key, photo, settings, state, position })
}

fn relation(columns: RelationColumns) -> Result<RelationRow> {
    let (other, relation, blocked, blocked_me, parted, parted_me, shown_position) = columns;
    Ok(RelationRow {
        other: PersonId(other),
        relation: named(relation)?,
        blocked,
        blocked_me,
        parted,
        parted_me,
        shown_position: unsigned(shown_position)?,
    })
}

fn linked(found: Vec<LinkedColumns>) -> Result<Vec<Linked>> {
    let one = |it: LinkedColumns| Ok(Linked { user: user(it.user)?, relation: relation(it.relation)? });
    found.into_iter().map(one).collect()
}

fn ids(people: &[PersonId]) -> Vec<Uuid> {
    people.iter().map(|person| person.0).collect()
}

#[async_trait]
impl ReadModel for PostgresDirectory {
    type Change = Change;

    async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.0.checkpoint().await
    }
    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        self.0.take_over(fresh).await
    }
    async fn put(&self, batch: Arc<Batch<Change>>) -> Result<()> {
        self.0
            .write(async {
                let mut tx = self.0.begin(&batch).await?;
                write::put(&self.0, &mut tx, &batch.changes).await?;
                self.0.commit(tx, &batch).await
            })
            .await
    }
    async fn parked(&self) -> Result<Vec<Parked>> {
        self.0.parked().await
    }
    async fn index(&self) -> Result<()> {
        self.0.index().await
    }
    async fn summary(&self) -> Result<Summing> {
        self.0.summary().await
    }
}

#[async_trait]
impl Directory for PostgresDirectory {
    async fn account(&self, user_id: PersonId) -> Result<Option<AccountRow>> {
        let sql = self.0.sql(ACCOUNT);
        let found: Option<(String, String, i64)> = self
            .0
            .read(async |readers| sqlx::query_as(&sql).bind(user_id.0).fetch_optional(&readers).await)
            .await?;
        found
            .map(|(email, state, position)| {
                let (state, position) = (named(state)?, unsigned(position)?);
                Ok(AccountRow { user_id, email, state, position })
            })
            .transpose()
    }

    async fn persons(&self, asked: &[PersonId]) -> Result<Vec<UserRow>> {
        let (sql, asked) = (self.0.sql(USERS), ids(asked));
        let found: Vec<UserColumns> =
            self.0.read(async |readers| sqlx::query_as(&sql).bind(&asked).fetch_all(&readers).await).await?;
        found.into_iter().map(user).collect()
    }

    async fn by_nickname(&self, nickname_key: &str) -> Result<Option<UserRow>> {
        let (sql, key) = (self.0.sql(BY_NICKNAME), text(nickname_key));
        let found: Option<UserColumns> = self
            .0
            .read(async |readers| sqlx::query_as(&sql).bind(&*key).fetch_optional(&readers).await)
            .await?;
        found.map(user).transpose()
    }

    async fn by_photo(&self, photo_id: PhotoId) -> Result<Option<UserRow>> {
        let sql = self.0.sql(BY_PHOTO);
        let found: Option<UserColumns> = self
            .0
            .read(async |readers| sqlx::query_as(&sql).bind(photo_id.0).fetch_optional(&readers).await)
            .await?;
        found.map(user).transpose()
    }

    async fn photos_in(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>> {
        let sql = self.0.sql(PHOTOS_IN);
        let blobs: Vec<[u8; 32]> = blobs.iter().map(|blob| blob.0).collect();
        let found: Vec<[u8; 32]> = self
            .0
            .read(async |readers| sqlx::query_scalar(&sql).bind(&blobs).fetch_all(&readers).await)
            .await?;
        Ok(found.into_iter().map(BlobId).collect())
    }

    async fn relations(&self, person: PersonId, others: &[PersonId]) -> Result<Vec<RelationRow>> {
        let (sql, others) = (self.0.sql(RELATIONS), ids(others));
        let found: Vec<RelationColumns> = self
            .0
            .read(async |readers| sqlx::query_as(&sql).bind(person.0).bind(&others).fetch_all(&readers).await)
            .await?;
        found.into_iter().map(relation).collect()
    }

    async fn linked(&self, person: PersonId, query: LinkedQuery) -> Result<Vec<Linked>> {
        let state = match query.state {
            LinkState::Accepted => "r.relation = 'friends'",
            LinkState::Incoming => "r.relation = 'incoming'",
            LinkState::Outgoing => "r.relation = 'outgoing'",
            LinkState::Blocked => "r.blocked",
        };
        // Backwards from `before`, so that the limit keeps those nearest to it.
        let backwards = query.before.is_some() && query.after.is_none();
        let order = if backwards { "DESC" } else { "ASC" };
        let sql = self.0.sql(&format!(
            "{LINKED} AND {state}
                AND ($2::text IS NULL OR (u.sort_key, u.user_id) > ($2, $3::uuid))
                AND ($4::text IS NULL OR (u.sort_key, u.user_id) < ($4, $5::uuid))
            ORDER BY u.sort_key {order}, u.user_id {order} LIMIT $6"
        ));
        let bound = |it: &Option<(String, PersonId)>| {
            it.as_ref().map(|(key, id)| (text(key).into_owned(), id.0)).unzip()
        };
        let ((after_key, after_id), (before_key, before_id)) = (bound(&query.after), bound(&query.before));
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        let found = self
            .0
            .read(async |readers| {
                let asked = sqlx::query_as(&sql).bind(person.0).bind(&after_key).bind(after_id);
                asked.bind(&before_key).bind(before_id).bind(limit).fetch_all(&readers).await
            })
            .await?;
        let mut found = linked(found)?;
        if backwards {
            found.reverse();
        }
        Ok(found)
    }

    async fn relations_changed_since(
        &self,
        person: PersonId,
        position: u64,
        limit: usize,
    ) -> Result<Vec<Linked>> {
        let sql = self.0.sql(&format!(
            "{LINKED} AND (r.shown_position > $2 OR (r.relation <> 'none' AND u.position > $2))
            ORDER BY CASE WHEN r.relation <> 'none'
                THEN greatest(r.shown_position, u.position) ELSE r.shown_position END, u.user_id
            LIMIT $3"
        ));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = self
            .0
            .read(async |readers| {
                let asked = sqlx::query_as(&sql).bind(person.0).bind(number(position)).bind(limit);
                asked.fetch_all(&readers).await
            })
            .await?;
        linked(found)
    }

    async fn linked_with(&self, person: PersonId) -> Result<Vec<PersonId>> {
        let sql = self.0.sql(LINKED_WITH);
        let found: Vec<Uuid> = self
            .0
            .read(async |readers| sqlx::query_scalar(&sql).bind(person.0).fetch_all(&readers).await)
            .await?;
        Ok(found.into_iter().map(PersonId).collect())
    }

    async fn links(&self, pairs: &[Pair]) -> Result<HashMap<Pair, LinkRow>> {
        let sql = self.0.sql(LINKS);
        let (low, high): (Vec<Uuid>, Vec<Uuid>) =
            pairs.iter().map(|pair| pair.both()).map(|[low, high]| (low.0, high.0)).unzip();
        let found: Vec<(Uuid, Uuid, String, i64)> = self
            .0
            .read(async |readers| {
                match sqlx::query_as(&sql).bind(&low).bind(&high).fetch_all(&readers).await {
                    // A server that was emptied: the batch that this is read for is told so.
                    Err(error) if is_missing(&error) => Ok(Vec::new()),
                    found => found,
                }
            })
            .await?;
        let mut links = HashMap::with_capacity(found.len());
        for (low, high, state, position) in found {
            if let Some(pair) = Pair::of(PersonId(low), PersonId(high)) {
                links.insert(pair, LinkRow { state, position: unsigned(position)? });
            }
        }
        Ok(links)
    }
}
