//! The figures of docs/performance.md: what the product does beside a named rival, in one run on one
//! machine. `./dev bench` starts the server that both sides use, and this.
//!
//! Both sides of a figure are measured in turns (ours, theirs, ours, theirs …), and what counts is the
//! middle of the ratios of neighbours: a noisy machine is noisy for both. Settings are read back from
//! the connections of both sides, and a row says so when others used the machine meanwhile.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

mod engines;
mod first_load;
mod house;
mod http;
mod long_chat;
mod long_stream;
mod machine;
mod measure;
mod memory;
mod postgres;
mod rebuild;
mod sends;
mod serve;
mod single;
mod stock;
mod table;
mod texts;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Parser, ValueEnum};

use crate::machine::Machine;
use crate::measure::{Client, Window, rate};
use crate::postgres::Server;
use crate::table::{Row, Table};
use crate::texts::Texts;

/// Measures, and prints one table.
#[derive(Debug, Parser)]
#[command(name = "figures")]
struct Args {
    /// A PostgreSQL server for this alone: databases named bench_… are made and dropped in it.
    #[arg(long)]
    postgres: String,
    #[arg(long, default_value = "pgbench")]
    pgbench: PathBuf,
    /// The folder of a running stack of real engines, with the variables that lead to it in `env`.
    #[arg(long)]
    stack: Option<PathBuf>,
    /// One short round of everything over small logs: shows that it works, and says little else.
    #[arg(long)]
    quick: bool,
    /// Only these sections.
    #[arg(long, num_args = 1.., value_enum)]
    only: Vec<Section>,
    /// A file of real messages: one a line, as text or as a JSON object with a string `text`.
    #[arg(long)]
    corpus: Option<PathBuf>,
    /// How long one measurement lasts.
    #[arg(long)]
    seconds: Option<f64>,
    /// How many clients send at once, in the sections that say so.
    #[arg(long, num_args = 1.., default_values_t = [1, 10, 64, 256])]
    clients: Vec<usize>,
    /// The file whose table is to be replaced by this run's.
    #[arg(long)]
    save: Option<PathBuf>,
    /// What was built, in words.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    SendsPostgres,
    SendsSqlite,
    HotChat,
    LongStream,
    LongChat,
    Http,
    Rebuild,
    Memory,
    Engines,
    FirstLoad,
}

/// How much is measured.
#[derive(Clone, Copy)]
pub struct Scale {
    pub window: Window,
    pub rounds: usize,
    /// Messages of the long chat, and of the log that projections are rebuilt from.
    pub messages: u64,
    /// Events of the long stream.
    pub stream: u64,
}

/// What every section works with.
pub struct Bench {
    pub scale: Scale,
    /// How many send at once.
    pub clients: Vec<usize>,
    pub texts: Arc<Texts>,
    pub server: Server,
    pub machine: Machine,
    pub table: Table,
    /// A folder with a large log, once there is one.
    pub large: Option<rebuild::Large>,
    /// Real engines, where some are named.
    pub stack: Option<engines::Stack>,
    folder: tempfile::TempDir,
}

impl Bench {
    /// An empty place for a data folder.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Commands a second of our side, and what CPU each took.
    pub async fn ours<C: Client>(&self, clients: Vec<C>) -> anyhow::Result<(f64, String)> {
        let before = self.machine.cpu();
        let rate = rate(clients, self.scale.window).await?;
        Ok((rate.per_second, self.machine.cpu().each(before, rate.all)))
    }

    /// Says what is going on.
    pub fn say(&self, text: &str) {
        eprintln!("  {text}");
    }

    /// Adds a row, with what is to be said of the machine since the watch began.
    pub fn add(&mut self, row: Row, watch: &machine::Watch) {
        let row = match self.machine.others(watch) {
            Some(others) => row.note(others),
            None => row,
        };
        eprintln!("  {}: {} | {} | {} {}", row.what, row.ours, row.rival, row.ratio, row.notes.join("; "));
        self.table.rows.push(row);
    }

    async fn run(&mut self, section: Section) -> anyhow::Result<()> {
        match section {
            Section::SendsPostgres => sends::postgres(self).await,
            Section::SendsSqlite => sends::sqlite(self).await,
            Section::HotChat => sends::hot_chat(self).await,
            Section::LongStream => long_stream::run(self).await,
            Section::LongChat => long_chat::run(self).await,
            Section::Http => http::run(self).await,
            Section::Rebuild => rebuild::run(self).await,
            Section::Memory => memory::run(self).await,
            Section::Engines => engines::run(self).await,
            Section::FirstLoad => first_load::run(self),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(args))
}

async fn run(args: Args) -> anyhow::Result<()> {
    let texts = match &args.corpus {
        Some(file) => Texts::read(file)?,
        None => Texts::made_up(),
    };
    let seconds = args.seconds.unwrap_or(if args.quick { 1.0 } else { 4.0 });
    anyhow::ensure!(seconds > 0.0 && seconds <= 600.0, "--seconds takes a number above 0 and up to 600");
    let scale = Scale {
        window: Window::seconds(seconds),
        rounds: if args.quick { 1 } else { 3 },
        messages: if args.quick { 20_000 } else { 1_000_000 },
        stream: if args.quick { 5_000 } else { 100_000 },
    };
    anyhow::ensure!(
        args.clients.iter().all(|clients| (1..=300).contains(clients)),
        "--clients takes 1 to 300"
    );
    let server = Server::new(&args.postgres, &args.pgbench)?;
    let stack = args.stack.as_deref().map(engines::Stack::read).transpose()?;
    let mut servers = vec![server.process().await?];
    if let Some(stack) = &stack {
        stack.rest(true)?;
        servers.extend(stack.processes()?.into_iter().map(|(_, process)| process));
        servers.sort_unstable();
        servers.dedup();
    }
    let machine = Machine::new(servers);
    let folder = tempfile::Builder::new().prefix("letopis-bench-").tempdir()?;
    let (texts, table) = (Arc::new(texts), Table::default());
    let clients = args.clients.clone();
    let mut bench = Bench { scale, clients, texts, server, machine, table, large: None, stack, folder };
    facts(&mut bench, &args).await?;

    for section in Section::value_variants() {
        if !args.only.is_empty() && !args.only.contains(section) {
            continue;
        }
        let name = section.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        let state = bench.machine.state();
        eprintln!("{name} ({state})");
        bench.table.fact(&format!("before {name}"), state);
        bench.run(*section).await.map_err(|error| error.context(format!("section {name}")))?;
    }
    if let Some(stack) = &bench.stack {
        stack.rest(false)?;
    }
    println!("{}", bench.table.markdown());
    if let Some(file) = &args.save {
        bench.table.save(file)?;
        eprintln!("{} has the table", file.display());
    }
    Ok(())
}

async fn facts(bench: &mut Bench, args: &Args) -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let Scale { window, rounds, messages, stream } = bench.scale;
    let version = bench.server.version().await?;
    let table = &mut bench.table;
    table.fact("commit", &args.commit);
    table.fact("command", command_line(&words));
    table.fact(
        "machine",
        format!(
            "{} CPUs ({}), {}, Linux {}; database, program and load share it",
            Machine::cpus(),
            Machine::model(),
            Machine::memory(),
            Machine::kernel()
        ),
    );
    table.fact("engines", format!("PostgreSQL {version}, SQLite {}", rusqlite::version()));
    table.fact("texts", &bench.texts.source);
    table.fact(
        "measured",
        format!(
            "{rounds} rounds of {} s for each side in turns; {messages} messages in the long chat and for rebuilds, \
             {stream} events in the long stream",
            window.time.as_secs_f64()
        ),
    );
    Ok(())
}

/// As one would type it; what `./dev bench` adds is left out.
fn command_line(words: &[String]) -> String {
    let mut shown = vec!["./dev bench".to_owned()];
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if ["--postgres", "--pgbench", "--stack", "--commit"].contains(&word.as_str()) {
            words.next();
        } else {
            // Where a file lies is nobody's business; what it is called is.
            shown.push(
                Path::new(word).file_name().map_or(word.clone(), |name| name.to_string_lossy().into_owned()),
            );
        }
    }
    format!("`{}`", shown.join(" "))
}
