//! What a verification found.

use serde::{Deserialize, Serialize};

/// Faults of one check that are told one by one; the rest is counted.
const TOLD: usize = 10;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Ok,
    Wrong,
    /// What it needs is not at hand; nothing is said about it.
    Unchecked,
}

/// One promise of the log, and whether it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Never changes: scripts look for it.
    pub name: String,
    pub outcome: Outcome,
    /// What was counted.
    pub counted: String,
    /// Everything found wrong.
    pub wrong: u64,
    /// The first of them, each one line.
    pub faults: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Check {
    pub fn ok(name: &str, counted: impl Into<String>) -> Self {
        let (outcome, counted) = (Outcome::Ok, counted.into());
        Self { name: name.into(), outcome, counted, wrong: 0, faults: Vec::new(), advice: None }
    }

    pub fn unchecked(name: &str, why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unchecked, ..Self::ok(name, why) }
    }
}

/// Faults as they are found.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    wrong: u64,
    told: Vec<String>,
}

impl Faults {
    pub fn add(&mut self, fault: impl Into<String>) {
        self.wrong += 1;
        if self.told.len() < TOLD {
            self.told.push(fault.into());
        }
    }

    pub fn is_empty(&self) -> bool {
        self.wrong == 0
    }

    /// The check that found these; `advice` is given where there are any.
    pub fn check(self, name: &str, counted: impl Into<String>, advice: &str) -> Check {
        let ok = Check::ok(name, counted);
        if self.is_empty() {
            return ok;
        }
        let advice = Some(advice.to_owned());
        Check { outcome: Outcome::Wrong, wrong: self.wrong, faults: self.told, advice, ..ok }
    }
}

/// All checks of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The log's id, as event 1 has it.
    pub log_id: Option<uuid::Uuid>,
    /// Events that were read.
    pub events: u64,
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether nothing was found wrong.
    pub fn is_good(&self) -> bool {
        self.checks.iter().all(|check| check.outcome != Outcome::Wrong)
    }
}
