//! Photos: their sizes are made once they are changed, and what they replace is deleted.

use std::sync::Arc;

use async_trait::async_trait;
use chronicle::keys::{Keyring, OpenError, SealError};
use domain::aggregate::{Event, Kind};
use domain::ids::{BlobId, PersonId};
use domain::user::UserEvent;
use stores::blobs::{BlobName, Blobs, PictureError, Pictures, SIZES};

use crate::projection::Entry;
use crate::reactor::{ReactionError, Reactor};

/// Makes sizes, and deletes what nobody needs. Doing it twice changes nothing.
#[derive(Debug)]
pub struct PhotoSizes {
    pub blobs: Arc<dyn Blobs>,
    pub pictures: Pictures,
    pub keyring: Keyring,
}

impl PhotoSizes {
    async fn make(&self, owner: PersonId, blob: BlobId) -> Result<(), ReactionError> {
        let Some(sealed) = self.blobs.get(BlobName::original(blob)).await.map_err(passing)? else {
            // Replaced meanwhile, by a reaction that was made before this one was written down.
            tracing::info!(%blob, "an original is gone before its sizes were made");
            return Ok(());
        };
        let original: Arc<[u8]> = match self.keyring.open_blob(owner, &sealed) {
            Ok(original) => original.into(),
            Err(OpenError::Destroyed) => return Ok(()),
            Err(OpenError::Store(error)) => return Err(passing(error)),
            Err(error) => return Err(ReactionError::Poison(format!("the original {blob}: {error}"))),
        };
        for size in SIZES {
            let made = self.pictures.size(original.clone(), size).await.map_err(|error| match error {
                PictureError::Busy | PictureError::TooLong => passing(error),
                error => ReactionError::Poison(format!("size {size} of {blob}: {error}")),
            })?;
            match self.keyring.seal_blob(owner, &made) {
                Ok(sealed) => {
                    self.blobs.put(BlobName::sized(blob, size), sealed).await.map_err(passing)?;
                }
                Err(SealError::Destroyed) => return Ok(()),
                Err(error) => return Err(passing(error)),
            }
        }
        Ok(())
    }

    async fn delete(&self, blob: BlobId) -> Result<(), ReactionError> {
        for size in SIZES {
            self.blobs.delete(BlobName::sized(blob, size)).await.map_err(passing)?;
        }
        // The original last: while it is there, what is left of it is known by its name.
        self.blobs.delete(BlobName::original(blob)).await.map_err(passing)
    }
}

fn passing(error: impl ToString) -> ReactionError {
    ReactionError::Passing(error.to_string())
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
