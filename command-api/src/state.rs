//! What the endpoints need of the rest.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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

/// Places for pictures and files in memory at once; others wait for their turn.
const PLACES: usize = 8;
/// A picture's places, and a file's, which is twice as large.
pub(crate) const PICTURE: u32 = 1;
pub(crate) const FILE: u32 = 2;
/// For its turn to be taken in.
const PATIENCE: Duration = Duration::from_secs(10);

/// What photos and attachments go through on their way in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Photos {
    pub blobs: Arc<dyn Blobs>,
    pub pictures: Pictures,
    places: Arc<Semaphore>,
    /// For how long what no event names is kept.
    kept: Duration,
}

impl Photos {
    /// What no event names is swept when it has been `kept` for so long.
    pub fn new(blobs: Arc<dyn Blobs>, pictures: Pictures, kept: Duration) -> Self {
        Self { blobs, pictures, places: Arc::new(Semaphore::new(PLACES)), kept }
    }

    /// Whether an upload is far from being swept: an event may name it still, and is durable before that.
    pub(crate) fn is_fresh(&self, uploaded_at: Timestamp, now: Timestamp) -> bool {
        let age = u64::try_from(now.0.saturating_sub(uploaded_at.0)).unwrap_or_default();
        Duration::from_micros(age) <= self.kept / 2
    }

    /// So many places in memory, once they are free.
    pub(crate) async fn place(&self, places: u32) -> Result<OwnedSemaphorePermit, Problem> {
        tokio::time::timeout(PATIENCE, self.places.clone().acquire_many_owned(places))
            .await
            .map_err(|_elapsed| Problem::new(Kind::Unavailable).detail("too many uploads at once"))?
            .map_err(|_closed| Kind::Unavailable.into())
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
