//! `GET /photos/{photo_id}`: the bytes of a photo, for whoever may see it.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use chronicle::keys::OpenError;
use domain::ids::{PersonId, PhotoId};
use domain::problem::Kind;
use domain::user::Photo;
use stores::blobs::{BlobName, SIZES, media_type};

use super::bytes::{self, KEEP, KEEP_NOT};
use crate::refusal::{Refusal, of_store};
use crate::request::{Asker, Id, Params, Wanted, malformed};
use crate::state::{DIRECTORY, QueryState};
use crate::views::People;

/// A photo of somebody whose photo one may see; anything else is not found. Sizes 64 and 256 are
/// squares cut out of the middle, 1024 is the whole picture; without a size the original. While a
/// size is being made, a larger one is sent.
#[utoipa::path(
    get,
    path = "/photos/{photo_id}",
    operation_id = "photo",
    params(
        ("photo_id" = PhotoId, Path),
        ("size" = Option<u32>, Query, description = "64, 256 or 1024"),
        ("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position"),
        ("If-None-Match" = Option<String>, Header),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "image/*"),
        (status = 304, description = "It is the one with this ETag still"),
        (status = 404, description = "not-found"),
    ),
)]
pub async fn photo(
    Asker(caller): Asker,
    Id(photo_id): Id<PhotoId>,
    Wanted(wanted): Wanted,
    params: Params,
    headers: HeaderMap,
    State(state): State<QueryState>,
) -> Result<Response, Refusal> {
    let params = params.only(&["size"])?;
    let size: Option<u32> = params.parsed("size")?;
    if size.is_some_and(|size| !SIZES.contains(&size)) {
        return Err(malformed("size", "unreadable"));
    }
    state.shown(&[DIRECTORY], wanted).await?;
    let (owner, photo) = visible(&state, caller.person, photo_id).await?;
    let tag = bytes::tag(photo_id, size);
    if bytes::is_known(&headers, &tag) {
        return Ok(bytes::unchanged(&tag));
    }
    let _turn = state.opening.acquire().await.map_err(|_closed| Refusal::from(Kind::Unavailable))?;
    for name in candidates(photo, size) {
        let Some(sealed) = state.blobs.get(name).await.map_err(of_store)? else { continue };
        let picture = match state.keyring.open_blob(owner, &sealed) {
            Ok(picture) => picture,
            Err(OpenError::Destroyed) => return Err(Kind::NotFound.into()),
            Err(error) => {
                tracing::error!(%error, %name, "a photo can't be opened");
                return Err(Kind::Unavailable.into());
            }
        };
        let keep = if name.size == size { KEEP } else { KEEP_NOT };
        let kind = media_type(&picture);
        let mut response = bytes::respond(keep, &bytes::tag(photo_id, name.size), picture);
        response.headers_mut().insert(CONTENT_TYPE, kind.parse().expect("one of ours"));
        return Ok(response);
    }
    // Changed a moment ago, or lost.
    tracing::warn!(%photo_id, blob = %photo.blob, "a photo is not in the blob store");
    Err(Kind::NotFound.into())
}

/// Whose photo it is, if `asker` may see it.
async fn visible(
    state: &QueryState,
    asker: PersonId,
    photo_id: PhotoId,
) -> Result<(PersonId, Photo), Refusal> {
    let owner = state.stores.directory.serving().by_photo(photo_id).await.map_err(of_store)?;
    let owner = owner.ok_or(Kind::NotFound)?.user_id;
    let people = People::read(state, asker, [owner]).await?;
    let photo = people.user(owner).and_then(|user| people.photo(user));
    let photo = photo.filter(|photo| photo.photo_id == photo_id).ok_or(Kind::NotFound)?;
    Ok((owner, photo))
}

/// The blob that was asked for, then larger ones.
fn candidates(photo: Photo, size: Option<u32>) -> Vec<BlobName> {
    let larger = SIZES.into_iter().filter(|larger| size.is_some_and(|size| *larger >= size));
    let sized = larger.map(|size| BlobName::sized(photo.blob, size));
    sized.chain([BlobName::original(photo.blob)]).collect()
}
