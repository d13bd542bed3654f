//! The people one has something to do with, and what one does about them.

use domain::ids::PersonId;
use domain::views::{Person, Relation};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::{Phase, Store};
use crate::api::{Act, Answer, Circle};

fn faceless(person: &Person) -> Person {
    Person { photo_id: None, ..person.clone() }
}

impl Store {
    /// Loads friends, requests and blocks.
    pub async fn load_people(self) -> Answer<()> {
        let loaded = self.fetch_people().await;
        match &loaded {
            Ok(()) => self.people_phase.set(Phase::Ready),
            Err(failure) if self.people_phase.get_untracked() != Phase::Ready => {
                self.people_phase.set(Phase::Failed(failure.clone()));
            }
            Err(_) => {}
        }
        loaded
    }

    async fn fetch_people(self) -> Answer<()> {
        let circles =
            futures::future::try_join_all(Circle::ALL.map(|circle| self.api.circle(circle))).await?;
        let fresh: Vec<Person> = circles.into_iter().flatten().collect();
        self.people.update(|people| {
            // Others are on the screen for some other reason.
            for person in people.values_mut().filter(|it| it.relation != Relation::Oneself) {
                (person.relation, person.blocked) = (Relation::None, false);
            }
            for person in fresh {
                people.insert(person.user_id, person);
            }
        });
        Ok(())
    }

    /// The person as last seen, followed. Without the photo: [`photo_of`](Self::photo_of) follows that in its place,
    /// so that a new one builds nothing anew and takes the focus from nothing.
    pub fn person(self, id: PersonId) -> Memo<Option<Person>> {
        Memo::new(move |_| self.people.with(|people| people.get(&id).map(faceless)))
    }

    /// Whether `person` was blocked or let go since they were heard of last.
    fn changes_block(self, person: &Person) -> bool {
        let was =
            self.people.with_untracked(|people| people.get(&person.user_id).is_some_and(|it| it.blocked));
        was != person.blocked && self.people_phase.get_untracked() == Phase::Ready
    }

    pub fn put_person(self, person: Person) {
        if self.changes_block(&person) {
            self.blocks_changed();
        }
        let is_peer =
            |chat: &domain::views::Chat| chat.peer.as_ref().is_some_and(|it| it.user_id == person.user_id);
        if self.chats.with_untracked(|chats| {
            chats.iter().any(|chat| is_peer(chat) && chat.peer.as_ref() != Some(&person))
        }) {
            self.chats.update(|chats| {
                for chat in chats.iter_mut().filter(|chat| is_peer(chat)) {
                    chat.peer = Some(person.clone());
                }
            });
        }
        if self.people.with_untracked(|people| people.get(&person.user_id) != Some(&person)) {
            self.people.update(|people| {
                people.insert(person.user_id, person);
            });
        }
    }

    /// Takes in many people at once, whatever one has to do with them.
    pub fn put_people(self, fresh: impl IntoIterator<Item = Person>) {
        let fresh = self.people.with_untracked(|people| {
            let changed = fresh.into_iter().filter(|person| people.get(&person.user_id) != Some(person));
            changed.collect::<Vec<_>>()
        });
        if fresh.iter().any(|person| self.changes_block(person)) {
            self.blocks_changed();
        }
        if !fresh.is_empty() {
            self.people
                .update(|people| people.extend(fresh.into_iter().map(|person| (person.user_id, person))));
        }
    }

    /// Finds out who somebody is that is heard of, once.
    pub fn ask_who(self, id: PersonId) {
        let known = self.people.with_untracked(|people| people.contains_key(&id));
        if known || self.asked_who.with_value(|asked| asked.contains(&id)) {
            return;
        }
        self.asked_who.update_value(|asked| {
            asked.push(id);
        });
        spawn_local(async move {
            let _ = self.refresh_person(id).await;
        });
    }

    pub async fn refresh_person(self, id: PersonId) -> Answer<()> {
        self.put_person(self.api.person(id).await?);
        Ok(())
    }

    /// Does something about a person, and fetches what came of it.
    pub async fn act(self, act: Act, id: PersonId) -> Answer<()> {
        let done = self.api.act(act, id).await;
        // After a refusal too: what the screen offered was out of date.
        self.refresh_person(id).await?;
        done?;
        if let Some(chat) = untrack(|| self.direct_chat(id)) {
            // Whether one may write there hangs on the link.
            let _ = self.refresh_chat(chat).await;
        }
        Ok(())
    }

    /// The people with this relation, by name.
    pub fn related(self, relation: Relation) -> Memo<Vec<Person>> {
        self.listed(move |person| !person.blocked && person.relation == relation)
    }

    pub fn blocked(self) -> Memo<Vec<Person>> {
        self.listed(|person| person.blocked)
    }

    fn listed(self, wanted: impl Fn(&Person) -> bool + Send + Sync + 'static) -> Memo<Vec<Person>> {
        Memo::new(move |_| {
            let mut people = self
                .people
                .with(|people| people.values().filter(|it| wanted(it)).map(faceless).collect::<Vec<_>>());
            people.sort_by_cached_key(|person| (person.name.to_lowercase(), person.user_id));
            people
        })
    }
}
