//! One contract suite a port, run against every engine that serves it. A new engine is one more
//! line in the port's `engines!`.

mod blobs;
mod cassandra;
mod checkpoint;
mod directory;
mod elastic;
mod generations;
mod live;
mod on_keydb;
mod own;
mod resolver;
mod search;
mod sessions;
mod timeline;
mod twins;

use std::path::Path;
use std::time::{Duration, Instant};

use domain::ids::{ChatId, EventId, PersonId, SessionId};
use domain::personal::Sealed;
use futures::future::LocalBoxFuture;
use stores::{Checkpoint, ReadModel, StoreError};
use uuid::Uuid;

/// The longest that a server is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Runs every promise of a port against every engine; `$open` opens the engine of a folder and,
/// called again, opens the same one.
macro_rules! engines {
    ($promises:tt $($engine:ident => $open:expr),* $(,)?) => {
        $(crate::engines!(@ $engine, $open, $promises);)*
    };
    (@ $engine:ident, $open:expr, [$($promise:ident),* $(,)?]) => {
        mod $engine {
            use super::*;
            $(
                #[tokio::test]
                async fn $promise() {
                    let folder = tempfile::tempdir().expect("a folder");
                    let open = $open;
                    super::$promise(&|| Box::pin(open(folder.path()))).await;
                }
            )*
        }
    };
}
pub(crate) use engines;

/// Opens the engine of a test.
pub type Open<'a, M> = &'a dyn Fn() -> LocalBoxFuture<'a, stores::Port<M>>;

/// The URL of a server that `./dev test` has started, as `KEYDB`.
#[expect(clippy::disallowed_methods, reason = "where the servers are is the script's to say")]
pub fn engine(name: &str) -> String {
    let variable = format!("LETOPIS_TEST_{name}");
    std::env::var(&variable).unwrap_or_else(|_| {
        panic!("{variable} names no server: `./dev test` starts one, and `./dev stack` for longer")
    })
}

/// A name of the test's own in a server: of its folder's, which no other has.
pub fn namespace(folder: &Path) -> String {
    let folder = folder.to_string_lossy();
    let digest = folder.bytes().fold(0xcbf2_9ce4_8422_2325, |digest: u64, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("t{}{digest:016x}", std::process::id())
}

/// Writes as the runner does: what a slow server has not answered in time is written again, which changes nothing
/// where it was there.
pub async fn carry<M: ReadModel + ?Sized>(rows: &M, changes: Vec<M::Change>, checkpoint: Checkpoint) {
    let began = Instant::now();
    while let Err(error) = rows.write(changes.clone(), checkpoint.clone()).await {
        assert!(matches!(error, StoreError::Engine { .. }) && began.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn at(position: u64, epoch: u64) -> Checkpoint {
    Checkpoint { position, epoch, event_id: Some(event(position)), ..fresh() }
}

pub fn fresh() -> Checkpoint {
    Checkpoint::start(Uuid::from_u128(0xA1), 3)
}

pub fn event(position: u64) -> EventId {
    EventId(Uuid::from_u128(0xE000 + u128::from(position)))
}

pub fn person(n: u128) -> PersonId {
    PersonId(Uuid::from_u128(0xB000 + n))
}

pub fn session(n: u128) -> SessionId {
    SessionId(Uuid::from_u128(0x5000 + n))
}

pub fn chat(n: u128) -> ChatId {
    ChatId(Uuid::from_u128(0xC000 + n))
}

pub fn sealed(text: &str, position: u64) -> Sealed {
    Sealed { token: format!("s1.k.{text}"), event_id: Some(event(position)) }
}
