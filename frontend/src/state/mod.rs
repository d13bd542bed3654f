//! What a signed-in app knows: one [`Store`], whose parts each have a file.

mod chats;
mod conversation;
mod frames;
mod open;
mod outbox;
mod passing;
mod people;
mod photos;
mod touch;
mod uploads;
mod window;

use std::collections::BTreeMap;

use domain::ids::{ChatId, MessageId, PersonId};
use domain::views::{Chat, Me, Person};
use leptos::prelude::*;

pub use chats::{FOREVER, is_muted};
pub use conversation::{Conversation, Delivery, Entry, Item, Paging, excerpt};
pub use outbox::drafts;
pub use passing::{Presence, Typing};
pub use uploads::{Stage, Upload};
pub use window::{TOGETHER, Window};

use crate::api::{Failure, SignedIn};
use crate::browser::{storage, window};
use crate::route::Router;
use crate::wording::failure_text;

/// How far a list has come.
#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    Loading,
    Ready,
    Failed(Failure),
}

/// The live connection as people should hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// At the start, and for the first moments after a loss: nothing to say yet.
    Connecting,
    Live,
    Lost,
}

/// Everything that the screens of a session share. A handle, cheap to copy.
#[derive(Clone, Copy)]
pub struct Store {
    pub api: SignedIn,
    pub router: Router,
    pub me: RwSignal<Me>,
    pub my_id: PersonId,
    pub chats: RwSignal<Vec<Chat>>,
    pub chats_phase: RwSignal<Phase>,
    pub people: RwSignal<BTreeMap<PersonId, Person>>,
    pub people_phase: RwSignal<Phase>,
    pub link: RwSignal<Link>,
    /// Raised when the list of sessions may have changed.
    pub sessions_changed: RwSignal<u32>,
    /// A passing word about what did not work.
    pub notice: RwSignal<Option<String>>,
    /// What a screen reader is told of new messages.
    pub announcements: RwSignal<Vec<String>>,
    /// Whether the panel about the other one is open beside the conversation.
    pub panel: RwSignal<bool>,
    /// Whether the search of people and chats is open.
    pub searching: RwSignal<bool>,
    pub presence: Presence,
    pub typing: Typing,
    /// Raised when photos that did not load may do so now.
    pub photos_round: RwSignal<u32>,
    /// Raised when who is in one of the groups, or what they may do there, may have changed.
    pub group_round: RwSignal<u32>,
    /// When credentials were last renewed for photos, in milliseconds.
    photos_renewed: StoredValue<f64>,
    /// Who was asked about because of a sign of life.
    asked_who: StoredValue<Vec<PersonId>>,
    /// Chats that were heard of and are being asked for.
    asked_chats: StoredValue<Vec<ChatId>>,
    /// Unsent messages that this tab looks after, or did.
    own_unsent: StoredValue<Vec<MessageId>>,
    conversations: StoredValue<Vec<Conversation>>,
    read_marks: StoredValue<Vec<open::ReadMark>>,
    uploads: StoredValue<uploads::Uploads, LocalStorage>,
}

impl Store {
    pub fn new(api: SignedIn, router: Router, me: Me) -> Self {
        Self {
            api,
            router,
            my_id: me.user_id,
            me: RwSignal::new(me),
            chats: RwSignal::new(Vec::new()),
            chats_phase: RwSignal::new(Phase::Loading),
            people: RwSignal::new(BTreeMap::new()),
            people_phase: RwSignal::new(Phase::Loading),
            link: RwSignal::new(Link::Connecting),
            sessions_changed: RwSignal::new(0),
            notice: RwSignal::new(None),
            announcements: RwSignal::new(Vec::new()),
            panel: RwSignal::new(false),
            searching: RwSignal::new(false),
            presence: Presence::new(),
            typing: Typing::new(),
            photos_round: RwSignal::new(0),
            group_round: RwSignal::new(0),
            photos_renewed: StoredValue::new(f64::NEG_INFINITY),
            asked_who: StoredValue::new(Vec::new()),
            asked_chats: StoredValue::new(Vec::new()),
            own_unsent: StoredValue::new(Vec::new()),
            conversations: StoredValue::new(Vec::new()),
            read_marks: StoredValue::new(Vec::new()),
            uploads: StoredValue::new_local(uploads::Uploads::default()),
        }
    }

    /// Says what went wrong with something that a person asked for. A session's end says itself.
    pub fn complain(self, failure: &Failure) {
        if *failure != Failure::Ended {
            self.notice.set(Some(failure_text(failure)));
        }
    }

    pub async fn reload_me(self) {
        if let Ok(me) = self.api.me().await {
            if me.user_id != self.my_id {
                // Somebody else has signed in meanwhile, in another tab.
                let _ = window().location().reload();
                return;
            }
            // One that was on its way while something was changed knows nothing of it.
            if me.position >= self.me.with_untracked(|known| known.position) {
                self.know_myself(&me);
                self.me.set(me);
            }
        }
    }

    /// Removes what this browser keeps of the person: drafts and unsent messages.
    pub fn forget(self) {
        self.stop_uploads();
        storage::remove_all(&format!("letopis:{}:", self.my_id));
    }
}
