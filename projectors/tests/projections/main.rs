//! Projections over a real log: SQLite, a key store, the embedded engines.

mod history;
mod meaning;
mod notices;
mod parking;
mod rebuilds;
mod world;
