//! What the endpoints need of the rest.

use std::str::FromStr;
use std::sync::Arc;

use chronicle::entropy::Entropy;
use chronicle::format::Scope;
use chronicle::keys::{Keyring, KeyringError};
use chronicle::tokens::Tokens;
use chronicle::{Envelope, Executor};
use domain::ids::{PersonId, uuid_v7};
use domain::problem::Kind;
use domain::{Problem, Timestamp};
use serde::Serialize;
use stores::blobs::{Blobs, Pictures};
use stores::sessions::Sessions;
use stores::{Port, Progress};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::asking::{Anyone, Signed};
use crate::passwords::Passwords;
use crate::throttle::Throttle;

/// The projection that `revoke` waits for.
pub const SESSIONS: &str = "sessions";

/// Who may register (`LETOPIS_REGISTRATION`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    Open,
    /// Whoever has an email address at one of these hosts.
    Domains(Vec<String>),
    Closed,
}

impl FromStr for Registration {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("domains:")) {
            ("open", _) => Ok(Self::Open),
            ("closed", _) => Ok(Self::Closed),
            (_, Some(hosts)) if !hosts.trim().is_empty() => {
                Ok(Self::Domains(hosts.split(',').map(|host| host.trim().to_lowercase()).collect()))
            }
            _ => Err(format!("{text:?} is none of: open, closed, domains:<host>,<host>")),
        }
    }
}

/// Pictures that are taken in at once, in memory; others wait for their turn.
const UPLOADS: usize = 8;

/// What photos go through on their way in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Photos {
    pub blobs: Arc<dyn Blobs>,
    pub pictures: Pictures,
    pub(crate) uploads: Arc<Semaphore>,
}

impl Photos {
    pub fn new(blobs: Arc<dyn Blobs>, pictures: Pictures) -> Self {
        Self { blobs, pictures, uploads: Arc::new(Semaphore::new(UPLOADS)) }
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub struct CommandState {
    pub executor: Executor,
    pub tokens: Arc<Tokens>,
    pub passwords: Passwords,
    pub throttle: Arc<dyn Throttle>,
    pub registration: Registration,
    pub sessions: Port<dyn Sessions>,
    pub progress: Progress,
    pub photos: Photos,
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for CommandState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandState").field("registration", &self.registration).finish_non_exhaustive()
    }
}

impl CommandState {
    pub(crate) fn now(&self) -> Timestamp {
        self.executor.clock().now()
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        self.executor.keyring()
    }

    /// A new UUIDv7.
    pub(crate) fn new_id(&self, at: Timestamp) -> Uuid {
        let mut random = [0; 10];
        self.entropy.fill(&mut random);
        uuid_v7(at, &random)
    }

    /// The envelope of a command by somebody who is signed in.
    pub(crate) fn by(
        &self,
        who: &Signed,
        operation: &'static str,
        key: Uuid,
        request: &impl Serialize,
    ) -> Envelope {
        Envelope {
            scope: Scope::Person(who.person),
            actor: Some(who.person),
            session: Some(who.session),
            ..self.of(&who.anyone, operation, key, request)
        }
    }

    /// The envelope of a command that signs somebody in.
    pub(crate) fn of(
        &self,
        who: &Anyone,
        operation: &'static str,
        key: Uuid,
        request: &impl Serialize,
    ) -> Envelope {
        Envelope {
            scope: Scope::Operation(operation),
            operation,
            actor: None,
            session: None,
            key,
            request: serde_json::to_vec(request).expect("a body that was read from JSON"),
            correlation: who.request_id.clone(),
            at: self.now(),
        }
    }

    /// Makes a person's key before anything is sealed with it.
    pub(crate) async fn ensure_key(&self, person: PersonId) -> Result<(), Problem> {
        let keyring = self.keyring().clone();
        let made =
            tokio::task::spawn_blocking(move || keyring.ensure(&chronicle::keys::subject_of(person))).await;
        match made {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(key_failed(&error)),
            Err(_) => Err(Kind::Internal.into()),
        }
    }
}

fn key_failed(error: &KeyringError) -> Problem {
    tracing::error!(%error, "a key can't be made");
    Kind::Unavailable.into()
}
