//! What is kept in PostgreSQL: a port in a schema, and every generation of it in one beside that.
//!
//! - `<schema>.generations`: the pointer, one row, moved by compare-and-set;
//! - `<schema>_<n>`: generation n: the port's tables, `checkpoint`, `parked`, and `made`, which says
//!   of which version they are. Dropping a generation is dropping its schema.
//!
//! Rows, what is parked, and the checkpoint are one transaction, and the checkpoint's row is locked
//! before anything is written in it: a writer whose epoch has passed, or who believes the rows to be
//! elsewhere than they are (a server restored from a copy, or set to lose its last commits in a
//! crash), is refused there. What is written twice changes nothing: a row yields to none with a
//! lower position.
//!
//! The log may lie in the same database, in any other schema.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::ids::EventId;
use futures::TryStreamExt;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgDatabaseError;
use sqlx::{Connection, Executor, PgConnection, PgPool, Transaction};
use tokio::time::timeout;
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::guard::{Guard, Limits};
use crate::read_model::{Batch, Parking, Sum, Summary, Summing};
use crate::shared::Pointer;
use crate::{Checkpoint, Parked};

pub(crate) mod connecting;
pub(crate) mod inspect;

use connecting::Place;

pub(crate) const ENGINE: &str = "postgresql";
/// By which the server names our connections.
const NAME: &str = "letopis directory";
const READING: Limits = Limits { timeout: Duration::from_secs(3), attempts: 2 };
const WRITING: Limits = Limits { timeout: Duration::from_secs(30), attempts: 1 };
/// Of what reads or writes a whole table.
const LONG: Duration = Duration::from_secs(900);
/// Between two rows of a summary.
const SILENCE: Duration = Duration::from_secs(60);

const GENERATIONS: &str = include_str!("../../migrations/postgres/directory/generations.sql");
const CHECKPOINT: &str = include_str!("../../migrations/postgres/checkpoint.sql");
const PUT_CHECKPOINT: &str = include_str!("postgres/sql/put_checkpoint.sql");
const PUT_POINTER: &str = include_str!("postgres/sql/put_pointer.sql");
const PARK: &str = include_str!("postgres/sql/park.sql");
const STRANGERS: &str = include_str!("postgres/sql/strangers.sql");
const HELD: &str =
    "SELECT log_id, generation, epoch, code_version, position, event_id FROM generation.checkpoint";
/// Whatever the server is set to: readers are sent elsewhere only once that lasts.
const DURABLY: &str = "SELECT set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')";

/// The tables of a port.
pub(crate) struct Tables {
    /// A generation with another is no rows of this build: made anew.
    pub version: i32,
    /// Of a generation, whose schema is called `generation` here.
    pub sql: &'static str,
    /// The secondary indexes, each `IF NOT EXISTS`: made last in a load.
    pub indexes: &'static str,
    /// What is counted and summed.
    pub names: &'static [&'static str],
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as Sql;
        let (engine, message) = (ENGINE, error.to_string());
        match (&error, code(&error).as_deref()) {
            (Sql::Decode(_) | Sql::ColumnDecode { .. }, _) => Self::Unreadable { engine, message },
            (_, Some("XX001" | "XX002")) => Self::Damaged { engine, message },
            _ => Self::Engine { engine, message },
        }
    }
}

/// PostgreSQL's own SQLSTATE.
pub(crate) fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.code().to_owned())
}

/// Whether a table or its schema is not there: the server was emptied.
pub(crate) fn is_missing(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("42P01" | "3F000"))
}

/// A port's place in a database. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Postgres {
    place: Arc<Place>,
    tables: &'static Tables,
    readers: PgPool,
    writers: PgPool,
    reading: Guard,
    writing: Guard,
}

impl Postgres {
    /// Connects, and sees that the schema is the port's, or nobody's yet. Makes nothing.
    ///
    /// # Errors
    /// [`StoreError::Refused`]: what is in the way, and what to do.
    pub async fn open(url: &str, schema: &str, tables: &'static Tables) -> Result<Self> {
        let place = Place::of(url, schema)?;
        let mut connection = place.connect().await?;
        let stranger: Option<String> =
            sqlx::query_scalar(STRANGERS).bind(&place.schema).fetch_optional(&mut connection).await?;
        // It was asked, and has answered; how it parts changes nothing.
        let _ = connection.close().await;
        if let Some(stranger) = stranger {
            let schema = &place.schema;
            return Err(StoreError::Refused(format!(
                "schema {schema} is in use for something else (it has {stranger}): name another with ?schema=…"
            )));
        }
        let (readers, writers) = (place.readers(), place.writers());
        let (reading, writing) = (Guard::new(ENGINE, READING), Guard::new(ENGINE, WRITING));
        Ok(Self { place: Arc::new(place), tables, readers, writers, reading, writing })
    }

    /// See [`crate::shared::Engine`]; so with the others.
    pub async fn pointer(&self) -> Result<Option<Pointer>> {
        let sql = self.of_port("SELECT pointer::text FROM port.generations");
        let held: Option<String> = self
            .reading
            .read(async || match sqlx::query_scalar(&sql).fetch_optional(&self.writers).await {
                Err(error) if is_missing(&error) => Ok(None),
                held => Ok(held?),
            })
            .await?;
        held.map(|held| serde_json::from_str(&held).map_err(|error| unreadable(&error))).transpose()
    }

    pub async fn put_pointer(&self, held: Option<u64>, next: &Pointer) -> Result<bool> {
        let pointer = serde_json::to_string(next).map_err(|error| unreadable(&error))?;
        self.reading
            .once(async {
                let mut tx = self.writers.begin().await?;
                tx.execute(DURABLY).await?;
                let put = match held {
                    Some(held) => {
                        let sql = self.of_port(PUT_POINTER);
                        let update = sqlx::query(&sql).bind(number(next.version)).bind(pointer);
                        update.bind(number(held)).execute(&mut *tx).await?
                    }
                    None => {
                        self.make_port(&mut tx).await?;
                        let sql = self.of_port(
                            "INSERT INTO port.generations VALUES (true, $1, $2::json) ON CONFLICT DO NOTHING",
                        );
                        let insert = sqlx::query(&sql).bind(number(next.version)).bind(pointer);
                        insert.execute(&mut *tx).await?
                    }
                };
                tx.commit().await?;
                Ok(put.rows_affected() == 1)
            })
            .await
    }

    /// A generation's rows, made where they are not there.
    pub async fn rows(&self, number: u64) -> Result<Rows> {
        let rows = Rows { server: self.clone(), schema: format!("{}_{number}", self.place.schema) };
        let version = self.writing.once(self.made(&rows)).await?;
        if version != self.tables.version {
            let message = format!("its tables are of version {version}, not {}", self.tables.version);
            return Err(StoreError::Damaged { engine: ENGINE, message });
        }
        Ok(rows)
    }

    /// The version of a generation's tables.
    async fn made(&self, rows: &Rows) -> Result<i32> {
        let sql = rows.sql("SELECT version FROM generation.made");
        match sqlx::query_scalar(&sql).fetch_one(&self.writers).await {
            Err(error) if is_missing(&error) => {}
            version => return Ok(version?),
        }
        let mut tx = self.writers.begin().await?;
        self.make_port(&mut tx).await?;
        // Another process may have come first.
        let there: Option<i64> = sqlx::query_scalar("SELECT to_regclass($1 || '.made')::oid::bigint")
            .bind(&rows.schema)
            .fetch_one(&mut *tx)
            .await?;
        if there.is_none() {
            self.make_schema(&mut tx, &rows.schema).await?;
            tx.execute(&*rows.sql(CHECKPOINT)).await?;
            tx.execute(&*rows.sql(self.tables.sql)).await?;
            sqlx::query(&rows.sql("INSERT INTO generation.made VALUES ($1)"))
                .bind(self.tables.version)
                .execute(&mut *tx)
                .await?;
        }
        let version = sqlx::query_scalar(&sql).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(version)
    }

    /// The port's schema, under a lock by which processes take turns in making things.
    async fn make_port(&self, tx: &mut PgConnection) -> Result<()> {
        let schema = &self.place.schema;
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('letopis ' || $1, 0))")
            .bind(schema)
            .execute(&mut *tx)
            .await?;
        let there: Option<i64> = sqlx::query_scalar("SELECT to_regclass($1 || '.generations')::oid::bigint")
            .bind(schema)
            .fetch_one(&mut *tx)
            .await?;
        if there.is_none() {
            self.make_schema(tx, schema).await?;
            tx.execute(&*self.of_port(GENERATIONS)).await?;
        }
        Ok(())
    }

    /// A schema, if it is not there: one that an operator has made needs no right to make it.
    async fn make_schema(&self, tx: &mut PgConnection, schema: &str) -> Result<()> {
        let there: Option<i64> = sqlx::query_scalar("SELECT to_regnamespace($1)::oid::bigint")
            .bind(schema)
            .fetch_one(&mut *tx)
            .await?;
        if there.is_some() {
            return Ok(());
        }
        match tx.execute(&*format!("CREATE SCHEMA \"{schema}\"")).await {
            Err(error) if code(&error).as_deref() == Some("42501") => {
                let (database, user) = (self.place.database(), self.place.options.get_username());
                Err(StoreError::Refused(format!(
                    "{user} may not make schema {schema}, and needs one for every generation: as the database's \
                     owner, GRANT CREATE ON DATABASE {database} TO {user}"
                )))
            }
            made => Ok(made.map(drop)?),
        }
    }

    pub async fn remove(&self, number: u64) -> Result<()> {
        let sql = format!("DROP SCHEMA IF EXISTS \"{}_{number}\" CASCADE", self.place.schema);
        self.writing.once(async { Ok(self.writers.execute(&*sql).await.map(drop)?) }).await
    }

    fn of_port(&self, sql: &str) -> String {
        sql.replace("port.", &format!("\"{}\".", self.place.schema))
    }
}

/// The rows of one generation. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rows {
    server: Postgres,
    schema: String,
}

impl Rows {
    /// A statement over this generation, which it calls `generation`.
    pub fn sql(&self, sql: &str) -> String {
        sql.replace("generation.", &format!("\"{}\".", self.schema))
    }

    /// Asks what may be asked again.
    pub async fn read<T, F>(&self, mut act: impl FnMut(PgPool) -> F) -> Result<T>
    where
        F: Future<Output = sqlx::Result<T>>,
    {
        let Postgres { reading, readers, .. } = &self.server;
        reading
            .read(|| {
                let asked = act(readers.clone());
                async { Ok(asked.await?) }
            })
            .await
    }

    /// Runs a write within its time limit.
    pub async fn write<T>(&self, act: impl Future<Output = Result<T>>) -> Result<T> {
        self.server.writing.once(act).await
    }

    /// Begins the transaction of a batch: the checkpoint is locked and is the one that it follows.
    pub async fn begin<C>(&self, batch: &Batch<C>) -> Result<Transaction<'static, sqlx::Postgres>> {
        let mut tx = self.server.writers.begin().await?;
        let held = match held(&mut tx, &self.sql(&format!("{HELD} FOR UPDATE"))).await {
            Err(error) if is_missing(&error) => None,
            held => held?,
        };
        batch.checkpoint.supersedes(ENGINE, held.as_ref(), batch.follows)?;
        Ok(tx)
    }

    /// Ends what [`Self::begin`] began: what is parked, the checkpoint, and the commit.
    pub async fn commit<C>(
        &self,
        mut tx: Transaction<'static, sqlx::Postgres>,
        batch: &Batch<C>,
    ) -> Result<()> {
        self.put_parking(&mut tx, &batch.parking).await?;
        self.put_checkpoint(&mut tx, &batch.checkpoint).await?;
        Ok(tx.commit().await?)
    }

    async fn put_parking(&self, tx: &mut PgConnection, parking: &[Parking]) -> Result<()> {
        let mut last = BTreeMap::new();
        for change in parking {
            match change {
                Parking::Park(parked) => last.insert(&parked.stream, Some(parked)),
                Parking::Unpark(stream) => last.insert(stream, None),
            };
        }
        let unparked: Vec<&str> =
            last.iter().filter(|(_, parked)| parked.is_none()).map(|(stream, _)| stream.as_str()).collect();
        if !unparked.is_empty() {
            let sql = self.sql("DELETE FROM generation.parked WHERE stream = ANY ($1)");
            sqlx::query(&sql).bind(unparked).execute(&mut *tx).await?;
        }
        let parked: Vec<&Parked> = last.into_values().flatten().collect();
        if !parked.is_empty() {
            sqlx::query(&self.sql(PARK))
                .bind(column(&parked, |it| text(&it.stream)))
                .bind(column(&parked, |it| number(it.position)))
                .bind(column(&parked, |it| number(it.sequence)))
                .bind(column(&parked, |it| text(&it.why)))
                .bind(column(&parked, |it| it.since.0))
                .execute(&mut *tx)
                .await?;
        }
        Ok(())
    }

    async fn put_checkpoint(&self, tx: &mut PgConnection, checkpoint: &Checkpoint) -> Result<()> {
        sqlx::query(&self.sql(PUT_CHECKPOINT))
            .bind(checkpoint.log_id)
            .bind(number(checkpoint.generation))
            .bind(number(checkpoint.epoch))
            .bind(i64::from(checkpoint.code_version))
            .bind(number(checkpoint.position))
            .bind(checkpoint.event_id.map(|id| id.0))
            .execute(tx)
            .await?;
        Ok(())
    }

    /// See [`crate::ReadModel`]; so with the others.
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        let sql = self.sql(HELD);
        self.read(async |readers| {
            let mut reader = readers.acquire().await?;
            match held(&mut reader, &sql).await {
                Err(error) if is_missing(&error) => Ok(None),
                held => held,
            }
        })
        .await
    }

    pub async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        self.write(async {
            let mut tx = self.server.writers.begin().await?;
            // The row may not be there yet, and then cannot be locked.
            tx.execute(&*self.sql("LOCK TABLE generation.checkpoint IN EXCLUSIVE MODE")).await?;
            let held = held(&mut tx, &self.sql(HELD)).await?;
            let checkpoint = Checkpoint::taken_over(held, fresh);
            self.put_checkpoint(&mut tx, &checkpoint).await?;
            tx.commit().await?;
            Ok(checkpoint)
        })
        .await
    }

    pub async fn parked(&self) -> Result<Vec<Parked>> {
        let sql =
            self.sql("SELECT stream, position, sequence, why, since FROM generation.parked ORDER BY stream");
        let found: Vec<(String, i64, i64, String, i64)> =
            self.read(async |readers| sqlx::query_as(&sql).fetch_all(&readers).await).await?;
        found
            .into_iter()
            .map(|(stream, position, sequence, why, since)| {
                let (position, sequence) = (unsigned(position)?, unsigned(sequence)?);
                Ok(Parked { stream, position, sequence, why, since: Timestamp(since) })
            })
            .collect()
    }

    pub async fn index(&self) -> Result<()> {
        let made = async {
            let mut tx = self.server.writers.begin().await?;
            tx.execute("SET LOCAL statement_timeout = 0").await?;
            tx.execute(&*self.sql(self.server.tables.indexes)).await?;
            Ok(tx.commit().await?)
        };
        timeout(LONG, made).await.unwrap_or_else(|_elapsed| Err(silent(LONG)))
    }

    pub async fn summary(&self) -> Result<Summing> {
        // A connection of its own: it may be busy for long.
        let (mut connection, position) = self
            .write(async {
                let mut connection = PgConnection::connect_with(&self.server.place.options).await?;
                connection
                    .execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
                    .await?;
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
                // The first read is what takes the snapshot.
                let held = held(&mut connection, &self.sql(HELD)).await?;
                Ok((connection, held.map_or(0, |held| held.position)))
            })
            .await?;
        let this = self.clone();
        Ok(Box::pin(async move {
            let mut summary = Summary { position, ..Summary::default() };
            for table in this.server.tables.names {
                summary.tables.insert((*table).to_owned(), this.sum(&mut connection, table).await?);
            }
            // It was asked, and has answered; how it parts changes nothing.
            let _ = connection.close().await;
            Ok(summary)
        }))
    }

    /// A row as text tells every column apart: PostgreSQL quotes them, and leaves out what is null.
    async fn sum(&self, connection: &mut PgConnection, table: &str) -> Result<Sum> {
        let mut sum = Sum::default();
        let sql = self.sql(&format!("SELECT held::text FROM generation.{table} AS held"));
        let mut rows = sqlx::query_scalar::<_, String>(&sql).fetch(connection);
        loop {
            let row = timeout(SILENCE, rows.try_next()).await.map_err(|_elapsed| silent(SILENCE))?;
            match row? {
                Some(row) => sum.add(row.as_bytes()),
                None => return Ok(sum),
            }
        }
    }
}

type CheckpointColumns = (Uuid, i64, i64, i64, i64, Option<Uuid>);

async fn held(connection: &mut PgConnection, sql: &str) -> sqlx::Result<Option<Checkpoint>> {
    let held: Option<CheckpointColumns> = sqlx::query_as(sql).fetch_optional(connection).await?;
    let unsigned = |number: i64| u64::try_from(number).map_err(|error| sqlx::Error::Decode(error.into()));
    held.map(|(log_id, generation, epoch, code_version, position, event_id)| {
        Ok(Checkpoint {
            log_id,
            generation: unsigned(generation)?,
            epoch: unsigned(epoch)?,
            code_version: u32::try_from(code_version).map_err(|error| sqlx::Error::Decode(error.into()))?,
            position: unsigned(position)?,
            event_id: event_id.map(EventId),
        })
    })
    .transpose()
}

fn silent(after: Duration) -> StoreError {
    StoreError::Engine { engine: ENGINE, message: format!("no answer within {} s", after.as_secs()) }
}

pub(crate) fn unreadable(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unreadable { engine: ENGINE, message: error.to_string() }
}

/// A column of what is written at once.
pub(crate) fn column<'a, R, T>(rows: &'a [R], of: impl FnMut(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// A position as a bigint; there are none beyond.
pub(crate) fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(number: i64) -> Result<u64> {
    u64::try_from(number).map_err(|error| unreadable(&error))
}

/// A text as PostgreSQL takes it: all but the character NUL.
pub(crate) fn text(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

/// A unit variant from its wire name.
pub(crate) fn named<T: DeserializeOwned>(name: String) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(name)).map_err(|error| unreadable(&error))
}
