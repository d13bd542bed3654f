//! Identifiers: lower-case UUIDs, one Rust type a kind, so that the compiler keeps them apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[cfg_attr(feature = "openapi", schema(value_type = uuid::Uuid))]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }
        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id!(
    /// A person; account and user of one person share it.
    PersonId
);
id!(
    /// One login of one person on one device.
    SessionId
);
id!(
    /// A chat.
    ChatId
);
id!(
    /// A message: its author's Idempotency-Key, unique per author.
    MessageId
);
id!(
    /// One event in the log.
    EventId
);
id!(
    /// An invitation into a group; not the secret that opens it.
    InviteId
);
id!(
    /// A photo as it is asked for; a changed one has another.
    PhotoId
);

/// The name of a blob: the SHA-256 of its sealed bytes, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[0-9a-f]{64}$"))]
pub struct BlobId(pub [u8; 32]);

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BlobId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        let pairs = text.as_bytes().chunks_exact(2);
        let fits = text.len() == 64
            && pairs.zip(&mut bytes).all(|(pair, byte)| {
                let read = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low);
                read.map(|read| *byte = read).is_some()
            });
        if fits { Ok(Self(bytes)) } else { Err(format!("not the name of a blob: {text:?}")) }
    }
}

impl Serialize for BlobId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A UUIDv7 of a time and of randomness, both handed in.
pub fn uuid_v7(at: Timestamp, random: &[u8; 10]) -> Uuid {
    let millis = u64::try_from(at.millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, random).into_uuid()
}

/// Two people without an order, written `min~max`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    low: PersonId,
    high: PersonId,
}

impl Pair {
    /// The pair of two different people; `None` for one person twice.
    pub fn of(a: PersonId, b: PersonId) -> Option<Self> {
        match a.cmp(&b) {
            std::cmp::Ordering::Less => Some(Self { low: a, high: b }),
            std::cmp::Ordering::Greater => Some(Self { low: b, high: a }),
            std::cmp::Ordering::Equal => None,
        }
    }

    /// Both people, the smaller id first.
    pub fn both(self) -> [PersonId; 2] {
        [self.low, self.high]
    }

    /// The other of the two; `None` for a stranger.
    pub fn other(self, one: PersonId) -> Option<PersonId> {
        if one == self.low {
            Some(self.high)
        } else if one == self.high {
            Some(self.low)
        } else {
            None
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", self.low, self.high)
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Pair {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || format!("not a pair of ids: {text}");
        let (a, b) = text.split_once('~').ok_or_else(bad)?;
        let (a, b) = (a.parse().map_err(|_| bad())?, b.parse().map_err(|_| bad())?);
        Pair::of(a, b).filter(|pair| pair.low == a).ok_or_else(bad)
    }
}

/// The id of the stream that holds how far `person` has read in `chat`.
pub fn read_marker_id(chat: ChatId, person: PersonId) -> String {
    format!("{chat}~{person}")
}

/// Whom the claim of an invitation's secret belongs to: the chat and the invitation.
pub fn invite_owner(chat: ChatId, invite: InviteId) -> String {
    format!("{chat}~{invite}")
}

/// The reverse of [`invite_owner`].
pub fn read_invite_owner(owner: &str) -> Option<(ChatId, InviteId)> {
    let (chat, invite) = owner.split_once('~')?;
    Some((chat.parse().ok()?, invite.parse().ok()?))
}

/// The id of the stream of a message that somebody has touched since it was sent.
pub fn message_stream_id(chat: ChatId, number: u64) -> String {
    format!("{chat}~{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_blob_has_one_spelling() {
        let text = "00ff".repeat(16);
        let name: BlobId = text.parse().expect("a name");
        assert_eq!((name.0[0], name.0[31], name.to_string()), (0, 255, text.clone()));
        for wrong in ["", "00", &text[..62], &text.to_uppercase(), &format!("{text}00"), &"é".repeat(32)] {
            assert!(wrong.parse::<BlobId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_pair_has_one_spelling() {
        let (a, b) = (PersonId(Uuid::from_u128(1)), PersonId(Uuid::from_u128(2)));
        assert_eq!(Pair::of(a, b), Pair::of(b, a));
        assert_eq!(Pair::of(a, a), None);
        let pair = Pair::of(b, a).expect("two people");
        assert_eq!(pair.to_string().parse(), Ok(pair));
        assert!(format!("{b}~{a}").parse::<Pair>().is_err());
        assert_eq!(pair.other(a), Some(b));
    }
}
