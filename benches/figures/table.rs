//! The table: one row a figure, with what it is held against.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context;

use crate::measure::median;

const BEGIN: &str = "<!-- figures: begin (written by ./dev bench --save) -->";
const END: &str = "<!-- figures: end -->";

/// What the design wants of a figure.
#[derive(Clone, Copy, Debug)]
pub enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

/// One figure.
#[derive(Clone, Debug)]
pub struct Row {
    pub what: String,
    pub ours: String,
    pub rival: String,
    pub ratio: String,
    bar: Option<(Bar, f64)>,
    /// `bar` in words, where it has a unit.
    unit: &'static str,
    pub notes: Vec<String>,
}

impl Row {
    /// Rates of both sides, taken in turns: `ours[n]` and `rival[n]` are neighbours in time, so each
    /// pair gives a ratio of its own.
    pub fn ratio(what: impl Into<String>, unit: &str, ours: &[f64], rival: (&str, &[f64])) -> Self {
        let ratios: Vec<f64> = ours.iter().zip(rival.1).map(|(ours, rival)| ours / rival).collect();
        let middle = median(&ratios);
        let mut ratio = times(middle);
        if let (true, Some(low), Some(high)) = (
            ratios.len() > 1,
            ratios.iter().copied().min_by(f64::total_cmp),
            ratios.iter().copied().max_by(f64::total_cmp),
        ) {
            let _ = write!(ratio, " ({}–{})", times(low), times(high));
        }
        Self {
            what: what.into(),
            ours: format!("{}{unit}", number(median(ours))),
            rival: format!("{} {}{unit}", rival.0, number(median(rival.1))),
            ratio,
            bar: None,
            unit: "",
            notes: Vec::new(),
        }
        .judged(middle)
    }

    /// A figure that stands for itself.
    pub fn value(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            ours: format!("{}{unit}", number(value)),
            rival: "–".into(),
            ratio: "–".into(),
            bar: None,
            unit,
            notes: Vec::new(),
        }
        .judged(value)
    }

    fn judged(mut self, value: f64) -> Self {
        self.bar = Some((Bar::AtLeast(f64::NEG_INFINITY), value));
        self
    }

    /// Holds the ratio, or the value, against the design's bar.
    pub fn bar(mut self, bar: Bar) -> Self {
        let value = self.bar.map_or(f64::NAN, |(_, value)| value);
        self.bar = Some((bar, value));
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    fn bar_text(&self) -> String {
        match self.bar {
            Some((Bar::AtLeast(bar), _)) if bar.is_finite() => format!("≥ {}{}", number(bar), self.unit),
            Some((Bar::AtMost(bar), _)) => format!("≤ {}{}", number(bar), self.unit),
            _ => "–".into(),
        }
    }

    fn verdict(&self) -> &'static str {
        match self.bar {
            Some((Bar::AtLeast(bar), value)) if bar.is_finite() => verdict(value >= bar),
            Some((Bar::AtMost(bar), value)) => verdict(value <= bar),
            _ => "–",
        }
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**open**" }
}

fn times(ratio: f64) -> String {
    format!("{}×", number(ratio))
}

/// Three digits that mean something, thousands apart.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    if value.abs() < 100.0 {
        let text = if value.abs() < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") };
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// All that is printed.
#[derive(Default)]
pub struct Table {
    /// What ran, where, under which settings.
    pub facts: Vec<(String, String)>,
    pub rows: Vec<Row>,
}

impl Table {
    pub fn fact(&mut self, name: &str, value: impl ToString) {
        self.facts.push((name.to_owned(), value.to_string()));
    }

    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.facts {
            let _ = writeln!(text, "- {name}: {value}");
        }
        text.push_str(
            "\n| figure | ours | beside | ratio | bar | | notes |\n|---|---:|---:|---:|---:|---|---|\n",
        );
        for row in &self.rows {
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} |",
                row.what,
                row.ours,
                row.rival,
                row.ratio,
                row.bar_text(),
                row.verdict(),
                row.notes.join("; ")
            );
        }
        text
    }

    /// Puts the table in the place of the one that stands in `file`.
    ///
    /// # Errors
    /// A file that can't be read or written, or has no such place.
    pub fn save(&self, file: &Path) -> anyhow::Result<()> {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))?;
        let place = text.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
        let (before, after) = place.with_context(|| {
            format!("{} has no place for the table: put the lines {BEGIN} and {END} into it", file.display())
        })?;
        let text = format!("{before}{BEGIN}\n{}{END}{after}", self.markdown());
        std::fs::write(file, text).with_context(|| format!("{} can't be written", file.display()))
    }
}
