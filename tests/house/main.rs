//! Tests of the house: the real binary on a folder of its own, as an operator and its users meet it.
//!
//! [`letopis`] starts, kills and stops it; [`api`] speaks to it; [`people`] live in it.
#![expect(clippy::disallowed_methods, reason = "a test is its own composition root")]

mod api;
mod canaries;
mod clock_jumps;
mod contracts;
mod control;
mod corrupt_rows;
mod disk;
mod durable;
mod engine;
mod erased_key;
mod full_disk;
mod fuzz;
mod groups;
mod hardening;
mod inspections;
mod keys_on_postgres;
mod kills;
mod letopis;
mod limits;
mod load;
mod log_file;
mod lost_answers;
mod metrics;
mod naughty;
mod otlp;
mod pauses;
mod people;
mod photos;
mod poison;
mod postgres;
mod proxy;
mod real_engines;
mod rebuild;
mod rebuild_while_serving;
mod refusals;
mod servers;
mod sessions;
mod signals;
mod slow_clients;
mod socket_cut;
mod standby;
mod traces;
