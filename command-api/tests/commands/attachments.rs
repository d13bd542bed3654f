//! What messages carry.

use domain::aggregate::Event;
use domain::chat::{Attachment, ChatEvent};
use domain::ids::{BlobId, PersonId};
use serde_json::{Value, json};
use stores::blobs::{BlobName, Content};

use crate::photos::PNG;
use crate::stack::{Answer, Someone, Stack};

/// Ann and Bob, and their chat.
struct Post {
    stack: Stack,
    ann: Someone,
    bob: Someone,
    chat: Value,
}

impl Post {
    async fn new() -> Self {
        let stack = Stack::new().await;
        let (ann, bob) = stack.friends().await;
        let chat = stack.of(&ann, "create_chat", json!({ "user_id": bob.id })).await.ok()["chat_id"].clone();
        Self { stack, ann, bob, chat }
    }

    async fn upload(&self, who: &Someone, kind: &str, body: &[u8]) -> Answer {
        self.stack.ask("upload", json!({})).by(who).header("content-type", kind).raw(body).send().await
    }

    async fn file(&self, who: &Someone) -> Value {
        self.upload(who, "text/plain; charset=utf-8", b"notes").await.ok()["blob_id"].clone()
    }

    async fn send(&self, who: &Someone, text: &str, carried: &[(&Value, &str)]) -> Answer {
        let carried: Vec<Value> =
            carried.iter().map(|(blob, name)| json!({ "blob_id": blob, "name": name })).collect();
        let body = json!({ "chat_id": self.chat, "text": text, "attachments": carried });
        self.stack.of(who, "send", body).await
    }

    /// What the newest message carries.
    async fn carried(&self) -> Vec<Attachment> {
        match self.stack.newest().await {
            Event::Chat(ChatEvent::MessageSent { attachments, .. }) => attachments,
            other => panic!("no message: {other:?}"),
        }
    }

    async fn open(&self, whose: &Someone, blob: BlobId) -> Option<(Content, Vec<u8>)> {
        let person: PersonId = whose.id.parse().expect("an id");
        let sealed = self.stack.state.photos.blobs.get(BlobName::original(blob)).await.expect("read")?;
        let plain = self.stack.state.executor.keyring().open_blob(person, &sealed).ok()?;
        Content::unwrap(&plain).map(|(content, bytes)| (content, bytes.to_vec()))
    }
}

fn id(blob: &Value) -> BlobId {
    blob.as_str().expect("text").parse().expect("a name")
}

#[tokio::test]
async fn a_picture_is_made_anew_and_a_file_is_kept() {
    let post = Post::new().await;
    let Post { stack, ann, bob, .. } = &post;
    let head = stack.head().await;
    let picture = post.upload(ann, "image/png", PNG).await.ok();
    assert_eq!(picture["position"], head, "no event tells of it");
    assert_eq!((&picture["kind"], &picture["media_type"]), (&json!("image"), &json!("image/jpeg")));
    assert_eq!((&picture["width"], &picture["height"]), (&json!(1), &json!(1)));
    let (content, bytes) = post.open(ann, id(&picture["blob_id"])).await.expect("hers");
    assert_eq!((content.width, content.media_type.as_str()), (Some(1), "image/jpeg"));
    assert!(bytes.starts_with(b"\xff\xd8\xff"));
    assert_eq!(picture["size"], bytes.len());
    assert_eq!(post.open(bob, id(&picture["blob_id"])).await, None, "sealed under her key");

    let kept = stack.ask("upload", json!({})).by(ann).header("content-type", "image/png");
    let kept = kept.header("x-letopis-kind", "file").raw(PNG).send().await.ok();
    assert_eq!((&kept["kind"], &kept["media_type"]), (&json!("file"), &json!("image/png")));
    assert_eq!(kept["width"], Value::Null);
    assert_eq!(post.open(ann, id(&kept["blob_id"])).await.expect("hers").1, PNG);

    let untold = post.upload(ann, "application/octet-stream", PNG).await.ok();
    assert_eq!((&untold["kind"], &untold["media_type"]), (&json!("image"), &json!("image/jpeg")));

    for (said, kind) in [
        ("Text/Plain; charset=utf-8", "text/plain"),
        ("image/svg+xml", "image/svg+xml"),
        ("nonsense", "application/octet-stream"),
        ("a/b/c", "application/octet-stream"),
    ] {
        let file = post.upload(ann, said, b"bytes").await.ok();
        assert_eq!((&file["kind"], &file["media_type"]), (&json!("file"), &json!(kind)), "{said}");
        assert_eq!(file["size"], 5);
    }
    let untyped = stack.ask("upload", json!({})).by(ann).without("content-type").raw("bytes").send().await;
    assert_eq!(untyped.ok()["media_type"], "application/octet-stream");
}

#[tokio::test]
async fn an_upload_has_bounds() {
    let post = Post::new().await;
    let Post { stack, ann, .. } = &post;
    let mib = 1024 * 1024;
    assert_eq!(post.upload(ann, "image/png", b"no picture").await.refused(), (415, "unsupported-type"));
    assert_eq!(post.upload(ann, "image/png", &PNG[..45]).await.invalid(), ("", "broken-picture"));
    let large = vec![0; 10 * mib + 1];
    assert_eq!(post.upload(ann, "image/png", &large).await.refused(), (413, "too-large"));
    post.upload(ann, "video/mp4", &large).await.ok();
    let untold = [PNG, &large].concat();
    assert_eq!(post.upload(ann, "video/mp4", &untold).await.refused(), (413, "too-large"));
    post.upload(ann, "video/mp4", &vec![0; 20 * mib]).await.ok();
    let larger = vec![0; 20 * mib + 1];
    assert_eq!(post.upload(ann, "video/mp4", &larger).await.refused(), (413, "too-large"));
    let other = stack.ask("upload", json!({})).by(ann).header("x-letopis-kind", "image").send().await;
    assert_eq!(other.refused(), (400, "malformed"));
    assert_eq!(stack.ask("upload", json!({})).send().await.refused(), (401, "unauthenticated"));

    let key = stack.key();
    let ask = || stack.ask("upload", json!({})).by(ann).header("content-type", "text/plain").key(key);
    ask().raw("one").send().await.ok();
    ask().raw("one").send().await.ok();
    let body = json!({ "chat_id": post.chat, "text": "x" });
    stack.ask("send", body).by(ann).key(key).send().await.ok();
    assert_eq!(ask().raw("one").send().await.refused(), (422, "key-reused"), "of a message by now");
}

#[tokio::test]
async fn what_was_uploaded_is_sent_in_half_the_time_that_it_is_kept() {
    let post = Post::new().await;
    let (in_time, late) = (post.file(&post.ann).await, post.file(&post.ann).await);
    post.stack.clock.pass(12 * 60 * 60);
    let ann = Someone::of(&post.stack.authorize("ann").await.ok());
    post.send(&ann, "in time", &[(&in_time, "c.txt")]).await.ok();
    post.stack.clock.pass(1);
    let refused = post.send(&ann, "late", &[(&late, "c.txt")]).await;
    assert_eq!(refused.invalid(), ("/attachments/0/blob_id", "no-such-blob"), "it may be swept any time");
}

#[tokio::test]
async fn nothing_is_copied_for_somebody_who_may_not_write_there() {
    let post = Post::new().await;
    let Post { stack, ann, bob, chat } = &post;
    let file = post.file(ann).await;
    post.send(ann, "notes", &[(&file, "b.txt")]).await.ok();
    let carol = stack.register("carol").await;
    stack.befriend(ann, &carol).await;
    let side = stack.of(ann, "create_chat", json!({ "user_id": carol.id })).await.ok()["chat_id"].clone();
    let forward = async || {
        let body = json!({ "chat_id": side, "from_chat_id": chat, "number": 1 });
        stack.of(ann, "forward", body).await
    };
    forward().await.ok();
    let blobs = async || {
        let all = stack.state.photos.blobs.older(domain::Timestamp(i64::MAX), None).await.expect("listed");
        all.names.len()
    };
    let before = blobs().await;
    stack.of(bob, "block", json!({ "user_id": ann.id })).await.ok();
    forward().await.ok();
    assert_eq!(blobs().await, before + 1, "the blob store is counted");
    stack.of(&carol, "block", json!({ "user_id": ann.id })).await.ok();
    assert_eq!(forward().await.refused(), (403, "not-permitted"));
    assert_eq!(blobs().await, before + 1);
}

#[tokio::test]
async fn a_message_carries_what_its_author_uploaded() {
    let post = Post::new().await;
    let Post { stack, ann, bob, chat } = &post;
    let picture = post.upload(ann, "image/png", PNG).await.ok()["blob_id"].clone();
    let file = post.file(ann).await;
    let key = stack.key();
    let carried = json!([{ "blob_id": picture, "name": "a.png" }, { "blob_id": file, "name": "b.txt" }]);
    let body = json!({ "chat_id": chat, "text": "", "attachments": carried });
    let send = || stack.ask("send", body.clone()).by(ann).key(key).send();
    let sent = send().await.ok();
    assert_eq!(send().await.ok(), sent, "a repeat carries nothing twice");
    let attachments = post.carried().await;
    assert_eq!(attachments.len(), 2);
    assert_eq!((attachments[0].width, attachments[0].height), (Some(1), Some(1)));
    assert_eq!((attachments[1].media_type.as_str(), attachments[1].size), ("text/plain", 5));
    assert!(attachments.iter().all(|it| it.name.sealed().is_some()));

    let again = post.send(ann, "again", &[(&file, "b.txt")]).await;
    assert_eq!(again.invalid(), ("/attachments/0/blob_id", "used-blob"));
    let own = post.file(bob).await;
    let stolen = post.send(bob, "mine", &[(&own, "c.txt"), (&file, "b.txt")]).await;
    assert_eq!(stolen.invalid(), ("/attachments/1/blob_id", "no-such-blob"), "another's");
    let nothing = json!("00".repeat(32));
    let nowhere = post.send(bob, "x", &[(&nothing, "b.txt")]).await;
    assert_eq!(nowhere.invalid(), ("/attachments/0/blob_id", "no-such-blob"));
    let twice = post.send(bob, "x", &[(&own, "c.txt"), (&own, "d.txt")]).await;
    assert_eq!(twice.invalid(), ("/attachments/1/blob_id", "twice"));
    for (name, code) in [("", "too-short"), ("../c", "bad-character"), (&*"x".repeat(256), "too-long")] {
        let named = post.send(bob, "x", &[(&own, name)]).await;
        assert_eq!(named.invalid(), ("/attachments/0/name", code));
    }
    let many = vec![(&own, "c.txt"); 11];
    assert_eq!(post.send(bob, "x", &many).await.invalid(), ("/attachments", "too-long"));
    assert_eq!(post.send(bob, " ", &[(&own, "c.txt")]).await.invalid(), ("/text", "too-short"));
    assert_eq!(post.send(bob, "", &[]).await.invalid(), ("/text", "too-short"));
    post.send(bob, "x", &[(&own, "c.txt")]).await.ok();
    // What carries something may be edited to say nothing.
    let edit = json!({ "chat_id": chat, "number": 2, "text": "" });
    stack.of(bob, "edit_message", edit).await.ok();
    stack.verify().await;
}

#[tokio::test]
async fn a_photo_is_nothing_to_carry() {
    let post = Post::new().await;
    let Post { stack, ann, .. } = &post;
    let photo = stack.ask("change_photo", json!({})).by(ann).header("content-type", "image/png");
    photo.raw(PNG).send().await.ok();
    let Event::User(domain::user::UserEvent::PhotoChanged { blob, .. }) = stack.newest().await else {
        panic!("changed");
    };
    let carried = post.send(ann, "me", &[(&json!(blob), "me.jpg")]).await;
    assert_eq!(carried.invalid(), ("/attachments/0/blob_id", "no-such-blob"));
}

#[tokio::test]
async fn of_two_messages_at_once_one_carries_it() {
    let post = Post::new().await;
    let file = post.file(&post.ann).await;
    let carried = [(&file, "b.txt")];
    let (one, other) =
        tokio::join!(post.send(&post.ann, "one", &carried), post.send(&post.ann, "other", &carried));
    let sent = [&one, &other].into_iter().filter(|answer| answer.status.is_success()).count();
    assert_eq!(sent, 1);
    post.stack.verify().await;
}

#[tokio::test]
async fn a_forward_carries_copies() {
    let post = Post::new().await;
    let Post { stack, ann, bob, chat } = &post;
    let file = post.file(ann).await;
    post.send(ann, "", &[(&file, "b.txt")]).await.ok();
    let forward = json!({ "chat_id": chat, "from_chat_id": chat, "number": 1 });
    assert_eq!(stack.of(bob, "forward", forward.clone()).await.ok()["number"], 2);
    let [copy] = post.carried().await.try_into().expect("one");
    assert_ne!(copy.blob, id(&file), "each blob is of one message");
    assert_eq!(post.open(ann, copy.blob).await.expect("still hers").1, b"notes");
    assert_eq!(post.open(bob, copy.blob).await, None);
    let taken = post.send(ann, "mine again", &[(&json!(copy.blob), "b.txt")]).await;
    assert_eq!(taken.invalid(), ("/attachments/0/blob_id", "used-blob"));
    stack.verify().await;

    stack.state.photos.blobs.delete(BlobName::original(id(&file))).await.expect("deleted");
    assert_eq!(stack.of(bob, "forward", forward).await.refused(), (409, "message-deleted"));
}
