//! `change_photo`: the picture is made clean, sealed and durable before the event that names it.

use axum::Json;
use axum::extract::State;
use chronicle::Halt;
use domain::Problem;
use domain::aggregate::Event;
use domain::ids::PhotoId;
use domain::problem::{FieldError, Kind};
use domain::requests::PhotoChanged;
use domain::user::{Photo, User, UserCommand, UserEvent};
use serde::Serialize;
use stores::blobs::{BlobName, MOST_PIXELS, PictureError, blob_id};

use crate::asking::{Key, Signed};
use crate::body::Picture;
use crate::openapi::Problems;
use crate::refusal::Refusal;
use crate::state::CommandState;

/// What tells two requests under one key apart.
#[derive(Serialize)]
struct Request {
    sha256: String,
}

/// Changes one's photo. The body is the picture itself: JPEG, PNG or WebP, at most 10 MiB and 24
/// million pixels. It is kept without anything but its pixels, at most 2048 on its longest side.
#[utoipa::path(
    post,
    path = "/command/v1/change_photo",
    operation_id = "change_photo",
    params(("Idempotency-Key" = uuid::Uuid, Header, description = "A UUID, version 7 preferred")),
    request_body(content = Vec<u8>, content_type = "image/*"),
    responses((status = 200, body = PhotoChanged), Problems),
    security(("bearer" = []), ("cookie" = []))
)]
pub async fn change_photo(
    State(state): State<CommandState>,
    who: Signed,
    Key(key): Key,
    Picture { bytes: came, place }: Picture,
) -> Result<Json<PhotoChanged>, Refusal> {
    let request = Request { sha256: blob_id(&came).to_string() };
    let envelope = state.by(&who, "change_photo", key, &request);
    // A repeat neither decodes nor puts anything.
    if let Some(done) = state.executor.repeated(&envelope).await? {
        return answer(&done);
    }
    let (person, at) = (who.person, envelope.at);
    if state.executor.state::<User>(person).await?.person.is_none() {
        return Err(Kind::NotFound.into());
    }
    let picture = state.photos.pictures.clean(came).await.map_err(unfit)?;
    drop(place);
    state.ensure_key(person).await?;
    let sealed = state.keyring().seal_blob(person, &picture).map_err(|error| {
        tracing::error!(%error, "a photo can't be sealed");
        Problem::new(Kind::Unavailable)
    })?;
    let photo = Photo { photo_id: PhotoId(state.new_id(at)), blob: blob_id(&sealed) };
    state.photos.blobs.put(BlobName::original(photo.blob), sealed).await.map_err(|error| {
        tracing::error!(%error, "a photo can't be kept");
        Problem::new(Kind::Unavailable)
    })?;
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            ledger.decide::<User>(person, UserCommand::ChangePhoto { photo, at }, &())?;
            Ok::<(), Halt>(())
        })
        .await?;
    answer(&done)
}

fn answer(done: &chronicle::Done) -> Result<Json<PhotoChanged>, Refusal> {
    let photo_id = done.events.iter().find_map(|event| match event {
        Event::User(UserEvent::PhotoChanged { photo_id, .. }) => Some(*photo_id),
        _ => None,
    });
    let photo_id = photo_id.ok_or(Kind::Internal)?;
    Ok(Json(PhotoChanged { position: done.position, photo_id }))
}

pub(super) fn unfit(error: PictureError) -> Problem {
    match error {
        PictureError::WrongType => {
            Problem::new(Kind::UnsupportedType).detail("the body is none of JPEG, PNG and WebP")
        }
        PictureError::TooManyPixels => {
            Problem::field(FieldError::new("", "too-many-pixels").with("max", MOST_PIXELS / 1_000_000))
                .detail("the picture has too many pixels")
        }
        PictureError::Broken => broken("the picture is broken"),
        PictureError::TooLong => broken("the picture would keep a decoder busy"),
        PictureError::Busy => Problem::new(Kind::Unavailable).detail("too many pictures at once"),
    }
}

fn broken(detail: &str) -> Problem {
    Problem::field(FieldError::new("", "broken-picture")).detail(detail)
}
