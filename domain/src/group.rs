//! What a group decides: who may do what, who comes and goes, and what each may read of it.
//!
//! | | owner | admin | member |
//! |---|---|---|---|
//! | send, leave | yes | yes | yes |
//! | rename, add, invite, remove members, remove messages | yes | yes | |
//! | remove admins, set roles, dissolve | yes | | |

use crate::chat::{Chat, ChatCommand, ChatEvent, ChatFacts, Span};
use crate::ids::{ChatId, PersonId};
use crate::problem::{FieldError, Kind};
use crate::text::check_title;
use crate::views::{History, Role};
use crate::{Problem, Timestamp};

/// People in a group.
pub const MOST_MEMBERS: usize = 500;
/// Invitations that are open at a time.
pub const MOST_INVITES: usize = 20;
/// The longest that an invitation stays open, and how long it does if nothing is said.
pub const LONGEST_INVITE: i64 = 365 * Timestamp::DAY;
pub const USUAL_INVITE: i64 = 7 * Timestamp::DAY;
/// Stretches of history that are kept for somebody who comes and goes: the newest.
const MOST_SPANS: usize = 50;

type Decided = Result<Vec<ChatEvent>, Problem>;

impl Chat {
    pub(crate) fn decide_group(&self, command: ChatCommand, facts: &ChatFacts) -> Decided {
        match command {
            ChatCommand::CreateGroup { chat, by, title, history, members, at } => {
                if self.chat.is_some() {
                    return Err(Kind::Conflict.into());
                }
                check_title("/title", &title.0).map_err(Problem::field)?;
                check_members(by, &members)?;
                if !members.is_empty() && (!facts.friends || facts.blocked) {
                    return Err(Kind::NotPermitted.into());
                }
                Ok(vec![ChatEvent::GroupCreated { chat, by, title: title.into(), history, members, at }])
            }
            ChatCommand::Rename { by, title, at } => {
                let chat = self.moderated(by)?;
                check_title("/title", &title.0).map_err(Problem::field)?;
                Ok(vec![ChatEvent::GroupRenamed {
                    chat,
                    by,
                    title: title.into(),
                    after_number: self.last_number,
                    at,
                }])
            }
            ChatCommand::Add { by, person, at } => {
                let chat = self.moderated(by)?;
                if self.has_member(person) {
                    return Ok(Vec::new());
                }
                if !facts.friends || facts.blocked {
                    return Err(Kind::NotPermitted.into());
                }
                self.check_room()?;
                Ok(vec![ChatEvent::MemberAdded {
                    chat,
                    by,
                    person,
                    sees: self.sees_on_entering(person),
                    after_number: self.last_number,
                    at,
                }])
            }
            ChatCommand::Join { person, invite, at } => {
                let chat = self.chat.filter(|_| self.is_group() && !self.dissolved).ok_or(Kind::NotFound)?;
                if self.has_member(person) {
                    return Ok(Vec::new());
                }
                // One that is over, revoked or unknown: nobody is told which.
                self.invites.get(&invite).filter(|invite| invite.is_open(at)).ok_or(Kind::NotFound)?;
                if self.removed.contains(&person) {
                    return Err(Kind::NotPermitted.into());
                }
                self.check_room()?;
                Ok(vec![ChatEvent::MemberJoined {
                    chat,
                    person,
                    invite,
                    sees: self.sees_on_entering(person),
                    after_number: self.last_number,
                    at,
                }])
            }
            ChatCommand::Leave { person, at } => self.leave(person, at),
            ChatCommand::Remove { by, person, at } => {
                let chat = self.moderated(by)?;
                let Some(role) = self.role_of(person) else { return Ok(Vec::new()) };
                if person == by {
                    return Err(Problem::field(FieldError::new("/user_id", "oneself")));
                }
                if role != Role::Member && self.role_of(by) != Some(Role::Owner) {
                    return Err(Kind::NotPermitted.into());
                }
                Ok(vec![ChatEvent::MemberRemoved {
                    chat,
                    by,
                    person,
                    sees: self.sees_on_parting(person),
                    after_number: self.last_number,
                    at,
                }])
            }
            ChatCommand::SetRole { by, person, role, at } => {
                let chat = self.owned(by)?;
                let before = self
                    .role_of(person)
                    .ok_or_else(|| Problem::field(FieldError::new("/user_id", "no-such-person")))?;
                if before == role {
                    return Ok(Vec::new());
                }
                if before == Role::Owner && self.owners() == 1 {
                    return Err(Problem::field(FieldError::new("/role", "last-owner")));
                }
                let after_number = self.last_number;
                Ok(vec![ChatEvent::RoleSet { chat, by, person, role, after_number, at }])
            }
            ChatCommand::CreateInvite { by, invite, expires_at, uses, at } => {
                let chat = self.moderated(by)?;
                if expires_at <= at {
                    return Err(Problem::field(FieldError::new("/expires_in", "too-small").with("min", 1)));
                }
                if expires_at > at.plus(LONGEST_INVITE) {
                    let max = LONGEST_INVITE / Timestamp::SECOND;
                    return Err(Problem::field(FieldError::new("/expires_in", "too-large").with("max", max)));
                }
                if uses == Some(0) {
                    return Err(Problem::field(FieldError::new("/uses", "too-small").with("min", 1)));
                }
                if self.invites.values().filter(|invite| invite.is_open(at)).count() >= MOST_INVITES {
                    return Err(Problem::field(
                        FieldError::new("", "too-many-invites").with("max", MOST_INVITES),
                    ));
                }
                Ok(vec![ChatEvent::InviteCreated { chat, by, invite, expires_at, uses, at }])
            }
            ChatCommand::RevokeInvite { by, invite, at } => {
                let chat = self.moderated(by)?;
                let known = self.invites.contains_key(&invite);
                Ok(known.then_some(ChatEvent::InviteRevoked { chat, by, invite, at }).into_iter().collect())
            }
            ChatCommand::Dissolve { by, at } => {
                if self.dissolved && self.role_of(by) == Some(Role::Owner) {
                    return Ok(Vec::new());
                }
                let chat = self.owned(by)?;
                Ok(vec![ChatEvent::ChatDissolved { chat, by, after_number: self.last_number, at }])
            }
            ChatCommand::CreateDirect { .. } | ChatCommand::Send { .. } => Err(Kind::Internal.into()),
        }
    }

    /// Whoever is the last owner hands over to the admin, else the member, who is in it longest; whoever
    /// is the last in it ends it.
    fn leave(&self, person: PersonId, at: Timestamp) -> Decided {
        let chat = self.chat.filter(|_| self.may_read(person)).ok_or(Kind::NotFound)?;
        if !self.is_group() {
            return Err(Kind::NotPermitted.into());
        }
        let Some(role) = self.role_of(person) else { return Ok(Vec::new()) };
        let (mut events, after_number) = (Vec::new(), self.last_number);
        if role == Role::Owner && self.owners() == 1 && !self.dissolved {
            let mut others = self.members.iter().filter(|member| member.person != person);
            let heir = others.clone().find(|member| member.role == Role::Admin).or_else(|| others.next());
            events.push(match heir {
                Some(heir) => {
                    let (by, person) = (person, heir.person);
                    ChatEvent::RoleSet { chat, by, person, role: Role::Owner, after_number, at }
                }
                None => ChatEvent::ChatDissolved { chat, by: person, after_number, at },
            });
        }
        let sees = self.sees_on_parting(person);
        events.push(ChatEvent::MemberLeft { chat, person, sees, after_number, at });
        Ok(events)
    }

    /// The group's id, for an owner or an admin of one that goes on.
    fn moderated(&self, by: PersonId) -> Result<ChatId, Problem> {
        self.ruled(by, &[Role::Owner, Role::Admin])
    }

    fn owned(&self, by: PersonId) -> Result<ChatId, Problem> {
        self.ruled(by, &[Role::Owner])
    }

    fn ruled(&self, by: PersonId, roles: &[Role]) -> Result<ChatId, Problem> {
        let chat = self.chat.filter(|_| self.may_read(by)).ok_or(Kind::NotFound)?;
        let may = self.is_group() && !self.dissolved;
        if may && self.role_of(by).is_some_and(|role| roles.contains(&role)) {
            Ok(chat)
        } else {
            Err(Kind::NotPermitted.into())
        }
    }

    fn owners(&self) -> usize {
        self.members.iter().filter(|member| member.role == Role::Owner).count()
    }

    fn check_room(&self) -> Result<(), Problem> {
        if self.members.len() < MOST_MEMBERS {
            return Ok(());
        }
        Err(Problem::field(FieldError::new("", "too-many-members").with("max", MOST_MEMBERS)))
    }

    /// What somebody who comes in may read: what they could read before, and what follows; or all.
    fn sees_on_entering(&self, person: PersonId) -> Vec<Span> {
        let mut sees = self.sees.get(&person).cloned().unwrap_or_default();
        let first = match self.history {
            History::All => 1,
            History::Joining => self.last_number + 1,
        };
        // Nothing was said in between, or all of it may be read.
        sees.retain(|span| span.first < first);
        match sees.last_mut() {
            Some(span) if span.last.is_none_or(|last| last + 1 >= first) => span.last = None,
            _ => sees.push(Span { first, last: None }),
        }
        let excess = sees.len().saturating_sub(MOST_SPANS);
        sees.drain(..excess);
        sees
    }

    /// The same for somebody who goes: up to now.
    fn sees_on_parting(&self, person: PersonId) -> Vec<Span> {
        let mut sees = self.sees.get(&person).cloned().unwrap_or_default();
        if let Some(span) = sees.last_mut().filter(|span| span.last.is_none()) {
            if span.first > self.last_number {
                sees.pop();
            } else {
                span.last = Some(self.last_number);
            }
        }
        sees
    }
}

fn check_members(by: PersonId, members: &[PersonId]) -> Result<(), Problem> {
    if members.len() >= MOST_MEMBERS {
        let error = FieldError::new("/member_ids", "too-many-members").with("max", MOST_MEMBERS);
        return Err(Problem::field(error));
    }
    let mut seen = std::collections::BTreeSet::from([by]);
    for (index, person) in members.iter().enumerate() {
        if !seen.insert(*person) {
            let code = if *person == by { "oneself" } else { "twice" };
            return Err(Problem::field(FieldError::new(format!("/member_ids/{index}"), code)));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "group_spec.rs"]
mod spec;
