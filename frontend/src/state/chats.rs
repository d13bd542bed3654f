//! The list of chats.

use domain::Timestamp;
use domain::ids::{ChatId, PersonId};
use domain::problem::Kind;
use domain::views::{Chat, ChatKind, Message};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::{Phase, Store};
use crate::api::{Answer, Failure};
use crate::browser::now;
use crate::route::Route;

/// More chats than this are not loaded; search finds the others.
const MOST: usize = 1_000;
/// Until when a chat is muted that is muted for good: the end of the year 9998.
pub const FOREVER: Timestamp = Timestamp(253_370_764_799_000_000);

/// Whether nothing is told of a chat now.
pub fn is_muted(chat: &Chat) -> bool {
    chat.muted_until.is_some_and(|until| until.millis() as f64 > now())
}

fn sort(chats: &mut [Chat]) {
    chats.sort_by_cached_key(|chat| (!chat.pinned, std::cmp::Reverse(chat.active_at), chat.chat_id));
}

/// Takes a message into the chat's last message and counts; false if it was in there already.
fn note(chat: &mut Chat, message: &Message, mine: bool) -> bool {
    if message.number <= chat.last_number {
        return false;
    }
    chat.last_number = message.number;
    chat.last = Some(message.clone());
    chat.active_at = message.sent_at;
    if mine {
        chat.read_number = message.number;
        chat.unread = 0;
    } else if message.number > chat.read_number && !message.collapsed && message.deleted.is_none() {
        chat.unread += 1;
    }
    true
}

/// A chat as it is known, and as an answer has it: one that was overtaken by live frames must not take them back.
fn renewed(known: &Chat, answer: Chat) -> Chat {
    // Of one that was left, what came later is not shown any more.
    if answer.left {
        answer
    } else if known.last_number > answer.last_number {
        let Chat { last, active_at, last_number, unread, .. } = known;
        Chat {
            last: last.clone(),
            active_at: *active_at,
            last_number: *last_number,
            unread: *unread,
            ..answer
        }
    } else {
        let read_number = known.read_number.max(answer.read_number);
        let unread = if read_number >= answer.last_number { 0 } else { answer.unread };
        Chat { read_number, unread, ..answer }
    }
}

impl Store {
    /// Loads the list, the first page showing as soon as it is there.
    pub async fn load_chats(self) -> Answer<()> {
        let loaded = self.fetch_chats().await;
        match &loaded {
            Ok(()) => self.chats_phase.set(Phase::Ready),
            // A list that was loaded before is better than none.
            Err(failure) if self.chats_phase.get_untracked() != Phase::Ready => {
                self.chats_phase.set(Phase::Failed(failure.clone()));
            }
            Err(_) => {}
        }
        loaded
    }

    async fn fetch_chats(self) -> Answer<()> {
        let mut chats: Vec<Chat> = Vec::new();
        let before: Vec<ChatId> =
            self.chats.with_untracked(|known| known.iter().map(|chat| chat.chat_id).collect());
        let mut cursor: Option<String> = None;
        loop {
            let page = self.api.chats(cursor.as_deref()).await?;
            chats.extend(page.items);
            cursor = page.next;
            if self.chats_phase.get_untracked() != Phase::Ready {
                let mut shown = chats.clone();
                sort(&mut shown);
                self.chats.set(shown);
                self.chats_phase.set(Phase::Ready);
            }
            if cursor.is_none() || chats.len() >= MOST {
                self.chats.update(|known| {
                    for old in known.drain(..) {
                        match chats.iter_mut().find(|chat| chat.chat_id == old.chat_id) {
                            Some(chat) => *chat = renewed(&old, chat.clone()),
                            // It came meanwhile.
                            None if !before.contains(&old.chat_id) => chats.push(old),
                            None => {}
                        }
                    }
                    sort(&mut chats);
                    *known = chats;
                });
                self.group_round.update(|count| *count += 1);
                return Ok(());
            }
        }
    }

    /// The chat as it stands, followed.
    pub fn chat(self, id: ChatId) -> Memo<Option<Chat>> {
        Memo::new(move |_| self.chats.with(|chats| chats.iter().find(|chat| chat.chat_id == id).cloned()))
    }

    pub fn peek_chat<T>(self, id: ChatId, read: impl FnOnce(&Chat) -> T) -> Option<T> {
        self.chats.with_untracked(|chats| chats.iter().find(|chat| chat.chat_id == id).map(read))
    }

    pub fn direct_chat(self, person: PersonId) -> Option<ChatId> {
        let is_with = |chat: &&Chat| chat.peer.as_ref().is_some_and(|peer| peer.user_id == person);
        self.chats.with(|chats| chats.iter().find(is_with).map(|chat| chat.chat_id))
    }

    pub fn put_chat(self, chat: Chat) {
        if chat.kind == ChatKind::Group {
            self.group_round.update(|count| *count += 1);
        }
        self.chats.update(|chats| {
            match chats.iter_mut().find(|known| known.chat_id == chat.chat_id) {
                Some(known) => *known = renewed(known, chat),
                None => chats.push(chat),
            }
            sort(chats);
        });
    }

    /// Changes one chat in its place.
    pub fn with_chat(self, id: ChatId, change: impl FnOnce(&mut Chat)) {
        self.chats.update(|chats| {
            if let Some(chat) = chats.iter_mut().find(|chat| chat.chat_id == id) {
                change(chat);
            }
        });
    }

    /// Fetches one chat anew; one that is not there (any more) leaves the list.
    pub async fn refresh_chat(self, id: ChatId) -> Answer<()> {
        match self.api.chat(id).await {
            Ok(chat) => {
                self.put_chat(chat);
                Ok(())
            }
            Err(failure) => {
                if failure.is(Kind::NotFound) || failure.is(Kind::NotPermitted) {
                    self.chats.update(|chats| chats.retain(|chat| chat.chat_id != id));
                }
                Err(failure)
            }
        }
    }

    /// Takes a message into the list; says whether it is new there.
    pub(super) fn note_message(self, message: &Message) -> bool {
        let mine = message.author.user_id == self.my_id;
        self.typing.over(message.chat_id, message.author.user_id);
        let known = self.peek_chat(message.chat_id, |_| ()).is_some();
        if !known {
            let id = message.chat_id;
            // Many of its messages may come before the answer.
            if !self.asked_chats.with_value(|asked| asked.contains(&id)) {
                self.asked_chats.update_value(|asked| asked.push(id));
                spawn_local(async move {
                    let _ = self.refresh_chat(id).await;
                    self.asked_chats.update_value(|asked| asked.retain(|it| *it != id));
                });
            }
            return true;
        }
        let mut fresh = false;
        self.chats.update(|chats| {
            if let Some(chat) = chats.iter_mut().find(|chat| chat.chat_id == message.chat_id) {
                fresh = note(chat, message, mine);
            }
            if fresh {
                sort(chats);
            }
        });
        fresh
    }

    /// Of the chats that are not muted.
    pub fn total_unread(self) -> u64 {
        self.chats.with(|chats| {
            chats.iter().filter(|chat| chat.unread > 0 && !is_muted(chat)).map(|chat| chat.unread).sum()
        })
    }

    /// Pins a chat to the top of the list, or lets it go. It shows at once.
    pub fn pin(self, id: ChatId, pinned: bool) {
        let Some(before) = self.peek_chat(id, |chat| chat.pinned) else { return };
        self.arrange(id, |chat| chat.pinned = pinned);
        spawn_local(async move {
            if let Err(failure) = self.api.pin_chat(id, pinned).await {
                self.arrange(id, |chat| chat.pinned = before);
                self.complain(&failure);
            }
        });
    }

    /// Has nothing told of a chat until then, or everything again. It shows at once.
    pub fn mute(self, id: ChatId, until: Option<Timestamp>) {
        let Some(before) = self.peek_chat(id, |chat| chat.muted_until) else { return };
        self.arrange(id, |chat| chat.muted_until = until);
        spawn_local(async move {
            if let Err(failure) = self.api.mute_chat(id, until).await {
                self.arrange(id, |chat| chat.muted_until = before);
                self.complain(&failure);
            }
        });
    }

    /// Changes one chat, and puts it where it belongs then.
    fn arrange(self, id: ChatId, change: impl FnOnce(&mut Chat)) {
        self.chats.update(|chats| {
            if let Some(chat) = chats.iter_mut().find(|chat| chat.chat_id == id) {
                change(chat);
            }
            sort(chats);
        });
    }

    /// Opens the direct chat with `person`, and goes there.
    pub async fn write_to(self, person: PersonId) -> Result<(), Failure> {
        let known = untrack(|| self.direct_chat(person));
        let chat_id = match known {
            Some(chat_id) => chat_id,
            None => {
                let chat_id = self.api.create_chat(person).await?.chat_id;
                self.refresh_chat(chat_id).await?;
                chat_id
            }
        };
        self.router.go(Route::Chats(Some(chat_id)));
        Ok(())
    }

    /// The chat above or below the open one, as the list shows them.
    pub fn neighbour(self, down: bool) -> Option<ChatId> {
        let open = match self.router.peek() {
            Route::Chats(open) => open,
            _ => None,
        };
        self.chats.with_untracked(|chats| {
            let at = chats.iter().position(|chat| Some(chat.chat_id) == open);
            let to = match (at, down) {
                (None, _) => 0,
                (Some(at), true) => at + 1,
                (Some(at), false) => at.checked_sub(1)?,
            };
            chats.get(to).map(|chat| chat.chat_id)
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::MessageId;
    use domain::views::{Author, Deleted, PersonState, Role};
    use uuid::Uuid;

    use super::*;

    fn chat(number: u128) -> Chat {
        Chat {
            chat_id: ChatId(Uuid::from_u128(number << 80 | number)),
            kind: ChatKind::Direct,
            title: None,
            peer: None,
            member_count: 2,
            my_role: Role::Member,
            left: false,
            dissolved: false,
            history: None,
            last: None,
            active_at: Timestamp(i64::try_from(number).expect("a small number") * 1_000),
            last_number: 0,
            read_number: 0,
            peer_read_number: Some(0),
            unread: 0,
            muted_until: None,
            pinned: false,
            can_send: true,
        }
    }

    fn message(chat: &Chat, number: u64, millis: i64) -> Message {
        let author = Author {
            user_id: PersonId(Uuid::from_u128(9)),
            nickname: "anna".to_owned(),
            name: "Anna".to_owned(),
            photo_id: None,
            state: PersonState::Active,
        };
        Message {
            message_id: MessageId(Uuid::from_u128(number.into())),
            chat_id: chat.chat_id,
            number,
            author,
            text: "hello".to_owned(),
            sent_at: Timestamp(millis * 1_000),
            edited_at: None,
            deleted: None,
            reply_to: None,
            forwarded_from: None,
            reactions: Vec::new(),
            attachments: Vec::new(),
            collapsed: false,
        }
    }

    #[test]
    fn pinned_chats_come_first_and_then_the_liveliest() {
        let mut chats = vec![chat(10), chat(20), chat(30), chat(5)];
        let last = message(&chats[0], 1, 25);
        note(&mut chats[0], &last, false);
        chats[3].pinned = true;
        sort(&mut chats);
        let order = chats.iter().map(|chat| chat.chat_id.0.as_u128() >> 80).collect::<Vec<_>>();
        assert_eq!(order, [5, 30, 10, 20]);
    }

    #[test]
    fn a_message_counts_as_unread_once_and_never_if_it_is_mine() {
        let mut chat = chat(1);
        let [first, second, third] = [1, 2, 3].map(|number| message(&chat, number, 1));
        assert!(note(&mut chat, &first, false));
        assert!(!note(&mut chat, &first, false), "the same one again");
        assert!(note(&mut chat, &second, false));
        assert_eq!(chat.unread, 2);
        assert!(note(&mut chat, &third, true));
        assert_eq!((chat.unread, chat.read_number), (0, 3));
    }

    #[test]
    fn what_a_blocked_person_says_and_what_is_deleted_counts_for_nothing() {
        let mut chat = chat(1);
        let collapsed = Message { collapsed: true, ..message(&chat, 1, 1) };
        let deleted = Message { deleted: Some(Deleted::Moderator), ..message(&chat, 2, 1) };
        assert!(note(&mut chat, &collapsed, false));
        assert!(note(&mut chat, &deleted, false));
        assert_eq!((chat.unread, chat.last_number), (0, 2));
    }
}
