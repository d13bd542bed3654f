//! Photos: their sizes are made once they are changed, and what they replace is deleted.

use std::sync::Arc;

use async_trait::async_trait;
use domain::aggregate::{Event, Kind};
use domain::ids::{BlobId, PersonId};
use domain::user::UserEvent;
use stores::blobs::{BlobName, SIZES};

use crate::projection::Entry;
use crate::reactor::{ReactionError, Reactor};
use crate::studio::{Studio, passing};

/// Makes sizes, and deletes what nobody needs. Doing it twice changes nothing.
#[derive(Debug)]
pub struct PhotoSizes(pub Studio);

impl PhotoSizes {
    async fn make(&self, owner: PersonId, blob: BlobId) -> Result<(), ReactionError> {
        // Gone: replaced meanwhile, by a reaction that was made before this one was written down.
        let Some(original) = self.0.open(owner, blob).await? else { return Ok(()) };
        let original: Arc<[u8]> = original.into();
        for size in SIZES {
            let made = self.0.pictures.size(original.clone(), size).await;
            if !self.0.keep(owner, BlobName::sized(blob, size), made).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn delete(&self, blob: BlobId) -> Result<(), ReactionError> {
        for size in SIZES {
            self.0.blobs.delete(BlobName::sized(blob, size)).await.map_err(passing)?;
        }
        // The original last: while it is there, what is left of it is known by its name.
        self.0.blobs.delete(BlobName::original(blob)).await.map_err(passing)
    }
}

#[async_trait]
impl Reactor for PhotoSizes {
    const NAME: &'static str = "photos";
    const READS: &'static [Kind] = &[Kind::User];

    async fn react(&self, entry: &Entry) -> Result<(), ReactionError> {
        match &entry.event {
            Event::User(UserEvent::PhotoChanged { person, blob, previous, .. }) => {
                if let Some(previous) = previous {
                    self.delete(*previous).await?;
                }
                self.make(*person, *blob).await
            }
            Event::User(UserEvent::PhotoRemoved { previous, .. }) => self.delete(*previous).await,
            _ => Ok(()),
        }
    }
}
