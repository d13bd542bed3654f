//! Photos: which one somebody has now, and asking again for one that did not load.

use domain::ids::PersonId;
use domain::views::{Author, Me};
use leptos::prelude::*;

use super::Store;
use crate::browser::now;

/// Photos ask for new credentials no more often than this, in milliseconds.
const RENEWAL: f64 = 60_000.0;

impl Store {
    /// The photo of one of the people that are known, followed.
    pub fn photo_of(self, id: PersonId) -> Memo<Option<String>> {
        Memo::new(move |_| self.people.with(|people| people.get(&id)?.photo_id.clone()))
    }

    /// The photo of who wrote a message, followed where the author is known.
    pub fn photo_of_author(self, author: &Author) -> Memo<Option<String>> {
        self.photo_or(author.user_id, author.photo_id.clone())
    }

    /// Somebody's photo, followed where they are known, else the one that was `written`.
    pub fn photo_or(self, id: PersonId, written: Option<String>) -> Memo<Option<String>> {
        let now = move |_: Option<&Option<String>>| {
            self.people.with(|people| match people.get(&id) {
                Some(person) => person.photo_id.clone(),
                None => written.clone(),
            })
        };
        Memo::new(now)
    }

    /// One's own line among the people, as after a search for oneself, follows the profile.
    pub(super) fn know_myself(self, me: &Me) {
        let known = self.people.with_untracked(|people| people.get(&me.user_id).cloned());
        if let Some(mut person) = known {
            person.photo_id.clone_from(&me.photo_id);
            person.about.clone_from(&me.about);
            person.name = me.name.clone().unwrap_or(person.name);
            person.nickname = me.nickname.clone().unwrap_or(person.nickname);
            self.put_person(person);
        }
    }

    /// An image renews no credentials; an ordinary request does.
    pub async fn renew_for_photos(self) {
        if now() - self.photos_renewed.get_value() >= RENEWAL {
            self.photos_renewed.set_value(now());
            let _ = self.api.me().await;
        }
    }
}
