//! Writing for whoever asked: results to stdout, progress to stderr.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Plain progress says something this often.
const PLAIN: Duration = Duration::from_secs(5);

/// Writes a line to stdout. Whoever has closed it has read enough.
///
/// # Errors
/// If stdout can't be written to.
pub fn line(text: impl std::fmt::Display) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a value as indented JSON.
///
/// # Errors
/// As [`line`].
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string_pretty(value)?)?)
}

/// Columns, each as wide as its widest cell.
///
/// # Errors
/// As [`line`].
pub fn table<const N: usize>(rows: &[[String; N]]) -> io::Result<()> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        line(cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// How far something is: a bar on a terminal, now and then a line elsewhere.
pub struct Progress {
    bar: ProgressBar,
    plain: bool,
    last: Option<(String, std::time::Instant)>,
}

impl Progress {
    pub fn new(what: &str) -> Self {
        let plain = !io::stderr().is_terminal();
        let target = if plain { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(0), target);
        let style = ProgressStyle::with_template("{prefix} [{bar:30}] {msg}");
        bar.set_style(style.expect("the template is right").progress_chars("=> "));
        bar.set_prefix(what.to_owned());
        Self { bar, plain, last: None }
    }

    /// `done` of `of`; `kind` is what is being done and `more` what else there is to say.
    pub fn tell(&mut self, kind: &str, done: u64, of: u64, more: &str) {
        let text = match of {
            0 => format!("{kind} {more}"),
            _ => format!("{kind} {done} of {of} {more}"),
        };
        let text = text.trim_end();
        if !self.plain {
            self.bar.set_length(of.max(1));
            self.bar.set_position(if of == 0 { 1 } else { done });
            self.bar.set_message(text.to_owned());
            return;
        }
        let known = self.last.as_ref().is_some_and(|(last, at)| last == kind && at.elapsed() < PLAIN);
        if !known {
            self.last = Some((kind.to_owned(), std::time::Instant::now()));
            self.note(text);
        }
    }

    /// Says something beside it.
    pub fn note(&self, text: &str) {
        if self.plain {
            // Nobody reads it, then.
            let _ = writeln!(io::stderr().lock(), "{}: {text}", self.bar.prefix());
        } else {
            self.bar.println(text);
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
