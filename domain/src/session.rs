//! Session: one login, from its start to its end. Stream: the session's id.
//!
//! Refresh tokens are not stored: token number `generation` is a keyed hash of the session and that
//! number. The stream says which generation is the newest and under which Idempotency-Key it was
//! made.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::aggregate::{Decider, aggregate};
use crate::ids::{PersonId, SessionId};
use crate::personal::{Address, Device, Personal, Personals, Visit};
use crate::problem::Kind;
use crate::{Problem, Timestamp};

/// A session ends this long after its start, however busy it is.
pub const LONGEST: i64 = 90 * Timestamp::DAY;
/// A session ends when it was not refreshed for this long.
pub const LONGEST_IDLE: i64 = 30 * Timestamp::DAY;
/// For this long another tab that still holds the predecessor gets the same successor.
pub const GRACE: i64 = 10 * Timestamp::SECOND;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum SessionEvent {
    SessionStarted {
        session: SessionId,
        person: PersonId,
        method: Method,
        device: Personal<Device>,
        address: Personal<Address>,
        at: Timestamp,
    },
    /// `generation` is the number of the new refresh token, `key` the Idempotency-Key it was made
    /// under.
    SessionRefreshed {
        session: SessionId,
        person: PersonId,
        generation: u64,
        key: Uuid,
        at: Timestamp,
    },
    /// An old refresh token came back: somebody else has it.
    RefreshReuseDetected {
        session: SessionId,
        person: PersonId,
        generation: u64,
        at: Timestamp,
    },
    SessionRevoked {
        session: SessionId,
        person: PersonId,
        why: WhyRevoked,
        at: Timestamp,
    },
}

/// How one signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Password,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyRevoked {
    /// The person signed out here.
    SignedOut,
    /// The person ended it from another session.
    EndedElsewhere,
}

#[derive(Clone, Debug)]
pub enum SessionCommand {
    Start {
        session: SessionId,
        person: PersonId,
        method: Method,
        device: Device,
        address: Address,
        at: Timestamp,
    },
    /// Refresh token number `presented` came with Idempotency-Key `key`.
    Refresh {
        presented: u64,
        key: Uuid,
        at: Timestamp,
    },
    Revoke {
        by: PersonId,
        why: WhyRevoked,
        at: Timestamp,
    },
}

/// What a session's stream adds up to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    pub session: Option<SessionId>,
    pub person: Option<PersonId>,
    /// Number of the newest refresh token; the first is 1.
    pub generation: u64,
    /// The Idempotency-Key under which the newest refresh token was made by a refresh.
    pub key: Option<Uuid>,
    pub started_at: Timestamp,
    pub refreshed_at: Timestamp,
    pub ended: bool,
}

impl Session {
    /// Whether it can still be used at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.person.is_some() && !self.ended && !self.is_over_age(now)
    }

    fn alive(&self, now: Timestamp) -> Result<(SessionId, PersonId), Problem> {
        match (self.session, self.person) {
            (Some(session), Some(person)) if self.is_live(now) => Ok((session, person)),
            _ => Err(Kind::SessionEnded.into()),
        }
    }

    fn is_over_age(&self, now: Timestamp) -> bool {
        now >= self.started_at.plus(LONGEST) || now >= self.refreshed_at.plus(LONGEST_IDLE)
    }

    fn refresh(&self, presented: u64, key: Uuid, at: Timestamp) -> Result<Vec<SessionEvent>, Problem> {
        let (session, person) = self.alive(at)?;
        let newest = self.generation;
        if presented == newest {
            return Ok(vec![SessionEvent::SessionRefreshed {
                session,
                person,
                generation: newest + 1,
                key,
                at,
            }]);
        }
        let same_request = self.key == Some(key);
        let another_tab = at < self.refreshed_at.plus(GRACE);
        if presented.checked_add(1) == Some(newest) && (same_request || another_tab) {
            return Ok(Vec::new());
        }
        Ok(vec![SessionEvent::RefreshReuseDetected { session, person, generation: presented, at }])
    }
}

impl Decider for Session {
    type Facts = ();

    fn decide(&self, command: SessionCommand, _: &()) -> Result<Vec<SessionEvent>, Problem> {
        match command {
            SessionCommand::Start { session, person, method, device, address, at } => {
                if self.session.is_some() {
                    return Err(Kind::Conflict.into());
                }
                let (device, address) = (device.into(), address.into());
                Ok(vec![SessionEvent::SessionStarted { session, person, method, device, address, at }])
            }
            SessionCommand::Refresh { presented, key, at } => self.refresh(presented, key, at),
            SessionCommand::Revoke { by, why, at } => match (self.session, self.person) {
                (Some(_), Some(person)) if person != by => Err(Kind::NotFound.into()),
                (Some(session), Some(person)) if !self.ended => {
                    Ok(vec![SessionEvent::SessionRevoked { session, person, why, at }])
                }
                (Some(_), Some(_)) => Ok(Vec::new()),
                _ => Err(Kind::NotFound.into()),
            },
        }
    }

    fn evolve(&mut self, event: &SessionEvent) {
        match event {
            SessionEvent::SessionStarted { session, person, at, .. } => {
                self.session = Some(*session);
                self.person = Some(*person);
                self.generation = 1;
                self.started_at = *at;
                self.refreshed_at = *at;
            }
            SessionEvent::SessionRefreshed { generation, key, at, .. } => {
                self.generation = *generation;
                self.key = Some(*key);
                self.refreshed_at = *at;
            }
            SessionEvent::RefreshReuseDetected { .. } | SessionEvent::SessionRevoked { .. } => {
                self.ended = true
            }
        }
    }
}

impl Personals for SessionEvent {
    fn personals(&mut self, visit: Visit<'_>) {
        if let Self::SessionStarted { person, device, address, .. } = self {
            visit("device", *person, device);
            visit("address", *person, address);
        }
    }
}

aggregate!(Session as "Session", SessionCommand, SessionEvent {
    SessionStarted = "1",
    SessionRefreshed = "1",
    RefreshReuseDetected = "1",
    SessionRevoked = "1",
}, ());

#[cfg(test)]
#[path = "session_spec.rs"]
mod spec;
