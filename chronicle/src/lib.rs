//! The write side: the log on its engines, its format, the committer, the executor, sealing and the
//! key store.
//!
//! Start at [`executor`]: a command's way from an endpoint to the disk.

pub mod clock;
pub mod committer;
pub mod entropy;
pub mod executor;
pub mod format;
pub mod keys;
pub mod ledger;
pub mod log;
mod metrics;
pub mod opening;
mod postgres;
pub mod reactions;
pub mod snapshots;
pub mod tokens;
pub mod verify;

pub use clock::Clock;
pub use executor::{Done, Envelope, Executor, Halt};
pub use ledger::Ledger;
