//! What the program does besides serving: one file a group of subcommands.

pub mod doctor;
mod inspect;
pub mod log;
mod offline;
pub mod openapi;
mod out;
pub mod projections;

use clap::Subcommand;

/// How a subcommand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Well,
    /// It did its work, and what it found or did is not good.
    Badly,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Projections {
    /// How far each projection is, and how it is.
    Status {
        /// One JSON object instead of lines for people.
        #[arg(long)]
        json: bool,
    },
    /// Builds a projection anew from the log beside the old one, and switches to it.
    Rebuild {
        /// Which; `projections status` names them.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        name: Option<String>,
        /// Every projection that has rows, one after the other.
        #[arg(long)]
        all: bool,
        /// Switch even if the new rows differ from the old ones; what differs is told all the same.
        #[arg(long)]
        accept: bool,
    },
    /// Tries parked streams again.
    Retry {
        /// Of which projection.
        name: String,
        /// One stream, as `Chat/<id>`; all if not named.
        stream: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Api {
    Command,
    Query,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Log {
    /// Reads the whole log and says which of its promises hold; also while letopis serves.
    Verify {
        /// One JSON object instead of lines for people.
        #[arg(long)]
        json: bool,
    },
    /// Makes claims and memberships anew from the log. Every letopis on this log must be stopped.
    RebuildClaims,
}
