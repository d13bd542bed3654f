//! The one binary: reads the configuration, wires the parts together, serves.

mod app;
mod config;
mod gateway;
mod health;
mod house;
mod listener;
mod machine;
mod metrics;
mod serve;
mod telemetry;

use clap::Parser;

use config::{Cli, Command};

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let command = cli.command.unwrap_or(Command::Serve);
    let telemetry = telemetry::start(matches!(command, Command::Serve))?;
    config::refuse_what_is_not_there_yet()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = match command {
        Command::Serve => runtime.block_on(serve::serve(cli.config)),
    };
    telemetry.stop();
    done
}
