//! What reactors on pictures share: a sealed original is opened, and what is made of it is kept beside it
//! under the same key.

use std::sync::Arc;

use chronicle::keys::{Keyring, OpenError, SealError};
use domain::ids::{BlobId, PersonId};
use stores::blobs::{BlobName, Blobs, PictureError, Pictures};

use crate::reactor::ReactionError;

/// Blobs, who works on pictures, and the keys. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Studio {
    pub blobs: Arc<dyn Blobs>,
    pub pictures: Pictures,
    pub keyring: Keyring,
}

impl Studio {
    /// The original `blob` of `owner`; nothing if it is gone meanwhile, or its key was destroyed.
    pub(crate) async fn open(&self, owner: PersonId, blob: BlobId) -> Result<Option<Vec<u8>>, ReactionError> {
        let Some(sealed) = self.blobs.get(BlobName::original(blob)).await.map_err(passing)? else {
            tracing::info!(%blob, "an original is gone before anything was made of it");
            return Ok(None);
        };
        match self.keyring.open_blob(owner, &sealed) {
            Ok(original) => Ok(Some(original)),
            Err(OpenError::Destroyed) => Ok(None),
            Err(OpenError::Store(error)) => Err(passing(error)),
            Err(error) => Err(ReactionError::Poison(format!("the original {blob}: {error}"))),
        }
    }

    /// Keeps what was `made` as `name`; false if the owner's key was destroyed meanwhile.
    pub(crate) async fn keep(
        &self,
        owner: PersonId,
        name: BlobName,
        made: Result<Vec<u8>, PictureError>,
    ) -> Result<bool, ReactionError> {
        let made = made.map_err(|error| match error {
            PictureError::Busy | PictureError::TooLong => passing(error),
            error => ReactionError::Poison(format!("{name}: {error}")),
        })?;
        match self.keyring.seal_blob(owner, &made) {
            Ok(sealed) => self.blobs.put(name, sealed).await.map(|()| true).map_err(passing),
            Err(SealError::Destroyed) => Ok(false),
            Err(error) => Err(passing(error)),
        }
    }
}

pub(crate) fn passing(error: impl ToString) -> ReactionError {
    ReactionError::Passing(error.to_string())
}
