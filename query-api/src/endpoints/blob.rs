//! `GET /blobs/{blob_id}`: the bytes of an attachment, for whoever may read the message that carries it.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use chronicle::keys::OpenError;
use domain::chat::first_author;
use domain::ids::{BlobId, PersonId};
use domain::problem::Kind;
use domain::views::AttachmentKind;
use stores::blobs::{BlobName, Content, PREVIEW, media_type};

use super::bytes::{self, KEEP, KEEP_NOT};
use crate::refusal::{Refusal, of_store};
use crate::request::{Asker, Id, Params, Wanted, malformed};
use crate::state::{QueryState, TIMELINE};

/// Under whose key a blob lies, as far as `asker` may know.
enum Owner {
    /// Of the text that it was sent with; what it is stands in the message.
    Carried(PersonId, AttachmentKind),
    /// No message carries it: it can only be one's own upload.
    Oneself(PersonId),
}

impl Owner {
    fn person(&self) -> PersonId {
        match self {
            Self::Carried(person, _) | Self::Oneself(person) => *person,
        }
    }
}

/// An attachment of a message that one may read, or what one has uploaded to send it; anything else is not
/// found. A file is sent as `application/octet-stream` to be saved; an image is shown, and with
/// `size=640` is at most so long and wide.
#[utoipa::path(
    get,
    path = "/blobs/{blob_id}",
    operation_id = "blob",
    params(
        ("blob_id" = BlobId, Path),
        ("size" = Option<u32>, Query, description = "640, of an image"),
        ("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position"),
        ("If-None-Match" = Option<String>, Header),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 304, description = "It is the one with this ETag still"),
        (status = 404, description = "not-found"),
    ),
)]
pub async fn blob(
    Asker(caller): Asker,
    Id(blob_id): Id<BlobId>,
    Wanted(wanted): Wanted,
    params: Params,
    headers: HeaderMap,
    State(state): State<QueryState>,
) -> Result<Response, Refusal> {
    let params = params.only(&["size"])?;
    let size: Option<u32> = params.parsed("size")?;
    if size.is_some_and(|size| size != PREVIEW) {
        return Err(malformed("size", "unreadable"));
    }
    state.shown(&[TIMELINE], wanted).await?;
    let owner = owner(&state, caller.person, blob_id).await?;
    if matches!(owner, Owner::Carried(_, AttachmentKind::File)) && size.is_some() {
        return Err(Kind::NotFound.into());
    }
    let tag = bytes::tag(blob_id, size);
    if matches!(owner, Owner::Carried(..)) && bytes::is_known(&headers, &tag) {
        return Ok(bytes::unchanged(&tag));
    }
    let _turn = state.opening.acquire().await.map_err(|_closed| Refusal::from(Kind::Unavailable))?;
    if size.is_some()
        && let Some(preview) = open(&state, &owner, BlobName::sized(blob_id, PREVIEW)).await?
    {
        return Ok(image(KEEP, &tag, preview));
    }
    let opened = open(&state, &owner, BlobName::original(blob_id)).await?.ok_or(Kind::NotFound)?;
    // A photo's blob, say, is none of these.
    let (content, whole) = Content::unwrap(&opened).ok_or(Kind::NotFound)?;
    match (content.kind, size) {
        (AttachmentKind::File, None) => Ok(file(&tag, whole.to_vec())),
        (AttachmentKind::File, Some(_)) => Err(Kind::NotFound.into()),
        (AttachmentKind::Image, None) => Ok(image(KEEP, &tag, whole.to_vec())),
        (AttachmentKind::Image, Some(size)) => match state.pictures.fit(whole.into(), size).await {
            Ok(made) => Ok(image(KEEP, &tag, made)),
            Err(error) => {
                tracing::info!(%error, %blob_id, "the whole picture goes out in place of its preview");
                Ok(image(KEEP_NOT, &bytes::tag(blob_id, None), whole.to_vec()))
            }
        },
    }
}

/// Whose key opens the blob, if `asker` may read the message that carries it.
async fn owner(state: &QueryState, asker: PersonId, blob_id: BlobId) -> Result<Owner, Refusal> {
    let timeline = state.stores.timeline.serving();
    let Some((chat_id, number)) = timeline.carrier(blob_id).await.map_err(of_store)? else {
        // What a deleted message carried is nobody's to see, its sender's neither.
        if state.invitations.was_sent(blob_id).await? {
            return Err(Kind::NotFound.into());
        }
        return Ok(Owner::Oneself(asker));
    };
    let me = timeline.membership(chat_id, asker).await.map_err(of_store)?;
    me.filter(|me| me.shows(number)).ok_or(Kind::NotFound)?;
    let message = timeline.message(chat_id, number).await.map_err(of_store)?;
    let message = message.filter(|message| message.touch.deleted.is_none()).ok_or(Kind::NotFound)?;
    let carried = message.attachments.iter().find(|it| it.blob == blob_id).ok_or(Kind::NotFound)?;
    Ok(Owner::Carried(first_author(message.author, message.forwarded_from), carried.kind))
}

/// What lies under `name`; `None` if nothing does.
async fn open(state: &QueryState, owner: &Owner, name: BlobName) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(sealed) = state.blobs.get(name).await.map_err(of_store)? else { return Ok(None) };
    match (state.keyring.open_blob(owner.person(), &sealed), owner) {
        (Ok(opened), _) => Ok(Some(opened)),
        // Somebody else's.
        (Err(OpenError::Unreadable), Owner::Oneself(_)) => Err(Kind::NotFound.into()),
        (Err(OpenError::Destroyed), _) => Err(Kind::NotFound.into()),
        (Err(error), _) => {
            tracing::error!(%error, %name, "an attachment can't be opened");
            Err(Kind::Unavailable.into())
        }
    }
}

fn image(keep: &'static str, tag: &str, picture: Vec<u8>) -> Response {
    let kind = HeaderValue::from_static(media_type(&picture));
    let mut response = bytes::respond(keep, tag, picture);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CONTENT_DISPOSITION, HeaderValue::from_static("inline"));
    response
}

/// Its name lies in the message: whoever saves it gives it that.
fn file(tag: &str, whole: Vec<u8>) -> Response {
    let mut response = bytes::respond(KEEP, tag, whole);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    response
}
