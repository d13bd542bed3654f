//! Friendship: the link between two people and their blocks. Stream: the pair, `min~max`.
//!
//! Two things stay hidden from the one who asks: that the other declined, and that the other has
//! blocked. In both cases the request goes on looking pending to the asker and is seen by nobody
//! else ([`Link::Unseen`]).

use serde::{Deserialize, Serialize};

use crate::aggregate::{Decider, aggregate};
use crate::ids::PersonId;
use crate::personal::{Personals, Visit};
use crate::problem::{FieldError, Kind};
use crate::views::Relation;
use crate::{Problem, Timestamp};

/// Whoever was declined may ask again after this long.
pub const ASK_AGAIN_AFTER: i64 = 30 * Timestamp::DAY;

/// An account younger than this is new.
pub const NEW_FOR: i64 = 7 * Timestamp::DAY;
/// Requests that somebody may have pending at a time, with a new account and with an older one.
pub const MOST_PENDING_NEW: u64 = 10;
pub const MOST_PENDING: u64 = 100;

/// How many requests `person` may have pending at `now`. An account is as old as its id, a UUIDv7
/// made when it was registered.
pub fn most_pending(person: PersonId, now: Timestamp) -> u64 {
    // Milliseconds, as RFC 9562 has them.
    let made = (person.0.as_u128() >> 80) as i64 * 1_000;
    if now < Timestamp(made).plus(NEW_FOR) { MOST_PENDING_NEW } else { MOST_PENDING }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum FriendshipEvent {
    FriendRequested {
        from: PersonId,
        to: PersonId,
        at: Timestamp,
    },
    FriendAccepted {
        by: PersonId,
        from: PersonId,
        at: Timestamp,
    },
    FriendDeclined {
        by: PersonId,
        from: PersonId,
        at: Timestamp,
    },
    /// Withdrawn or unfriended.
    FriendRemoved {
        by: PersonId,
        other: PersonId,
        at: Timestamp,
    },
    PersonBlocked {
        by: PersonId,
        other: PersonId,
        at: Timestamp,
    },
    PersonUnblocked {
        by: PersonId,
        other: PersonId,
        at: Timestamp,
    },
}

/// What `by` wants of `other`.
#[derive(Clone, Debug)]
pub struct FriendshipCommand {
    pub by: PersonId,
    pub other: PersonId,
    pub wish: Wish,
    pub at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Add,
    Accept,
    Decline,
    Remove,
    Block,
    Unblock,
}

/// What a decision needs to know of the other person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FriendshipFacts {
    /// Whether the other one has a user and is not erased.
    pub other_exists: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    #[default]
    None,
    Pending {
        from: PersonId,
    },
    /// Looks pending to `from`, and is nothing to the other.
    Unseen {
        from: PersonId,
        since: Timestamp,
    },
    Friends,
}

/// What a pair's stream adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Friendship {
    pub link: Link,
    /// Who has blocked the other; at most both.
    pub blocked_by: Vec<PersonId>,
    /// Who was declined by the other, and when last.
    pub declined: Vec<(PersonId, Timestamp)>,
    /// Who has unfriended or blocked the other, until they are friends again; at most both.
    #[serde(default)]
    pub parted: Vec<PersonId>,
}

impl Friendship {
    pub fn are_friends(&self) -> bool {
        self.link == Link::Friends
    }

    /// Whether either has blocked the other.
    pub fn is_blocked(&self) -> bool {
        !self.blocked_by.is_empty()
    }

    pub fn has_blocked(&self, person: PersonId) -> bool {
        self.blocked_by.contains(&person)
    }

    /// Whether `person` has ended the friendship, or blocked the other, and they are not friends since. The
    /// other can't tell which of the two it was.
    pub fn has_parted(&self, person: PersonId) -> bool {
        self.parted.contains(&person)
    }

    fn part(&mut self, person: PersonId) {
        if !self.has_parted(person) {
            self.parted.push(person);
            self.parted.sort_unstable();
        }
    }

    /// The link as `person`, one of the two, sees it.
    pub fn seen_by(&self, person: PersonId) -> Relation {
        match self.link {
            Link::None => Relation::None,
            Link::Friends => Relation::Friends,
            Link::Pending { from } | Link::Unseen { from, .. } if from == person => Relation::Outgoing,
            Link::Pending { .. } => Relation::Incoming,
            Link::Unseen { .. } => Relation::None,
        }
    }

    fn declined_at(&self, person: PersonId) -> Option<Timestamp> {
        self.declined.iter().find(|(who, _)| *who == person).map(|(_, at)| *at)
    }

    fn add(&self, by: PersonId, other: PersonId, at: Timestamp) -> Result<Vec<FriendshipEvent>, Problem> {
        if self.has_blocked(by) {
            return Err(Problem::new(Kind::NotPermitted).detail("unblock this person first"));
        }
        let requested = vec![FriendshipEvent::FriendRequested { from: by, to: other, at }];
        Ok(match self.link {
            Link::Friends => Vec::new(),
            Link::Pending { from } if from == by => Vec::new(),
            Link::Unseen { from, since } if from == by => {
                if self.has_blocked(other) || at < since.plus(ASK_AGAIN_AFTER) {
                    Vec::new()
                } else {
                    requested
                }
            }
            // The other one's wish is there already, declined or not.
            Link::Pending { from } | Link::Unseen { from, .. }
                if from == other && !self.has_blocked(other) =>
            {
                vec![FriendshipEvent::FriendAccepted { by, from, at }]
            }
            Link::None | Link::Pending { .. } | Link::Unseen { .. } => requested,
        })
    }
}

impl Decider for Friendship {
    type Facts = FriendshipFacts;

    fn decide(
        &self,
        command: FriendshipCommand,
        facts: &FriendshipFacts,
    ) -> Result<Vec<FriendshipEvent>, Problem> {
        let FriendshipCommand { by, other, wish, at } = command;
        if by == other {
            return Err(Problem::field(FieldError::new("/user_id", "oneself")));
        }
        if !facts.other_exists {
            return Err(Kind::NotFound.into());
        }
        let incoming = self.link == Link::Pending { from: other };
        match wish {
            Wish::Add => self.add(by, other, at),
            Wish::Accept if incoming => Ok(vec![FriendshipEvent::FriendAccepted { by, from: other, at }]),
            Wish::Decline if incoming => Ok(vec![FriendshipEvent::FriendDeclined { by, from: other, at }]),
            Wish::Accept | Wish::Decline => Err(Kind::NoSuchRequest.into()),
            Wish::Remove => Ok(match self.seen_by(by) {
                Relation::Friends | Relation::Outgoing => {
                    vec![FriendshipEvent::FriendRemoved { by, other, at }]
                }
                Relation::None | Relation::Incoming | Relation::Oneself => Vec::new(),
            }),
            Wish::Block if self.has_blocked(by) => Ok(Vec::new()),
            Wish::Block => Ok(vec![FriendshipEvent::PersonBlocked { by, other, at }]),
            Wish::Unblock if self.has_blocked(by) => {
                Ok(vec![FriendshipEvent::PersonUnblocked { by, other, at }])
            }
            Wish::Unblock => Ok(Vec::new()),
        }
    }

    fn evolve(&mut self, event: &FriendshipEvent) {
        match *event {
            FriendshipEvent::FriendRequested { from, to, at } => {
                let recently_declined =
                    self.declined_at(from).is_some_and(|declined| at < declined.plus(ASK_AGAIN_AFTER));
                self.link = if self.has_blocked(to) {
                    Link::Unseen { from, since: at }
                } else if recently_declined {
                    Link::Unseen { from, since: self.declined_at(from).unwrap_or(at) }
                } else {
                    Link::Pending { from }
                };
            }
            FriendshipEvent::FriendAccepted { .. } => {
                self.link = Link::Friends;
                self.declined.clear();
                self.parted.clear();
            }
            FriendshipEvent::FriendDeclined { from, at, .. } => {
                self.declined.retain(|(who, _)| *who != from);
                self.declined.push((from, at));
                self.link = Link::Unseen { from, since: at };
            }
            FriendshipEvent::FriendRemoved { by, .. } => {
                if self.are_friends() {
                    self.part(by);
                }
                self.link = Link::None;
            }
            FriendshipEvent::PersonBlocked { by, .. } => {
                self.blocked_by.push(by);
                self.blocked_by.sort_unstable();
                self.part(by);
                self.link = Link::None;
            }
            FriendshipEvent::PersonUnblocked { by, .. } => self.blocked_by.retain(|who| *who != by),
        }
    }
}

impl Personals for FriendshipEvent {
    fn personals(&mut self, _: Visit<'_>) {}
}

aggregate!(Friendship as "Friendship", FriendshipCommand, FriendshipEvent {
    FriendRequested = "1",
    FriendAccepted = "1",
    FriendDeclined = "1",
    FriendRemoved = "1",
    PersonBlocked = "1",
    PersonUnblocked = "1",
}, FriendshipFacts);

#[cfg(test)]
#[path = "friendship_spec.rs"]
mod spec;
