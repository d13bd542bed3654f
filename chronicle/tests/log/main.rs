//! What the log promises, tested on every engine and on saboteurs that break it.

mod bank;
mod clocks;
mod contract;
mod executor;
mod faults;
mod history;
mod load;
mod model_log;
mod postgres;
mod race;
mod saboteur;
mod server;
mod simulation;
mod snapshots;
mod stock;
mod support;
mod verify;
