//! The control socket: how subcommands speak to the `serve` that has the data folder.
//!
//! `$LETOPIS_DATA/control.sock`, for its owner alone. A connection carries one request, a line of
//! JSON, and gets lines of JSON back: as many as there is to tell, then a last one.

mod client;
mod protocol;
mod server;

pub use client::{Connected, connect};
pub use protocol::{Ask, Reply, Who};
pub use server::{Desk, answer, listen};

use std::path::{Path, PathBuf};

/// What an address of a Unix socket holds, in bytes (Linux 107, others less).
const LONGEST_PATH: usize = 103;

/// Where the socket of a data folder is.
pub fn path(data: &Path) -> PathBuf {
    data.join("control.sock")
}
