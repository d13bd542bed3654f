//! Blobs that no event names: put by a command whose event was never written, or left behind by a
//! deletion that was cut short.
//!
//! Nothing is deleted on doubt: not before it is old enough for any command to have ended, and not
//! unless the directory and the timeline show this very log, the whole of it, by today's code, and have
//! nothing parked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chronicle::Clock;
use chronicle::log::Log;
use domain::Timestamp;
use domain::ids::BlobId;
use metrics::counter;
use stores::blobs::Blobs;
use stores::directory::Directory;
use stores::timeline::Timeline;
use stores::{Checkpoint, Port, ReadModel};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::directory::DirectoryProjection;
use crate::projection::Projection;
use crate::timeline::TimelineProjection;

/// For the directory to show what the log has.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(200);

/// Deletes what nobody names.
pub struct Sweep {
    pub blobs: Arc<dyn Blobs>,
    pub directory: Port<dyn Directory>,
    pub timeline: Port<dyn Timeline>,
    pub log: Arc<dyn Log>,
    pub log_id: Uuid,
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

    /// Those that no event names, by a directory and a timeline that show every event there is now.
    async fn unnamed(&self, blobs: impl Iterator<Item = BlobId>) -> Result<BTreeSet<BlobId>, String> {
        let head = self.log.head().await.map_err(said)?.position;
        let (directory, timeline) = (self.directory.serving(), self.timeline.serving());
        self.shows_all(&*directory, head, DirectoryProjection::NAME, DirectoryProjection::CODE_VERSION)
            .await?;
        self.shows_all(&*timeline, head, TimelineProjection::NAME, TimelineProjection::CODE_VERSION).await?;
        let mut unnamed: BTreeSet<BlobId> = blobs.collect();
        let asked: Vec<BlobId> = unnamed.iter().copied().collect();
        let photos = directory.photos_in(&asked).await.map_err(said)?;
        let carried = timeline.carried(&asked).await.map_err(said)?;
        for named in photos.iter().chain(&carried) {
            unnamed.remove(named);
        }
        Ok(unnamed)
    }

    /// Waits until `rows` show the log up to `head`, the whole of it.
    async fn shows_all<M: ReadModel + ?Sized>(
        &self,
        rows: &M,
        head: u64,
        name: &str,
        code_version: u32,
    ) -> Result<(), String> {
        let shown = async {
            loop {
                if let Some(shown) = rows.checkpoint().await.map_err(said)?
                    && shown.position >= head
                {
                    return self.check_history(&shown, name, code_version).await;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(PATIENCE, shown).await.map_err(|_| format!("the {name} is behind"))??;
        if !rows.parked().await.map_err(said)?.is_empty() {
            return Err(format!("the {name} has parked streams: see letopis projections status"));
        }
        Ok(())
    }

    /// Rows of another log, or of another history of this one, know nothing of what is named here.
    async fn check_history(&self, shown: &Checkpoint, name: &str, code_version: u32) -> Result<(), String> {
        let before = shown.position.saturating_sub(1);
        let there = self.log.read(before, 1).await.map_err(said)?.first().map(|event| event.event_id);
        let is_ours = shown.log_id == self.log_id
            && shown.code_version == code_version
            && (shown.position == 0 || (there.is_some() && there == shown.event_id));
        if is_ours { Ok(()) } else { Err(format!("the {name} is of another log, history or version")) }
    }
}

fn said(error: impl ToString) -> String {
    error.to_string()
}

/// The age before which a blob is never swept.
pub const AGE: Duration = Duration::from_micros(Timestamp::DAY as u64);
