//! Search in tantivy. The checkpoint is the payload of the commit that holds the documents.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use domain::ids::PersonId;
use domain::rank::typos_allowed;
use serde::{Deserialize, Serialize};
use tantivy::collector::TopDocs;
use tantivy::directory::MmapDirectory;
use tantivy::directory::error::OpenReadError;
use tantivy::indexer::IndexWriterOptions;
use tantivy::query::{BooleanQuery, FuzzyTermQuery, Occur, Query, TermQuery};
use tantivy::schema::{
    Field, IndexRecordOption, STORED, STRING, Schema, TextFieldIndexing, TextOptions, Value,
};
use tantivy::{
    DocAddress, Index, IndexReader, IndexWriter, Order, ReloadPolicy, Searcher, TantivyDocument,
    TantivyError, Term,
};
use uuid::Uuid;

use super::{CANDIDATES, Change, Document, Found, Search, SearchQuery};
use crate::error::{Result, StoreError};
use crate::read_model::{Batch, Parking, Sum, Summary, Summing};
use crate::{Checkpoint, Parked, ReadModel};

/// Bytes that documents may take before they are flushed: the least that tantivy accepts.
const WRITER_HEAP: usize = 15_000_000;

/// An index in one folder. Cheap to clone.
#[derive(Clone)]
pub struct TantivySearch(Arc<Inner>);

struct Inner {
    index: Index,
    fields: Fields,
    reader: IndexReader,
    writer: Mutex<IndexWriter>,
    damage: OnceLock<String>,
}

#[derive(Clone, Copy)]
struct Fields {
    user_id: Field,
    nickname: Field,
    name: Field,
    folded: Field,
    token: Field,
    position: Field,
}

impl Fields {
    fn schema() -> (Schema, Self) {
        let mut schema = Schema::builder();
        let indexed = || {
            TextOptions::default().set_indexing_options(
                TextFieldIndexing::default()
                    .set_tokenizer("raw")
                    .set_index_option(IndexRecordOption::Basic)
                    .set_fieldnorms(false),
            )
        };
        let fields = Self {
            user_id: schema.add_text_field("user_id", STRING | STORED),
            nickname: schema.add_text_field("nickname", TextOptions::default().set_stored().set_fast("raw")),
            name: schema.add_text_field("name", STORED),
            folded: schema.add_text_field("folded", indexed()),
            token: schema.add_text_field("token", indexed()),
            position: schema.add_u64_field("position", STORED),
        };
        (schema.build(), fields)
    }

    fn id_term(&self, user_id: PersonId) -> Term {
        Term::from_field_text(self.user_id, &user_id.to_string())
    }

    fn document(&self, document: &Document) -> TantivyDocument {
        let mut it = TantivyDocument::default();
        it.add_text(self.user_id, document.user_id.to_string());
        it.add_text(self.nickname, &document.nickname);
        it.add_text(self.name, &document.name);
        it.add_u64(self.position, document.position);
        if !document.is_tombstone() {
            it.add_text(self.folded, document.folded_nickname());
            for token in document.tokens() {
                it.add_text(self.token, token);
            }
        }
        it
    }

    fn read(&self, it: &TantivyDocument) -> Result<Document> {
        let text = |field| it.get_first(field).and_then(|it| it.as_str());
        let read = || {
            Some(Document {
                user_id: text(self.user_id)?.parse::<Uuid>().ok()?.into(),
                nickname: text(self.nickname)?.to_owned(),
                name: text(self.name)?.to_owned(),
                position: it.get_first(self.position)?.as_u64()?,
            })
        };
        let message = "a document lacks a field".to_owned();
        read().ok_or(StoreError::Unreadable { engine: "tantivy", message })
    }
}

impl From<TantivyError> for StoreError {
    fn from(error: TantivyError) -> Self {
        use TantivyError as Error;
        let (engine, message) = ("tantivy", error.to_string());
        match error {
            Error::DataCorruption(_)
            | Error::IncompatibleIndex(_)
            | Error::SchemaError(_)
            | Error::OpenReadError(OpenReadError::FileDoesNotExist(_)) => Self::Damaged { engine, message },
            _ => Self::Engine { engine, message },
        }
    }
}

/// What a commit carries beside its documents.
#[derive(Serialize, Deserialize)]
struct Payload {
    checkpoint: Checkpoint,
    parked: Vec<Parked>,
}

fn folder_error(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Engine { engine: "tantivy", message: error.to_string() }
}

impl TantivySearch {
    /// Opens the index in a generation's folder, or makes it.
    ///
    /// # Errors
    /// A folder that cannot be used, that another process writes to, or that holds something else.
    pub fn open(folder: &Path) -> Result<Self> {
        let directory = MmapDirectory::open(folder).map_err(|error| folder_error(&error))?;
        let (schema, fields) = Fields::schema();
        let index = Index::open_or_create(directory, schema)?;
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(WRITER_HEAP)
            .build();
        let writer = Mutex::new(index.writer_with_options(options)?);
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self(Arc::new(Inner { index, fields, reader, writer, damage: OnceLock::new() })))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = self.0.clone();
        tokio::task::spawn_blocking(move || {
            let done = act(&inner);
            if let Err(error) = &done
                && error.is_damage()
            {
                inner.damage.get_or_init(|| error.to_string());
            }
            done
        })
        .await
        .map_err(|error| folder_error(&error))?
    }

    async fn writing<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Inner, &mut IndexWriter) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.blocking(move |inner| {
            let mut writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let done = act(inner, &mut writer);
            if done.is_err() {
                // What was added and not committed must not ride with the next commit.
                writer.rollback()?;
            }
            done
        })
        .await
    }
}

impl Inner {
    fn payload(&self) -> Result<Option<Payload>> {
        let Some(payload) = self.index.load_metas()?.payload else { return Ok(None) };
        serde_json::from_str(&payload)
            .map(Some)
            .map_err(|error| StoreError::Unreadable { engine: "tantivy", message: error.to_string() })
    }

    fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        Ok(self.payload()?.map(|payload| payload.checkpoint))
    }

    fn parked(&self) -> Result<Vec<Parked>> {
        Ok(self.payload()?.map(|payload| payload.parked).unwrap_or_default())
    }

    /// Makes what was written durable together with the payload, and shown.
    fn commit(&self, writer: &mut IndexWriter, payload: &Payload) -> Result<()> {
        let payload = serde_json::to_string(payload).map_err(|error| folder_error(&error))?;
        let mut commit = writer.prepare_commit()?;
        commit.set_payload(&payload);
        commit.commit()?;
        Ok(self.reader.reload()?)
    }

    fn put(&self, writer: &mut IndexWriter, batch: &Batch<Change>) -> Result<()> {
        let held = self.payload()?;
        let shown = held.as_ref().map(|held| &held.checkpoint);
        batch.checkpoint.supersedes("tantivy", shown, batch.follows)?;
        let mut parked = held.map(|held| held.parked).unwrap_or_default();
        for change in &batch.parking {
            let (Parking::Park(Parked { stream, .. }) | Parking::Unpark(stream)) = change;
            parked.retain(|held| held.stream != *stream);
            if let Parking::Park(new) = change {
                parked.push(new.clone());
            }
        }
        parked.sort_by(|one, other| one.stream.cmp(&other.stream));
        self.apply(writer, &batch.changes)?;
        self.commit(writer, &Payload { checkpoint: batch.checkpoint.clone(), parked })
    }

    /// Over the documents that are not deleted.
    fn sum(&self, searcher: &Searcher) -> Result<Sum> {
        let mut sum = Sum::default();
        for (segment, reader) in searcher.segment_readers().iter().enumerate() {
            for document in reader.doc_ids_alive() {
                let address = DocAddress::new(segment as u32, document);
                let it = self.fields.read(&searcher.doc(address)?)?;
                let canonical = serde_json::to_vec(&(it.user_id, &it.nickname, &it.name, it.position));
                sum.add(&canonical.map_err(|error| folder_error(&error))?);
            }
        }
        Ok(sum)
    }

    fn by_id(&self, searcher: &Searcher, user_id: PersonId) -> Result<Option<Document>> {
        let query = TermQuery::new(self.fields.id_term(user_id), IndexRecordOption::Basic);
        let found = searcher.search(&query, &TopDocs::with_limit(1).order_by_score())?;
        let Some((_, address)) = found.first() else { return Ok(None) };
        Ok(Some(self.fields.read(&searcher.doc(*address)?)?))
    }

    fn apply(&self, writer: &IndexWriter, changes: &[Change]) -> Result<()> {
        let searcher = self.reader.searcher();
        let mut newest: HashMap<PersonId, Document> = HashMap::new();
        for change in changes {
            let document = match change {
                Change::Put(document) => document.clone(),
                Change::Remove { user_id, position } => Document {
                    user_id: *user_id,
                    nickname: String::new(),
                    name: String::new(),
                    position: *position,
                },
            };
            let known = match newest.get(&document.user_id) {
                Some(known) => Some(known.position),
                None => self.by_id(&searcher, document.user_id)?.map(|known| known.position),
            };
            if known.is_none_or(|known| known <= document.position) {
                newest.insert(document.user_id, document);
            }
        }
        for document in newest.values() {
            writer.delete_term(self.fields.id_term(document.user_id));
            writer.add_document(self.fields.document(document))?;
        }
        Ok(())
    }

    /// What matches each of these is closer than what matches only the next.
    fn stages(&self, query: &SearchQuery) -> Vec<Box<dyn Query>> {
        let mut exact: Vec<Box<dyn Query>> = Vec::new();
        if let Some(user_id) = query.user_id {
            let term = self.fields.id_term(user_id);
            exact.push(Box::new(TermQuery::new(term, IndexRecordOption::Basic)));
        }
        let mut stages: Vec<Box<dyn Query>> = Vec::new();
        if !query.tokens.is_empty() {
            let term = Term::from_field_text(self.fields.folded, &query.folded);
            exact.push(Box::new(TermQuery::new(term, IndexRecordOption::Basic)));
            stages.push(self.every_token(query, |_| 0));
            stages.push(self.every_token(query, typos_allowed));
        }
        stages.insert(0, Box::new(BooleanQuery::union(exact)));
        stages
    }

    fn every_token(&self, query: &SearchQuery, typos: impl Fn(usize) -> usize) -> Box<dyn Query> {
        let each = query.tokens.iter().map(|token| {
            let term = Term::from_field_text(self.fields.token, token);
            let prefix: Box<dyn Query> = Box::new(FuzzyTermQuery::new_prefix(term.clone(), 0, true));
            let query: Box<dyn Query> = match typos(token.chars().count()).min(2) {
                0 => prefix,
                typos => Box::new(BooleanQuery::union(vec![
                    prefix,
                    Box::new(FuzzyTermQuery::new(term, typos as u8, true)),
                ])),
            };
            (Occur::Must, query)
        });
        Box::new(BooleanQuery::new(each.collect()))
    }

    fn candidates(&self, query: &SearchQuery) -> Result<Vec<Found>> {
        let searcher = self.reader.searcher();
        let mut addresses: Vec<DocAddress> = Vec::new();
        for stage in self.stages(query) {
            if addresses.len() >= CANDIDATES {
                break;
            }
            let nearest = TopDocs::with_limit(CANDIDATES).order_by_string_fast_field("nickname", Order::Asc);
            for (_, address) in searcher.search(&stage, &nearest)? {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        addresses.truncate(CANDIDATES);
        let mut found = Vec::with_capacity(addresses.len());
        for address in addresses {
            let document = self.fields.read(&searcher.doc(address)?)?;
            if !document.is_tombstone() {
                let Document { user_id, nickname, name, .. } = document;
                found.push(Found { user_id, nickname, name });
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl ReadModel for TantivySearch {
    type Change = Change;

    async fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        self.blocking(Inner::checkpoint).await
    }

    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint> {
        self.writing(move |inner, writer| {
            let checkpoint = Checkpoint::taken_over(inner.checkpoint()?, fresh);
            let payload = Payload { checkpoint: checkpoint.clone(), parked: inner.parked()? };
            inner.commit(writer, &payload)?;
            Ok(checkpoint)
        })
        .await
    }

    async fn put(&self, batch: Arc<Batch<Change>>) -> Result<()> {
        self.writing(move |inner, writer| inner.put(writer, &batch)).await
    }

    async fn parked(&self) -> Result<Vec<Parked>> {
        self.blocking(Inner::parked).await
    }

    /// There is nothing that a load goes without.
    async fn index(&self) -> Result<()> {
        Ok(())
    }

    async fn summary(&self) -> Result<Summing> {
        let (searcher, position) = self
            .blocking(|inner| {
                // No commit comes between the documents and their position.
                let _writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
                let position = inner.checkpoint()?.map_or(0, |held| held.position);
                Ok((inner.reader.searcher(), position))
            })
            .await?;
        let this = self.clone();
        Ok(Box::pin(async move {
            let sum = this.blocking(move |inner| inner.sum(&searcher)).await?;
            Ok(Summary { position, tables: BTreeMap::from([("documents".to_owned(), sum)]) })
        }))
    }

    fn damage(&self) -> Option<String> {
        self.0.damage.get().cloned()
    }
}

#[async_trait]
impl Search for TantivySearch {
    async fn candidates(&self, query: SearchQuery) -> Result<Vec<Found>> {
        self.blocking(move |inner| inner.candidates(&query)).await
    }

    async fn documents(&self, ids: &[PersonId]) -> Result<Vec<Document>> {
        let ids = ids.to_vec();
        self.blocking(move |inner| {
            let searcher = inner.reader.searcher();
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(inner.by_id(&searcher, id)?);
            }
            Ok(found)
        })
        .await
    }
}
