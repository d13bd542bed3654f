//! One generation's documents.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use domain::ids::PersonId;
use elasticsearch::indices::{IndicesGetSettingsParts, IndicesPutSettingsParts, IndicesRefreshParts};
use elasticsearch::params::{OpType, Refresh};
use elasticsearch::{BulkParts, GetParts, IndexParts, MgetParts, OpenPointInTimeParts, SearchParts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::client::{Client, ENGINE, Exception, No, answer, done};
use super::row::{Bulk, Row, SHOWN, refused_items, requests, unwritable};
use super::{Held, found_or_none, is_loading, query};
use crate::error::{Result, StoreError};
use crate::read_model::{Batch, Parking, Sum, Summary, Summing};
use crate::search::{Change, Document, Found, Search, SearchQuery};
use crate::{Checkpoint, Parked, ReadModel};

/// The document with what moves after the rows.
const CHECKPOINT: &str = "checkpoint";
/// Documents asked for at once.
const PAGE: usize = 1_000;
/// How often a take-over that meets others' is tried.
const ATTEMPTS: u32 = 10;
/// How long a snapshot is kept from one page to the next.
const KEPT: &str = "2m";
/// Background refreshes, for rows whose writer did not live to show them.
const SERVING: &str = "1s";

/// The documents of one generation.
pub(super) struct ElasticSearch {
    client: Client,
    index: String,
    /// The alias that is written to.
    rows: String,
    loading: AtomicBool,
    damage: OnceLock<String>,
}

/// What the checkpoint's document holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    checkpoint: Checkpoint,
    parked: Vec<Parked>,
}

#[derive(Deserialize)]
struct Several<T> {
    docs: Vec<One<T>>,
}

#[derive(Deserialize)]
struct One<T> {
    #[serde(rename = "_source")]
    source: Option<T>,
    error: Option<Exception>,
}

#[derive(Deserialize)]
pub(super) struct Hits<T> {
    hits: Inner<T>,
}

#[derive(Deserialize)]
struct Inner<T> {
    hits: Vec<Hit<T>>,
}

#[derive(Deserialize)]
struct Hit<T> {
    #[serde(rename = "_source")]
    source: T,
    #[serde(default)]
    sort: Vec<Value>,
}

#[derive(Deserialize)]
struct Snapshot {
    id: String,
}

impl ElasticSearch {
    pub fn new(client: Client, index: String, rows: String, is_loading: bool) -> Self {
        Self { client, index, rows, loading: AtomicBool::new(is_loading), damage: OnceLock::new() }
    }

    /// Remembers damage that `act` meets.
    async fn noting<T>(&self, act: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let done = act.await;
        if let Err(error) = &done
            && error.is_damage()
        {
            self.damage.get_or_init(|| error.to_string());
        }
        done
    }

    async fn held(&self) -> Result<Option<Held<Kept>>> {
        let found = self.client.guard.read(async || {
            let asked = self.client.server.get(GetParts::IndexId(&self.index, CHECKPOINT)).send();
            answer(asked.await).await
        });
        match found.await? {
            // The index itself is gone.
            Err(no) if !no.kind.is_empty() => Err(no.into_error()),
            found => found_or_none(found),
        }
    }

    /// Puts the checkpoint where `held` is still what is held, and shows what was written before.
    /// Answers whether it did.
    async fn keep<T: Sync>(&self, held: Option<&Held<T>>, next: &Kept, show: bool) -> Result<bool> {
        let parts = IndexParts::IndexId(&self.rows, CHECKPOINT);
        let mut writing = self.client.server.index(parts).require_alias(true).body(next);
        writing = match held {
            Some(held) => writing.if_seq_no(held.seq_no).if_primary_term(held.primary_term),
            None => writing.op_type(OpType::Create),
        };
        if show && !self.loading.load(Ordering::Relaxed) {
            writing = writing.refresh(Refresh::True);
        }
        let written: std::result::Result<Value, No> =
            self.client.guard.once(async { answer(writing.send().await).await }).await?;
        match written {
            Ok(_) => Ok(true),
            Err(no) if no.is_conflict() => Ok(false),
            Err(no) => Err(no.into_error()),
        }
    }

    async fn apply(&self, changes: &[Change]) -> Result<()> {
        for body in requests(changes)? {
            let told: Bulk = self
                .client
                .guard
                .once(async {
                    let bulk = self.client.server.bulk(BulkParts::Index(&self.rows));
                    let bulk =
                        bulk.require_alias(true).filter_path(&["errors", "items.*.status", "items.*.error"]);
                    done(bulk.body(vec![body]).send().await).await
                })
                .await?;
            refused_items(told)?;
        }
        Ok(())
    }

    /// Lets searches see what was written.
    async fn refresh(&self) -> Result<()> {
        let refreshed = self.client.guard.read(async || {
            let indices = self.client.server.indices();
            done::<Value>(indices.refresh(IndicesRefreshParts::Index(&[&self.index])).send().await).await
        });
        refreshed.await.map(drop)
    }

    /// Before a search, while a load refreshes nothing.
    async fn show_load(&self) -> Result<()> {
        if !self.loading.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.refresh().await?;
        let settings: Value = self
            .client
            .guard
            .read(async || {
                let indices = self.client.server.indices();
                let parts = IndicesGetSettingsParts::Index(&[&self.index]);
                done(indices.get_settings(parts).send().await).await
            })
            .await?;
        if !is_loading(&settings[&self.index]) {
            self.loading.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn serve(&self) -> Result<()> {
        let settings = json!({ "index": { "refresh_interval": SERVING } });
        let set = self.client.guard.read(async || {
            let indices = self.client.server.indices();
            let parts = IndicesPutSettingsParts::Index(&[&self.index]);
            done::<Value>(indices.put_settings(parts).body(&settings).send().await).await
        });
        set.await?;
        self.loading.store(false, Ordering::Relaxed);
        self.refresh().await
    }

    async fn write_batch(&self, batch: &Batch<Change>) -> Result<()> {
        let held = self.held().await?;
        let shown = held.as_ref().map(|held| &held.source.checkpoint);
        batch.checkpoint.supersedes(ENGINE, shown, batch.follows)?;
        self.apply(&batch.changes).await?;
        let mut parked = held.as_ref().map(|held| held.source.parked.clone()).unwrap_or_default();
        park(&mut parked, &batch.parking);
        let next = Kept { checkpoint: batch.checkpoint.clone(), parked };
        if self.keep(held.as_ref(), &next, !batch.changes.is_empty()).await? {
            return Ok(());
        }
        let now = self.held().await?;
        batch.checkpoint.supersedes(ENGINE, now.as_ref().map(|now| &now.source.checkpoint), None)?;
        let message = "its checkpoint has changed meanwhile".to_owned();
        Err(StoreError::Engine { engine: ENGINE, message })
    }

    async fn take(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        for _ in 0..ATTEMPTS {
            let held = self.held().await?;
            let (shown, parked) = match &held {
                Some(held) => (Some(held.source.checkpoint.clone()), held.source.parked.clone()),
                None => (None, Vec::new()),
            };
            let checkpoint = Checkpoint::taken_over(shown, fresh.clone());
            let next = Kept { checkpoint: checkpoint.clone(), parked };
            // Shown too: the writer before may not have lived to see its last rows shown.
            if self.keep(held.as_ref(), &next, true).await? {
                return Ok(checkpoint);
            }
        }
        let message = "others keep taking it over".to_owned();
        Err(StoreError::Engine { engine: ENGINE, message })
    }

    /// A search in a snapshot.
    async fn page<T: for<'a> Deserialize<'a>>(client: &Client, body: &Value) -> Result<Vec<Hit<T>>> {
        let found: Hits<T> = client
            .guard
            .read(async || done(client.server.search(SearchParts::None).body(body).send().await).await)
            .await?;
        Ok(found.hits.hits)
    }

    async fn snapshot(&self) -> Result<(Snapshot, u64)> {
        self.refresh().await?;
        let snapshot: Snapshot = self
            .client
            .guard
            .read(async || {
                let parts = OpenPointInTimeParts::Index(&[&self.index]);
                done(self.client.server.open_point_in_time(parts).keep_alive(KEPT).send().await).await
            })
            .await?;
        let body = json!({
            "pit": { "id": snapshot.id, "keep_alive": KEPT },
            "query": { "ids": { "values": [CHECKPOINT] } },
        });
        let kept: Vec<Hit<Kept>> = Self::page(&self.client, &body).await?;
        let position = kept.first().map_or(0, |kept| kept.source.checkpoint.position);
        Ok((snapshot, position))
    }

    /// Over all documents of a snapshot, in the order in which they lie.
    async fn sum(client: &Client, snapshot: &Snapshot) -> Result<Sum> {
        let mut sum = Sum::default();
        let mut after: Option<Vec<Value>> = None;
        loop {
            let mut body = json!({
                "pit": { "id": snapshot.id, "keep_alive": KEPT },
                "query": { "exists": { "field": "user_id" } },
                "sort": ["_shard_doc"],
                "size": PAGE,
                "track_total_hits": false,
                "_source": SHOWN,
            });
            if let Some(after) = after.take() {
                body["search_after"] = after.into();
            }
            let page: Vec<Hit<Row>> = Self::page(client, &body).await?;
            let last = page.last().map(|hit| hit.sort.clone());
            for hit in page {
                let it = hit.source;
                let canonical = serde_json::to_vec(&(it.user_id, &it.nickname, &it.name, it.position));
                sum.add(&canonical.map_err(unwritable)?);
            }
            match last {
                Some(last) => after = Some(last),
                None => return Ok(sum),
            }
        }
    }

    async fn find(&self, query: &SearchQuery) -> Result<Vec<Found>> {
        let Some(body) = query::body(query) else { return Ok(Vec::new()) };
        self.show_load().await?;
        let found: Hits<Row> = self
            .client
            .guard
            .read(async || {
                let parts = SearchParts::Index(&[&self.index]);
                done(self.client.server.search(parts).body(&body).send().await).await
            })
            .await?;
        let documents = found.hits.hits.into_iter().map(|hit| hit.source.document());
        let found = documents.filter(|document| !document.is_tombstone());
        Ok(found.map(|Document { user_id, nickname, name, .. }| Found { user_id, nickname, name }).collect())
    }

    async fn read(&self, ids: &[PersonId]) -> Result<Vec<Document>> {
        let mut documents = Vec::with_capacity(ids.len());
        for ids in ids.chunks(PAGE) {
            let body = json!({ "ids": ids });
            let found: Several<Row> = self
                .client
                .guard
                .read(async || {
                    let asked = self.client.server.mget(MgetParts::Index(&self.index));
                    done(asked._source_includes(SHOWN).body(&body).send().await).await
                })
                .await?;
            for one in found.docs {
                if let Some(error) = one.error {
                    let status = if error.kind == "index_not_found_exception" { 404 } else { 503 };
                    return Err(No::of(status, error).into_error());
                }
                documents.extend(one.source.map(Row::document));
            }
        }
        Ok(documents)
    }
}

fn park(parked: &mut Vec<Parked>, changes: &[Parking]) {
    for change in changes {
        let (Parking::Park(Parked { stream, .. }) | Parking::Unpark(stream)) = change;
        parked.retain(|held| held.stream != *stream);
        if let Parking::Park(new) = change {
            parked.push(new.clone());
        }
    }
    parked.sort_by(|one, other| one.stream.cmp(&other.stream));
}

#[async_trait]
impl ReadModel for ElasticSearch {
    type Change = Change;

    async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.noting(async { Ok(self.held().await?.map(|held| held.source.checkpoint)) }).await
    }

    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        self.noting(self.take(fresh)).await
    }

    async fn put(&self, batch: Arc<Batch<Change>>) -> Result<()> {
        self.noting(self.write_batch(&batch)).await
    }

    async fn parked(&self) -> Result<Vec<Parked>> {
        self.noting(async { Ok(self.held().await?.map(|held| held.source.parked).unwrap_or_default()) }).await
    }

    /// From here on writes show what they write.
    async fn index(&self) -> Result<()> {
        self.noting(self.serve()).await
    }

    async fn summary(&self) -> Result<Summing> {
        let (snapshot, position) = self.noting(self.snapshot()).await?;
        let client = self.client.clone();
        Ok(Box::pin(async move {
            let sum = Self::sum(&client, &snapshot).await;
            let body = json!({ "id": snapshot.id });
            let closing = client.server.close_point_in_time().body(&body);
            let closed = client.guard.once(async { done::<Value>(closing.send().await).await });
            if let Err(error) = closed.await {
                tracing::debug!(%error, "a snapshot ends by itself");
            }
            Ok(Summary { position, tables: BTreeMap::from([("documents".to_owned(), sum?)]) })
        }))
    }

    fn damage(&self) -> Option<String> {
        self.damage.get().cloned()
    }
}

#[async_trait]
impl Search for ElasticSearch {
    async fn candidates(&self, query: SearchQuery) -> Result<Vec<Found>> {
        self.noting(self.find(&query)).await
    }

    async fn documents(&self, ids: &[PersonId]) -> Result<Vec<Document>> {
        self.noting(self.read(ids)).await
    }
}
