//! People and authors as the asking person sees them.

use std::collections::HashMap;

use domain::ids::PersonId;
use domain::user::Photo;
use domain::views::{Audience, Author, Person, PersonState, Relation};
use futures::FutureExt;
use futures::future::BoxFuture;
use stores::directory::{Linked, RelationRow, UserRow};

use crate::refusal::{Refusal, of_store};
use crate::state::QueryState;

/// Profiles and relations, read for one asker.
pub struct People {
    asker: PersonId,
    users: HashMap<PersonId, UserRow>,
    relations: HashMap<PersonId, RelationRow>,
}

impl People {
    /// Reads all that is known of `ids`.
    ///
    /// Boxed: nothing of what `ids` is made of is held while it is read.
    pub fn read(
        state: &QueryState,
        asker: PersonId,
        ids: impl IntoIterator<Item = PersonId>,
    ) -> BoxFuture<'_, Result<Self, Refusal>> {
        let mut ids: Vec<PersonId> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        Self::read_all(state, asker, ids).boxed()
    }

    async fn read_all(state: &QueryState, asker: PersonId, ids: Vec<PersonId>) -> Result<Self, Refusal> {
        if ids.is_empty() {
            return Ok(Self { asker, users: HashMap::new(), relations: HashMap::new() });
        }
        let directory = state.stores.directory.serving();
        let users = directory.persons(&ids).await.map_err(of_store)?;
        let relations = directory.relations(asker, &ids).await.map_err(of_store)?;
        Ok(Self {
            asker,
            users: users.into_iter().map(|user| (user.user_id, user)).collect(),
            relations: relations.into_iter().map(|relation| (relation.other, relation)).collect(),
        })
    }

    pub fn user(&self, id: PersonId) -> Option<&UserRow> {
        self.users.get(&id)
    }

    pub fn relation(&self, id: PersonId) -> RelationRow {
        self.relations.get(&id).copied().unwrap_or(RelationRow::none(id))
    }

    /// Whether the two are friends and neither has blocked the other: what lets them write to each
    /// other and see how far the other has read.
    pub fn are_close(&self, id: PersonId) -> bool {
        let RelationRow { relation, blocked, blocked_me, .. } = self.relation(id);
        relation == Relation::Friends && !blocked && !blocked_me
    }

    /// `None` for somebody without a profile.
    pub fn person(&self, id: PersonId) -> Option<Person> {
        Some(person_of(self.asker, self.users.get(&id)?, self.relations.get(&id)))
    }

    /// Whether the person is one of those whom `id` lets see something.
    pub fn is_among(&self, audience: Audience, id: PersonId) -> bool {
        is_among(self.asker, id, self.relations.get(&id), audience)
    }

    /// The photo, if the asking person may see it.
    pub fn photo(&self, user: &UserRow) -> Option<Photo> {
        photo_of(self.asker, user, self.relations.get(&user.user_id))
    }

    /// Somebody without a profile has empty names.
    pub fn author(&self, id: PersonId) -> Author {
        match self.users.get(&id) {
            Some(user) if user.state != PersonState::Erased => Author {
                user_id: id,
                nickname: user.nickname.clone(),
                name: user.name.clone(),
                photo_id: self.photo(user).map(|photo| photo.photo_id.to_string()),
                state: user.state,
            },
            user => erased(id, user.map_or(PersonState::Active, |user| user.state)),
        }
    }
}

/// An author of whom nothing is left, or known, but the id.
pub fn erased(id: PersonId, state: PersonState) -> Author {
    Author { user_id: id, nickname: String::new(), name: String::new(), photo_id: None, state }
}

/// A linked person as `asker` sees them.
pub fn linked(asker: PersonId, linked: &Linked) -> Person {
    person_of(asker, &linked.user, Some(&linked.relation))
}

/// Whether `owner` lets `asker` see what is for `audience`. Those who have parted never do, whichever of them
/// did, until they are friends again: whoever was blocked is answered as a former friend is.
fn is_among(asker: PersonId, owner: PersonId, relation: Option<&RelationRow>, audience: Audience) -> bool {
    match relation {
        _ if owner == asker => true,
        None => audience == Audience::Everyone,
        Some(it) if it.parted || it.parted_me => false,
        Some(it) => audience == Audience::Everyone || it.relation == Relation::Friends,
    }
}

fn photo_of(asker: PersonId, user: &UserRow, relation: Option<&RelationRow>) -> Option<Photo> {
    let may = is_among(asker, user.user_id, relation, user.settings.photo);
    user.photo.filter(|_| may && user.state != PersonState::Erased)
}

fn person_of(asker: PersonId, user: &UserRow, relation: Option<&RelationRow>) -> Person {
    let erased = user.state == PersonState::Erased;
    let shown = |text: &String| if erased { String::new() } else { text.clone() };
    let may_read = is_among(asker, user.user_id, relation, user.settings.about);
    let photo = photo_of(asker, user, relation);
    let relation = relation.copied().unwrap_or(RelationRow::none(user.user_id));
    Person {
        user_id: user.user_id,
        nickname: shown(&user.nickname),
        name: shown(&user.name),
        about: Some(shown(&user.about)).filter(|about| may_read && !about.is_empty()),
        photo_id: photo.map(|photo| photo.photo_id.to_string()),
        relation: if user.user_id == asker { Relation::Oneself } else { relation.relation },
        blocked: relation.blocked,
        state: user.state,
    }
}
