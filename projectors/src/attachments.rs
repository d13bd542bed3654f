//! Attachments: of a picture that was sent, what a conversation shows of it is made. What a deleted
//! message carried is named by nobody any more, and swept ([`crate::sweep`]).

use async_trait::async_trait;
use domain::aggregate::{Event, Kind};
use domain::chat::{ChatEvent, first_author};
use domain::ids::{BlobId, PersonId};
use domain::views::AttachmentKind;
use stores::blobs::{BlobName, Content, PREVIEW};

use crate::projection::Entry;
use crate::reactor::{ReactionError, Reactor};
use crate::studio::Studio;

/// Makes previews. Doing it twice changes nothing.
#[derive(Debug)]
pub struct Previews(pub Studio);

impl Previews {
    async fn make(&self, owner: PersonId, blob: BlobId) -> Result<(), ReactionError> {
        let Some(opened) = self.0.open(owner, blob).await? else { return Ok(()) };
        let (_, picture) = Content::unwrap(&opened)
            .ok_or_else(|| ReactionError::Poison(format!("{blob} is no attachment")))?;
        let made = self.0.pictures.fit(picture.into(), PREVIEW).await;
        self.0.keep(owner, BlobName::sized(blob, PREVIEW), made).await.map(drop)
    }
}

#[async_trait]
impl Reactor for Previews {
    const NAME: &'static str = "previews";
    const READS: &'static [Kind] = &[Kind::Chat];

    async fn react(&self, entry: &Entry) -> Result<(), ReactionError> {
        if let Event::Chat(ChatEvent::MessageSent { author, attachments, forwarded_from, .. }) = &entry.event
        {
            for carried in attachments.iter().filter(|carried| carried.kind == AttachmentKind::Image) {
                self.make(first_author(*author, *forwarded_from), carried.blob).await?;
            }
        }
        Ok(())
    }
}
