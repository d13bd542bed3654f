//! `letopis log …`: whether the log keeps its promises, and its claims made anew.

use anyhow::Context;
use chronicle::keys::Keyring;
use chronicle::verify::{self, Check, Faults, Outcome, Report, Source, Step};
use stores::peek::peek;
use uuid::Uuid;

use super::offline::{START, reach};
use super::out::{self, Progress};
use super::{Ended, Log, inspect};
use crate::config::Config;
use crate::house;

/// Does it, and says how it went.
///
/// # Errors
/// What keeps it from being done.
pub async fn run(config: &Config, what: Log) -> anyhow::Result<Ended> {
    match what {
        Log::Verify { json } => verify(config, json).await,
        Log::RebuildClaims => rebuild_claims(config).await,
    }
}

fn show(progress: &mut Progress, step: Step) {
    match step {
        Step::Events { done, of } => progress.tell("read", done, of, "events"),
        Step::Streams { done, of } => progress.tell("replayed", done, of, "streams"),
    }
}

async fn verify(config: &Config, json: bool) -> anyhow::Result<Ended> {
    let mut log = inspect::log(config, false).await?;
    let log_id = inspect::log_id(&mut *log).await?;
    let (keys, keys_check) = keys(config, log_id);
    let mut progress = Progress::new("log");
    let verified = verify::verify(&mut *log, keys.as_ref(), &mut |step| show(&mut progress, step)).await;
    progress.end();
    let mut report = verified?;
    report.checks.push(keys_check);
    report.checks.push(checkpoints(config, &mut *log, report.log_id).await?);
    if json {
        out::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(if report.is_good() { Ended::Well } else { Ended::Badly })
}

fn print(report: &Report) -> anyhow::Result<()> {
    match report.log_id {
        Some(log_id) => out::line(format!("log {log_id}, {} events", report.events))?,
        None => out::line(format!("a log without a beginning, {} events", report.events))?,
    }
    for check in &report.checks {
        let word = match check.outcome {
            Outcome::Ok => "ok",
            Outcome::Wrong => "WRONG",
            Outcome::Unchecked => "unchecked",
        };
        out::line(format!("{word:<9}  {:<13}  {}", check.name, check.counted))?;
        for fault in &check.faults {
            out::line(format!("             {fault}"))?;
        }
        let told = check.faults.len() as u64;
        if check.wrong > told {
            out::line(format!("             and {} more", check.wrong - told))?;
        }
        if let Some(advice) = &check.advice {
            out::line(format!("             → {advice}"))?;
        }
    }
    let wrong = report.checks.iter().filter(|check| check.outcome == Outcome::Wrong).count();
    match wrong {
        0 => out::line("the log is in order")?,
        wrong => out::line(format!("{wrong} of {} checks are WRONG", report.checks.len()))?,
    }
    Ok(())
}

/// The keys, and whether they are this log's.
fn keys(config: &Config, log_id: Option<Uuid>) -> (Option<Keyring>, Check) {
    let identity = inspect::key_store(config).and_then(|store| Ok(store.identity()?));
    let check = match (identity, log_id) {
        (Err(error), _) => Check::unchecked("keys", format!("{error:#}")),
        (Ok(None), _) => Check::unchecked("keys", "the key store is empty"),
        (Ok(Some(identity)), Some(log_id)) if identity.log_id != log_id => {
            let mut faults = Faults::default();
            faults.add(format!("the key store is of log {}", identity.log_id));
            faults.check("keys", "the key store", "put back the key store that belongs to this log")
        }
        (Ok(Some(_)), _) => Check::ok("keys", "the key store is of this log"),
    };
    let Some(log_id) = log_id.filter(|_| check.outcome == Outcome::Ok) else { return (None, check) };
    match inspect::keys(config, log_id) {
        Ok(keys) => (Some(keys), check),
        Err(error) => (None, Check::unchecked("keys", format!("{error:#}"))),
    }
}

/// One history: what each projection remembers is what the log has.
async fn checkpoints(config: &Config, log: &mut dyn Source, log_id: Option<Uuid>) -> anyhow::Result<Check> {
    let (mut faults, mut looked_at) = (Faults::default(), Vec::new());
    for (name, url) in inspect::ports(config) {
        let held = match peek(name, &url).await {
            Ok(None) => continue,
            Ok(Some(peeked)) => peeked.checkpoint,
            Err(error) => {
                faults.add(format!("{name} can't be read: {error}"));
                continue;
            }
        };
        looked_at.push(name);
        let Some(held) = held else { continue };
        if Some(held.log_id) != log_id {
            faults.add(format!("{name} is a replay of log {}", held.log_id));
            continue;
        }
        let Some(before) = held.position.checked_sub(1) else { continue };
        let found = log.read(before, 1).await?.into_iter().next().filter(|it| it.position == held.position);
        match found {
            None => faults.add(format!("{name} shows position {}, which the log has not", held.position)),
            Some(event) if Some(event.event_id) != held.event_id => {
                faults.add(format!("{name} remembers another event at position {}", held.position));
            }
            Some(_) => {}
        }
    }
    let counted = if looked_at.is_empty() { "none here".to_owned() } else { looked_at.join(", ") };
    let advice = "if the log is in order, rebuild the projection: letopis projections rebuild <name>";
    Ok(faults.check("checkpoints", counted, advice))
}

async fn rebuild_claims(config: &Config) -> anyhow::Result<Ended> {
    if reach(&config.data, START).await?.is_some() {
        anyhow::bail!(
            "letopis is running on {}, and remembers claims: stop it, and every other one on this log, first",
            config.data.display()
        );
    }
    // Held, so that none is started meanwhile.
    let _lock = house::lock(&config.data.join("lock")).await?;
    let mut log = inspect::log(config, true).await?;
    let log_id = inspect::log_id(&mut *log)
        .await?
        .context("event 1 does not open a chronicle: see letopis log verify")?;
    let keys = inspect::keys(config, log_id)?;
    let mut progress = Progress::new("log");
    let mended = verify::rebuild_claims(&mut *log, &keys, &mut |step| show(&mut progress, step)).await;
    progress.end();
    let mended = mended?;
    if mended.nothing() {
        out::line("claims and memberships are what the log says; nothing was changed")?;
    } else {
        out::line(format!(
            "claims: {} put, {} dropped; memberships: {} put, {} dropped",
            mended.claims_put, mended.claims_dropped, mended.memberships_put, mended.memberships_dropped
        ))?;
    }
    Ok(Ended::Well)
}
