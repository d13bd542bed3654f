//! The one binary: reads the configuration, wires the parts together, serves.

mod app;
mod commands;
mod config;
mod control;
mod gateway;
mod health;
mod house;
mod listener;
mod machine;
mod metrics;
mod serve;
mod telemetry;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};

use commands::Ended;
use config::{Cli, Command};

/// What still blocks a thread then is left: every engine bears being killed.
const LEAVING: Duration = Duration::from_millis(500);

fn main() -> anyhow::Result<ExitCode> {
    // An option may stand before or after the subcommand.
    let options = Cli::command().mut_args(|option| option.global(true));
    let cli = Cli::from_arg_matches(&options.get_matches()).unwrap_or_else(|error| error.exit());
    let command = cli.command.unwrap_or(Command::Serve);
    let telemetry = telemetry::start(matches!(command, Command::Serve))?;
    config::refuse_what_is_not_there_yet()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match command {
            Command::Serve => serve::serve(cli.config).await.map(|()| Ended::Well),
            Command::Projections(what) => commands::projections::run(&cli.config, what).await,
            Command::Log(what) => commands::log::run(&cli.config, what).await,
            Command::Openapi { api } => commands::openapi::run(api),
            Command::Doctor { json } => commands::doctor::run(&cli.config, json).await,
        }
    });
    telemetry.stop();
    runtime.shutdown_timeout(LEAVING);
    Ok(match done? {
        Ended::Well => ExitCode::SUCCESS,
        Ended::Badly => ExitCode::FAILURE,
    })
}
