//! Projections over a real log: SQLite, a key store, the embedded engines.

mod chatter;
mod history;
mod live_together;
mod meaning;
mod newcomer;
mod notices;
mod parking;
mod reactors;
mod rebuilds;
mod world;
