//! Rows of a small world, and how they are written.

use std::sync::Arc;

use domain::Timestamp;
use domain::chat::Span;
use domain::ids::{BlobId, MessageId};
use domain::views::{AttachmentKind, ChatKind, Deleted, History, LineKind, Role};
use stores::timeline::{AttachmentRow, Change, LineRow, MessageRow, Timeline, Touch};
use uuid::Uuid;

use crate::{Open, at, chat, fresh, person, sealed};

pub fn created(n: u128, position: u64) -> Vec<Change> {
    let joined = |who| Change::Joined {
        chat_id: chat(n),
        person: person(who),
        role: Role::Member,
        joined_number: 0,
        sees: Vec::new(),
        position,
    };
    let created = Change::Created {
        chat_id: chat(n),
        kind: ChatKind::Direct,
        created_by: person(1),
        created_at: Timestamp(5),
        title: None,
        history: None,
        position,
    };
    vec![created, joined(1), joined(2)]
}

/// Message `number` by `author`, sent at ten times its number.
pub fn message(number: u64, author: u128, position: u64) -> MessageRow {
    MessageRow {
        chat_id: chat(1),
        number,
        message_id: MessageId(Uuid::from_u128(u128::from(number))),
        author: person(author),
        text: sealed(&number.to_string(), position),
        sent_at: Timestamp(number as i64 * 10),
        reply_to: None,
        attachments: Vec::new(),
        forwarded_from: None,
        lines: 1,
        position,
        touch: Touch::default(),
    }
}

/// Ann's (1) group with Bob (2) in it, in this order: created, joined, a line.
pub fn group(position: u64) -> Vec<Change> {
    let joined = |who, role| Change::Joined {
        chat_id: chat(1),
        person: person(who),
        role,
        joined_number: 0,
        sees: vec![from(1)],
        position,
    };
    let created = Change::Created {
        chat_id: chat(1),
        kind: ChatKind::Group,
        created_by: person(1),
        created_at: Timestamp(5),
        title: Some(sealed("title", position)),
        history: Some(History::Joining),
        position,
    };
    let line = LineRow {
        title: Some(sealed("title", position)),
        count: Some(1),
        ..line(1, 0, LineKind::Created, position)
    };
    vec![created, joined(1, Role::Owner), joined(2, Role::Member), Change::Line(line)]
}

pub fn line(ordinal: u64, after_number: u64, kind: LineKind, position: u64) -> LineRow {
    LineRow {
        chat_id: chat(1),
        ordinal,
        after_number,
        kind,
        by: Some(person(1)),
        person: None,
        title: None,
        role: None,
        count: None,
        at: Timestamp(position as i64),
        position,
    }
}

pub fn from(first: u64) -> Span {
    Span { first, last: None }
}

pub fn edited(number: u64, text: &str, position: u64) -> Change {
    Change::Edited {
        chat_id: chat(1),
        number,
        text: sealed(text, position),
        at: Timestamp(position as i64),
        position,
    }
}

pub fn deleted(number: u64, how: Deleted, position: u64) -> Change {
    Change::Deleted { chat_id: chat(1), number, how, position }
}

pub fn reacted(number: u64, who: u128, emoji: Option<&str>, position: u64) -> Change {
    let emoji = emoji.map(str::to_owned);
    Change::Reacted { chat_id: chat(1), number, person: person(who), emoji, position }
}

pub fn attachment(n: u8) -> AttachmentRow {
    AttachmentRow {
        blob: BlobId([n; 32]),
        kind: AttachmentKind::Image,
        media_type: "image/jpeg".into(),
        size: 7,
        width: Some(2),
        height: Some(1),
        name: sealed("name", 4),
    }
}

pub fn sent(number: u64, author: u128, position: u64) -> Change {
    Change::Sent(message(number, author, position))
}

pub fn read(who: u128, number: u64, position: u64) -> Change {
    Change::Read { chat_id: chat(1), person: person(who), number, position }
}

pub async fn written(open: Open<'_, dyn Timeline>, changes: Vec<Change>, position: u64) -> Arc<dyn Timeline> {
    let store = open().await.serving();
    store.take_over(fresh()).await.expect("taken over");
    store.write(changes, at(position, 1)).await.expect("written");
    store
}

pub async fn unread(store: &dyn Timeline, who: u128) -> (u64, u64) {
    let it = store.chat_of(chat(1), person(who)).await.expect("an answer").expect("a member");
    (it.me.read_number, it.unread())
}

pub async fn the_message(store: &dyn Timeline, number: u64) -> MessageRow {
    store.message(chat(1), number).await.expect("an answer").expect("it is there")
}

/// Writes changes as they came, then all of them again in parts, as after a loss; each time `check`.
pub async fn twice(
    open: Open<'_, dyn Timeline>,
    changes: Vec<Change>,
    last: u64,
    check: impl AsyncFn(&dyn Timeline),
) {
    let store = written(open, changes.clone(), last).await;
    check(&*store).await;
    for change in changes {
        store.write(vec![change], at(last, 1)).await.expect("written again");
    }
    check(&*store).await;
}
