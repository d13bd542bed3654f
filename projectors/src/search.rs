//! Search: who can be found by nickname and name.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use domain::aggregate::{Event, Kind};
use domain::ids::PersonId;
use domain::personal::{Name, Nickname};
use domain::user::UserEvent;
use stores::search::{Change, Document, Search};

use crate::projection::{Entry, Opener, Projection, ProjectionError};

pub struct SearchProjection {
    search: Arc<dyn Search>,
    opener: Opener,
}

impl SearchProjection {
    /// Over the generation that it writes.
    pub fn new(search: Arc<dyn Search>, opener: Opener) -> Self {
        Self { search, opener }
    }

    /// The documents that an edit in `batch` begins from.
    async fn held(&self, batch: &[Entry]) -> Result<HashMap<PersonId, Document>, ProjectionError> {
        let mut edited: Vec<PersonId> = batch
            .iter()
            .filter_map(|entry| match &entry.event {
                Event::User(UserEvent::InfoEdited { person, .. }) => Some(*person),
                _ => None,
            })
            .collect();
        edited.sort_unstable();
        edited.dedup();
        let held = if edited.is_empty() { Vec::new() } else { self.search.documents(&edited).await? };
        Ok(held.into_iter().map(|document| (document.user_id, document)).collect())
    }

    /// The document after `event`.
    fn edit(
        &self,
        entry: &Entry,
        event: &UserEvent,
        held: Option<&Document>,
    ) -> Result<Document, ProjectionError> {
        let (person, nickname, name) = match event {
            UserEvent::UserCreated { person, nickname, name } => (person, Some(nickname), Some(name)),
            UserEvent::InfoEdited { person, nickname, name, .. } => {
                (person, nickname.as_ref(), name.as_ref())
            }
            UserEvent::PhotoChanged { person, .. }
            | UserEvent::PhotoRemoved { person, .. }
            | UserEvent::SettingsChanged { person, .. } => (person, None, None),
        };
        let nickname = match nickname {
            Some(sealed) => self
                .opener
                .open(entry, "nickname", sealed)?
                .map(|Nickname(nickname)| nickname)
                .unwrap_or_default(),
            None => held.map(|it| it.nickname.clone()).unwrap_or_default(),
        };
        let name = match name {
            Some(sealed) => {
                self.opener.open(entry, "name", sealed)?.map(|Name(name)| name).unwrap_or_default()
            }
            None => held.map(|it| it.name.clone()).unwrap_or_default(),
        };
        Ok(Document { user_id: *person, nickname, name, position: entry.position })
    }
}

#[async_trait]
impl Projection for SearchProjection {
    type Model = dyn Search;

    const NAME: &'static str = "search";
    const CODE_VERSION: u32 = 1;
    const READS: &'static [Kind] = &[Kind::User];

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        let mut held = self.held(batch).await?;
        let mut changes = Vec::new();
        for entry in batch {
            let Event::User(event) = &entry.event else { continue };
            // Whether somebody is shown is asked when they are found.
            if !matches!(event, UserEvent::UserCreated { .. } | UserEvent::InfoEdited { .. }) {
                continue;
            }
            let known = held.get(&event.person());
            if known.is_some_and(|known| known.position >= entry.position) {
                continue;
            }
            let document = self.edit(entry, event, known)?;
            held.insert(document.user_id, document.clone());
            changes.push(if document.is_tombstone() {
                Change::Remove { user_id: document.user_id, position: document.position }
            } else {
                Change::Put(document)
            });
        }
        Ok(changes)
    }
}
