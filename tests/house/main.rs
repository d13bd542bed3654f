//! Tests of the house: the real binary on a folder of its own, as an operator and its users meet it.
//!
//! [`letopis`] starts, kills and stops it; [`api`] speaks to it; [`people`] live in it.
#![expect(clippy::disallowed_methods, reason = "a test is its own composition root")]

mod api;
mod canaries;
mod contracts;
mod durable;
mod erased_key;
mod hardening;
mod kills;
mod letopis;
mod log_file;
mod metrics;
mod otlp;
mod people;
mod rebuild;
mod refusals;
mod sessions;
mod signals;
mod slow_clients;
mod traces;
