//! Messages: text opened, author and quoted message joined.

use std::collections::HashMap;

use chronicle::keys::{OpenError, Place};
use domain::ids::{ChatId, PersonId};
use domain::personal::Text;
use domain::problem::Kind;
use domain::views::{Message, PersonState, ReplyTo};
use stores::timeline::MessageRow;

use super::people::{People, erased};
use crate::refusal::{Refusal, of_store};
use crate::state::QueryState;

/// The longest excerpt of a message that is answered, in scalar values.
const EXCERPT: usize = 120;

/// What lies in a sealed text.
enum Opened {
    Text(String),
    /// Its author's key was destroyed.
    Erased,
}

/// The rows as `asker` sees them, in their order. The caller has seen to it that they may.
pub async fn messages(
    state: &QueryState,
    asker: PersonId,
    rows: &[MessageRow],
) -> Result<Vec<Message>, Refusal> {
    let quoted = quoted(state, rows).await?;
    let authors = rows.iter().chain(quoted.values()).map(|row| row.author);
    let people = People::read(state, asker, authors).await?;
    rows.iter()
        .map(|row| {
            let (author, text) = author_and_text(state, &people, row)?;
            let reply_to = match row.reply_to.and_then(|number| quoted.get(&(row.chat_id, number))) {
                None => None,
                Some(quoted) => {
                    let (author, text) = author_and_text(state, &people, quoted)?;
                    let excerpt = Some(excerpt(&text)).filter(|excerpt| !excerpt.is_empty());
                    Some(ReplyTo { number: quoted.number, author, excerpt })
                }
            };
            Ok(Message {
                message_id: row.message_id,
                chat_id: row.chat_id,
                number: row.number,
                author,
                text,
                sent_at: row.sent_at,
                reply_to,
            })
        })
        .collect()
}

fn author_and_text(
    state: &QueryState,
    people: &People,
    row: &MessageRow,
) -> Result<(domain::views::Author, String), Refusal> {
    Ok(match open(state, row)? {
        Opened::Text(text) => (people.author(row.author), text),
        Opened::Erased => (erased(row.author, PersonState::Erased), String::new()),
    })
}

/// The messages that `rows` answer: from the same page where they are in it, else read, one read a
/// chat.
async fn quoted(
    state: &QueryState,
    rows: &[MessageRow],
) -> Result<HashMap<(ChatId, u64), MessageRow>, Refusal> {
    let here: HashMap<_, _> = rows.iter().map(|row| ((row.chat_id, row.number), row)).collect();
    let mut quoted = HashMap::new();
    let mut missing: HashMap<ChatId, Vec<u64>> = HashMap::new();
    for row in rows {
        let Some(number) = row.reply_to else { continue };
        match here.get(&(row.chat_id, number)) {
            Some(found) => {
                quoted.insert((row.chat_id, number), (*found).clone());
            }
            None => missing.entry(row.chat_id).or_default().push(number),
        }
    }
    for (chat_id, numbers) in missing {
        let found =
            state.stores.timeline.serving().messages_by_number(chat_id, &numbers).await.map_err(of_store)?;
        quoted.extend(found.into_iter().map(|row| ((chat_id, row.number), row)));
    }
    Ok(quoted)
}

fn open(state: &QueryState, row: &MessageRow) -> Result<Opened, Refusal> {
    let event_id = row.text.event_id.ok_or_else(|| unreadable(row))?;
    let place = Place {
        log_id: state.keyring.log_id(),
        aggregate_type: "Chat",
        aggregate_id: &row.chat_id.to_string(),
        event_id,
        field: "text",
    };
    match state.keyring.open_as::<Text>(&place, &row.text) {
        Ok(Text(text)) => Ok(Opened::Text(text)),
        Err(OpenError::Destroyed) => Ok(Opened::Erased),
        Err(OpenError::Unreadable) => Err(unreadable(row)),
        Err(OpenError::Store(error)) => {
            tracing::error!(%error, "a key cannot be read");
            Err(Kind::Unavailable.into())
        }
    }
}

/// Damage; nothing that a reader could be told as if it were so.
fn unreadable(row: &MessageRow) -> Refusal {
    tracing::error!(position = row.position, "a message's text cannot be opened");
    Kind::Internal.into()
}

/// The beginning of a text, on one line.
fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(EXCERPT).collect()
}
