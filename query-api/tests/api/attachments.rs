//! Attachments: how a message shows them, and who gets their bytes.

use chronicle::keys::subject_of;
use domain::chat::ATTACHMENT_NAMES;
use domain::ids::{BlobId, ChatId, PersonId};
use domain::personal::FileName;
use domain::views::{AttachmentKind, Deleted, History};
use serde_json::json;
use stores::blobs::{BlobName, Content, PREVIEW, blob_id};
use stores::timeline::{AttachmentRow, Change, MessageRow};

use crate::changes::from;
use crate::world::{Answer, World, at};

/// Begins as a JPEG does, and cannot be made smaller.
const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0 no picture";

impl World {
    /// Uploads under somebody's key.
    async fn uploaded(&self, owner: PersonId, kind: AttachmentKind, bytes: &[u8]) -> BlobId {
        self.keyring.ensure(&subject_of(owner)).expect("a key");
        let media_type = match kind {
            AttachmentKind::Image => "image/jpeg",
            AttachmentKind::File => "text/html",
        };
        let content =
            Content { kind, media_type: media_type.into(), width: None, height: None, uploaded_at: at(1) };
        let sealed = self.keyring.seal_blob(owner, &content.wrap(bytes)).expect("sealed");
        let blob = blob_id(&sealed);
        self.blobs.put(BlobName::original(blob), sealed).await.expect("put");
        blob
    }

    /// Sends message `number` of `author` that carries `blobs`, first written by `first`.
    async fn carried(
        &self,
        chat_id: ChatId,
        (author, first): (PersonId, Option<PersonId>),
        number: u64,
        blobs: &[(BlobId, AttachmentKind)],
    ) {
        let row = self.message(chat_id, author, number, "");
        let whose = first.unwrap_or(author);
        let (chat, position) = (chat_id.to_string(), row.position);
        let sealed = |field, text: &str| {
            self.seal("Chat", &chat, field, whose, position, &domain::personal::Text(text.into()))
        };
        let text = sealed("text", "look");
        let attachments = blobs
            .iter()
            .zip(ATTACHMENT_NAMES)
            .map(|((blob, kind), field)| AttachmentRow {
                blob: *blob,
                kind: *kind,
                media_type: "image/jpeg".into(),
                size: 7,
                width: Some(640),
                height: Some(480),
                name: self.seal("Chat", &chat, field, whose, position, &FileName(format!("{field}.jpg"))),
            })
            .collect();
        let row = MessageRow { text, attachments, forwarded_from: first, ..row };
        self.timeline(vec![Change::Sent(row)], position).await;
    }

    async fn blob(&self, who: PersonId, blob: BlobId, query: &str) -> Answer {
        self.ask_with("GET", Some(who), &format!("/query/v1/blobs/{blob}{query}"), &[]).await
    }
}

/// A real one, of so many pixels.
fn picture(width: u32, height: u32) -> Vec<u8> {
    // A PNG without compression: header, one palette entry, rows of zeros.
    fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let crc = |bytes: &[u8]| {
            !bytes.iter().fold(!0_u32, |crc, byte| {
                (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                    (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
                })
            })
        };
        let marked = [kind.as_slice(), body].concat();
        let length = u32::try_from(body.len()).expect("it is short");
        [&length.to_be_bytes()[..], &marked, &crc(&marked).to_be_bytes()].concat()
    }
    let rows = vec![0; (width as usize + 1) * height as usize];
    let mut deflated = vec![0x78, 0x01];
    let blocks = rows.chunks(0xFFFF).count();
    for (index, block) in rows.chunks(0xFFFF).enumerate() {
        let length = u16::try_from(block.len()).expect("it fits");
        deflated.push(u8::from(index + 1 == blocks));
        deflated.extend(length.to_le_bytes());
        deflated.extend((!length).to_le_bytes());
        deflated.extend(block);
    }
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in &rows {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    deflated.extend(((b << 16) | a).to_be_bytes());
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let parts = [chunk(b"IHDR", &header), chunk(b"IDAT", &deflated), chunk(b"IEND", &[])].concat();
    [b"\x89PNG\r\n\x1a\n".as_slice(), &parts].concat()
}

#[tokio::test]
async fn a_message_names_what_it_carries() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    let chat = world.chat(100, ann, bob).await;
    let image = world.uploaded(ann, AttachmentKind::Image, JPEG).await;
    let file = world.uploaded(ann, AttachmentKind::File, b"notes").await;
    let both = [(image, AttachmentKind::Image), (file, AttachmentKind::File)];
    world.carried(chat, (ann, None), 1, &both).await;
    let path = format!("/chats/{chat}/messages");
    let message = world.get(bob, &path).await["items"][0].clone();
    let first = &message["attachments"][0];
    assert_eq!(
        (&first["blob_id"], &first["kind"], &first["name"]),
        (&json!(image), &json!("image"), &json!("attachments/0/name.jpg"),)
    );
    assert_eq!((&first["width"], &first["size"]), (&json!(640), &json!(7)));
    assert_eq!(message["attachments"][1]["name"], "attachments/1/name.jpg");
    world.keyring.destroy(&subject_of(ann)).expect("destroyed");
    assert_eq!(world.get(bob, &path).await["items"][0].get("attachments"), None, "nobody opens them");
    assert_eq!(world.blob(bob, image, "").await.status, 404);
}

#[tokio::test]
async fn bytes_are_for_those_who_may_read_the_message() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let dan = world.registered(4, "dan", "Dan").await;
    let group = world.group(100, ann, &[bob], "Choir", History::Joining).await;
    let file = world.uploaded(ann, AttachmentKind::File, b"<script>").await;
    world.carried(group, (ann, None), 1, &[(file, AttachmentKind::File)]).await;
    world.added(group, ann, cy, 1, &[from(2)]).await;
    for (who, status) in [(ann, 200), (bob, 200), (cy, 404), (dan, 404)] {
        assert_eq!(world.blob(who, file, "").await.status, status, "{who}");
    }
    let answer = world.blob(bob, file, "").await;
    assert_eq!(answer.bytes, b"<script>");
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-disposition", "attachment"),
        ("cache-control", "private, max-age=300"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.headers[name], value, "{name}");
    }
    assert_eq!(world.blob(bob, file, "?size=640").await.status, 404, "there is no smaller file");
    let tag = answer.headers["etag"].to_str().expect("text").to_owned();
    let path = format!("/query/v1/blobs/{file}");
    let known = async |who| world.ask_with("GET", Some(who), &path, &[("if-none-match", &tag)]).await;
    assert_eq!((known(bob).await.status.as_u16(), known(dan).await.status.as_u16()), (304, 404));
    assert_eq!(world.ask_with("GET", None, &path, &[]).await.status, 401);
    world.deleted(group, 1, Deleted::Moderator).await;
    for who in [bob, dan] {
        assert_eq!(world.blob(who, file, "").await.refusal(), (404, "not-found".into(), String::new()));
    }
    assert_eq!(world.refused(bob, "/blobs/nonsense").await, (400, "malformed".into(), "blob_id".into()));
    let unknown = format!("/blobs/{}", "0f".repeat(32));
    assert_eq!(world.refused(bob, &unknown).await.0, 404);
}

#[tokio::test]
async fn what_one_has_uploaded_is_ones_own_until_it_is_sent() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    let image = world.uploaded(ann, AttachmentKind::Image, JPEG).await;
    let answer = world.blob(ann, image, "").await;
    assert_eq!(
        (answer.bytes.as_slice(), &answer.headers["content-type"]),
        (JPEG, &"image/jpeg".parse().expect("it"))
    );
    assert_eq!(answer.headers["content-disposition"], "inline");
    assert_eq!(world.blob(bob, image, "").await.refusal(), (404, "not-found".into(), String::new()));
    // A photo's blob is no attachment, not even to its owner.
    let photo = world.keyring.seal_blob(ann, JPEG).expect("sealed");
    let name = blob_id(&photo);
    world.blobs.put(BlobName::original(name), photo).await.expect("put");
    assert_eq!(world.blob(ann, name, "").await.status, 404);
}

#[tokio::test]
async fn a_preview_is_the_one_that_was_made_or_is_made_or_is_the_picture() {
    let world = World::new().await;
    let [ann, bob, _] = world.three().await;
    let chat = world.chat(100, ann, bob).await;
    let (large, broken) = (picture(1_300, 650), JPEG);
    let large = world.uploaded(ann, AttachmentKind::Image, &large).await;
    let broken = world.uploaded(ann, AttachmentKind::Image, broken).await;
    world.carried(chat, (ann, None), 1, &[(large, AttachmentKind::Image)]).await;
    world.carried(chat, (ann, None), 2, &[(broken, AttachmentKind::Image)]).await;
    let preview = world.blob(bob, large, "?size=640").await;
    let whole = world.blob(bob, large, "").await;
    assert_eq!(preview.headers["content-type"], "image/jpeg");
    assert_eq!(stores::blobs::dimensions(&preview.bytes), Some((640, 320)));
    assert_eq!(stores::blobs::dimensions(&whole.bytes), Some((1_300, 650)));
    assert_ne!(preview.headers["etag"], whole.headers["etag"]);
    let instead = world.blob(bob, broken, "?size=640").await;
    assert_eq!(
        (instead.bytes.as_slice(), &instead.headers["cache-control"]),
        (JPEG, &"private, no-cache".parse().expect("it"))
    );
    let made = world.keyring.seal_blob(ann, b"\xFF\xD8\xFF small").expect("sealed");
    world.blobs.put(BlobName::sized(broken, PREVIEW), made).await.expect("put");
    let made = world.blob(bob, broken, "?size=640").await;
    assert_eq!(
        (made.bytes.as_slice(), &made.headers["cache-control"]),
        (b"\xFF\xD8\xFF small".as_slice(), &"private, max-age=300".parse().expect("it"),)
    );
    for wrong in ["?size=64", "?size=big", "?width=640"] {
        assert_eq!(world.blob(bob, large, wrong).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn what_was_passed_on_opens_under_its_first_authors_key() {
    let world = World::new().await;
    let [ann, bob, cy] = world.three().await;
    let chat = world.chat(100, bob, cy).await;
    let file = world.uploaded(ann, AttachmentKind::File, b"ann's").await;
    world.carried(chat, (bob, Some(ann)), 1, &[(file, AttachmentKind::File)]).await;
    let answer = world.blob(cy, file, "").await;
    assert_eq!((answer.status.as_u16(), answer.bytes.as_slice()), (200, b"ann's".as_slice()));
    world.keyring.destroy(&subject_of(ann)).expect("destroyed");
    assert_eq!(world.blob(cy, file, "").await.status, 404);
}
