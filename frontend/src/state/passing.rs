//! Signs of life that hold for a while after they are heard: who is here, who is writing.

use std::collections::{BTreeMap, BTreeSet};

use domain::ids::{ChatId, PersonId};
use domain::live::{Ids, Signal};
use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::browser::{now, sleep};

/// Milliseconds for which somebody is taken to be here; it is said again every 20 seconds.
const HERE: f64 = 60_000.0;
/// Milliseconds for which somebody is taken to be writing.
const WRITING: f64 = 6_000.0;

/// Until when each thing holds, in milliseconds since 1970 UTC.
struct Until<K>(BTreeMap<K, f64>);

impl<K: Ord + Copy> Until<K> {
    /// Says whether it did not hold until now.
    fn hear(&mut self, key: K, until: f64) -> bool {
        self.0.insert(key, until).is_none()
    }

    /// How many milliseconds more it holds; when none are left it is forgotten.
    fn left(&mut self, key: K, now: f64) -> Option<f64> {
        let left = self.0.get(&key).map(|until| until - now).filter(|left| *left > 0.0);
        if left.is_none() {
            self.0.remove(&key);
        }
        left
    }
}

struct Passing<K: 'static> {
    until: StoredValue<Until<K>>,
    /// What holds now. It changes when something begins or ends, not whenever it is heard again.
    now: RwSignal<BTreeSet<K>>,
}

impl<K> Clone for Passing<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Passing<K> {}

impl<K: Ord + Copy + Send + Sync + 'static> Passing<K> {
    fn new() -> Self {
        Self { until: StoredValue::new(Until(BTreeMap::new())), now: RwSignal::new(BTreeSet::new()) }
    }

    fn heard(self, key: K, span: f64) {
        let mut fresh = false;
        self.until.update_value(|until| fresh = until.hear(key, now() + span));
        if !fresh {
            return;
        }
        self.now.update(|all| {
            all.insert(key);
        });
        spawn_local(async move {
            loop {
                let mut left = None;
                let _ = self.until.try_update_value(|until| left = until.left(key, now()));
                let Some(left) = left else { break };
                sleep(left.ceil() as u32).await;
            }
            self.show_end(key);
        });
    }

    fn over(self, key: K) {
        let mut held = false;
        self.until.update_value(|until| held = until.0.remove(&key).is_some());
        if held {
            self.show_end(key);
        }
    }

    fn show_end(self, key: K) {
        // It may hold again, having begun anew meanwhile.
        let holds = self.until.try_with_value(|until| until.0.contains_key(&key)).unwrap_or(false);
        if !holds && self.now.try_with_untracked(|all| all.contains(&key)) == Some(true) {
            self.now.try_update(|all| all.remove(&key));
        }
    }
}

/// Who is here now.
#[derive(Clone, Copy)]
pub struct Presence(Passing<PersonId>);

impl Presence {
    pub fn new() -> Self {
        Self(Passing::new())
    }

    /// Takes in a signal of life.
    pub fn heard(self, person: PersonId) {
        self.0.heard(person, HERE);
    }

    /// Whether somebody is here, followed.
    pub fn is_here(self, person: PersonId) -> Memo<bool> {
        Memo::new(move |_| self.0.now.with(|all| all.contains(&person)))
    }
}

/// Who is writing where.
#[derive(Clone, Copy)]
pub struct Typing(Passing<(ChatId, PersonId)>);

impl Typing {
    pub fn new() -> Self {
        Self(Passing::new())
    }

    /// Takes in a sign of writing.
    pub fn heard(self, chat: ChatId, person: PersonId) {
        self.0.heard((chat, person), WRITING);
    }

    /// What was written has come.
    pub fn over(self, chat: ChatId, person: PersonId) {
        self.0.over((chat, person));
    }

    /// Who is writing in one chat, followed.
    pub fn writers(self, chat: ChatId) -> Memo<Vec<PersonId>> {
        Memo::new(move |_| {
            self.0
                .now
                .with(|all| all.iter().filter(|(here, _)| *here == chat).map(|(_, person)| *person).collect())
        })
    }

    /// Everybody who is writing anywhere, followed.
    pub fn everybody(self) -> Vec<PersonId> {
        self.0.now.with(|all| all.iter().map(|(_, person)| *person).collect())
    }
}

impl super::Store {
    /// A sign of life from a live frame.
    pub fn hear_signal(self, signal: Signal, ids: Ids) {
        match (signal, ids.chat_id, ids.user_id) {
            (Signal::Typing, Some(chat), Some(person)) => self.typing.heard(chat, person),
            (Signal::Presence, _, Some(person)) => self.presence.heard(person),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_heard_again_holds_longer_and_begins_once() {
        let mut until = Until(BTreeMap::new());
        assert!(until.hear(1, 60.0));
        assert!(!until.hear(1, 80.0), "it holds already");
        assert_eq!(until.left(1, 60.0), Some(20.0));
        assert_eq!(until.left(1, 80.0), None);
        assert!(until.hear(1, 140.0), "it begins anew");
        assert_eq!(until.left(2, 0.0), None, "nobody has heard of it");
    }
}
