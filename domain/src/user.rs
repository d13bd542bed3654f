//! User: who a person is to others. Stream: the person's id.

use serde::{Deserialize, Serialize};

use crate::aggregate::{Decider, aggregate};
use crate::ids::{BlobId, EventId, PersonId, PhotoId};
use crate::personal::{About, Name, Nickname, Personal, Personals, Sealed, Visit};
use crate::problem::Kind;
use crate::views::{Settings, SettingsChanges};
use crate::{Problem, Timestamp};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum UserEvent {
    UserCreated {
        person: PersonId,
        nickname: Personal<Nickname>,
        name: Personal<Name>,
    },
    /// What is absent stayed as it was.
    InfoEdited {
        person: PersonId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nickname: Option<Personal<Nickname>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<Personal<Name>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        about: Option<Personal<About>>,
    },
    /// The photo lies sealed in the blob store, under the person's key.
    PhotoChanged {
        person: PersonId,
        photo_id: PhotoId,
        blob: BlobId,
        /// The blob that nobody needs any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        previous: Option<BlobId>,
        at: Timestamp,
    },
    PhotoRemoved {
        person: PersonId,
        photo_id: PhotoId,
        previous: BlobId,
        at: Timestamp,
    },
    /// All of them, as they are from now on.
    SettingsChanged {
        person: PersonId,
        settings: Settings,
        at: Timestamp,
    },
}

/// A photo, and the blob that it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Photo {
    pub photo_id: PhotoId,
    pub blob: BlobId,
}

#[derive(Clone, Debug)]
pub enum UserCommand {
    Create {
        person: PersonId,
        nickname: Nickname,
        name: Name,
    },
    /// `seen` is the event that set the nickname which this one replaces, since its claim is given
    /// up with it.
    EditInfo {
        seen: Option<EventId>,
        nickname: Option<Nickname>,
        name: Option<Name>,
        about: Option<About>,
    },
    /// The blob is durable already.
    ChangePhoto {
        photo: Photo,
        at: Timestamp,
    },
    RemovePhoto {
        at: Timestamp,
    },
    /// What is absent stays as it is.
    ChangeSettings {
        changes: SettingsChanges,
        at: Timestamp,
    },
}

/// What a user's stream adds up to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub person: Option<PersonId>,
    pub nickname: Option<Sealed>,
    pub name: Option<Sealed>,
    pub about: Option<Sealed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub photo: Option<Photo>,
    #[serde(default)]
    pub settings: Settings,
}

impl UserEvent {
    /// Whose it is.
    pub fn person(&self) -> PersonId {
        match self {
            Self::UserCreated { person, .. }
            | Self::InfoEdited { person, .. }
            | Self::PhotoChanged { person, .. }
            | Self::PhotoRemoved { person, .. }
            | Self::SettingsChanged { person, .. } => *person,
        }
    }
}

impl Decider for User {
    type Facts = ();

    fn decide(&self, command: UserCommand, _: &()) -> Result<Vec<UserEvent>, Problem> {
        match (command, self.person) {
            (UserCommand::Create { person, nickname, name }, None) => {
                Ok(vec![UserEvent::UserCreated { person, nickname: nickname.into(), name: name.into() }])
            }
            (UserCommand::Create { .. }, Some(_)) => Err(Kind::UserExists.into()),
            (UserCommand::EditInfo { .. }, None) => Err(Kind::NotFound.into()),
            (UserCommand::EditInfo { nickname: None, name: None, about: None, .. }, Some(_)) => {
                Ok(Vec::new())
            }
            (UserCommand::EditInfo { seen, nickname, name, about }, Some(person)) => {
                if nickname.is_some() && seen != self.nickname.as_ref().and_then(|it| it.event_id) {
                    return Err(Problem::new(Kind::Conflict).detail("the nickname was changed meanwhile"));
                }
                Ok(vec![UserEvent::InfoEdited {
                    person,
                    nickname: nickname.map(Into::into),
                    name: name.map(Into::into),
                    about: about.map(Into::into),
                }])
            }
            (
                UserCommand::ChangePhoto { .. }
                | UserCommand::RemovePhoto { .. }
                | UserCommand::ChangeSettings { .. },
                None,
            ) => Err(Kind::NotFound.into()),
            (UserCommand::ChangeSettings { changes, at }, Some(person)) => {
                let settings = changes.to(self.settings);
                let changed = settings != self.settings;
                Ok(changed
                    .then_some(UserEvent::SettingsChanged { person, settings, at })
                    .into_iter()
                    .collect())
            }
            (UserCommand::ChangePhoto { photo: Photo { photo_id, blob }, at }, Some(person)) => {
                let previous = self.photo.map(|photo| photo.blob);
                Ok(vec![UserEvent::PhotoChanged { person, photo_id, blob, previous, at }])
            }
            (UserCommand::RemovePhoto { at }, Some(person)) => Ok(self
                .photo
                .map(|Photo { photo_id, blob }| UserEvent::PhotoRemoved {
                    person,
                    photo_id,
                    previous: blob,
                    at,
                })
                .into_iter()
                .collect()),
        }
    }

    fn evolve(&mut self, event: &UserEvent) {
        match event {
            UserEvent::UserCreated { person, nickname, name } => {
                self.person = Some(*person);
                self.nickname = nickname.sealed().cloned();
                self.name = name.sealed().cloned();
            }
            UserEvent::InfoEdited { nickname, name, about, .. } => {
                if let Some(nickname) = nickname {
                    self.nickname = nickname.sealed().cloned();
                }
                if let Some(name) = name {
                    self.name = name.sealed().cloned();
                }
                if let Some(about) = about {
                    self.about = about.sealed().cloned();
                }
            }
            UserEvent::PhotoChanged { photo_id, blob, .. } => {
                self.photo = Some(Photo { photo_id: *photo_id, blob: *blob });
            }
            UserEvent::PhotoRemoved { .. } => self.photo = None,
            UserEvent::SettingsChanged { settings, .. } => self.settings = *settings,
        }
    }
}

impl Personals for UserEvent {
    fn personals(&mut self, visit: Visit<'_>) {
        match self {
            Self::UserCreated { person, nickname, name } => {
                visit("nickname", *person, nickname);
                visit("name", *person, name);
            }
            Self::InfoEdited { person, nickname, name, about } => {
                if let Some(nickname) = nickname {
                    visit("nickname", *person, nickname);
                }
                if let Some(name) = name {
                    visit("name", *person, name);
                }
                if let Some(about) = about {
                    visit("about", *person, about);
                }
            }
            Self::PhotoChanged { .. } | Self::PhotoRemoved { .. } | Self::SettingsChanged { .. } => {}
        }
    }
}

aggregate!(User as "User", UserCommand, UserEvent {
    UserCreated = "1",
    InfoEdited = "1",
    PhotoChanged = "1",
    PhotoRemoved = "1",
    SettingsChanged = "1",
}, ());

#[cfg(test)]
#[path = "user_spec.rs"]
mod spec;
