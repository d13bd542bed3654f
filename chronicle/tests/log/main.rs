//! What the log promises, tested on every engine and on saboteurs that break it.

mod bank;
mod contract;
mod executor;
mod model_log;
mod postgres;
mod race;
mod saboteur;
mod simulation;
mod snapshots;
mod stock;
mod support;
mod verify;
