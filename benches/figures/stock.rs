//! The second rival: stock postgres-es, `CqrsFramework::execute` over `PostgresEventRepository`.

use std::sync::Arc;

use anyhow::bail;
use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, AggregateError, DomainEvent};
use postgres_es::{PostgresCqrs, postgres_cqrs};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor, PgPool};
use uuid::Uuid;

use crate::measure::{Client, Dice};
use crate::postgres::{Server, settings};
use crate::texts::Texts;

/// The events table as postgres-es has it.
const SCHEMA: &str = include_str!("stock.sql");
const LONG_STREAM: &str = include_str!("stock_long_stream.sql");
const LONG: &str = "long";
/// Connections; its own default is 10.
const POOL: u32 = 32;

/// A chat as a plain aggregate would have it: no sealing, no keys, no facts of other streams.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Talk {
    last_number: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum TalkEvent {
    Sent { author: Uuid, message_id: Uuid, number: u64, text: String },
}

impl DomainEvent for TalkEvent {
    fn event_type(&self) -> String {
        "Sent".into()
    }
    fn event_version(&self) -> String {
        "1".into()
    }
}

struct Say {
    author: Uuid,
    message_id: Uuid,
    text: String,
}

#[derive(Debug, thiserror::Error)]
#[error("refused")]
struct Refused;

impl Aggregate for Talk {
    const TYPE: &'static str = "Talk";
    type Command = Say;
    type Event = TalkEvent;
    type Error = Refused;
    type Services = ();

    async fn handle(&mut self, say: Say, (): &(), sink: &EventSink<Self>) -> Result<(), Refused> {
        let Say { author, message_id, text } = say;
        let number = self.last_number + 1;
        sink.write(TalkEvent::Sent { author, message_id, number, text }, self).await;
        Ok(())
    }

    fn apply(&mut self, event: TalkEvent) {
        let TalkEvent::Sent { number, .. } = event;
        self.last_number = number;
    }
}

/// A database with streams in it.
pub struct Stock {
    cqrs: Arc<PostgresCqrs<Talk>>,
    texts: Arc<Texts>,
    /// Of one of its connections.
    pub settings: String,
}

impl Stock {
    /// # Errors
    /// If the server refuses.
    pub async fn open(server: &Server, name: &str, texts: &Arc<Texts>) -> anyhow::Result<Self> {
        let pool = pool(server, name).await?;
        let settings = settings(&mut *pool.acquire().await?).await?;
        Ok(Self { cqrs: Arc::new(postgres_cqrs(pool, Vec::new(), ())), texts: texts.clone(), settings })
    }

    /// With one stream of `events` events.
    ///
    /// # Errors
    /// If the server refuses.
    pub async fn with_long_stream(
        server: &Server,
        name: &str,
        texts: &Arc<Texts>,
        events: u64,
    ) -> anyhow::Result<Self> {
        let pool = pool(server, name).await?;
        sqlx::query(LONG_STREAM)
            .bind(LONG)
            .bind(i64::try_from(events)?)
            .bind(texts.typical())
            .execute(&pool)
            .await?;
        pool.execute("ANALYZE events").await?;
        let settings = settings(&mut *pool.acquire().await?).await?;
        Ok(Self { cqrs: Arc::new(postgres_cqrs(pool, Vec::new(), ())), texts: texts.clone(), settings })
    }

    /// Clients that write into any of `streams` streams.
    pub fn clients(&self, clients: usize, streams: usize) -> Vec<StockClient> {
        self.all(clients, (0..streams).map(|stream| format!("talk-{stream}")).collect())
    }

    /// Clients that write into the long stream.
    pub fn long_clients(&self, clients: usize) -> Vec<StockClient> {
        self.all(clients, vec![LONG.to_owned()])
    }

    fn all(&self, clients: usize, streams: Vec<String>) -> Vec<StockClient> {
        let streams: Arc<[String]> = streams.into();
        let client = |seed| StockClient {
            cqrs: self.cqrs.clone(),
            texts: self.texts.clone(),
            streams: streams.clone(),
            dice: Dice::new(seed),
        };
        (0..clients as u64).map(client).collect()
    }
}

async fn pool(server: &Server, name: &str) -> anyhow::Result<PgPool> {
    let url = server.fresh(name).await?;
    let pool = PgPoolOptions::new().max_connections(POOL).connect(&url).await?;
    pool.execute(SCHEMA).await?;
    Ok(pool)
}

/// One client; a conflict counts as nothing done.
pub struct StockClient {
    cqrs: Arc<PostgresCqrs<Talk>>,
    texts: Arc<Texts>,
    streams: Arc<[String]>,
    dice: Dice,
}

impl Client for StockClient {
    async fn command(&mut self) -> anyhow::Result<bool> {
        let stream = &self.streams[self.dice.below(self.streams.len())];
        let message_id = Uuid::from_u64_pair(self.dice.roll(), self.dice.roll());
        let text = self.texts.pick(&mut self.dice).to_owned();
        let say = Say { author: Uuid::from_u128(1), message_id, text };
        match self.cqrs.execute(stream, say).await {
            Ok(()) => Ok(true),
            Err(AggregateError::AggregateConflict) => Ok(false),
            Err(error) => bail!("stock postgres-es: {error}"),
        }
    }
}
