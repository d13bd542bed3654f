//! People and the links between them. The one read model, with search, that holds names in clear.

use std::collections::HashMap;

use async_trait::async_trait;
use domain::ids::{BlobId, Pair, PersonId, PhotoId};
use domain::user::Photo;
use domain::views::{PersonState, Relation, Settings};

use crate::ReadModel;
use crate::error::Result;

pub(crate) mod postgres;
mod sqlite;

pub use sqlite::SqliteDirectory;

/// A person's account: what only they themselves see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    pub user_id: PersonId,
    /// In clear; empty once erased.
    pub email: String,
    pub state: PersonState,
    pub position: u64,
}

/// A person's profile. All texts are empty once erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    pub user_id: PersonId,
    pub nickname: String,
    /// What makes two spellings one nickname; empty once erased.
    pub nickname_key: String,
    pub name: String,
    /// Empty for nothing.
    pub about: String,
    /// The folded name, by which lists are ordered.
    pub sort_key: String,
    pub photo: Option<Photo>,
    pub settings: Settings,
    pub state: PersonState,
    pub position: u64,
}

/// How one person sees another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelationRow {
    pub other: PersonId,
    pub relation: Relation,
    /// Whether one has blocked the other.
    pub blocked: bool,
    /// Whether the other has blocked one. Decides what may be shown; is never shown itself.
    pub blocked_me: bool,
    /// Whether one has unfriended or blocked the other, and they are not friends since.
    pub parted: bool,
    /// Whether the other has. Neither is shown itself, either.
    pub parted_me: bool,
    /// The last change that one may notice (of `relation` or `blocked`).
    pub shown_position: u64,
}

impl RelationRow {
    /// Two people without a history.
    pub fn none(other: PersonId) -> Self {
        Self {
            other,
            relation: Relation::None,
            blocked: false,
            blocked_me: false,
            parted: false,
            parted_me: false,
            shown_position: 0,
        }
    }
}

/// A relation with the other's profile, as lists need them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    pub user: UserRow,
    pub relation: RelationRow,
}

/// A friendship as the domain folds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// JSON.
    pub state: String,
    /// Up to which it is folded.
    pub position: u64,
}

/// One direction of a link, as a change writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub relation: Relation,
    pub blocked: bool,
    /// As of [`RelationRow`].
    pub parted: bool,
}

impl Seen {
    /// Whether one notices no difference.
    pub(crate) fn shows_as(&self, other: &Self) -> bool {
        (self.relation, self.blocked) == (other.relation, other.blocked)
    }
}

/// A nickname and what makes two spellings one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicknameText {
    pub nickname: String,
    pub key: String,
}

/// A name and what it is ordered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameText {
    pub name: String,
    pub sort_key: String,
}

/// What an event changes.
#[derive(Clone, Debug)]
pub enum Change {
    Account(AccountRow),
    User(UserRow),
    /// What is absent stays as it is.
    UserEdited {
        user_id: PersonId,
        nickname: Option<NicknameText>,
        name: Option<NameText>,
        about: Option<String>,
        position: u64,
    },
    /// The person's photo, or that there is none any more.
    Photo {
        user_id: PersonId,
        photo: Option<Photo>,
        position: u64,
    },
    /// What the person lets others see.
    Settings {
        user_id: PersonId,
        settings: Settings,
        position: u64,
    },
    /// The friendship's state as JSON, and what each of the two sees: first the lower id.
    Link {
        pair: Pair,
        state: String,
        seen: [Seen; 2],
        position: u64,
    },
}

/// Settings as rows keep them.
fn json_of(settings: Settings) -> String {
    serde_json::to_string(&settings).expect("settings are words")
}

/// Which list of linked people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    Accepted,
    Incoming,
    Outgoing,
    Blocked,
}

/// A page of linked people: those after `after` (`sort_key`, id), or those before `before`.
#[derive(Clone, Debug)]
pub struct LinkedQuery {
    pub state: LinkState,
    pub after: Option<(String, PersonId)>,
    pub before: Option<(String, PersonId)>,
    pub limit: usize,
}

/// The directory engine.
#[async_trait]
pub trait Directory: ReadModel<Change = Change> {
    async fn account(&self, user_id: PersonId) -> Result<Option<AccountRow>>;

    /// Profiles of those that have one, in no order.
    async fn persons(&self, ids: &[PersonId]) -> Result<Vec<UserRow>>;

    /// By `nickname_key`.
    async fn by_nickname(&self, nickname_key: &str) -> Result<Option<UserRow>>;

    /// Whose photo it is.
    async fn by_photo(&self, photo_id: PhotoId) -> Result<Option<UserRow>>;

    /// Those of `blobs` that hold somebody's photo, in no order.
    async fn photos_in(&self, blobs: &[BlobId]) -> Result<Vec<BlobId>>;

    /// How `person` sees each of `others`; those without a history are left out.
    async fn relations(&self, person: PersonId, others: &[PersonId]) -> Result<Vec<RelationRow>>;

    /// In the order of (`sort_key`, id) whichever way one pages; at most `limit`, those nearest
    /// to the bound.
    async fn linked(&self, person: PersonId, query: LinkedQuery) -> Result<Vec<Linked>>;

    /// Links that changed visibly for `person` after `position`, and people linked with them
    /// whose profile did; by the later of both positions, the oldest first, at most `limit`.
    async fn relations_changed_since(
        &self,
        person: PersonId,
        position: u64,
        limit: usize,
    ) -> Result<Vec<Linked>>;

    /// Those in whose lists `person` stands: who is to learn of a changed profile.
    async fn linked_with(&self, person: PersonId) -> Result<Vec<PersonId>>;

    /// The friendships as they are held, for the projection to go on from.
    async fn links(&self, pairs: &[Pair]) -> Result<HashMap<Pair, LinkRow>>;
}
