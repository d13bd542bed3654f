//! Attachments: of a picture that was sent, what a conversation shows of it is made. What a deleted
//! message carried is named by nobody any more, and swept ([`crate::sweep`]).

use std::sync::Arc;

use async_trait::async_trait;
use chronicle::keys::{Keyring, OpenError, SealError};
use domain::aggregate::{Event, Kind};
use domain::chat::ChatEvent;
use domain::ids::{BlobId, PersonId};
use domain::views::AttachmentKind;
use stores::blobs::{BlobName, Blobs, Content, PREVIEW, PictureError, Pictures};

use crate::projection::Entry;
use crate::reactor::{ReactionError, Reactor};

/// Makes previews. Doing it twice changes nothing.
#[derive(Debug)]
pub struct Previews {
    pub blobs: Arc<dyn Blobs>,
    pub pictures: Pictures,
    pub keyring: Keyring,
}

impl Previews {
    async fn make(&self, owner: PersonId, blob: BlobId) -> Result<(), ReactionError> {
        let Some(sealed) = self.blobs.get(BlobName::original(blob)).await.map_err(passing)? else {
            // Deleted meanwhile, and swept.
            tracing::info!(%blob, "a picture is gone before its preview was made");
            return Ok(());
        };
        let opened = match self.keyring.open_blob(owner, &sealed) {
            Ok(opened) => opened,
            Err(OpenError::Destroyed) => return Ok(()),
            Err(OpenError::Store(error)) => return Err(passing(error)),
            Err(error) => return Err(ReactionError::Poison(format!("the attachment {blob}: {error}"))),
        };
        let (_, picture) = Content::unwrap(&opened)
            .ok_or_else(|| ReactionError::Poison(format!("{blob} is no attachment")))?;
        let made = self.pictures.fit(picture.into(), PREVIEW).await.map_err(|error| match error {
            PictureError::Busy | PictureError::TooLong => passing(error),
            error => ReactionError::Poison(format!("a preview of {blob}: {error}")),
        })?;
        match self.keyring.seal_blob(owner, &made) {
            Ok(sealed) => self.blobs.put(BlobName::sized(blob, PREVIEW), sealed).await.map_err(passing),
            Err(SealError::Destroyed) => Ok(()),
            Err(error) => Err(passing(error)),
        }
    }
}

fn passing(error: impl ToString) -> ReactionError {
    ReactionError::Passing(error.to_string())
}

#[async_trait]
impl Reactor for Previews {
    const NAME: &'static str = "previews";
    const READS: &'static [Kind] = &[Kind::Chat];

    async fn react(&self, entry: &Entry) -> Result<(), ReactionError> {
        if let Event::Chat(ChatEvent::MessageSent { author, attachments, forwarded_from, .. }) = &entry.event
        {
            for carried in attachments.iter().filter(|carried| carried.kind == AttachmentKind::Image) {
                self.make(forwarded_from.unwrap_or(*author), carried.blob).await?;
            }
        }
        Ok(())
    }
}
