//! `letopis projections …`: how the projections are, building them anew, trying parked streams.

use anyhow::bail;
use projectors::{Health, Refusal, Retried, Stage, Status};
use tokio::signal::ctrl_c;

use super::offline::Worker;
use super::out::{self, Progress};
use super::{Ended, Projections};
use crate::config::Config;
use crate::control::{Ask, Reply};

/// Does it, and says how it went.
///
/// # Errors
/// What keeps it from being done.
pub async fn run(config: &Config, what: Projections) -> anyhow::Result<Ended> {
    let worker = Worker::find(config).await?;
    let done = tokio::select! {
        done = perform(&worker, what.clone()) => done,
        _ = ctrl_c() => interrupted(&worker, &what),
    };
    worker.close().await;
    done
}

fn interrupted(worker: &Worker, what: &Projections) -> anyhow::Result<Ended> {
    match (worker.is_server(), what) {
        (true, Projections::Rebuild { .. }) => {
            bail!("interrupted; the rebuild goes on in the running letopis: see `letopis projections status`")
        }
        (false, Projections::Rebuild { .. }) => {
            bail!(
                "interrupted; the rebuild goes on where it is when letopis is started, or this is run again"
            )
        }
        _ => bail!("interrupted"),
    }
}

async fn perform(worker: &Worker, what: Projections) -> anyhow::Result<Ended> {
    match what {
        Projections::Status { json } => status(worker, json).await,
        Projections::Rebuild { name, all, accept } => {
            let names = match name {
                Some(name) => vec![name],
                None => all_statuses(worker).await?.into_iter().map(|status| status.name).collect(),
            };
            let mut ended = Ended::Well;
            for name in names {
                if rebuild(worker, &name, accept, all).await? == Ended::Badly {
                    ended = Ended::Badly;
                }
            }
            Ok(ended)
        }
        Projections::Retry { name, stream } => retry(worker, name, stream).await,
    }
}

async fn all_statuses(worker: &Worker) -> anyhow::Result<Vec<Status>> {
    match worker.ask(Ask::Status, &mut |_| {}).await? {
        Reply::Status { projections } => Ok(projections),
        Reply::Refused { why, .. } => bail!(why),
        _ => bail!("that is no answer to what was asked: use one program on both sides"),
    }
}

async fn status(worker: &Worker, json: bool) -> anyhow::Result<Ended> {
    let all = all_statuses(worker).await?;
    if json {
        out::json(&serde_json::json!({ "projections": all }))?;
    } else {
        let mut rows = vec![
            ["PROJECTION", "HEALTH", "POSITION", "HEAD", "LAG", "GENERATION", "PARKED"].map(str::to_owned),
        ];
        rows.extend(all.iter().map(|it| {
            [
                it.name.clone(),
                health(&it.health).0.to_owned(),
                it.position.to_string(),
                it.head.to_string(),
                lag(it),
                generation(it),
                it.parked.len().to_string(),
            ]
        }));
        out::table(&rows)?;
        for it in &all {
            details(it)?;
        }
    }
    let good = all
        .iter()
        .all(|it| matches!(it.health, Health::Running | Health::StandingBy) && it.parked.is_empty());
    Ok(if good { Ended::Well } else { Ended::Badly })
}

fn details(it: &Status) -> std::io::Result<()> {
    if let Some(why) = health(&it.health).1 {
        out::line(format!("{}: {why}", it.name))?;
    }
    for parked in &it.parked {
        out::line(format!(
            "{}: {} is parked since position {} ({}): {}; once it is mended, letopis projections retry {} {}",
            it.name, parked.stream, parked.position, parked.since, parked.why, it.name, parked.stream
        ))?;
    }
    match &it.rebuild {
        Some(stage) => out::line(format!("{}: rebuild: {}", it.name, stage_in_words(stage))),
        None => Ok(()),
    }
}

/// A word, and what more there is to say.
pub(super) fn health(health: &Health) -> (&'static str, Option<String>) {
    match health {
        Health::Running => ("running", None),
        Health::Waiting { why } => ("waiting", Some(format!("waits for its engine: {why}"))),
        Health::Halted { why } => ("halted", Some(format!("halted: {why}"))),
        Health::StandingBy => ("standing by", None),
        Health::Superseded => ("superseded", Some("another process writes these rows now".to_owned())),
    }
}

fn lag(it: &Status) -> String {
    match it.lag_events {
        0 => "0".to_owned(),
        events => format!("{events} ({:.1} s)", it.lag_seconds),
    }
}

fn generation(it: &Status) -> String {
    match it.previous {
        None => it.generation.to_string(),
        Some(previous) => format!("{} ({previous} kept)", it.generation),
    }
}

fn stage_in_words(stage: &Stage) -> String {
    match stage {
        Stage::Loading { position, head, per_second, seconds_left } => format!(
            "loading {position} of {head} events, {per_second:.0}/s{}",
            seconds_left.map_or(String::new(), |left| format!(", {left:.0} s left"))
        ),
        Stage::Indexing => "making the indexes".to_owned(),
        Stage::Catching { behind } => format!("catching up, {behind} events behind"),
        Stage::Comparing { position } => format!("comparing both at position {position}"),
        Stage::Switched { generation, events, seconds } => {
            format!("done: generation {generation} is served, {events} events in {seconds:.1} s")
        }
        Stage::Failed { why, .. } => format!("failed: {why}"),
    }
}

fn show(progress: &mut Progress, stage: &Stage) {
    match stage {
        Stage::Loading { position, head, per_second, seconds_left } => {
            let left = seconds_left.map_or(String::new(), |left| format!(", {left:.0} s left"));
            progress.tell("loading", *position, *head, &format!("events, {per_second:.0}/s{left}"));
        }
        Stage::Indexing => progress.tell("making the indexes", 0, 0, ""),
        Stage::Catching { behind } => progress.tell("catching up,", 0, 0, &format!("{behind} events behind")),
        Stage::Comparing { .. } => progress.tell("comparing", 0, 0, "the old rows with the new"),
        Stage::Switched { .. } | Stage::Failed { .. } => {}
    }
}

async fn rebuild(worker: &Worker, name: &str, accept: bool, all: bool) -> anyhow::Result<Ended> {
    let mut progress = Progress::new(name);
    let ask = Ask::Rebuild { name: name.to_owned(), accept };
    let last = worker
        .ask(ask, &mut |reply| {
            if let Reply::Stage { stage } = reply {
                show(&mut progress, &stage);
            }
        })
        .await;
    progress.end();
    match last? {
        Reply::Stage { stage: Stage::Failed { why, differences } } => {
            out::line(format!("{name}: not rebuilt, the old rows are served on: {why}"))?;
            for difference in differences {
                out::line(format!("{name}:   {difference}"))?;
            }
            Ok(Ended::Badly)
        }
        Reply::Stage { stage } => {
            out::line(format!("{name}: {}", stage_in_words(&stage)))?;
            Ok(Ended::Well)
        }
        // Of all, those that have no rows are passed over.
        Reply::Refused { refusal: Some(Refusal::NotRebuildable { why, .. }), .. } if all => {
            out::line(format!("{name}: passed over: {why}"))?;
            Ok(Ended::Well)
        }
        Reply::Refused { why, .. } => bail!(why),
        _ => bail!("that is no answer to what was asked: use one program on both sides"),
    }
}

async fn retry(worker: &Worker, name: String, stream: Option<String>) -> anyhow::Result<Ended> {
    let streams = match worker.ask(Ask::Retry { name: name.clone(), stream }, &mut |_| {}).await? {
        Reply::Retried { streams } => streams,
        Reply::Refused { why, .. } => bail!(why),
        _ => bail!("that is no answer to what was asked: use one program on both sides"),
    };
    if streams.is_empty() {
        out::line(format!("{name}: no stream is parked"))?;
    }
    let mut ended = Ended::Well;
    for Retried { stream, events, error } in streams {
        match error {
            None => out::line(format!("{name}: {stream} goes on, {events} events applied"))?,
            Some(error) => {
                ended = Ended::Badly;
                out::line(format!("{name}: {stream} stays parked: {error}"))?;
            }
        }
    }
    Ok(ended)
}
