//! Claims and memberships as the log means them, against the tables beside it; and the tables made
//! right from the log.

use std::collections::{HashMap, HashSet};

use domain::account::AccountEvent;
use domain::aggregate::{Decider, Event};
use domain::chat::ChatEvent;
use domain::friendship::{Friendship, FriendshipEvent};
use domain::ids::{Pair, PersonId, invite_owner, message_stream_id};
use domain::personal::{Email, Nickname, Personal, PersonalType};
use domain::text::{email_key, nickname_key};
use domain::user::UserEvent;
use domain::views::Relation;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::report::{Check, Faults, Outcome};
use super::walk::Walk;
use super::{Changes, ClaimRow, MembershipRow, PAGE, Source, Step, walk_to_the_end};
use crate::keys::{Keyring, OpenError, Place};
use crate::log::{ClaimKey, LogError, Recorded};

const EMAIL: &str = "email/1";
const NICKNAME: &str = "nickname/1";
const DIRECT: &str = "direct/1";
const PENDING: &str = "pending/1";
const INVITE: &str = "invite/1";
const BLOB: &str = "blob/1";
const KINDS: [&str; 6] = [EMAIL, NICKNAME, DIRECT, PENDING, INVITE, BLOB];

const REBUILD: &str = "stop letopis and run: letopis log rebuild-claims";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    kind: &'static str,
    hash: [u8; 32],
}

#[derive(Clone, Debug)]
struct Claimed {
    owner: Box<str>,
    position: u64,
}

/// What the tables must hold, from the events taken so far.
#[derive(Default)]
pub(super) struct Expected {
    claims: HashMap<Key, Claimed>,
    /// Claims that more than one holds by today's algorithm; the first keeps it here.
    collided: Vec<(Key, Box<str>)>,
    nicknames: HashMap<PersonId, Key>,
    /// People something of whom can't be opened.
    lost: HashSet<PersonId>,
    friendships: HashMap<Pair, Friendship>,
    pending: HashMap<PersonId, (u64, u64)>,
    memberships: HashMap<(Uuid, Uuid), u64>,
}

impl Expected {
    /// The next event; `keys` are those of this log.
    ///
    /// # Errors
    /// If the key store can't be read.
    pub fn take(
        &mut self,
        keys: Option<(&Keyring, Uuid)>,
        event: &Recorded,
        decoded: &Event,
    ) -> Result<(), LogError> {
        let position = event.position;
        match decoded {
            Event::Account(AccountEvent::AccountRegistered { person, email, .. }) => {
                if let Some(Email(email)) = self.open(keys, event, *person, "email", email)? {
                    let key = key(keys, EMAIL, &email_key(&email));
                    self.claim(key, *person, position);
                }
            }
            Event::User(
                UserEvent::UserCreated { person, nickname, .. }
                | UserEvent::InfoEdited { person, nickname: Some(nickname), .. },
            ) => {
                if let Some(Nickname(nickname)) = self.open(keys, event, *person, "nickname", nickname)? {
                    self.rename(*person, key(keys, NICKNAME, &nickname_key(&nickname)), position);
                }
            }
            Event::Chat(event) => {
                for person in event.newcomers() {
                    self.memberships.entry((person.0, event.chat().0)).or_insert(position);
                }
                match event {
                    ChatEvent::DirectChatCreated { chat, by, with, .. } => {
                        if let Some(pair) = Pair::of(*by, *with) {
                            self.claim(key(keys, DIRECT, &pair.to_string()), chat, position);
                        }
                    }
                    ChatEvent::InviteCreated { chat, invite, .. } => {
                        let token = keys.map(|(keyring, _)| keyring.invite_token(*invite));
                        let owner = invite_owner(*chat, *invite);
                        self.claim(token.and_then(|token| key(keys, INVITE, &token)), owner, position);
                    }
                    ChatEvent::MessageSent { chat, number, attachments, .. } => {
                        for attachment in attachments {
                            let key = key(keys, BLOB, &attachment.blob.to_string());
                            self.claim(key, message_stream_id(*chat, *number), position);
                        }
                    }
                    _ => {}
                }
            }
            Event::Friendship(event) => self.befriend(event, position),
            _ => {}
        }
        Ok(())
    }

    /// A sealed value; `None` where it can't be opened, and its person is then passed over.
    fn open<T: PersonalType>(
        &mut self,
        keys: Option<(&Keyring, Uuid)>,
        event: &Recorded,
        person: PersonId,
        field: &str,
        personal: &Personal<T>,
    ) -> Result<Option<T>, LogError> {
        let (Some((keyring, log_id)), Some(sealed)) = (keys, personal.sealed()) else { return Ok(None) };
        let place = Place {
            log_id,
            aggregate_type: &event.aggregate_type,
            aggregate_id: &event.aggregate_id,
            event_id: event.event_id,
            field,
        };
        match keyring.open_as::<T>(&place, sealed) {
            Ok(value) => Ok(Some(value)),
            Err(OpenError::Store(error)) => Err(LogError::Unavailable(error.to_string())),
            Err(OpenError::Destroyed | OpenError::Unreadable) => {
                self.lost.insert(person);
                Ok(None)
            }
        }
    }

    fn claim(&mut self, key: Option<Key>, owner: impl ToString, position: u64) {
        let Some(key) = key else { return };
        let owner = owner.to_string().into_boxed_str();
        match self.claims.get(&key) {
            Some(claimed) if claimed.owner == owner => {}
            Some(_) => self.collided.push((key, owner)),
            None => drop(self.claims.insert(key, Claimed { owner, position })),
        }
    }

    /// The new nickname is claimed, then the old one given up, as the command does it.
    fn rename(&mut self, person: PersonId, key: Option<Key>, position: u64) {
        let Some(key) = key else { return };
        self.claim(Some(key), person, position);
        if let Some(old) = self.nicknames.insert(person, key).filter(|old| *old != key)
            && self.claims.get(&old).is_some_and(|claimed| *claimed.owner == *person.to_string())
        {
            self.claims.remove(&old);
        }
    }

    /// Requests are counted as their asker sees them.
    fn befriend(&mut self, event: &FriendshipEvent, position: u64) {
        let (one, other) = match *event {
            FriendshipEvent::FriendRequested { from, to, .. } => (from, to),
            FriendshipEvent::FriendAccepted { by, from, .. }
            | FriendshipEvent::FriendDeclined { by, from, .. } => (by, from),
            FriendshipEvent::FriendRemoved { by, other, .. }
            | FriendshipEvent::PersonBlocked { by, other, .. }
            | FriendshipEvent::PersonUnblocked { by, other, .. } => (by, other),
        };
        let Some(pair) = Pair::of(one, other) else { return };
        let friendship = self.friendships.entry(pair).or_default();
        let before = pair.both().map(|person| friendship.seen_by(person));
        friendship.evolve(event);
        for (person, before) in pair.both().into_iter().zip(before) {
            let after = friendship.seen_by(person);
            let (count, at) = self.pending.entry(person).or_default();
            match (before == Relation::Outgoing, after == Relation::Outgoing) {
                (false, true) => (*count, *at) = (*count + 1, position),
                (true, false) => (*count, *at) = (count.saturating_sub(1), position),
                _ => {}
            }
        }
    }

    /// The counters as the rows that they are.
    fn count_pending(&mut self, keys: &Keyring) {
        for (person, (count, position)) in std::mem::take(&mut self.pending) {
            if count > 0 {
                let key = hashed(keys, PENDING, &person.to_string());
                self.claim(Some(key), count, position);
            }
        }
    }
}

fn hashed(keys: &Keyring, kind: &'static str, value: &str) -> Key {
    let mut hash = [0; 32];
    hex::decode_to_slice(keys.claim_key(kind, value), &mut hash)
        .expect("a claim's key is 64 hexadecimal digits");
    Key { kind, hash }
}

fn key(keys: Option<(&Keyring, Uuid)>, kind: &'static str, value: &str) -> Option<Key> {
    keys.map(|(keys, _)| hashed(keys, kind, value))
}

fn row(key: Key, claimed: &Claimed) -> ClaimRow {
    let claim = ClaimKey { kind: key.kind.to_owned(), key: hex::encode(key.hash) };
    ClaimRow { claim, owner: claimed.owner.to_string(), position: claimed.position }
}

/// The key of a row; `None` if it is none that this build makes.
fn key_of(claim: &ClaimKey) -> Option<Key> {
    let kind = KINDS.into_iter().find(|kind| *kind == claim.kind)?;
    let mut hash = [0; 32];
    hex::decode_to_slice(&claim.key, &mut hash).ok()?;
    // Another spelling of the same digits is another row.
    (hex::encode(hash) == claim.key).then_some(Key { kind, hash })
}

/// A keyed hash, short enough to be read and long enough to be found.
fn short(claim: &ClaimKey) -> String {
    format!("{} {}…", claim.kind, claim.key.get(..12).unwrap_or(&claim.key))
}

/// Compares the table with what is expected, which is used up; and what would put it right.
pub(super) async fn compare_claims(
    source: &mut dyn Source,
    expected: &mut Expected,
    keys: Option<&Keyring>,
    head: u64,
) -> Result<(Check, Changes), LogError> {
    let mut changes = Changes::default();
    let Some(keys) = keys else { return Ok((Check::unchecked("claims", "no keys at hand"), changes)) };
    expected.count_pending(keys);
    let mut faults = Faults::default();
    for (key, owner) in &expected.collided {
        let kept = expected.claims.get(key).map_or("", |claimed| &claimed.owner);
        faults.add(format!("{kept} and {owner} both claim one {}: each has to choose", key.kind));
    }
    let (mut rows, mut unknown) = (0_u64, 0_u64);
    let mut after = None;
    loop {
        let page = source.claims(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.claim.clone());
        for found in page {
            rows += 1;
            let key = key_of(&found.claim);
            let claimed = key.and_then(|key| expected.claims.remove(&key).map(|claimed| (key, claimed)));
            let what = short(&found.claim);
            match claimed {
                Some((_, claimed)) if *claimed.owner == *found.owner => {
                    if found.position == 0 || found.position > head {
                        faults.add(format!("{what} is of position {}, beyond the log", found.position));
                        changes.put_claims.push(ClaimRow { position: claimed.position, ..found });
                    }
                }
                Some((key, _))
                    if expected.collided.iter().any(|(it, owner)| *it == key && **owner == *found.owner) => {}
                Some((key, claimed)) => {
                    faults.add(format!("{what} has {}, and the log says {}", found.owner, claimed.owner));
                    changes.put_claims.push(row(key, &claimed));
                }
                None if matches!(&*found.claim.kind, EMAIL | NICKNAME)
                    && found.owner.parse().is_ok_and(|owner| expected.lost.contains(&owner)) =>
                {
                    unknown += 1;
                }
                None => {
                    faults.add(format!("{what} has {}, and nothing in the log claims it", found.owner));
                    changes.drop_claims.push(found.claim);
                }
            }
        }
    }
    for (key, claimed) in expected.claims.drain() {
        let missing = row(key, &claimed);
        faults.add(format!("{} of {} is missing", short(&missing.claim), missing.owner));
        changes.put_claims.push(missing);
    }
    let counted = match unknown {
        0 => format!("{rows} rows"),
        _ => {
            format!("{rows} rows, {unknown} of them of people whose keys were destroyed and so not computed")
        }
    };
    Ok((faults.check("claims", counted, REBUILD), changes))
}

/// The same for the memberships.
pub(super) async fn compare_memberships(
    source: &mut dyn Source,
    expected: &mut Expected,
) -> Result<(Check, Changes), LogError> {
    let (mut changes, mut faults) = (Changes::default(), Faults::default());
    let mut rows = 0_u64;
    let mut after = None;
    loop {
        let page = source.memberships(after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        for found in page {
            rows += 1;
            let MembershipRow { person, chat, position } = &found;
            let ids = person.parse().ok().zip(chat.parse().ok());
            match ids.and_then(|ids: (Uuid, Uuid)| expected.memberships.remove(&ids)) {
                Some(joined) if joined == *position => {}
                Some(joined) => {
                    faults.add(format!(
                        "{person} in chat {chat} has position {position}, and the log says {joined}"
                    ));
                    changes.put_memberships.push(MembershipRow { position: joined, ..found });
                }
                None => {
                    faults.add(format!("{person} is in chat {chat}, and nothing in the log says so"));
                    changes.drop_memberships.push(found);
                }
            }
        }
    }
    for ((person, chat), position) in expected.memberships.drain() {
        faults.add(format!("{person} is missing in chat {chat}"));
        changes.put_memberships.push(MembershipRow {
            person: person.to_string(),
            chat: chat.to_string(),
            position,
        });
    }
    Ok((faults.check("memberships", format!("{rows} rows"), REBUILD), changes))
}

/// What a rebuild changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    pub claims_put: u64,
    pub claims_dropped: u64,
    pub memberships_put: u64,
    pub memberships_dropped: u64,
}

impl Mended {
    pub fn nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Makes claims and memberships what the log says, in one transaction under the head's lock. Rows
/// of people whose keys were destroyed stay as they are. Whoever else appends to the log must be
/// stopped: they remember claims.
///
/// # Errors
/// [`LogError::Corrupt`] if the log itself is not in order, or the engine fails; nothing is changed
/// then.
pub async fn rebuild_claims(
    source: &mut dyn Source,
    keys: &Keyring,
    told: &mut (dyn FnMut(Step) + Send),
) -> Result<Mended, LogError> {
    let mut walk = Walk::new(Some(keys));
    walk_to_the_end(source, &mut walk, told).await?;
    source.lock().await?;
    walk_to_the_end(source, &mut walk, told).await?;
    let head = source.head().await?;
    let (walked, mut expected) = walk.finish(head, &[]);
    if let Some(wrong) = walked.checks.iter().find(|check| check.outcome == Outcome::Wrong) {
        source.let_go().await?;
        let first = wrong.faults.first().map_or("", String::as_str);
        return Err(LogError::Corrupt(format!(
            "the log itself is not in order ({}: {first}), so nothing is made from it: see letopis log verify",
            wrong.name
        )));
    }
    let (_, mut changes) = compare_claims(source, &mut expected, Some(keys), head.position).await?;
    let (_, memberships) = compare_memberships(source, &mut expected).await?;
    changes.put_memberships = memberships.put_memberships;
    changes.drop_memberships = memberships.drop_memberships;
    source.mend(&changes).await?;
    Ok(Mended {
        claims_put: changes.put_claims.len() as u64,
        claims_dropped: changes.drop_claims.len() as u64,
        memberships_put: changes.put_memberships.len() as u64,
        memberships_dropped: changes.drop_memberships.len() as u64,
    })
}
