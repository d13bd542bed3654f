//! What one lets others see.

use domain::ids::PhotoId;
use domain::user::Photo;
use domain::views::{Audience, Relation, Settings};
use serde_json::json;
use stores::blobs::{BlobName, blob_id};
use stores::directory::{Change, Seen};
use uuid::Uuid;

use crate::world::World;

#[tokio::test]
async fn photo_and_about_are_for_whom_one_lets_see_them() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let (dan, eve) = (world.registered(4, "dan", "Dan").await, world.registered(5, "eve", "Eve").await);
    let sealed = world.keyring.seal_blob(ann, b"\xFF\xD8\xFF ann").expect("sealed");
    let photo = Photo { photo_id: PhotoId(Uuid::from_u128(77)), blob: blob_id(&sealed) };
    world.blobs.put(BlobName::original(photo.blob), sealed).await.expect("put");
    let position = world.next();
    let about = Change::UserEdited {
        user_id: ann,
        nickname: None,
        name: None,
        about: Some("I sing".into()),
        position,
    };
    let changes = vec![about, Change::Photo { user_id: ann, photo: Some(photo), position }];
    world.directory(changes, position).await;
    // Bob is a friend, cy has asked, dan was a friend and is blocked, eve is a stranger.
    world.friends(ann, bob).await;
    let seen = |relation| Seen { relation, blocked: false, parted: false };
    world.linked(ann, cy, seen(Relation::Incoming), seen(Relation::Outgoing)).await;
    world.friends(ann, dan).await;
    world.blocks(ann, dan).await;
    let sees = async |who| {
        let user = world.get(who, &format!("/users/{ann}")).await;
        let path = format!("/query/v1/photos/{}", photo.photo_id);
        let bytes = world.ask_with("GET", Some(who), &path, &[]).await.status == 200;
        assert_eq!(user.get("photo_id").is_some(), bytes, "view and bytes agree");
        (bytes, user.get("about").is_some())
    };
    assert_eq!(world.get(ann, "/me").await["settings"], json!(Settings::default()));
    for (who, both) in [(bob, true), (cy, true), (dan, false), (eve, true), (ann, true)] {
        assert_eq!(sees(who).await, (both, both), "everyone, {who}");
    }
    let friends = Settings { photo: Audience::Friends, ..Settings::default() };
    world.set(ann, friends).await;
    assert_eq!(sees(eve).await, (false, true), "each has a setting of its own");
    let both = Settings { about: Audience::Friends, ..friends };
    world.set(ann, both).await;
    for (who, both) in [(bob, true), (cy, false), (dan, false), (eve, false), (ann, true)] {
        assert_eq!(sees(who).await, (both, both), "friends, {who}");
    }
    assert_eq!(world.get(ann, "/me").await["settings"], json!(both));
    let chat = world.chat(100, ann, eve).await;
    world.sent(chat, ann, 1, "hello", None).await;
    let of_eve = world.get(eve, &format!("/chats/{chat}/messages")).await;
    assert_eq!(of_eve["items"][0]["author"].get("photo_id"), None, "beside one's messages, too");
    assert_eq!(world.get(bob, "/friends").await["items"][0]["about"], "I sing");
}

#[tokio::test]
async fn who_does_not_want_to_be_found_is_found_by_the_exact_nickname_alone() {
    let world = World::new().await;
    let me = world.registered(1, "seeker", "Seeker").await;
    let raul = world.registered(2, "Raúl", "Gómez").await;
    world.set(raul, Settings { discoverable: false, ..Settings::default() }).await;
    for q in ["raul", "%40RAUL", "ra%C3%BAl", "%20raul%20"] {
        assert_eq!(world.each(me, &format!("/users?q={q}"), "user_id").await, [json!(raul)], "{q}");
    }
    for q in ["rau", "gomez", "raull", &raul.to_string()] {
        assert!(world.each(me, &format!("/users?q={q}"), "user_id").await.is_empty(), "{q}");
    }
    world.set(raul, Settings::default()).await;
    assert_eq!(world.each(me, "/users?q=gomez", "user_id").await, [json!(raul)]);
}
