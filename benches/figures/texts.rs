//! What people write: lines of a file, or made-up ones of the lengths that real ones have.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::measure::Dice;

/// At most so many messages of a file are taken.
const MOST: usize = 50_000;
/// Longest message, in scalar values.
const LONGEST: usize = 4_000;

/// Messages in a fixed order, used over and over.
pub struct Texts {
    all: Vec<String>,
    pub source: String,
}

impl Texts {
    /// A file with one message a line, plain or packed by xz. A line that is a JSON object stands for
    /// its string `text`.
    ///
    /// # Errors
    /// A file that can't be read, or holds no message.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = content(file).with_context(|| {
            format!("--corpus {}: not readable as UTF-8 text or .xz of it", file.display())
        })?;
        let all: Vec<String> = text.lines().filter_map(message).take(MOST).collect();
        ensure!(!all.is_empty(), "--corpus {}: no line of it is a message", file.display());
        let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let source = format!("{} messages of {name}, {:.0} bytes on average", all.len(), average(&all));
        Ok(Self { all, source })
    }

    /// Made-up messages: most are short, some are long (log-normal around 45 characters, as chats
    /// have it).
    pub fn made_up() -> Self {
        const WORDS: &[&str] = &[
            "да",
            "нет",
            "ok",
            "the",
            "and",
            "когда",
            "tomorrow",
            "maybe",
            "я",
            "не",
            "знаю",
            "what",
            "about",
            "встретимся",
            "at",
            "eight",
            "потом",
            "letter",
            "of",
            "course",
            "хорошо",
            "thanks",
            "for",
            "everything",
        ];
        let mut dice = Dice::new(7);
        let mut unit = move || (dice.roll() >> 11) as f64 / (1_u64 << 53) as f64;
        let mut all = Vec::with_capacity(10_000);
        while all.len() < 10_000 {
            // Box and Muller's normal deviate.
            let normal = (-2.0 * unit().max(1e-12).ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
            let length = ((3.8 + 0.9 * normal).exp() as usize).clamp(2, LONGEST / 2);
            let mut text = String::new();
            while text.len() < length {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(WORDS[(unit() * WORDS.len() as f64) as usize % WORDS.len()]);
            }
            all.push(text);
        }
        let source = format!("made up, {:.0} bytes on average", average(&all));
        Self { all, source }
    }

    pub fn pick(&self, dice: &mut Dice) -> &str {
        &self.all[dice.below(self.all.len())]
    }

    /// One whose length is the middle of all.
    pub fn typical(&self) -> &str {
        let mut by_length: Vec<&String> = self.all.iter().collect();
        by_length.sort_by_key(|text| text.len());
        by_length[by_length.len() / 2]
    }
}

fn content(file: &Path) -> anyhow::Result<String> {
    if file.extension().is_none_or(|extension| extension != "xz") {
        return Ok(std::fs::read_to_string(file)?);
    }
    let unpacked = Command::new("xz").arg("-dc").arg(file).output().context("xz is needed to unpack it")?;
    ensure!(unpacked.status.success(), "xz: {}", String::from_utf8_lossy(&unpacked.stderr).trim());
    Ok(String::from_utf8(unpacked.stdout)?)
}

fn message(line: &str) -> Option<String> {
    let text = match serde_json::from_str::<serde_json::Value>(line) {
        Ok(serde_json::Value::Object(fields)) => fields.get("text")?.as_str()?.to_owned(),
        _ => line.to_owned(),
    };
    let text: String = text.chars().filter(|letter| !letter.is_control()).take(LONGEST).collect();
    (!text.trim().is_empty()).then_some(text)
}

fn average(all: &[String]) -> f64 {
    all.iter().map(String::len).sum::<usize>() as f64 / all.len().max(1) as f64
}
