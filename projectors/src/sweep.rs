//! Blobs that no event names: put by a command whose event was never written, or left behind by a
//! deletion that was cut short.
//!
//! Nothing is deleted on doubt: not before it is old enough for any command to have ended, and not
//! unless the directory shows the whole log and has nothing parked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chronicle::Clock;
use chronicle::log::Log;
use domain::Timestamp;
use domain::ids::BlobId;
use metrics::counter;
use stores::Port;
use stores::blobs::Blobs;
use stores::directory::Directory;
use tokio_util::sync::CancellationToken;

/// For the directory to show what the log has.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);

/// Deletes what nobody names.
pub struct Sweep {
    pub blobs: Arc<dyn Blobs>,
    pub directory: Port<dyn Directory>,
    pub log: Arc<dyn Log>,
    pub clock: Arc<dyn Clock>,
    /// A blob that is younger stays.
    pub age: Duration,
}

impl Sweep {
    /// Sweeps now and again until `stop`: 24 times within the age.
    pub async fn run(self, stop: CancellationToken) {
        let pause = (self.age / 24).max(Duration::from_millis(500));
        let sweeping = async {
            loop {
                match self.once().await {
                    Ok(0) => {}
                    Ok(swept) => tracing::info!(swept, "blobs that no event names are gone"),
                    Err(why) => tracing::warn!(why, "blobs are not swept; it is tried again"),
                }
                tokio::time::sleep(pause).await;
            }
        };
        tokio::select! {
            () = sweeping => {}
            () = stop.cancelled() => {}
        }
    }

    /// Sweeps once; how many were deleted.
    ///
    /// # Errors
    /// What leaves it in doubt.
    pub async fn once(&self) -> Result<u64, String> {
        let age = i64::try_from(self.age.as_micros()).unwrap_or(i64::MAX);
        let before = self.clock.now().plus(age.saturating_neg());
        let (mut swept, mut after) = (0, None);
        loop {
            let page = self.blobs.older(before, after).await.map_err(said)?;
            if !page.names.is_empty() {
                let unnamed = self.unnamed(page.names.iter().map(|name| name.original)).await?;
                for name in page.names.iter().filter(|name| unnamed.contains(&name.original)) {
                    self.blobs.delete(*name).await.map_err(said)?;
                    counter!("letopis_blobs_swept_total").increment(1);
                    swept += 1;
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(swept);
            }
        }
    }

    /// Those that no event names, by a directory that shows every event there is now.
    async fn unnamed(&self, blobs: impl Iterator<Item = BlobId>) -> Result<BTreeSet<BlobId>, String> {
        let head = self.log.head().await.map_err(said)?.position;
        let directory = self.directory.serving();
        let shown = async {
            loop {
                let checkpoint = directory.checkpoint().await.map_err(said)?;
                if checkpoint.is_some_and(|shown| shown.position >= head) {
                    return Ok::<(), String>(());
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, shown).await.map_err(|_| "the directory is behind".to_owned())??;
        if !directory.parked().await.map_err(said)?.is_empty() {
            return Err("the directory has parked streams: see letopis projections status".to_owned());
        }
        let mut unnamed: BTreeSet<BlobId> = blobs.collect();
        let asked: Vec<BlobId> = unnamed.iter().copied().collect();
        for named in directory.photos_in(&asked).await.map_err(said)? {
            unnamed.remove(&named);
        }
        Ok(unnamed)
    }
}

fn said(error: impl ToString) -> String {
    error.to_string()
}

/// The age before which a blob is never swept.
pub const AGE: Duration = Duration::from_micros(Timestamp::DAY as u64);
