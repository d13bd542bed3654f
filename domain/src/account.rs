//! Account: how a person proves to be that person. Stream: the person's id.

use serde::{Deserialize, Serialize};

use crate::Problem;
use crate::aggregate::{Decider, aggregate};
use crate::ids::{EventId, PersonId};
use crate::personal::{Email, Personal, Personals, Sealed, Verifier, Visit};
use crate::problem::Kind;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum AccountEvent {
    AccountRegistered { person: PersonId, email: Personal<Email>, verifier: Personal<Verifier> },
    PasswordChanged { person: PersonId, verifier: Personal<Verifier>, why: WhyChanged },
}

/// Why a verifier was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyChanged {
    /// The person chose another password.
    Chosen,
    /// The same password, hashed with today's parameters.
    Rehashed,
}

#[derive(Clone, Debug)]
pub enum AccountCommand {
    Register {
        person: PersonId,
        email: Email,
        verifier: Verifier,
    },
    /// `seen` is the event whose verifier the caller checked the old password against.
    ChangePassword {
        seen: EventId,
        verifier: Verifier,
        why: WhyChanged,
    },
}

/// What an account's stream adds up to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub person: Option<PersonId>,
    pub email: Option<Sealed>,
    pub verifier: Option<Sealed>,
}

impl Account {
    /// Whether the verifier is still the one of event `seen`, against which a password was checked
    /// outside.
    pub fn verifier_is_of(&self, seen: EventId) -> bool {
        self.verifier.as_ref().and_then(|verifier| verifier.event_id) == Some(seen)
    }
}

impl Decider for Account {
    type Facts = ();

    fn decide(&self, command: AccountCommand, _: &()) -> Result<Vec<AccountEvent>, Problem> {
        match (command, self.person) {
            (AccountCommand::Register { person, email, verifier }, None) => {
                Ok(vec![AccountEvent::AccountRegistered {
                    person,
                    email: email.into(),
                    verifier: verifier.into(),
                }])
            }
            (AccountCommand::Register { .. }, Some(_)) => Err(Kind::Conflict.into()),
            (AccountCommand::ChangePassword { .. }, None) => Err(Kind::NotFound.into()),
            (AccountCommand::ChangePassword { seen, verifier, why }, Some(person)) => {
                if !self.verifier_is_of(seen) {
                    return Err(Problem::new(Kind::Conflict).detail("the password was changed meanwhile"));
                }
                Ok(vec![AccountEvent::PasswordChanged { person, verifier: verifier.into(), why }])
            }
        }
    }

    fn evolve(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::AccountRegistered { person, email, verifier } => {
                self.person = Some(*person);
                self.email = email.sealed().cloned();
                self.verifier = verifier.sealed().cloned();
            }
            AccountEvent::PasswordChanged { verifier, .. } => self.verifier = verifier.sealed().cloned(),
        }
    }
}

impl Personals for AccountEvent {
    fn personals(&mut self, visit: Visit<'_>) {
        match self {
            Self::AccountRegistered { person, email, verifier } => {
                visit("email", *person, email);
                visit("verifier", *person, verifier);
            }
            Self::PasswordChanged { person, verifier, .. } => visit("verifier", *person, verifier),
        }
    }
}

aggregate!(Account as "Account", AccountCommand, AccountEvent {
    AccountRegistered = "1",
    PasswordChanged = "1",
}, ());

#[cfg(test)]
#[path = "account_spec.rs"]
mod spec;
