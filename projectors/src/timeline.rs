//! Timeline: chats, their messages and what became of them (sealed as in the log), the lines between
//! them, and how each person keeps and has read a chat.

use async_trait::async_trait;
use domain::Timestamp;
use domain::aggregate::{Event, Kind};
use domain::chat::{Attachment, ChatEvent, Span};
use domain::ids::PersonId;
use domain::message::MessageEvent;
use domain::read_marker::ReadMarkerEvent;
use domain::views::{ChatKind, Deleted, LineKind, Role};
use stores::timeline::{AttachmentRow, Change, LineRow, MessageRow, Timeline, Touch};

use crate::projection::{Entry, Projection, ProjectionError, sealed};

pub struct TimelineProjection;

#[async_trait]
impl Projection for TimelineProjection {
    type Model = dyn Timeline;

    const NAME: &'static str = "timeline";
    const CODE_VERSION: u32 = 2;
    const READS: &'static [Kind] = &[Kind::Chat, Kind::Message, Kind::ReadMarker];

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        let mut changes = Vec::with_capacity(batch.len());
        for entry in batch {
            match &entry.event {
                Event::Chat(event) => chat(entry, event, &mut changes)?,
                Event::Message(event) => changes.extend(message(entry, event)?),
                Event::ReadMarker(event) => changes.push(marker(entry.position, event)),
                Event::Account(_)
                | Event::Session(_)
                | Event::User(_)
                | Event::Friendship(_)
                | Event::Chronicle(_) => {}
            }
        }
        Ok(changes)
    }
}

fn marker(position: u64, event: &ReadMarkerEvent) -> Change {
    match event {
        ReadMarkerEvent::ReadUpTo { chat, person, number, .. } => {
            Change::Read { chat_id: *chat, person: *person, number: *number, position }
        }
        ReadMarkerEvent::ChatPrefsSet { chat, person, muted_until, pinned, .. } => Change::Kept {
            chat_id: *chat,
            person: *person,
            muted_until: *muted_until,
            pinned: *pinned,
            position,
        },
    }
}

fn message(entry: &Entry, event: &MessageEvent) -> Result<Option<Change>, ProjectionError> {
    let (position, (chat_id, number)) = (entry.position, event.place());
    Ok(Some(match event {
        MessageEvent::MessageEdited { text, at, .. } => {
            Change::Edited { chat_id, number, text: sealed(entry, text)?.clone(), at: *at, position }
        }
        MessageEvent::MessageDeleted { .. } => {
            Change::Deleted { chat_id, number, how: Deleted::Author, position }
        }
        MessageEvent::MessageRemoved { .. } => {
            Change::Deleted { chat_id, number, how: Deleted::Moderator, position }
        }
        MessageEvent::ReactionSet { person, emoji, .. } => {
            Change::Reacted { chat_id, number, person: *person, emoji: emoji.clone(), position }
        }
        MessageEvent::MessageReported { .. } => return Ok(None),
    }))
}

/// A line of an event that stands after message `after_number`.
fn line(entry: &Entry, event: &ChatEvent, after_number: u64, kind: LineKind, at: Timestamp) -> LineRow {
    LineRow {
        chat_id: event.chat(),
        // Every event before it is a message or not.
        ordinal: entry.sequence.saturating_sub(after_number),
        after_number,
        kind,
        by: None,
        person: None,
        title: None,
        role: None,
        count: None,
        at,
        position: entry.position,
    }
}

fn chat(entry: &Entry, event: &ChatEvent, changes: &mut Vec<Change>) -> Result<(), ProjectionError> {
    let (position, chat_id) = (entry.position, event.chat());
    let joined = |person: &PersonId, role, joined_number, sees: &[Span]| Change::Joined {
        chat_id,
        person: *person,
        role,
        joined_number,
        sees: sees.to_vec(),
        position,
    };
    match event {
        ChatEvent::DirectChatCreated { by, with, at, .. } => {
            changes.push(Change::Created {
                chat_id,
                kind: ChatKind::Direct,
                created_by: *by,
                created_at: *at,
                title: None,
                history: None,
                position,
            });
            changes.extend([by, with].map(|person| joined(person, Role::Member, 0, &[])));
        }
        ChatEvent::GroupCreated { by, title, history, members, at, .. } => {
            let title = sealed(entry, title)?;
            changes.push(Change::Created {
                chat_id,
                kind: ChatKind::Group,
                created_by: *by,
                created_at: *at,
                title: Some(title.clone()),
                history: Some(*history),
                position,
            });
            let all = [Span { first: 1, last: None }];
            changes.push(joined(by, Role::Owner, 0, &all));
            changes.extend(members.iter().map(|person| joined(person, Role::Member, 0, &all)));
            changes.push(Change::Line(LineRow {
                by: Some(*by),
                title: Some(title.clone()),
                count: Some(members.len() as u64),
                ..line(entry, event, 0, LineKind::Created, *at)
            }));
        }
        ChatEvent::GroupRenamed { by, title, after_number, at, .. } => {
            let title = sealed(entry, title)?;
            changes.push(Change::Renamed { chat_id, title: title.clone(), position });
            changes.push(Change::Line(LineRow {
                by: Some(*by),
                title: Some(title.clone()),
                ..line(entry, event, *after_number, LineKind::Renamed, *at)
            }));
        }
        ChatEvent::MemberAdded { by, person, sees, after_number, at, .. } => {
            changes.push(joined(person, Role::Member, *after_number, sees));
            changes.push(Change::Line(LineRow {
                by: Some(*by),
                person: Some(*person),
                ..line(entry, event, *after_number, LineKind::Added, *at)
            }));
        }
        ChatEvent::MemberJoined { person, sees, after_number, at, .. } => {
            changes.push(joined(person, Role::Member, *after_number, sees));
            let line = line(entry, event, *after_number, LineKind::Joined, *at);
            changes.push(Change::Line(LineRow { person: Some(*person), ..line }));
        }
        ChatEvent::MemberLeft { person, sees, after_number, at, .. } => {
            changes.push(Change::Parted { chat_id, person: *person, sees: sees.clone(), position });
            let line = line(entry, event, *after_number, LineKind::Left, *at);
            changes.push(Change::Line(LineRow { person: Some(*person), ..line }));
        }
        ChatEvent::MemberRemoved { by, person, sees, after_number, at, .. } => {
            changes.push(Change::Parted { chat_id, person: *person, sees: sees.clone(), position });
            changes.push(Change::Line(LineRow {
                by: Some(*by),
                person: Some(*person),
                ..line(entry, event, *after_number, LineKind::Removed, *at)
            }));
        }
        ChatEvent::RoleSet { by, person, role, after_number, at, .. } => {
            changes.push(Change::RoleSet { chat_id, person: *person, role: *role, position });
            changes.push(Change::Line(LineRow {
                by: Some(*by),
                person: Some(*person),
                role: Some(*role),
                ..line(entry, event, *after_number, LineKind::RoleSet, *at)
            }));
        }
        ChatEvent::ChatDissolved { by, after_number, at, .. } => {
            changes.push(Change::Dissolved { chat_id, position });
            let line = line(entry, event, *after_number, LineKind::Dissolved, *at);
            changes.push(Change::Line(LineRow { by: Some(*by), ..line }));
        }
        // Who may come in is the write side's to know.
        ChatEvent::InviteCreated { .. } | ChatEvent::InviteRevoked { .. } => {}
        ChatEvent::MessageSent {
            author,
            message_id,
            number,
            text,
            sent_at,
            reply_to,
            attachments,
            forwarded_from,
            ..
        } => {
            changes.push(Change::Sent(MessageRow {
                chat_id,
                number: *number,
                message_id: *message_id,
                author: *author,
                text: sealed(entry, text)?.clone(),
                sent_at: *sent_at,
                reply_to: *reply_to,
                attachments: attachments.iter().map(|it| attachment(entry, it)).collect::<Result<_, _>>()?,
                forwarded_from: *forwarded_from,
                lines: entry.sequence.saturating_sub(*number),
                position,
                touch: Touch::default(),
            }));
        }
    }
    Ok(())
}

fn attachment(entry: &Entry, it: &Attachment) -> Result<AttachmentRow, ProjectionError> {
    Ok(AttachmentRow {
        blob: it.blob,
        kind: it.kind,
        media_type: it.media_type.clone(),
        size: it.size,
        width: it.width,
        height: it.height,
        name: sealed(entry, &it.name)?.clone(),
    })
}
