//! What messages carry: opened and looked at before a decision, and by it claimed for one message.
//!
//! A blob lies sealed under the key that its message's text is sealed under, so that both are lost
//! together. Whose blob it is, it is opened to find out: nobody else's opens.

use chronicle::keys::{OpenError, SealError};
use chronicle::{Halt, Ledger};
use domain::Problem;
use domain::aggregate::StreamId;
use domain::chat::{ATTACHMENT_NAMES, Attachment, Chat};
use domain::ids::{BlobId, ChatId, PersonId, message_stream_id};
use domain::personal::FileName;
use domain::problem::{FieldError, Kind};
use domain::requests::Carried;
use domain::text::check_file_name;
use stores::blobs::{BlobName, Content, blob_id};

use super::{Checks, message};
use crate::state::{CommandState, FILE};

/// Claims of blobs: by the message that carries it.
const BLOB: &str = "blob/1";

/// What can be said of them without looking at one.
pub(super) fn check(checks: &mut Checks, asked: &[Carried]) {
    for (index, Carried { blob_id, name }) in asked.iter().enumerate() {
        checks.check(check_file_name(&format!("/attachments/{index}/name"), name));
        if asked[..index].iter().any(|before| before.blob_id == *blob_id) {
            checks.check(Err(FieldError::new(pointer(index), "twice")));
        }
    }
}

fn pointer(index: usize) -> String {
    format!("/attachments/{index}/blob_id")
}

/// What `person` has uploaded, as a message carries it.
///
/// # Errors
/// `no-such-blob`, also of what was uploaded long ago, of somebody else's and of what was not uploaded to be carried; `unavailable`.
pub(super) async fn carried(
    state: &CommandState,
    person: PersonId,
    asked: Vec<Carried>,
) -> Result<Vec<Attachment>, Problem> {
    let _place = state.photos.place(FILE).await?;
    let mut carried = Vec::with_capacity(asked.len());
    for (index, Carried { blob_id: blob, name }) in asked.into_iter().enumerate() {
        let plain = open(state, person, blob).await?;
        let (content, bytes) = plain
            .as_deref()
            .and_then(Content::unwrap)
            .filter(|(content, _)| state.photos.is_fresh(content.uploaded_at, state.now()))
            .ok_or_else(|| Problem::field(FieldError::new(pointer(index), "no-such-blob")))?;
        let Content { kind, media_type, width, height, .. } = content;
        let (size, name) = (bytes.len() as u64, FileName(name).into());
        carried.push(Attachment { blob, kind, media_type, size, width, height, name });
    }
    Ok(carried)
}

/// Copies of what a message of `chat` carries, sealed under the same key: each blob is of one message.
///
/// # Errors
/// `message-deleted` where they are not there any more; `unavailable`.
pub(super) async fn copied(
    state: &CommandState,
    chat: ChatId,
    sent: &message::Sent,
) -> Result<Vec<Attachment>, Problem> {
    if sent.attachments.is_empty() {
        return Ok(Vec::new());
    }
    let _place = state.photos.place(FILE).await?;
    let (stream, whose) = (StreamId::of::<Chat>(chat), sent.first_author());
    let mut copied = Vec::with_capacity(sent.attachments.len());
    for (field, original) in ATTACHMENT_NAMES.iter().zip(&sent.attachments) {
        let sealed = original.name.sealed().ok_or(Kind::Internal)?;
        let name: FileName = message::open(state, &stream, field, sealed)?;
        let plain = open(state, whose, original.blob).await?.ok_or(Kind::MessageDeleted)?;
        let blob = keep(state, whose, plain).await?;
        copied.push(Attachment { blob, name: name.into(), ..original.clone() });
    }
    Ok(copied)
}

/// Makes them the message's, each of no other.
pub(super) fn claim(
    ledger: &mut Ledger<'_, '_>,
    attachments: &[Attachment],
    (chat, number): (ChatId, u64),
) -> Result<(), Halt> {
    for (index, attachment) in attachments.iter().enumerate() {
        let blob = attachment.blob.to_string();
        if ledger.claim(BLOB, &blob)?.is_some() {
            return Err(Problem::field(FieldError::new(pointer(index), "used-blob")).into());
        }
        ledger.set_claim(BLOB, &blob, Some(message_stream_id(chat, number)))?;
    }
    Ok(())
}

/// Seals a blob under the key of `whose`; it is durable when its name is answered.
///
/// # Errors
/// `message-deleted` where that key was destroyed; `unavailable`.
pub(super) async fn keep(state: &CommandState, whose: PersonId, plain: Vec<u8>) -> Result<BlobId, Problem> {
    let keyring = state.keyring().clone();
    let sealing = tokio::task::spawn_blocking(move || {
        let sealed = keyring.seal_blob(whose, &plain)?;
        drop(plain);
        Ok((blob_id(&sealed), sealed))
    });
    let (blob, sealed) =
        sealing.await.map_err(|_| Problem::new(Kind::Internal))?.map_err(|error: SealError| match error {
            SealError::Destroyed => Problem::new(Kind::MessageDeleted),
            error => {
                tracing::error!(%error, "an attachment can't be sealed");
                Kind::Unavailable.into()
            }
        })?;
    state.photos.blobs.put(BlobName::original(blob), sealed).await.map_err(|error| {
        tracing::error!(%error, "an attachment can't be kept");
        Problem::new(Kind::Unavailable)
    })?;
    Ok(blob)
}

/// A blob of `whose`; `None` if it is somebody else's, or not there.
async fn open(state: &CommandState, whose: PersonId, blob: BlobId) -> Result<Option<Vec<u8>>, Problem> {
    let found = state.photos.blobs.get(BlobName::original(blob)).await.map_err(|error| {
        tracing::error!(%error, "an attachment can't be read");
        Problem::new(Kind::Unavailable)
    })?;
    let Some(sealed) = found else { return Ok(None) };
    let keyring = state.keyring().clone();
    let opening = tokio::task::spawn_blocking(move || keyring.open_blob(whose, &sealed));
    match opening.await.map_err(|_| Problem::new(Kind::Internal))? {
        Ok(plain) => Ok(Some(plain)),
        Err(OpenError::Unreadable | OpenError::Destroyed) => Ok(None),
        Err(OpenError::Store(error)) => {
            tracing::error!(%error, "a key can't be read");
            Err(Kind::Unavailable.into())
        }
    }
}
