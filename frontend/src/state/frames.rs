//! What live frames and answers change.

use domain::ids::ChatId;
use domain::live::{Ids, What};
use domain::views::{Chat, ChatKind, Line, LineKind, Message, Person};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::Store;
use super::window::Fit;
use crate::api::{AGAIN, Failure, persist, saw_position};
use crate::browser::{is_attended, sleep};
use crate::gist::gist;
use crate::i18n::t_with;
use crate::route::Route;

/// How often the lists are asked for again after a gap.
const TRIES: u32 = 10;
/// After so many milliseconds without another one, announcements go.
const ANNOUNCED: u32 = 15_000;

impl Store {
    /// Takes in one change; `item` is JSON of what `what` says.
    pub fn apply(self, position: u64, what: What, ids: Ids, item: Option<&str>) {
        saw_position(position);
        match what {
            What::Message => match item.and_then(|item| serde_json::from_str::<Message>(item).ok()) {
                Some(message) => self.hear(message),
                None => self.refetch_chat(ids.chat_id),
            },
            What::Line => {
                if let (Some(chat_id), Some(line)) =
                    (ids.chat_id, item.and_then(|item| serde_json::from_str::<Line>(item).ok()))
                {
                    self.hear_line(chat_id, line);
                }
            }
            What::Chat => match item.and_then(|item| serde_json::from_str::<Chat>(item).ok()) {
                Some(chat) => self.put_chat(chat),
                None => self.refetch_chat(ids.chat_id),
            },
            What::Read => self.note_read(ids),
            What::Person => match item.and_then(|item| serde_json::from_str::<Person>(item).ok()) {
                Some(person) => {
                    let id = person.user_id;
                    self.put_person(person);
                    self.refetch_chat(untrack(|| self.direct_chat(id)));
                }
                None => {
                    if let Some(id) = ids.user_id {
                        spawn_local(async move {
                            let _ = self.refresh_person(id).await;
                        });
                    }
                }
            },
            What::Me => spawn_local(self.reload_me()),
            What::Session => self.sessions_changed.update(|count| *count += 1),
        }
    }

    /// Too much was missed: everything on the screen is fetched anew.
    pub async fn refetch(self) {
        self.doubt_conversations();
        self.sessions_changed.update(|count| *count += 1);
        let pause = |it: &Failure| (*it != Failure::Ended).then(|| it.pause().unwrap_or(AGAIN));
        let lists = async || {
            let lists = futures::future::join3(self.load_chats(), self.load_people(), self.reload_me());
            let (chats, people, ()) = lists.await;
            chats.and(people)
        };
        let _ = persist(TRIES, pause, lists).await;
        self.revisit().await;
    }

    pub(super) fn refetch_chat(self, id: Option<ChatId>) {
        if let Some(id) = id {
            spawn_local(async move {
                let _ = self.refresh_chat(id).await;
            });
        }
    }

    fn hear_line(self, chat_id: ChatId, line: Line) {
        let Some(conversation) = self.known_conversation(chat_id) else { return };
        let came_or_went = !matches!(line.kind, LineKind::Renamed | LineKind::RoleSet);
        conversation.receive_line(line);
        if came_or_went {
            self.renew_names(&conversation);
        }
    }

    /// A message from a live frame: taken in, and told to who cannot see it if it is new.
    fn hear(self, message: Message) {
        let chat_id = message.chat_id;
        let others = message.author.user_id != self.my_id;
        let open = self.router.peek() == Route::Chats(Some(chat_id));
        let last = self.peek_chat(chat_id, |chat| (chat.last_number, chat.unread == 0));
        let fresh = last.is_none_or(|(last, _)| message.number > last);
        let was_read = fresh && last.is_some_and(|(_, was_read)| was_read);
        if others && open && !is_attended() && was_read {
            // Whoever comes back to this page finds where they left.
            if let Some(conversation) = self.known_conversation(chat_id) {
                conversation.divider.set(Some(message.number - 1));
            }
        }
        if others && open && fresh && !message.collapsed {
            let words = [("name", message.author.name.as_str()), ("text", &gist(&message))];
            self.announce(t_with("message.announced", &words));
        }
        if others && !fresh && message.deleted.is_some() {
            // Whether it was counted as unread only the server knows.
            self.refetch_chat(Some(chat_id));
        }
        self.receive(message);
    }

    /// The same words twice are two announcements.
    fn announce(self, words: String) {
        self.announcements.update(|all| all.push(words));
        let count = self.announcements.with_untracked(Vec::len);
        spawn_local(async move {
            sleep(ANNOUNCED).await;
            // They stand nowhere for longer than it takes to hear them: what they say may be deleted.
            if self.announcements.with_untracked(Vec::len) == count {
                self.announcements.set(Vec::new());
            }
        });
    }

    /// A message from a live frame or the own answer, whichever comes first.
    pub(super) fn receive(self, message: Message) {
        let chat_id = message.chat_id;
        self.note_message(&message);
        self.note_touched(&message);
        let Some(conversation) = self.known_conversation(chat_id) else { return };
        let was_unsent =
            conversation.outbox.with_untracked(|rows| rows.iter().any(|row| row.holds(&message)));
        if conversation.receive(message) == Fit::Gap {
            let conversation = conversation.clone();
            spawn_local(async move {
                self.catch_up(&conversation).await;
            });
        }
        if was_unsent {
            self.keep_outbox(&conversation);
        }
    }

    /// A touched message that is the chat's last shows there as it is now.
    pub(super) fn note_touched(self, message: &Message) {
        let is_last = |chat: &Chat| {
            chat.last.as_ref().is_some_and(|last| last.number == message.number && last != message)
        };
        if self.peek_chat(message.chat_id, is_last) == Some(true) {
            self.with_chat(message.chat_id, |chat| chat.last = Some(message.clone()));
        }
    }

    fn note_read(self, ids: Ids) {
        let (Some(chat_id), Some(number)) = (ids.chat_id, ids.number) else { return };
        if ids.user_id != Some(self.my_id) {
            self.with_chat(chat_id, |chat| {
                // In a group somebody has read, and others have not.
                if chat.kind == ChatKind::Direct {
                    chat.peer_read_number = Some(chat.peer_read_number.unwrap_or(0).max(number));
                }
            });
            return;
        }
        let mut behind = false;
        self.with_chat(chat_id, |chat| {
            chat.read_number = chat.read_number.max(number);
            behind = chat.read_number < chat.last_number && chat.unread > 0;
            if !behind {
                chat.unread = 0;
            }
        });
        if behind {
            // Read on another screen, but not to the end: only the server knows how many are left.
            self.refetch_chat(Some(chat_id));
        }
    }
}
