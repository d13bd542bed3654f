//! What every read model is to the projection that writes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::checkpoint::{Checkpoint, Parked};
use crate::error::Result;

/// What is written in one transaction.
#[derive(Clone, Debug)]
pub struct Batch<C> {
    /// In their order.
    pub changes: Vec<C>,
    pub parking: Vec<Parking>,
    pub checkpoint: Checkpoint,
    /// Where the writer left the rows. `None`: wherever they are.
    pub follows: Option<u64>,
}

/// A change of what is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parking {
    Park(Parked),
    /// By the stream's name.
    Unpark(String),
}

/// One generation of a port's rows, as a projection writes it.
#[async_trait]
pub trait ReadModel: Send + Sync + 'static {
    /// What an event changes in the rows. Each carries the event's position, holds absolute
    /// values, and does nothing to a row that a later position has changed.
    type Change: Clone + Send + Sync + 'static;

    /// What the rows show now; `None` before the first writer.
    async fn checkpoint(&self) -> Result<Option<Checkpoint>>;

    /// Makes the caller the one writer: answers the checkpoint to go on from, or `fresh` where
    /// there is none, under an epoch above what was held and above `fresh`'s.
    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint>;

    /// Puts changes, what is parked, and the checkpoint in one transaction.
    ///
    /// # Errors
    /// [`crate::StoreError::StaleEpoch`] where another writer has taken over, and
    /// [`crate::StoreError::WentBack`] where the rows are not where the batch follows; nothing is
    /// written then.
    async fn put(&self, batch: Arc<Batch<Self::Change>>) -> Result<()>;

    /// [`Self::put`] where nothing is parked.
    ///
    /// # Errors
    /// As there.
    async fn write(&self, changes: Vec<Self::Change>, checkpoint: Checkpoint) -> Result<()> {
        self.put(Arc::new(Batch { changes, parking: Vec::new(), checkpoint, follows: None })).await
    }

    /// The streams that are passed over, by name. None for what keeps nothing; so with the next two.
    async fn parked(&self) -> Result<Vec<Parked>> {
        Ok(Vec::new())
    }

    /// Makes what a load goes faster without: secondary indexes. A new generation has none. Does
    /// nothing where they are.
    async fn index(&self) -> Result<()> {
        Ok(())
    }

    /// Counts and checksums of all rows. The snapshot is taken before this returns; the sums are
    /// ready when the inner future is, and writing goes on meanwhile.
    async fn summary(&self) -> Result<Summing> {
        Ok(Box::pin(std::future::ready(Ok(Summary::default()))))
    }

    /// Leaves the engine's files in order, for an orderly stop; nothing is lost without.
    async fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// Why the rows can't be relied on, once somebody has met that; for the life of this object.
    fn damage(&self) -> Option<String> {
        None
    }
}

/// A summary under way.
pub type Summing = BoxFuture<'static, Result<Summary>>;

/// What a generation's rows come to at a position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub position: u64,
    pub tables: BTreeMap<String, Sum>,
}

impl Summary {
    /// In words, a table a line, where the other one's rows are not these.
    pub fn differences(&self, new: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        if self.position != new.position {
            differences.push(format!("position {} here, {} in the new one", self.position, new.position));
        }
        let names: std::collections::BTreeSet<&String> =
            self.tables.keys().chain(new.tables.keys()).collect();
        let of = |summary: &Self, name: &String| summary.tables.get(name).copied().unwrap_or_default();
        for name in names {
            let (old, new) = (of(self, name), of(new, name));
            if old.count != new.count {
                differences.push(format!("{name}: {} rows, {} in the new one", old.count, new.count));
            } else if old != new {
                let (old, new, count) = (old.checksum, new.checksum, old.count);
                differences.push(format!(
                    "{name}: {count} rows in both, of another content (checksum {old:032x}, {new:032x} in the new one)"
                ));
            }
        }
        differences
    }
}

/// The rows of a table, whatever their order: their number, and the wrapping sum of the first 16
/// bytes of SHA-256 over each row's canonical bytes (all of its columns).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    pub count: u64,
    #[serde(with = "hexadecimal")]
    pub checksum: u128,
}

impl Sum {
    /// Adds a row; `canonical` must tell any two different rows apart.
    pub fn add(&mut self, canonical: &[u8]) {
        let digest = Sha256::digest(canonical);
        let mut first = [0; 16];
        first.copy_from_slice(&digest[..16]);
        self.count += 1;
        self.checksum = self.checksum.wrapping_add(u128::from_be_bytes(first));
    }
}

/// JSON knows no such numbers.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(sum: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{sum:032x}"))
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
    }
}
