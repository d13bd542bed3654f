//! `letopis doctor`: one line for each thing that an operator would look at, and what to do about it.
//! Works beside a running letopis and without one, and changes nothing.

mod engines;
mod machine;

use std::time::Duration;

use chronicle::Clock as _;
use projectors::Health;
use serde::Serialize;
use stores::peek::peek;

use super::offline::{is_locked, reach};
use super::projections::health;
use super::{Ended, inspect, out};
use crate::config::Config;
use crate::control::{self, Ask, Reply, Who};
use crate::machine::SystemClock;

/// A letopis that starts or stops is given this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    Warning,
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Never changes: scripts look for it.
    pub name: String,
    pub state: State,
    pub said: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// What was found so far.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, name: &str, said: impl Into<String>) {
        self.0.push(Finding { name: name.into(), state: State::Ok, said: said.into(), advice: None });
    }
    fn warn(&mut self, name: &str, said: impl Into<String>, advice: impl Into<String>) {
        let advice = Some(advice.into());
        self.0.push(Finding { name: name.into(), state: State::Warning, said: said.into(), advice });
    }
    fn problem(&mut self, name: &str, said: impl Into<String>, advice: impl Into<String>) {
        let advice = Some(advice.into());
        self.0.push(Finding { name: name.into(), state: State::Problem, said: said.into(), advice });
    }
    fn worst(&self) -> State {
        self.0.iter().map(|finding| finding.state).max().unwrap_or(State::Ok)
    }
}

/// Looks at everything, and says what it found.
///
/// # Errors
/// If stdout can't be written to.
pub async fn run(config: &Config, json: bool) -> anyhow::Result<Ended> {
    let mut found = Findings::default();
    machine::data_folder(config, &mut found);
    let who = process(config, &mut found).await;
    machine::listener(config, who.as_ref(), &mut found).await;
    machine::open_files(&mut found);
    machine::master_key(config, &mut found);
    engines::log(config, &SystemClock, &mut found).await;
    engines::keys(config, &SystemClock, &mut found).await;
    engines::on_the_network(config, &mut found).await;
    engines::blobs(config, &mut found).await;
    projections(config, who.is_some(), &mut found).await;
    let worst = found.worst();
    if json {
        out::json(&serde_json::json!({ "worst": worst, "findings": found.0, "at": SystemClock.now() }))?;
    } else {
        print(&found)?;
    }
    Ok(if worst == State::Problem { Ended::Badly } else { Ended::Well })
}

fn print(found: &Findings) -> std::io::Result<()> {
    for Finding { name, state, said, advice } in &found.0 {
        let word = match state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Problem => "PROBLEM",
        };
        out::line(format!("{word:<7}  {name:<19}  {said}"))?;
        if let Some(advice) = advice {
            out::line(format!("{:<30}→ {advice}", ""))?;
        }
    }
    let count = |state| found.0.iter().filter(|finding| finding.state == state).count();
    out::line(match (count(State::Problem), count(State::Warning)) {
        (0, 0) => "all is well".to_owned(),
        (problems, warnings) => format!("problems: {problems}, warnings: {warnings}"),
    })
}

/// Who has the folder, and whether they answer.
async fn process(config: &Config, found: &mut Findings) -> Option<Who> {
    const NAME: &str = "process";
    if let Err(error) = is_locked(&config.data) {
        found.warn(NAME, format!("{error:#}"), "start letopis once, or name its folder in LETOPIS_DATA");
        return None;
    }
    let connected = match reach(&config.data, PATIENCE).await {
        Ok(Some(connected)) => connected,
        Ok(None) => {
            found.ok(NAME, "none runs on this folder");
            return None;
        }
        Err(error) => {
            found.problem(NAME, format!("{error:#}"), "if it hangs, stop it, and start it again");
            return None;
        }
    };
    match connected.ask(Ask::Who, &mut |_| {}).await {
        Ok(Reply::Who { who }) => {
            let ours = env!("CARGO_PKG_VERSION");
            found.ok(NAME, format!("letopis {} serves as process {}", who.version, who.pid));
            machine::control_mode(config, found);
            if who.version != ours {
                found.warn(NAME, format!("this program is {ours}"), "use one program on both sides");
            }
            Some(who)
        }
        Ok(_) => {
            found.problem(NAME, "it does not say who it is", "use one program on both sides");
            None
        }
        Err(error) => {
            found.problem(NAME, format!("{error:#}"), "see its log; if it hangs, stop it");
            None
        }
    }
}

async fn projections(config: &Config, serves: bool, found: &mut Findings) {
    if serves && let Ok(Some(connected)) = control::connect(&config.data).await {
        match connected.ask(Ask::Status, &mut |_| {}).await {
            Ok(Reply::Status { projections }) => {
                return projections.iter().for_each(|status| told(status, found));
            }
            Ok(_) => found.problem("projections", "no status", "use one program on both sides"),
            Err(error) => found.problem("projections", format!("{error:#}"), "see the log of letopis"),
        }
    }
    for (port, url) in inspect::ports(config) {
        let name = format!("projection {port}");
        match peek(port, &url).await {
            Ok(None) => found.ok(&name, "not built yet, or kept elsewhere; the next start reads it"),
            Ok(Some(peeked)) => {
                let position = peeked.checkpoint.map_or(0, |checkpoint| checkpoint.position);
                let said = format!("generation {} at position {position}", peeked.generation);
                match peeked.parked {
                    0 => found.ok(&name, said),
                    parked => found.warn(&name, format!("{said}, {parked} streams parked"), PARKED),
                }
            }
            Err(error) => {
                let advice = "start letopis: it sets damaged rows aside and builds them anew";
                found.problem(&name, error.to_string(), advice);
            }
        }
    }
}

const PARKED: &str = "see letopis projections status; once mended, letopis projections retry <name>";

fn told(status: &projectors::Status, found: &mut Findings) {
    let name = format!("projection {}", status.name);
    let said = format!(
        "{}, generation {} at position {}, {} events behind ({:.1} s)",
        health(&status.health).0,
        status.generation,
        status.position,
        status.lag_events,
        status.lag_seconds
    );
    match &status.health {
        Health::Halted { why } => {
            let advice = format!("mend what it says, then letopis projections rebuild {}", status.name);
            found.problem(&name, format!("{said}: {why}"), advice);
        }
        Health::Waiting { why } => {
            found.warn(&name, format!("{said}: {why}"), "its engine does not answer: see to that engine");
        }
        Health::Superseded => {
            found.problem(&name, said, "two processes write one set of rows: stop one of them");
        }
        Health::Running if !status.parked.is_empty() => {
            found.warn(&name, format!("{said}, {} streams parked", status.parked.len()), PARKED);
        }
        Health::Running | Health::StandingBy => found.ok(&name, said),
    }
}
