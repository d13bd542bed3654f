//! Messages: text opened, author and quoted message joined, reactions counted.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::chat::ATTACHMENT_NAMES;
use domain::ids::{ChatId, PersonId, message_stream_id};
use domain::personal::{FileName, Sealed, Text};
use domain::views::{Attachment, Author, ChatKind, Message, PersonState, Reaction, ReplyTo};
use stores::timeline::{ChatOf, MemberRow, MessageRow, ReactionRow, Touch};

use super::opening::{At, open};
use super::parting::as_left;
use super::people::{People, erased};
use crate::refusal::{Refusal, of_store};
use crate::state::QueryState;

/// The longest excerpt of a message that is answered, in scalar values.
const EXCERPT: usize = 120;

/// How the asking person is in a chat.
#[derive(Clone, Debug)]
pub struct Mine {
    pub me: MemberRow,
    /// Read where it matters if it is not known.
    pub kind: Option<ChatKind>,
}

impl From<&ChatOf> for Mine {
    fn from(row: &ChatOf) -> Self {
        Self { me: row.me.clone(), kind: Some(row.chat.kind) }
    }
}

impl From<MemberRow> for Mine {
    fn from(me: MemberRow) -> Self {
        Self { me, kind: None }
    }
}

/// Of all chats that some messages are of.
pub type Memberships = HashMap<ChatId, Mine>;

/// What somebody said, as it may be told now.
struct Said {
    author: Author,
    text: String,
    forwarded_from: Option<Author>,
    /// Deleted, or its key destroyed: nothing else of it is told.
    is_gone: bool,
}

/// The rows as `asker` sees them, in their order. The caller has seen to it that they may.
pub async fn messages(
    state: &QueryState,
    asker: PersonId,
    mine: &Memberships,
    mut rows: Vec<MessageRow>,
) -> Result<Vec<Message>, Refusal> {
    as_left(state, mine, &mut rows).await?;
    let quoted = quoted(state, mine, &rows).await?;
    let all = || rows.iter().chain(quoted.values());
    let people =
        People::read(state, asker, all().flat_map(|row| [Some(row.author), row.forwarded_from]).flatten());
    let people = people.await?;
    let blocked = all().filter(|row| people.relation(row.author).blocked).map(|row| row.chat_id);
    let groups = groups(state, asker, mine, blocked.collect()).await?;
    let is_collapsed =
        |row: &MessageRow| groups.contains(&row.chat_id) && people.relation(row.author).blocked;
    rows.iter()
        .map(|row| {
            let Said { author, text, forwarded_from, is_gone } = said(state, &people, row)?;
            let reply_to = match row.reply_to.and_then(|number| quoted.get(&(row.chat_id, number))) {
                Some(quoted) if row.touch.deleted.is_none() => {
                    let said = said(state, &people, quoted)?;
                    let may = mine.get(&row.chat_id).is_some_and(|mine| mine.me.shows(quoted.number));
                    let shown = Some(excerpt(&said.text)).filter(|_| may && !is_collapsed(quoted));
                    let excerpt = shown.filter(|excerpt| !excerpt.is_empty());
                    Some(ReplyTo { number: quoted.number, author: said.author, excerpt })
                }
                _ => None,
            };
            Ok(Message {
                message_id: row.message_id,
                chat_id: row.chat_id,
                number: row.number,
                author,
                text,
                sent_at: row.sent_at,
                edited_at: row.touch.edited.as_ref().filter(|_| !is_gone).map(|edit| edit.at),
                deleted: row.touch.deleted,
                reply_to,
                forwarded_from,
                reactions: if row.touch.deleted.is_some() {
                    Vec::new()
                } else {
                    reactions(&row.touch, asker)
                },
                attachments: if is_gone { Vec::new() } else { attachments(state, row)? },
                collapsed: is_collapsed(row),
            })
        })
        .collect()
}

/// Which of `chats` are groups.
async fn groups(
    state: &QueryState,
    asker: PersonId,
    mine: &Memberships,
    chats: HashSet<ChatId>,
) -> Result<HashSet<ChatId>, Refusal> {
    let mut groups = HashSet::new();
    for chat_id in chats {
        let kind = match mine.get(&chat_id).and_then(|mine| mine.kind) {
            Some(kind) => Some(kind),
            None => {
                let row = state.stores.timeline.serving().chat_of(chat_id, asker).await.map_err(of_store)?;
                row.map(|row| row.chat.kind)
            }
        };
        if kind == Some(ChatKind::Group) {
            groups.insert(chat_id);
        }
    }
    Ok(groups)
}

fn said(state: &QueryState, people: &People, row: &MessageRow) -> Result<Said, Refusal> {
    let author = people.author(row.author);
    let gone = |author, forwarded_from| Said { author, text: String::new(), forwarded_from, is_gone: true };
    if row.touch.deleted.is_some() {
        return Ok(gone(author, None));
    }
    let text = match &row.touch.edited {
        Some(edit) => edited_text(state, row, &edit.text)?,
        None => sent_text(state, row)?,
    };
    Ok(match (text, row.forwarded_from) {
        (Some(text), first) => {
            let forwarded_from = first.map(|first| people.author(first));
            Said { author, text, forwarded_from, is_gone: false }
        }
        (None, Some(first)) => gone(author, Some(erased(first, PersonState::Erased))),
        (None, None) => gone(erased(row.author, PersonState::Erased), None),
    })
}

/// The wording as it was sent; `None` where whoever wrote it was erased.
///
/// # Errors
/// As [`open`].
pub fn sent_text(state: &QueryState, row: &MessageRow) -> Result<Option<String>, Refusal> {
    let id = row.chat_id.to_string();
    let at = At { aggregate_type: "Chat", aggregate_id: &id, field: "text" };
    if row.text.token.is_empty() {
        // Deleted just now: what says so was read before.
        return Ok(Some(String::new()));
    }
    Ok(open::<Text>(state, at, &row.text)?.map(|text| text.0))
}

/// A wording that it was given later.
///
/// # Errors
/// As [`open`].
pub fn edited_text(state: &QueryState, row: &MessageRow, text: &Sealed) -> Result<Option<String>, Refusal> {
    let id = message_stream_id(row.chat_id, row.number);
    let at = At { aggregate_type: "Message", aggregate_id: &id, field: "text" };
    Ok(open::<Text>(state, at, text)?.map(|text| text.0))
}

fn attachments(state: &QueryState, row: &MessageRow) -> Result<Vec<Attachment>, Refusal> {
    let id = row.chat_id.to_string();
    ATTACHMENT_NAMES
        .iter()
        .zip(&row.attachments)
        .map(|(field, it)| {
            let name =
                open::<FileName>(state, At { aggregate_type: "Chat", aggregate_id: &id, field }, &it.name)?;
            Ok(Attachment {
                blob_id: it.blob,
                kind: it.kind,
                media_type: it.media_type.clone(),
                size: it.size,
                width: it.width,
                height: it.height,
                name: name.map_or_else(String::new, |name| name.0),
            })
        })
        .collect()
}

/// By how many, then by code point.
fn reactions(touch: &Touch, asker: PersonId) -> Vec<Reaction> {
    let mut counted: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
    for ReactionRow { person, emoji, .. } in &touch.reactions {
        let (count, mine) = counted.entry(emoji).or_default();
        *count += 1;
        *mine |= *person == asker;
    }
    let counted = counted.into_iter();
    let mut reactions: Vec<Reaction> =
        counted.map(|(emoji, (count, mine))| Reaction { emoji: emoji.to_owned(), count, mine }).collect();
    reactions.sort_by_key(|reaction| std::cmp::Reverse(reaction.count));
    reactions
}

/// The messages that `rows` answer: from the same page where they are in it, else read, one read a
/// chat.
async fn quoted(
    state: &QueryState,
    mine: &Memberships,
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
        let timeline = state.stores.timeline.serving();
        let mut found = timeline.messages_by_number(chat_id, &numbers).await.map_err(of_store)?;
        as_left(state, mine, &mut found).await?;
        quoted.extend(found.into_iter().map(|row| ((chat_id, row.number), row)));
    }
    Ok(quoted)
}

/// The beginning of a text, on one line.
fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(EXCERPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reactions_come_by_how_many_then_by_code_point() {
        let person = |number| PersonId(uuid::Uuid::from_u128(number));
        let set = [(1, "🎉"), (2, "👍"), (3, "👍"), (4, "❤️"), (5, "🎉"), (6, "😂")];
        let row = |(who, emoji): (u128, &str)| ReactionRow {
            person: person(who),
            emoji: emoji.to_owned(),
            position: 1,
        };
        let reactions = set.map(row).to_vec();
        let seen = super::reactions(&Touch { reactions, ..Touch::default() }, person(3));
        let seen: Vec<_> = seen.iter().map(|it| (it.emoji.as_str(), it.count, it.mine)).collect();
        assert_eq!(seen, [("🎉", 2, false), ("👍", 2, true), ("❤️", 1, false), ("😂", 1, false)]);
    }
}
