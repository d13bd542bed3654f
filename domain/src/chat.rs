//! Chat: who is in it, in which role, what of it each may read, and how far its numbers go. Stream:
//! the chat's id.
//!
//! The state never grows with the messages: a message's number leads to its event through
//! [`Chat::runs`], so that message n is one read by key. What a group decides is in `group.rs`.

mod event;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::event::{ATTACHMENT_NAMES, Attachment, ChatEvent, Span, first_author};

use crate::aggregate::{Decider, aggregate};
use crate::ids::{ChatId, InviteId, MessageId, PersonId};
use crate::personal::{Sealed, Text, Title};
use crate::problem::{FieldError, Kind};
use crate::views::{ChatKind, History, Role};
use crate::{Problem, Timestamp};

#[derive(Clone, Debug)]
pub enum ChatCommand {
    CreateDirect {
        chat: ChatId,
        by: PersonId,
        with: PersonId,
        at: Timestamp,
    },
    CreateGroup {
        chat: ChatId,
        by: PersonId,
        title: Title,
        history: History,
        members: Vec<PersonId>,
        at: Timestamp,
    },
    Rename {
        by: PersonId,
        title: Title,
        at: Timestamp,
    },
    Add {
        by: PersonId,
        person: PersonId,
        at: Timestamp,
    },
    Join {
        person: PersonId,
        invite: InviteId,
        at: Timestamp,
    },
    Leave {
        person: PersonId,
        at: Timestamp,
    },
    Remove {
        by: PersonId,
        person: PersonId,
        at: Timestamp,
    },
    SetRole {
        by: PersonId,
        person: PersonId,
        role: Role,
        at: Timestamp,
    },
    CreateInvite {
        by: PersonId,
        invite: InviteId,
        expires_at: Timestamp,
        uses: Option<u32>,
        at: Timestamp,
    },
    RevokeInvite {
        by: PersonId,
        invite: InviteId,
        at: Timestamp,
    },
    Dissolve {
        by: PersonId,
        at: Timestamp,
    },
    Send {
        author: PersonId,
        message_id: MessageId,
        text: Text,
        reply_to: Option<u64>,
        attachments: Vec<Attachment>,
        forwarded_from: Option<PersonId>,
        at: Timestamp,
    },
}

impl ChatCommand {
    /// A text alone, of one's own.
    pub fn say(
        author: PersonId,
        message_id: MessageId,
        text: Text,
        reply_to: Option<u64>,
        at: Timestamp,
    ) -> Self {
        let (attachments, forwarded_from) = (Vec::new(), None);
        Self::Send { author, message_id, text, reply_to, attachments, forwarded_from, at }
    }
}

/// What a decision needs to know of the people whom it is about: of the two of a direct chat, or of
/// whoever adds and all who are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChatFacts {
    pub friends: bool,
    /// Whether either has blocked the other.
    pub blocked: bool,
    /// Whether both are in one group.
    pub in_a_group: bool,
}

impl ChatFacts {
    /// Whether the two may write to each other.
    pub fn may_talk(&self) -> bool {
        (self.friends || self.in_a_group) && !self.blocked
    }
}

/// Consecutive messages in consecutive events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Number of its first message.
    pub first: u64,
    /// Sequence in the stream of the event that holds it.
    pub sequence: u64,
}

/// Somebody who is in the chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub person: PersonId,
    pub role: Role,
}

/// An invitation that may be accepted still, if its time has not passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    pub by: PersonId,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// How often more.
    pub uses_left: Option<u32>,
}

impl Invite {
    pub fn is_open(&self, at: Timestamp) -> bool {
        at < self.expires_at && self.uses_left != Some(0)
    }
}

/// What a chat's stream adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    pub chat: Option<ChatId>,
    pub kind: Option<ChatKind>,
    /// In the order of their joining.
    pub members: Vec<Member>,
    /// What each one of a group may read, also of those who have left.
    pub sees: BTreeMap<PersonId, Vec<Span>>,
    /// Who was removed, and not added again.
    pub removed: BTreeSet<PersonId>,
    pub history: History,
    pub title: Option<Sealed>,
    pub invites: BTreeMap<InviteId, Invite>,
    pub dissolved: bool,
    pub last_number: u64,
    pub last_sent_at: Timestamp,
    /// The number of each member's own newest message, of those who have sent one.
    pub own_last: BTreeMap<PersonId, u64>,
    /// Events so far.
    pub sequence: u64,
    pub runs: Vec<Run>,
}

impl Chat {
    pub fn has_member(&self, person: PersonId) -> bool {
        self.members.iter().any(|member| member.person == person)
    }

    /// The role of somebody who is in it.
    pub fn role_of(&self, person: PersonId) -> Option<Role> {
        self.members.iter().find(|member| member.person == person).map(|member| member.role)
    }

    pub fn is_group(&self) -> bool {
        self.kind == Some(ChatKind::Group)
    }

    /// The other one of a direct chat.
    pub fn peer_of(&self, person: PersonId) -> Option<PersonId> {
        let mut others = self.members.iter().map(|member| member.person).filter(|member| *member != person);
        others.next().filter(|_| !self.is_group())
    }

    /// Whether `person` is in it, or was and may read what was said until then.
    pub fn may_read(&self, person: PersonId) -> bool {
        self.has_member(person) || self.sees.contains_key(&person)
    }

    /// Whether `person` may write in it now; of the two of a direct chat, `facts` decide.
    pub fn may_write(&self, person: PersonId, facts: &ChatFacts) -> bool {
        self.has_member(person) && !self.dissolved && (self.is_group() || facts.may_talk())
    }

    /// Whether `person` may read message `number`, if there is one.
    pub fn shows(&self, person: PersonId, number: u64) -> bool {
        match self.sees.get(&person) {
            Some(spans) => spans.iter().any(|span| span.holds(number)),
            None => self.has_member(person),
        }
    }

    /// The number of the newest message that `person` may read; 0 if there is none.
    pub fn last_shown(&self, person: PersonId) -> u64 {
        let end = match self.sees.get(&person) {
            Some(spans) => spans.last().map_or(0, |span| span.last.unwrap_or(self.last_number)),
            None if self.has_member(person) => self.last_number,
            None => 0,
        };
        end.min(self.last_number)
    }

    /// How far `person` has read by sending: up to their own newest message; 0 without one.
    pub fn read_by_sending(&self, person: PersonId) -> u64 {
        self.own_last.get(&person).copied().unwrap_or(0)
    }

    /// Sequence in the stream of the event that holds message `number`.
    pub fn sequence_of(&self, number: u64) -> Option<u64> {
        if number == 0 || number > self.last_number {
            return None;
        }
        let run = self.runs.partition_point(|run| run.first <= number).checked_sub(1)?;
        let Run { first, sequence } = self.runs[run];
        Some(sequence + (number - first))
    }

    fn send(&self, command: ChatCommand, facts: &ChatFacts) -> Result<Vec<ChatEvent>, Problem> {
        let ChatCommand::Send { author, message_id, text, reply_to, attachments, forwarded_from, at } =
            command
        else {
            return Err(Kind::Internal.into());
        };
        let chat = self.chat.filter(|_| self.may_read(author)).ok_or(Kind::NotFound)?;
        if !self.may_write(author, facts) {
            return Err(Kind::NotPermitted.into());
        }
        crate::text::check_message("/text", &text.0, attachments.len()).map_err(Problem::field)?;
        if reply_to.is_some_and(|number| self.sequence_of(number).is_none() || !self.shows(author, number)) {
            return Err(Problem::field(FieldError::new("/reply_to", "no-such-message")));
        }
        Ok(vec![ChatEvent::MessageSent {
            chat,
            author,
            message_id,
            number: self.last_number + 1,
            text: text.into(),
            sent_at: at.max(self.last_sent_at),
            reply_to,
            attachments,
            forwarded_from,
        }])
    }
}

impl Decider for Chat {
    type Facts = ChatFacts;

    fn decide(&self, command: ChatCommand, facts: &ChatFacts) -> Result<Vec<ChatEvent>, Problem> {
        match command {
            ChatCommand::CreateDirect { chat, by, with, at } => {
                if by == with {
                    return Err(Problem::field(FieldError::new("/user_id", "oneself")));
                }
                if self.chat.is_some() {
                    return Err(Kind::Conflict.into());
                }
                if !facts.may_talk() {
                    return Err(Kind::NotPermitted.into());
                }
                Ok(vec![ChatEvent::DirectChatCreated { chat, by, with, at }])
            }
            ChatCommand::Send { .. } => self.send(command, facts),
            command => self.decide_group(command, facts),
        }
    }

    fn evolve(&mut self, event: &ChatEvent) {
        self.sequence += 1;
        let of_role = |person: &PersonId, role| Member { person: *person, role };
        match event {
            ChatEvent::DirectChatCreated { chat, by, with, .. } => {
                self.chat = Some(*chat);
                self.kind = Some(ChatKind::Direct);
                self.members = vec![of_role(by, Role::Member), of_role(with, Role::Member)];
            }
            ChatEvent::GroupCreated { chat, by, title, history, members, .. } => {
                self.chat = Some(*chat);
                self.kind = Some(ChatKind::Group);
                self.title = title.sealed().cloned();
                self.history = *history;
                self.members = vec![of_role(by, Role::Owner)];
                self.members.extend(members.iter().map(|person| of_role(person, Role::Member)));
                let all = [Span { first: 1, last: None }];
                self.sees = self.members.iter().map(|member| (member.person, all.to_vec())).collect();
            }
            ChatEvent::GroupRenamed { title, .. } => self.title = title.sealed().cloned(),
            ChatEvent::MemberAdded { person, sees, .. } => {
                self.removed.remove(person);
                self.enter(*person, sees);
            }
            ChatEvent::MemberJoined { person, invite, sees, .. } => {
                if let Some(invite) = self.invites.get_mut(invite) {
                    invite.uses_left = invite.uses_left.map(|left| left.saturating_sub(1));
                }
                self.enter(*person, sees);
            }
            ChatEvent::MemberLeft { person, sees, .. } => self.part(*person, sees),
            ChatEvent::MemberRemoved { person, sees, .. } => {
                self.removed.insert(*person);
                self.part(*person, sees);
            }
            ChatEvent::RoleSet { person, role, .. } => {
                if let Some(member) = self.members.iter_mut().find(|member| member.person == *person) {
                    member.role = *role;
                }
            }
            ChatEvent::InviteCreated { by, invite, expires_at, uses, at, .. } => {
                // Whoever is over makes room.
                self.invites.retain(|_, invite| invite.is_open(*at));
                let (by, created_at, expires_at, uses_left) = (*by, *at, *expires_at, *uses);
                self.invites.insert(*invite, Invite { by, created_at, expires_at, uses_left });
            }
            ChatEvent::InviteRevoked { invite, .. } => {
                self.invites.remove(invite);
            }
            ChatEvent::ChatDissolved { .. } => {
                self.dissolved = true;
                self.invites.clear();
            }
            ChatEvent::MessageSent { author, number, sent_at, .. } => {
                let goes_on =
                    self.runs.last().is_some_and(|run| run.sequence + (number - run.first) == self.sequence);
                if !goes_on {
                    self.runs.push(Run { first: *number, sequence: self.sequence });
                }
                self.own_last.insert(*author, *number);
                self.last_number = *number;
                self.last_sent_at = *sent_at;
            }
        }
    }
}

impl Chat {
    fn enter(&mut self, person: PersonId, sees: &[Span]) {
        if !self.has_member(person) {
            self.members.push(Member { person, role: Role::Member });
        }
        self.sees.insert(person, sees.to_vec());
    }

    fn part(&mut self, person: PersonId, sees: &[Span]) {
        self.members.retain(|member| member.person != person);
        self.sees.insert(person, sees.to_vec());
    }
}

aggregate!(Chat as "Chat", ChatCommand, ChatEvent {
    DirectChatCreated = "1",
    GroupCreated = "1",
    GroupRenamed = "1",
    MemberAdded = "1",
    MemberJoined = "1",
    MemberLeft = "1",
    MemberRemoved = "1",
    RoleSet = "1",
    InviteCreated = "1",
    InviteRevoked = "1",
    ChatDissolved = "1",
    MessageSent = "2" | "1",
}, ChatFacts);

#[cfg(test)]
#[path = "chat_spec.rs"]
mod spec;
