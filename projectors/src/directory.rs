//! Directory: people and the links between them.
//!
//! What each of two sees of their link is the domain's to say: the pair's state is folded here as
//! the write side folds it, and kept beside the rows to go on from.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::account::AccountEvent;
use domain::aggregate::{Decider, Event, Kind};
use domain::friendship::{Friendship, FriendshipEvent};
use domain::ids::Pair;
use domain::personal::{About, Email, Name, Nickname};
use domain::text::{fold, nickname_key};
use domain::user::{Photo, UserEvent};
use domain::views::{PersonState, Settings};
use stores::directory::{AccountRow, Change, Directory, NameText, NicknameText, Seen, UserRow};

use crate::projection::{Entry, Opener, Projection, ProjectionError};

pub struct DirectoryProjection {
    directory: Arc<dyn Directory>,
    opener: Opener,
}

/// The pairs of a batch, and up to where each is folded.
type Links = HashMap<Pair, (Friendship, u64)>;

impl DirectoryProjection {
    /// Over the generation that it writes.
    pub fn new(directory: Arc<dyn Directory>, opener: Opener) -> Self {
        Self { directory, opener }
    }

    /// The pairs that `batch` is about, as they are held.
    async fn links(&self, batch: &[Entry]) -> Result<Links, ProjectionError> {
        let mut links = Links::new();
        let mut first = HashMap::new();
        for entry in batch {
            if let Event::Friendship(_) = &entry.event {
                first.entry(pair(entry)?).or_insert(entry);
            }
        }
        let pairs: Vec<Pair> = first.keys().copied().collect();
        for (pair, held) in self.directory.links(&pairs).await? {
            let state = serde_json::from_str(&held.state)
                .map_err(|error| ProjectionError::poison(first[&pair], error))?;
            links.insert(pair, (state, held.position));
        }
        Ok(links)
    }

    fn account(&self, entry: &Entry, event: &AccountEvent) -> Result<Option<Change>, ProjectionError> {
        let AccountEvent::AccountRegistered { person, email, .. } = event else { return Ok(None) };
        let email = self.opener.open(entry, "email", email)?;
        Ok(Some(Change::Account(AccountRow {
            user_id: *person,
            state: state_of(email.is_some()),
            email: email.map(|Email(email)| email).unwrap_or_default(),
            position: entry.position,
        })))
    }

    fn user(&self, entry: &Entry, event: &UserEvent) -> Result<Change, ProjectionError> {
        let position = entry.position;
        Ok(match event {
            UserEvent::UserCreated { person, nickname, name } => {
                let nickname = self.opener.open(entry, "nickname", nickname)?;
                let state = state_of(nickname.is_some());
                let NicknameText { nickname, key } = nickname_text(nickname);
                let NameText { name, sort_key } = name_text(self.opener.open(entry, "name", name)?);
                Change::User(UserRow {
                    user_id: *person,
                    nickname,
                    nickname_key: key,
                    name,
                    about: String::new(),
                    sort_key,
                    photo: None,
                    settings: Settings::default(),
                    state,
                    position,
                })
            }
            UserEvent::PhotoChanged { person, photo_id, blob, .. } => {
                let photo = Some(Photo { photo_id: *photo_id, blob: *blob });
                Change::Photo { user_id: *person, photo, position }
            }
            UserEvent::PhotoRemoved { person, .. } => {
                Change::Photo { user_id: *person, photo: None, position }
            }
            UserEvent::SettingsChanged { person, settings, .. } => {
                Change::Settings { user_id: *person, settings: *settings, position }
            }
            UserEvent::InfoEdited { person, nickname, name, about } => {
                let nickname = nickname.as_ref().map(|it| self.opener.open(entry, "nickname", it));
                let name = name.as_ref().map(|it| self.opener.open(entry, "name", it));
                let about = about.as_ref().map(|it| self.opener.open(entry, "about", it));
                Change::UserEdited {
                    user_id: *person,
                    nickname: nickname.transpose()?.map(nickname_text),
                    name: name.transpose()?.map(name_text),
                    about: about
                        .transpose()?
                        .map(|about| about.map(|About(about)| about).unwrap_or_default()),
                    position,
                }
            }
        })
    }
}

fn pair(entry: &Entry) -> Result<Pair, ProjectionError> {
    entry.aggregate_id.parse().map_err(|why: String| ProjectionError::poison(entry, why))
}

/// A person whose key was destroyed was erased.
fn state_of(readable: bool) -> PersonState {
    if readable { PersonState::Active } else { PersonState::Erased }
}

fn nickname_text(nickname: Option<Nickname>) -> NicknameText {
    match nickname {
        Some(Nickname(nickname)) => NicknameText { key: nickname_key(&nickname), nickname },
        None => NicknameText { nickname: String::new(), key: String::new() },
    }
}

fn name_text(name: Option<Name>) -> NameText {
    match name {
        Some(Name(name)) => NameText { sort_key: fold(&name), name },
        None => NameText { name: String::new(), sort_key: String::new() },
    }
}

fn link(
    entry: &Entry,
    event: &FriendshipEvent,
    links: &mut Links,
) -> Result<Option<Change>, ProjectionError> {
    let pair = pair(entry)?;
    let (state, folded) = links.entry(pair).or_default();
    if *folded >= entry.position {
        return Ok(None);
    }
    state.evolve(event);
    *folded = entry.position;
    let seen = pair.both().map(|one| Seen {
        relation: state.seen_by(one),
        blocked: state.has_blocked(one),
        parted: state.has_parted(one),
    });
    let state = serde_json::to_string(state).map_err(|error| ProjectionError::poison(entry, error))?;
    Ok(Some(Change::Link { pair, state, seen, position: entry.position }))
}

#[async_trait]
impl Projection for DirectoryProjection {
    type Model = dyn Directory;

    const NAME: &'static str = "directory";
    const CODE_VERSION: u32 = 4;
    const READS: &'static [Kind] = &[Kind::Account, Kind::User, Kind::Friendship];

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        let mut links = self.links(batch).await?;
        let mut changes = Vec::new();
        for entry in batch {
            match &entry.event {
                Event::Account(event) => changes.extend(self.account(entry, event)?),
                Event::User(event) => changes.push(self.user(entry, event)?),
                Event::Friendship(event) => changes.extend(link(entry, event, &mut links)?),
                Event::Session(_)
                | Event::Chat(_)
                | Event::Message(_)
                | Event::ReadMarker(_)
                | Event::Chronicle(_) => {}
            }
        }
        Ok(changes)
    }
}
