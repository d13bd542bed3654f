//! The read side: ports of the read models, and every adapter.
//!
//! A folder is a port: its `mod.rs` holds the trait, the row types and the changes that a
//! projection writes; beside it lies one file an engine. [`resolver`] turns a URL into an engine.
//!
//! A new engine is one file beside the port, one arm in [`resolver`], and one line in
//! `tests/contract/main.rs`, which runs the port's contract suite against it.
//!
//! Every read model keeps the [`Checkpoint`] of what it shows in the engine that holds its rows
//! and moves both in one transaction ([`ReadModel::write`]). Rows hold the position that last
//! changed them, so what is written again after a loss changes nothing.

pub mod checkpoint;
pub mod directory;
pub mod error;
pub mod live;
pub mod progress;
pub mod resolver;
pub mod search;
pub mod sessions;
pub mod timeline;

mod sqlite;

pub use checkpoint::{Checkpoint, Parked, ReadModel};
pub use error::{Result, StoreError};
pub use progress::Progress;
pub use resolver::{Stores, Urls};
