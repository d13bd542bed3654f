//! The pure heart of Letopis: ids, events, aggregates, commands, views and problems.
//!
//! Nothing here reads a clock, draws a random number or does I/O; without the `aggregates`
//! feature it compiles to wasm32 and is what the browser shares with the servers.
//!
//! - [`ids`], [`timestamp`], [`text`], [`password`]: the small vocabulary and its rules;
//! - [`requests`], [`views`], [`live`], [`problem`]: what crosses the wire;
//! - [`personal`]: personal data, sealed before it may be written;
//! - [`account`], [`session`], [`user`], [`friendship`], [`chat`], [`message`], [`read_marker`],
//!   [`chronicle`]: one aggregate one file, each two pure functions, `decide` and `evolve`;
//! - [`aggregate`]: what the write side needs to hold any of them.

pub mod caller;
pub mod ids;
pub mod live;
pub mod problem;
pub mod requests;
pub mod timestamp;
pub mod views;

pub mod text;

#[cfg(feature = "aggregates")]
pub mod account;
#[cfg(feature = "aggregates")]
pub mod aggregate;
#[cfg(feature = "aggregates")]
pub mod chat;
#[cfg(feature = "aggregates")]
pub mod chronicle;
#[cfg(feature = "aggregates")]
pub mod friendship;
#[cfg(all(test, feature = "aggregates"))]
mod given;
#[cfg(feature = "aggregates")]
pub mod group;
#[cfg(feature = "aggregates")]
pub mod message;
#[cfg(feature = "aggregates")]
pub mod password;
#[cfg(feature = "aggregates")]
pub mod personal;
#[cfg(feature = "aggregates")]
pub mod rank;
#[cfg(feature = "aggregates")]
pub mod read_marker;
#[cfg(all(test, feature = "aggregates"))]
mod replay_spec;
#[cfg(feature = "aggregates")]
pub mod session;
#[cfg(feature = "aggregates")]
pub mod user;

pub use problem::Problem;
pub use timestamp::Timestamp;
