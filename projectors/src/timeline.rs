//! Timeline: chats, their messages (sealed as in the log), and how far each member has read.

use async_trait::async_trait;
use domain::aggregate::{Event, Kind};
use domain::chat::ChatEvent;
use domain::read_marker::ReadMarkerEvent;
use domain::views::{ChatKind, Role};
use stores::timeline::{Change, MessageRow, Timeline};

use crate::projection::{Entry, Projection, ProjectionError, sealed};

pub struct TimelineProjection;

#[async_trait]
impl Projection for TimelineProjection {
    type Model = dyn Timeline;

    const NAME: &'static str = "timeline";
    const CODE_VERSION: u32 = 1;
    const READS: &'static [Kind] = &[Kind::Chat, Kind::ReadMarker];

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        let mut changes = Vec::with_capacity(batch.len());
        for entry in batch {
            match &entry.event {
                Event::Chat(event) => chat(entry, event, &mut changes)?,
                Event::ReadMarker(ReadMarkerEvent::ReadUpTo { chat, person, number, .. }) => {
                    changes.push(Change::Read {
                        chat_id: *chat,
                        person: *person,
                        number: *number,
                        position: entry.position,
                    });
                }
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

fn chat(entry: &Entry, event: &ChatEvent, changes: &mut Vec<Change>) -> Result<(), ProjectionError> {
    let position = entry.position;
    match event {
        ChatEvent::DirectChatCreated { chat, by, with, at } => {
            changes.push(Change::Created {
                chat_id: *chat,
                kind: ChatKind::Direct,
                created_by: *by,
                created_at: *at,
                position,
            });
            changes.extend([by, with].map(|person| Change::Joined {
                chat_id: *chat,
                person: *person,
                role: Role::Member,
                joined_number: 0,
                position,
            }));
        }
        ChatEvent::MessageSent { chat, author, message_id, number, text, sent_at, reply_to } => {
            changes.push(Change::Sent(MessageRow {
                chat_id: *chat,
                number: *number,
                message_id: *message_id,
                author: *author,
                text: sealed(entry, text)?.clone(),
                sent_at: *sent_at,
                reply_to: *reply_to,
                position,
            }));
        }
    }
    Ok(())
}
