//! What the write side counts, through the `metrics` facade. What the names mean stands in `docs/operations.md`.

use std::time::Instant;

use domain::Problem;
use metrics::{Counter, Gauge, SharedString, counter, gauge, histogram};

use crate::committer::{Proposal, Tally};
use crate::executor::{Done, Letopis};
use crate::log::{Appended, LogError};

/// What is in a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    events: usize,
    commands: usize,
}

impl Size {
    pub(crate) fn of(proposal: &Proposal<Letopis>) -> Self {
        Self { events: proposal.events.len(), commands: proposal.probes.len() }
    }
}

/// Waits for a batch to be written, and notes how long that took and what came of it.
pub(crate) async fn appending(
    engine: &'static str,
    size: Size,
    append: impl Future<Output = Result<Appended, LogError>>,
) -> Result<Appended, LogError> {
    let began = Instant::now();
    let appended = append.await;
    histogram!("letopis_append_seconds", "engine" => engine).record(began.elapsed());
    let outcome = match &appended {
        Ok(Appended::Committed) => "committed",
        Ok(Appended::Fenced) => "fenced",
        Ok(Appended::Repeats(_)) => "repeats",
        Err(LogError::Lost(_)) => "lost",
        Err(_) => "unavailable",
    };
    counter!("letopis_appends_total", "engine" => engine, "outcome" => outcome).increment(1);
    if outcome == "committed" {
        counter!("letopis_events_committed_total").increment(size.events as u64);
        histogram!("letopis_batch_events").record(size.events as f64);
        histogram!("letopis_batch_commands").record(size.commands as f64);
    }
    appended
}

/// Notes what a command came to.
pub(crate) fn command(operation: &'static str, done: &Result<Done, Problem>, began: Instant) {
    let outcome: SharedString = match done {
        Ok(done) if done.repeated => "repeated".into(),
        Ok(done) if done.events.is_empty() => "unchanged".into(),
        Ok(_) => "done".into(),
        Err(problem) => SharedString::from_owned(problem.slug().to_owned()),
    };
    counter!("letopis_commands_total", "operation" => operation, "outcome" => outcome).increment(1);
    histogram!("letopis_command_seconds", "operation" => operation).record(began.elapsed());
}

/// What the committing task says about itself, again and again.
pub(crate) struct Committing {
    backlog: Gauge,
    resends: Counter,
    decided_again: Counter,
}

impl Default for Committing {
    fn default() -> Self {
        Self {
            backlog: gauge!("letopis_committer_backlog"),
            resends: counter!("letopis_append_resends_total"),
            decided_again: counter!("letopis_commands_decided_again_total"),
        }
    }
}

impl Committing {
    pub(crate) fn note(&self, backlog: usize, tally: Tally) {
        self.backlog.set(backlog as f64);
        self.resends.absolute(tally.resends);
        self.decided_again.absolute(tally.decided_again);
    }
}
