//! The read side: ports of the read models, and every adapter.
//!
//! A folder is a port: its `mod.rs` holds the trait, the row types and the changes that a
//! projection writes; beside it lies one file an engine. [`resolver`] turns a URL into an engine.
//!
//! A new engine is one file beside the port, one arm in [`resolver`], and one line in
//! `tests/contract/main.rs`, which runs the port's contract suite against it.
//!
//! A [`Port`] is a shelf of generations. Readers ask it at every request which one is served
//! ([`Port::serving`]); its one writer takes it over, begins a new one beside the old, and switches.
//! A [`ReadModel`] is one generation: it keeps the [`Checkpoint`] of what it shows, and which streams
//! are parked, in the engine that holds its rows, and moves all in one transaction
//! ([`ReadModel::put`]), or the checkpoint last where the engine has none. Rows hold the position
//! that last changed them, so what is written again after a loss changes nothing.
//!
//! Embedded engines lie in a folder that one process has (`folder`); the others are shared, and
//! their one writer holds a lease in the engine (`shared`).

pub mod blobs;
pub mod checkpoint;
pub mod counters;
pub mod directory;
pub mod error;
pub mod inspect;
pub mod live;
pub mod peek;
pub mod progress;
pub mod read_model;
pub mod resolver;
pub mod search;
pub mod sessions;
pub mod shelf;
pub mod timeline;

mod cassandra;
mod folder;
mod guard;
mod keydb;
mod postgres;
mod shared;
mod sqlite;

pub use checkpoint::{Checkpoint, Parked};
pub use error::{Result, StoreError};
pub use progress::Progress;
pub use read_model::{Batch, Parking, ReadModel, Sum, Summary, Summing};
pub use resolver::{Stores, Urls};
pub use shelf::{Asked, Generation, Held, Lease, Port, Shelf};
