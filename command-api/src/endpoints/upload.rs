//! `upload`: what a message is to carry. It is sealed and durable before anything names it; what no
//! message names is swept.

use axum::Json;
use axum::extract::State;
use domain::problem::Kind;
use domain::requests::Uploaded;
use domain::user::User;
use domain::views::AttachmentKind;
use serde::Serialize;
use stores::blobs::{Content, blob_id, dimensions, media_type};

use super::change_photo::unfit;
use super::{attachments, unavailable};
use crate::asking::{Key, Signed};
use crate::body::Upload;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// What tells two requests under one key apart.
#[derive(Serialize)]
struct Request<'a> {
    sha256: String,
    kind: AttachmentKind,
    media_type: &'a str,
}

/// Uploads what a message is to carry within 12 hours. The body is the thing itself. A picture (JPEG, PNG
/// or WebP by its type or its content, at most 10 MiB and 24 million pixels) is kept without anything but its pixels, at most 2048
/// on its longest side; anything else, or a picture with `X-Letopis-Kind: file`, is kept as it came, at
/// most 20 MiB.
#[utoipa::path(
    post,
    path = "/command/v1/upload",
    operation_id = "upload",
    params(
        ("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred"),
        ("X-Letopis-Kind" = Option<String>, Header, description = "`file`: to be kept as it came")
    ),
    request_body(content = Vec<u8>, content_type = "*/*"),
    responses((status = 200, body = Uploaded), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn upload(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Upload { bytes: came, kind, media_type: said, place }: Upload,
) -> Result<Json<Uploaded>, Refusal> {
    let person = who.person;
    let request = Request { sha256: blob_id(&came).to_string(), kind, media_type: &said };
    // No event tells of an upload, so a repeat makes another; but one key is of one command.
    state.executor.repeated(&state.by(&who, "upload", key, &request)).await?;
    if state.executor.state::<User>(person).await?.person.is_none() {
        return Err(Kind::NotFound.into());
    }
    let uploaded_at = state.now();
    let (content, size, plain) = match kind {
        AttachmentKind::Image => {
            let picture = state.photos.pictures.clean(came).await.map_err(unfit)?;
            let (width, height) = dimensions(&picture).unzip();
            let media_type = media_type(&picture).to_owned();
            let content = Content { kind, media_type, uploaded_at, width, height };
            let plain = content.wrap(&picture);
            (content, picture.len(), plain)
        }
        AttachmentKind::File => {
            let content = Content { kind, media_type: said, uploaded_at, width: None, height: None };
            let plain = content.wrap(&came);
            (content, came.len(), plain)
        }
    };
    state.ensure_key(person).await?;
    let blob_id = attachments::keep(&state, person, plain).await?;
    drop(place);
    let position = state.executor.log().head().await.map_err(unavailable)?.position;
    let Content { kind, media_type, width, height, .. } = content;
    Ok(Json(Uploaded { position, blob_id, kind, media_type, size: size as u64, width, height }))
}
