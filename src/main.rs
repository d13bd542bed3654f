//! The one binary: reads the configuration, wires the parts together, serves.

mod app;
mod config;
mod gateway;
mod health;
mod house;
mod machine;
mod serve;
mod telemetry;

use clap::Parser;

use config::{Cli, Command};

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    telemetry::start();
    config::refuse_what_is_not_there_yet()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => runtime.block_on(serve::serve(cli.config)),
    }
}
