//! Search on Elasticsearch 8 or 9.
//!
//! What lies where, under the URL's prefix:
//! - index `<prefix>-letopis`, document `search`: the pointer, changed by sequence number and
//!   primary term (`if_seq_no`, `if_primary_term`).
//! - index `<prefix>-search-<n>`: a generation, in one shard. A document a person under the
//!   person's id, and the document `checkpoint` with the checkpoint and what is parked, changed as
//!   the pointer is.
//! - alias `<prefix>-search-<n>-rows`, through which a generation is written: writing to an alias
//!   that is gone is refused, where writing to an index that is gone would make one of no kind.
//! - alias `<prefix>-search`: the generation that is served, for those who look into the server. It is
//!   switched atomically after the pointer. Letopis itself goes by the pointer and reads each
//!   generation by its number, so that no reader finds two halves, and one that has begun in the old
//!   generation ends there.
//!
//! Rows are written first and shown, then the checkpoint. Every row's version is the position that
//! last changed it (`external_gte`), a removed person leaves an empty document, and so a repeated
//! or late write changes nothing. A writer of an older epoch is refused before its rows; what
//! slips through while another takes over is what the other writes at that position, too, and its
//! checkpoint is refused. One shard has one translog: what a server loses when it is killed is the
//! end of it, the checkpoint before its rows.
//!
//! Searches see what was refreshed. A generation that serves is refreshed by each
//! [`ReadModel::put`] that changes rows; while one is loaded (`refresh_interval` is -1) nothing is,
//! and a search refreshes first.

mod client;
mod inspect;
mod query;
mod row;
mod rows;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use elasticsearch::indices::{IndicesCreateParts, IndicesDeleteParts, IndicesGetParts};
use elasticsearch::params::OpType;
use elasticsearch::{GetParts, IndexParts};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::client::{Address, Client, ENGINE, No, answer, done};
pub(crate) use self::inspect::inspect;
use self::rows::ElasticSearch;
use super::Search;
use crate::error::{Result, StoreError};
use crate::shared::{Engine, Pointer, Shared};

const POINTERS: &str = include_str!("../../../../migrations/elasticsearch/letopis.json");
const ROWS: &str = include_str!("../../../../migrations/elasticsearch/search.json");
/// The pointer's document.
const POINTER: &str = "search";
/// The oldest major version that is spoken to.
const OLDEST: u32 = 8;

/// The generations of the search on one server.
pub(crate) struct Elastic {
    client: Client,
    prefix: String,
    /// What the alias was last seen to name; 0 before that.
    aliased: AtomicU64,
}

/// A document as it is held, with what a conditional write names it by.
#[derive(Deserialize)]
struct Held<T> {
    #[serde(rename = "_seq_no")]
    seq_no: i64,
    #[serde(rename = "_primary_term")]
    primary_term: i64,
    #[serde(rename = "_source")]
    source: T,
}

#[derive(Serialize, Deserialize)]
struct Pointing {
    pointer: Pointer,
}

/// Who answers.
#[derive(Deserialize)]
struct Banner {
    version: Version,
}

#[derive(Deserialize)]
struct Version {
    number: String,
    /// A fork names itself; Elasticsearch does not.
    distribution: Option<String>,
}

impl Elastic {
    /// The generations behind a URL.
    ///
    /// # Errors
    /// A URL that can't be used, a server that does not answer, or another or older one than is
    /// spoken to.
    pub async fn connect(url: &str) -> Result<Self> {
        let address = Address::of(url)?;
        let client = Client::of(&address)?;
        let banner = banner(&client).await?;
        if let Some(why) = unfit(&banner) {
            return Err(StoreError::Refused(why));
        }
        Ok(Self::of(&address, client))
    }

    fn of(address: &Address, client: Client) -> Self {
        Self { client, prefix: address.prefix.clone(), aliased: AtomicU64::new(0) }
    }

    /// The port's generations.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn open(url: &str) -> Result<Shared<dyn Search, Self>> {
        Shared::open(Self::connect(url).await?).await
    }

    fn pointers(&self) -> String {
        format!("{}-letopis", self.prefix)
    }

    fn alias(&self) -> String {
        format!("{}-search", self.prefix)
    }

    fn index(&self, number: u64) -> String {
        format!("{}-search-{number}", self.prefix)
    }

    async fn held(&self) -> Result<Option<Held<Pointing>>> {
        let index = self.pointers();
        let found = self.client.guard.read(async || {
            answer(self.client.server.get(GetParts::IndexId(&index, POINTER)).send().await).await
        });
        found_or_none(found.await?)
    }

    /// Makes an index that is not there.
    async fn make(&self, index: &str, definition: &str, aliases: Value) -> Result<()> {
        let mut body: Value = serde_json::from_str(definition)
            .map_err(|error| StoreError::Refused(format!("the definition of {index}: {error}")))?;
        body["aliases"] = aliases;
        let made: std::result::Result<Value, No> = self
            .client
            .guard
            .read(async || {
                let indices = self.client.server.indices();
                answer(indices.create(IndicesCreateParts::Index(index)).body(&body).send().await).await
            })
            .await?;
        match made {
            Ok(_) => Ok(()),
            // Another process was first.
            Err(no) if no.kind == "resource_already_exists_exception" => Ok(()),
            Err(no) => {
                let why = format!("the index {index} cannot be made ({}: {})", no.kind, no.reason);
                Err(StoreError::Refused(why))
            }
        }
    }

    /// Lets the alias name what is served. Nothing of ours rests on it: where that fails, the next
    /// change of the pointer tries again.
    async fn point_alias(&self, serving: u64) {
        if self.aliased.load(Ordering::Relaxed) == serving {
            return;
        }
        let (alias, all) = (self.alias(), format!("{}-*", self.alias()));
        let actions = json!({ "actions": [
            { "remove": { "index": all, "alias": alias, "must_exist": false } },
            { "add": { "index": self.index(serving), "alias": alias } },
        ] });
        let pointed = self.client.guard.once(async {
            done::<Value>(self.client.server.indices().update_aliases().body(&actions).send().await).await
        });
        match pointed.await {
            Ok(_) => self.aliased.store(serving, Ordering::Relaxed),
            Err(error) => tracing::warn!(alias, serving, %error, "the alias is not switched yet"),
        }
    }
}

async fn banner(client: &Client) -> Result<Banner> {
    client.guard.read(async || done(client.server.info().send().await).await).await
}

/// Why this server is not spoken to.
fn unfit(banner: &Banner) -> Option<String> {
    let Version { number, distribution } = &banner.version;
    if let Some(other) = distribution {
        return Some(format!("{other} {number} is no Elasticsearch: use Elasticsearch {OLDEST} or later"));
    }
    let major = number.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < OLDEST) {
        return Some(format!("Elasticsearch {number} is too old: use {OLDEST} or later"));
    }
    None
}

/// What there is of a document or an index.
fn found_or_none<T>(found: std::result::Result<T, No>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(no) if no.is_nothing() => Ok(None),
        Err(no) => Err(no.into_error()),
    }
}

#[async_trait]
impl Engine<dyn Search> for Elastic {
    /// A read of one document by its id is answered from the shard's newest state, unrefreshed. A
    /// copy that was cut off may answer an old one; whoever decides on that is refused as it writes.
    async fn pointer(&self) -> Result<Option<Pointer>> {
        Ok(self.held().await?.map(|held| held.source.pointer))
    }

    async fn put_pointer(&self, held: Option<u64>, next: &Pointer) -> Result<bool> {
        let index = self.pointers();
        let body = json!({ "pointer": next });
        let writing = self.client.server.index(IndexParts::IndexId(&index, POINTER)).body(&body);
        let writing = match held {
            None => {
                self.make(&index, POINTERS, json!({})).await?;
                writing.op_type(OpType::Create)
            }
            Some(version) => {
                let Some(found) = self.held().await?.filter(|it| it.source.pointer.version == version) else {
                    return Ok(false);
                };
                writing.if_seq_no(found.seq_no).if_primary_term(found.primary_term)
            }
        };
        let written: std::result::Result<Value, No> =
            self.client.guard.once(async { answer(writing.send().await).await }).await?;
        match written {
            Ok(_) => {
                self.point_alias(next.serving).await;
                Ok(true)
            }
            Err(no) if no.is_conflict() => Ok(false),
            Err(no) => Err(no.into_error()),
        }
    }

    async fn open(&self, number: u64) -> Result<Arc<dyn Search>> {
        let index = self.index(number);
        let rows = format!("{index}-rows");
        let look = async || {
            let found = self.client.guard.read(async || {
                let indices = self.client.server.indices();
                answer::<Value>(indices.get(IndicesGetParts::Index(&[&index])).send().await).await
            });
            found_or_none(found.await?)
        };
        let found = match look().await? {
            Some(found) => found,
            None => {
                self.make(&index, ROWS, json!({ rows.as_str(): {} })).await?;
                let gone = StoreError::Engine { engine: ENGINE, message: format!("{index} is not made yet") };
                look().await?.ok_or(gone)?
            }
        };
        let found = &found[&index];
        let (ours, held) = (meta(ROWS), &found["mappings"]["_meta"]);
        if *held != ours {
            let message = format!("the index {index} was made by something else ({held}, not {ours})");
            return Err(StoreError::Damaged { engine: ENGINE, message });
        }
        if found["aliases"].get(&rows).is_none() {
            let message = format!("the index {index} lacks its alias {rows}");
            return Err(StoreError::Damaged { engine: ENGINE, message });
        }
        Ok(Arc::new(ElasticSearch::new(self.client.clone(), index, rows, is_loading(found))))
    }

    async fn remove(&self, number: u64) -> Result<()> {
        let index = self.index(number);
        let removed: std::result::Result<Value, No> = self
            .client
            .guard
            .read(async || {
                let indices = self.client.server.indices();
                answer(indices.delete(IndicesDeleteParts::Index(&[&index])).send().await).await
            })
            .await?;
        found_or_none(removed).map(drop)
    }
}

/// What an index says of itself.
fn meta(definition: &str) -> Value {
    let definition: Value = serde_json::from_str(definition).unwrap_or_default();
    definition["mappings"]["_meta"].clone()
}

/// Whether an index, as the server describes it, is refreshed by nobody but us.
fn is_loading(found: &Value) -> bool {
    found["settings"]["index"]["refresh_interval"] == "-1"
}
