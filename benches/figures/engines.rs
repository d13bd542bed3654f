//! The same binary over the same log, its projections on real engines and on the embedded ones: what
//! a send, a page of history, a search and a rebuild cost on each, and what memory each process takes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use domain::Timestamp;

use crate::Bench;
use crate::house::{Engine, House, Seat};
use crate::http::{Guest, senders, settled};
use crate::long_chat::{PAGE, Reader, Side, paths};
use crate::measure::rate;
use crate::serve::{Letopis, Memory};
use crate::table::{Row, number};

const PROJECTIONS: [&str; 4] = ["timeline", "directory", "sessions", "search"];
/// Messages of the chat beside the long one.
const SHORT: u64 = 1_000;
/// Between two messages of the past, in microseconds.
const STEP: i64 = 30 * Timestamp::SECOND;
/// People who can be found, and who send.
const PEOPLE: usize = 256;
const SENDERS: [usize; 3] = [1, 64, 256];
const SEARCHERS: usize = 8;

/// The folder of a running `./dev stack`, with the variables that put a letopis on it.
pub struct Stack {
    folder: PathBuf,
    env: Vec<(String, String)>,
}

impl Stack {
    /// Reads `env` in the folder: lines of NAME=value.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("env");
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("{} can't be read", file.display()))?;
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = text.lines().filter_map(pair);
        // One log for both sides, in the folder.
        let env = env.filter(|(name, _)| name != "LETOPIS_LOG_URL" && name != "LETOPIS_KEYS_URL").collect();
        Ok(Self { folder: folder.to_owned(), env })
    }

    /// Lets all servers but PostgreSQL stand still, or go on: what is not measured must not be in the way of what
    /// is.
    ///
    /// # Errors
    /// If one can't be told.
    pub fn rest(&self, stands_still: bool) -> anyhow::Result<()> {
        let signal = if stands_still { "STOP" } else { "CONT" };
        for (_, process) in self.processes()?.iter().filter(|(name, _)| name != "postgres") {
            // Each is a session of its own, with all that it has started.
            let told = Command::new("kill").args(["-s", signal, "--", &format!("-{process}")]).status()?;
            ensure!(told.success(), "process {process} can't be told to {signal}");
        }
        Ok(())
    }

    /// The process of each server, by its name.
    ///
    /// # Errors
    /// If a file of theirs can't be read.
    pub fn processes(&self) -> anyhow::Result<Vec<(String, u32)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Ok(text) = std::fs::read_to_string(entry.path().join("pid")) else { continue };
            let pid = text.split_whitespace().next().and_then(|pid| pid.parse().ok());
            found.push((entry.file_name().to_string_lossy().into_owned(), pid.context("a process's id")?));
        }
        found.sort();
        Ok(found)
    }
}

/// One side of every figure.
struct Kind {
    name: &'static str,
    letopis: Letopis,
    /// From nothing to caught up.
    built: Duration,
}

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let Some(stack) = bench.stack.take() else {
        bench.say("no real engines are named: left out");
        return Ok(());
    };
    stack.rest(false)?;
    let done = measured(bench, &stack).await;
    stack.rest(true)?;
    bench.stack = Some(stack);
    done
}

async fn measured(bench: &mut Bench, stack: &Stack) -> anyhow::Result<()> {
    let texts = bench.texts.clone();
    let original = bench.folder("engines");
    let mut house = House::open(&original, &Engine::Sqlite).await?;
    house.populate(PEOPLE, 2).await?;
    let mut sides = Vec::new();
    for (index, messages) in [(0, bench.scale.messages), (7, SHORT)] {
        let seat: Seat = *house.seats.get(index).context("there are chats")?;
        bench.say(&format!("{messages} messages go into one chat"));
        house.fill(&[seat], messages, STEP, &texts).await?;
        let token = house.token(house.people[seat.pair[0]]);
        sides.push(Side { seat, messages, guest: Guest { token, chats: vec![seat.chat] } });
    }
    let guests = crate::http::guests(&house);
    let events = house.executor.log().head().await?.position;
    house.close().await?;
    // A log each, so that both write theirs; the same up to here.
    let beside = bench.folder("engines-real");
    copy(&original, &beside)?;

    let mut kinds = Vec::new();
    for (name, folder, env) in
        [("embedded", &original, Vec::new()), ("real engines", &beside, stack.env.clone())]
    {
        let watch = bench.machine.watch();
        let began = Instant::now();
        let letopis = Letopis::start_with(folder, &Engine::Sqlite, &env).await?;
        let built = began.elapsed();
        let what = format!("all projections at once, {name}, from {events} events, at the first start");
        let rate = events as f64 / built.as_secs_f64();
        bench.add(Row::value(what, rate, " events/s").note(format!("{:.1} s", built.as_secs_f64())), &watch);
        settled(&letopis, &sides[1].guest, &texts).await?;
        kinds.push(Kind { name, letopis, built });
    }
    let [embedded, real] = &kinds[..] else { bail!("two kinds") };
    bench.say(&format!("built in {:?} and {:?}", embedded.built, real.built));

    for clients in SENDERS {
        let watch = bench.machine.watch();
        let (mut ours, mut theirs, mut behind) = (Vec::new(), Vec::new(), Duration::ZERO);
        for _ in 0..bench.scale.rounds {
            for (kind, rates) in [(real, &mut ours), (embedded, &mut theirs)] {
                let senders = senders(&kind.letopis, &guests, clients, &texts).await?;
                rates.push(rate(senders, bench.scale.window).await?.per_second);
                let lag = settled(&kind.letopis, &guests[0], &texts).await?;
                if kind.name == real.name {
                    behind = behind.max(lag);
                }
            }
        }
        let what = format!("send through HTTP, real engines, {clients} clients");
        let lag = format!("projections had caught up {:.1} s after it", behind.as_secs_f64());
        bench.add(Row::ratio(what, "/s", &ours, ("embedded", &theirs)).note(lag), &watch);
    }
    histories(bench, embedded, real, &sides).await?;
    searches(bench, embedded, real, &guests).await?;
    for name in PROJECTIONS {
        for kind in &kinds {
            let watch = bench.machine.watch();
            let began = Instant::now();
            kind.letopis.run(&["projections", "rebuild", name]).await?;
            let took = began.elapsed().as_secs_f64();
            let what =
                format!("rebuild of {name} from {events} events, {}, compared and switched", kind.name);
            let row = Row::value(what, events as f64 / took, " events/s");
            bench.add(row.note(format!("{took:.1} s")), &watch);
        }
    }
    let watch = bench.machine.watch();
    for kind in &kinds {
        let memory = kind.letopis.memory()?;
        let what = format!("memory after all this, letopis, {}", kind.name);
        bench.add(of_memory(what, memory), &watch);
    }
    for (name, process) in stack.processes()? {
        let what = format!("memory after all this, {name}");
        bench.add(of_memory(what, Memory::of_tree(process)?), &watch);
    }
    for kind in kinds {
        kind.letopis.stop().await?;
    }
    Ok(())
}

fn of_memory(what: String, memory: Memory) -> Row {
    Row::value(what, memory.pss, " MB PSS").note(format!("RSS {:.0} MB", memory.rss))
}

/// Pages of both chats on both kinds; flat in a chat's length on each.
async fn histories(bench: &mut Bench, embedded: &Kind, real: &Kind, sides: &[Side]) -> anyhow::Result<()> {
    for side in sides {
        let (of_real, of_embedded) =
            (paths(&real.letopis, side).await?, paths(&embedded.letopis, side).await?);
        for ((what, real_path), (_, embedded_path)) in of_real.iter().zip(&of_embedded) {
            let watch = bench.machine.watch();
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..bench.scale.rounds {
                for (kind, path, costs) in
                    [(real, real_path, &mut ours), (embedded, embedded_path, &mut theirs)]
                {
                    let reader = Reader::open(&kind.letopis, path, &side.guest.token, PAGE).await?;
                    costs.push(1e6 / rate(vec![reader], bench.scale.window).await?.per_second);
                }
            }
            let messages = number(side.messages as f64);
            let what = format!("{what} (HTTP, Cassandra) in a chat of {messages} messages");
            bench.add(Row::ratio(what, " µs", &ours, ("SQLite", &theirs)), &watch);
        }
    }
    Ok(())
}

async fn searches(bench: &mut Bench, embedded: &Kind, real: &Kind, guests: &[Guest]) -> anyhow::Result<()> {
    for (what, query, found) in [("prefix", "person2", 20), ("typo", "persno17", 1)] {
        let path = format!("/query/v1/users?q={query}&limit=20");
        let watch = bench.machine.watch();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..bench.scale.rounds {
            for (kind, rates) in [(real, &mut ours), (embedded, &mut theirs)] {
                let mut readers = Vec::new();
                for guest in guests.iter().take(SEARCHERS) {
                    readers.push(Reader::at_least(&kind.letopis, &path, &guest.token, found).await?);
                }
                rates.push(rate(readers, bench.scale.window).await?.per_second);
            }
        }
        let what = format!("search by {what} among {PEOPLE}, Elasticsearch, {SEARCHERS} clients");
        bench.add(Row::ratio(what, "/s", &ours, ("tantivy", &theirs)), &watch);
    }
    Ok(())
}

/// Copies the files of a folder: a log that nobody has open.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        ensure!(entry.file_type()?.is_file(), "a folder that a letopis has served already");
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
