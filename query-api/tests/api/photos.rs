//! Who sees whose photo.

use chronicle::keys::subject_of;
use domain::ids::{PersonId, PhotoId};
use domain::user::Photo;
use serde_json::{Value, json};
use stores::blobs::{BlobName, blob_id};
use stores::directory::Change;
use uuid::Uuid;

use crate::world::{World, person};

/// What begins as a JPEG does is one to whoever only passes it on.
const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0 original";

async fn with_photo(world: &World, who: PersonId, number: u128) -> Photo {
    world.keyring.ensure(&subject_of(who)).expect("a key");
    let sealed = world.keyring.seal_blob(who, JPEG).expect("sealed");
    let photo = Photo { photo_id: PhotoId(Uuid::from_u128(number)), blob: blob_id(&sealed) };
    world.blobs.put(BlobName::original(photo.blob), sealed).await.expect("put");
    world.photo(who, Some(photo)).await;
    photo
}

fn path(photo: Photo) -> String {
    format!("/query/v1/photos/{}", photo.photo_id)
}

#[tokio::test]
async fn a_photo_is_seen_by_oneself_friends_and_strangers_and_not_once_a_link_has_ended() {
    let world = World::new().await;
    let mut people = Vec::new();
    for (number, name) in [(1, "ann"), (2, "bob"), (3, "cy"), (4, "dan"), (5, "eve")] {
        people.push(world.registered(number, name, name).await);
    }
    let [ann, bob, cy, dan, eve] = people.try_into().expect("five");
    let photo = with_photo(&world, ann, 77).await;
    world.friends(ann, bob).await;
    // Cy was a friend, dan is blocked, eve is a stranger.
    for other in [cy, dan] {
        world.friends(ann, other).await;
    }
    world.unfriends(ann, cy).await;
    world.blocks(ann, dan).await;
    let id = photo.photo_id.to_string();
    for (who, sees) in [(ann, true), (bob, true), (eve, true), (cy, false), (dan, false)] {
        let seen = world.get(who, &format!("/users/{ann}")).await;
        assert_eq!(seen.get("photo_id").and_then(Value::as_str), sees.then_some(id.as_str()), "{who}");
        let answer = world.ask_with("GET", Some(who), &path(photo), &[]).await;
        assert_eq!(answer.status.as_u16(), if sees { 200 } else { 404 }, "{who}");
        if !sees {
            assert_eq!(answer.refusal(), (404, "not-found".into(), String::new()));
            let unknown = world.refused(who, &format!("/photos/{}", Uuid::from_u128(9))).await;
            assert_eq!(unknown, answer.refusal(), "as one that never was");
        }
    }
    assert_eq!(world.get(ann, "/me").await["photo_id"], json!(id));
    let friends = world.get(bob, "/friends").await;
    assert_eq!(friends["items"][0]["photo_id"], json!(id));
    world.photo(ann, None).await;
    assert_eq!(world.ask_with("GET", Some(bob), &path(photo), &[]).await.status.as_u16(), 404);
    assert_eq!(world.get(bob, &format!("/users/{ann}")).await.get("photo_id"), None);
}

#[tokio::test]
async fn the_size_that_is_asked_for_is_sent_or_a_larger_one_until_it_is_made() {
    let world = World::new().await;
    let ann = world.registered(1, "ann", "Ann").await;
    let photo = with_photo(&world, ann, 77).await;
    let get = async |query: &str, headers: &[(&str, &str)]| {
        world.ask_with("GET", Some(ann), &format!("{}{query}", path(photo)), headers).await
    };
    let length = |answer: &crate::world::Answer| answer.headers["content-length"].clone();
    let original = get("", &[]).await;
    assert_eq!(original.headers["content-type"], "image/jpeg");
    assert_eq!(original.headers["cache-control"], "private, max-age=300");
    assert_eq!(original.headers["x-content-type-options"], "nosniff");
    assert_eq!(original.headers["cross-origin-resource-policy"], "same-origin");
    let waiting = get("?size=64", &[]).await;
    assert_eq!((length(&waiting), &waiting.headers["etag"]), (length(&original), &original.headers["etag"]));
    assert_eq!(waiting.headers["cache-control"], "private, no-cache");
    for (size, picture) in [(64, b"\xFF\xD8\xFF 64".as_slice()), (1024, b"\xFF\xD8\xFF ten twenty-four")] {
        let sealed = world.keyring.seal_blob(ann, picture).expect("sealed");
        world.blobs.put(BlobName::sized(photo.blob, size), sealed).await.expect("put");
        let made = get(&format!("?size={size}"), &[]).await;
        assert_eq!(length(&made), picture.len().to_string().as_str());
        assert_eq!(made.headers["cache-control"], "private, max-age=300");
        let tag = made.headers["etag"].to_str().expect("text").to_owned();
        let known = get(&format!("?size={size}"), &[("if-none-match", &tag)]).await;
        assert_eq!(known.status.as_u16(), 304);
        let other = get("", &[("if-none-match", &tag)]).await;
        assert_eq!(other.status.as_u16(), 200, "another size is something else");
    }
    assert_eq!(length(&get("?size=256", &[]).await), "19", "the next larger one");
    for wrong in ["?size=65", "?size=0", "?size=big", "?size=64&size=64", "?width=64"] {
        assert_eq!(get(wrong, &[]).await.status.as_u16(), 400, "{wrong}");
    }
    let nobody = world.ask_with("GET", None, &path(photo), &[]).await;
    assert_eq!(nobody.status.as_u16(), 401);
    assert_eq!(world.refused(person(1), "/photos/nonsense").await.0, 400);
}

#[tokio::test]
async fn a_photo_whose_owners_key_was_destroyed_is_gone_and_a_damaged_one_is_no_picture() {
    let world = World::new().await;
    let (ann, bob) = (world.registered(1, "ann", "Ann").await, world.registered(2, "bob", "Bob").await);
    let photo = with_photo(&world, ann, 77).await;
    // Bob's row leads to what is sealed for Ann.
    let stolen = Photo { photo_id: PhotoId(Uuid::from_u128(78)), ..photo };
    world.photo(bob, Some(stolen)).await;
    assert_eq!(world.ask_with("GET", Some(bob), &path(stolen), &[]).await.status.as_u16(), 503);
    world.keyring.destroy(&subject_of(ann)).expect("destroyed");
    assert_eq!(world.ask_with("GET", Some(ann), &path(photo), &[]).await.status.as_u16(), 404);
}

impl World {
    async fn photo(&self, who: PersonId, photo: Option<Photo>) {
        let position = self.next();
        self.directory(vec![Change::Photo { user_id: who, photo, position }], position).await;
    }
}
