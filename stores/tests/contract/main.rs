//! One contract suite a port, run against every engine that serves it. A new engine is one more
//! line in the port's `engines!`.

mod checkpoint;
mod directory;
mod generations;
mod live;
mod resolver;
mod search;
mod sessions;
mod timeline;

use domain::ids::{ChatId, EventId, PersonId, SessionId};
use domain::personal::Sealed;
use stores::Checkpoint;
use uuid::Uuid;

/// Runs every promise of a port against every engine; `$open` opens the engine under a folder
/// and, called again, opens the same one.
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
                    super::$promise(&|| open(folder.path())).await;
                }
            )*
        }
    };
}
pub(crate) use engines;

/// Where an engine is opened.
pub type Open<'a, M> = &'a dyn Fn() -> stores::Port<M>;

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
