//! Personal data in events: clear while a command is decided, sealed before it may be written.
//!
//! A sealed value is one string, `s1.<key id>.<base64url(nonce, ciphertext, tag)>`; what seals and
//! opens it is the write side's. Nothing here decides by what a seal holds, so a stream replays
//! with every key gone.

use std::fmt;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::ids::{EventId, PersonId};

/// A kind of personal data with its own plaintext version.
pub trait PersonalType: Clone + PartialEq + Sized {
    /// The version that is written now.
    const VERSION: u32;
    /// The plaintext without its version.
    fn to_plain(&self) -> String;
    /// Reads a plaintext of `version`, upcasting an older one; `None` if it is none of ours.
    fn from_plain(version: u32, plain: &str) -> Option<Self>;
}

/// The whole plaintext: the version in decimal, a newline, then the value.
pub fn plaintext<T: PersonalType>(value: &T) -> String {
    format!("{}\n{}", T::VERSION, value.to_plain())
}

/// The reverse of [`plaintext`].
pub fn from_plaintext<T: PersonalType>(plaintext: &str) -> Option<T> {
    let (version, plain) = plaintext.split_once('\n')?;
    T::from_plain(version.parse().ok()?, plain)
}

macro_rules! personal_text {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(pub String);

        impl PersonalType for $name {
            const VERSION: u32 = 1;
            fn to_plain(&self) -> String {
                self.0.clone()
            }
            fn from_plain(version: u32, plain: &str) -> Option<Self> {
                (version == 1).then(|| Self(plain.to_owned()))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

personal_text!(
    /// An email address as it was given.
    Email,
    /// A password hash in PHC string format.
    Verifier,
    Nickname,
    /// The name that others see.
    Name,
    /// What one says of oneself; empty for nothing.
    About,
    /// The User-Agent at a login.
    Device,
    /// The client's address at a login.
    Address,
    /// A message's text.
    Text,
    /// A group's title, as whoever has set it wrote it.
    Title,
    /// What a file was called where it came from.
    FileName,
);

/// Personal data of kind `T`. Only the sealed form can be serialised; Debug prints nothing of it.
#[derive(Clone, PartialEq)]
pub enum Personal<T> {
    Clear(T),
    Sealed(Sealed),
}

/// A sealed value and, once it is known, the event that it was sealed for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    pub token: String,
    pub event_id: Option<EventId>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(…)")
    }
}

impl<T> Personal<T> {
    /// The sealed form, as aggregates and rows keep it; `None` while it is clear.
    pub fn sealed(&self) -> Option<&Sealed> {
        match self {
            Self::Clear(_) => None,
            Self::Sealed(sealed) => Some(sealed),
        }
    }
}

impl<T> From<T> for Personal<T> {
    fn from(value: T) -> Self {
        Self::Clear(value)
    }
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Personal(…)")
    }
}

impl<T> Serialize for Personal<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Clear(_) => Err(S::Error::custom("personal data is not sealed")),
            Self::Sealed(sealed) => serializer.serialize_str(&sealed.token),
        }
    }
}

impl<'de, T> Deserialize<'de> for Personal<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let token = String::deserialize(deserializer)?;
        if token.starts_with("s1.") {
            Ok(Self::Sealed(Sealed { token, event_id: None }))
        } else {
            Err(D::Error::custom("not a sealed value"))
        }
    }
}

/// A [`Personal`] of any kind, as the sealing walks over an event's fields.
pub trait PersonalField {
    /// What is to be sealed; `None` if it is sealed already.
    fn clear(&self) -> Option<String>;
    /// The sealed value; `None` while it is clear.
    fn token(&self) -> Option<&str>;
    /// Puts the sealed value in place of the clear one.
    fn seal(&mut self, token: String, event_id: EventId);
    /// Notes which event a sealed value that was read belongs to.
    fn bind(&mut self, event_id: EventId);
}

impl<T: PersonalType> PersonalField for Personal<T> {
    fn clear(&self) -> Option<String> {
        match self {
            Self::Clear(value) => Some(plaintext(value)),
            Self::Sealed(_) => None,
        }
    }
    fn token(&self) -> Option<&str> {
        self.sealed().map(|sealed| sealed.token.as_str())
    }
    fn seal(&mut self, token: String, event_id: EventId) {
        *self = Self::Sealed(Sealed { token, event_id: Some(event_id) });
    }
    fn bind(&mut self, event_id: EventId) {
        if let Self::Sealed(sealed) = self {
            sealed.event_id = Some(event_id);
        }
    }
}

/// What is called with each personal field: its wire name, whose key seals it, the field.
pub type Visit<'a> = &'a mut dyn FnMut(&'static str, PersonId, &mut dyn PersonalField);

/// An event whose personal fields can be walked over.
pub trait Personals {
    /// Calls `visit` for each personal field that is present.
    fn personals(&mut self, visit: Visit<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serialising_an_unsealed_value_is_an_error() {
        let clear: Personal<Email> = Email("ann@example.org".into()).into();
        assert!(serde_json::to_string(&clear).is_err());
        let mut sealed = clear.clone();
        sealed.seal("s1.k.AAAA".into(), EventId(uuid::Uuid::nil()));
        assert_eq!(serde_json::to_string(&sealed).expect("sealed"), "\"s1.k.AAAA\"");
    }

    #[test]
    fn debug_prints_nothing_of_it() {
        let clear: Personal<Text> = Text("canary".into()).into();
        let sealed: Personal<Text> = serde_json::from_str("\"s1.canary.canary\"").expect("a token");
        assert!(!format!("{clear:?}{sealed:?}{:?}", Text("canary".into())).contains("canary"));
    }

    #[test]
    fn a_clear_string_is_not_read_as_sealed() {
        assert!(serde_json::from_str::<Personal<Text>>("\"hello\"").is_err());
    }

    #[test]
    fn every_kind_reads_its_first_version() {
        // The golden plaintexts of version 1: what old events hold for ever.
        assert_eq!(from_plaintext("1\na\nb"), Some(Text("a\nb".into())));
        assert_eq!(from_plaintext("1\n"), Some(About(String::new())));
        assert_eq!(from_plaintext::<Email>("2\nann@example.org"), None);
        assert_eq!(plaintext(&Nickname("ann".into())), "1\nann");
    }
}
