//! The machine: what it is, and whether somebody else was using it.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// More than this share of the CPUs taken by others, and the row says so.
const OTHERS: f64 = 0.10;
/// One spin takes about so many rounds of mixing; some 50 ms.
const SPIN: u64 = 40_000_000;

/// CPU time in clock ticks.
#[derive(Clone, Copy, Debug, Default)]
struct Ticks {
    /// Of all CPUs, since the start of the machine.
    all: u64,
    busy: u64,
    /// Of our own processes.
    own: u64,
}

/// Tells our own work from that of others.
pub struct Machine {
    /// Processes whose children are ours too.
    roots: Vec<u32>,
    fastest_spin: Option<Duration>,
}

/// CPU time of those who take part, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// This process: the load, and with it the executor where there is no other process.
    pub here: f64,
    /// Processes that this one has started.
    pub started: f64,
    /// The roots with all of theirs.
    pub servers: f64,
}

impl Cpu {
    /// What was used between `earlier` and this, for each of `count` commands, in words.
    pub fn each(self, earlier: Self, count: u64) -> String {
        let micros = |now: f64, then: f64| format!("{:.0} µs", (now - then) * 1e6 / count.max(1) as f64);
        let mut words = format!("CPU a command: {} here", micros(self.here, earlier.here));
        if self.started > earlier.started {
            words += &format!(", {} letopis", micros(self.started, earlier.started));
        }
        if self.servers > earlier.servers {
            words += &format!(", {} PostgreSQL", micros(self.servers, earlier.servers));
        }
        words
    }
}

/// A stretch of time that is looked at.
pub struct Watch(Ticks);

impl Machine {
    /// `roots` beside this process: servers that others have started for us.
    pub fn new(roots: Vec<u32>) -> Self {
        Self { roots, fastest_spin: None }
    }

    pub fn cpus() -> usize {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    }

    pub fn model() -> String {
        let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        model.map_or("an unknown CPU".into(), |(_, model)| model.trim().to_owned())
    }

    pub fn memory() -> String {
        let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = text
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok());
        kib.map_or("unknown".into(), |kib: u64| format!("{} GB", kib.div_ceil(1_000_000)))
    }

    pub fn kernel() -> String {
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
    }

    /// Load of the last minute, and how long all CPUs together take for a fixed piece of work
    /// against the fastest time seen.
    pub fn state(&mut self) -> String {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().next().unwrap_or("?").to_owned();
        let took = spin_all();
        let fastest = self.fastest_spin.map_or(took, |fastest| fastest.min(took));
        self.fastest_spin = Some(fastest);
        let slower = took.as_secs_f64() / fastest.as_secs_f64();
        format!("load {load}, a fixed piece of work takes {slower:.2} of its best time")
    }

    pub fn watch(&self) -> Watch {
        Watch(self.ticks())
    }

    /// What is to be said of the stretch since the watch began, if others took part in it.
    pub fn others(&self, watch: &Watch) -> Option<String> {
        let (before, now) = (watch.0, self.ticks());
        let all = now.all.saturating_sub(before.all).max(1);
        let busy = now.busy.saturating_sub(before.busy);
        let own = now.own.saturating_sub(before.own);
        let share = busy.saturating_sub(own) as f64 / all as f64;
        (share > OTHERS).then(|| format!("NOT IDLE: others took {:.0} % of the CPUs", share * 100.0))
    }

    fn ticks(&self) -> Ticks {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let fields: Vec<u64> =
            line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
        // user nice system idle iowait irq softirq steal; interrupts belong to nobody, and what the
        // hypervisor steals belongs to others.
        let field = |index: usize| fields.get(index).copied().unwrap_or(0);
        Ticks {
            all: fields.iter().take(8).sum(),
            busy: field(0) + field(1) + field(2) + field(7),
            own: self.own_ticks(),
        }
    }

    /// Of this process, the roots, the kernel's threads, and all who descend from them. A process
    /// that has ended is counted in its parent, which has waited for it.
    fn own_ticks(&self) -> u64 {
        const KERNEL: u32 = 2;
        let roots = self.roots.iter().copied().chain([std::process::id(), KERNEL]);
        Processes::read().ticks_of(roots)
    }

    /// CPU time used so far.
    pub fn cpu(&self) -> Cpu {
        // Linux counts in hundredths of a second for whoever reads.
        let seconds = |ticks: u64| ticks as f64 / 100.0;
        let processes = Processes::read();
        let here = std::process::id();
        let alone = processes.alone.get(&here).copied().unwrap_or(0);
        let all = processes.ticks_of([here]);
        Cpu {
            here: seconds(alone),
            started: seconds(all.saturating_sub(alone)),
            servers: seconds(processes.ticks_of(self.roots.iter().copied())),
        }
    }
}

/// All processes at one moment.
#[derive(Default)]
struct Processes {
    children: HashMap<u32, Vec<u32>>,
    /// CPU time of each.
    alone: HashMap<u32, u64>,
    /// The same with that of children that have ended.
    ticks: HashMap<u32, u64>,
}

impl Processes {
    fn read() -> Self {
        let mut processes = Self::default();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let Some(fields) = fields(id) else { continue };
            processes.children.entry(fields[0] as u32).or_default().push(id);
            processes.alone.insert(id, fields.iter().skip(10).take(2).sum());
            processes.ticks.insert(id, fields.iter().skip(10).sum());
        }
        processes
    }

    /// Of these and all who descend from them.
    fn ticks_of(&self, roots: impl IntoIterator<Item = u32>) -> u64 {
        let mut open: Vec<u32> = roots.into_iter().collect();
        let mut seen = HashSet::new();
        let mut ticks = 0;
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                ticks += self.ticks.get(&id).copied().unwrap_or(0);
                open.extend(self.children.get(&id).into_iter().flatten());
            }
        }
        ticks
    }
}

/// Fields 4 to 17 of a process's stat: the parent first; the last four are its time in user mode and
/// in the kernel, and the same of its children that were waited for.
fn fields(id: u32) -> Option<[u64; 14]> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name in parentheses may hold anything.
    let mut fields = [0; 14];
    let mut words = text.rsplit_once(')')?.1.split_whitespace().skip(1);
    for field in &mut fields {
        // Some fields may be negative; none that is used here.
        *field = words.next()?.parse().unwrap_or(0);
    }
    Some(fields)
}

/// The parent of a process.
pub fn parent_of(id: u32) -> Option<u32> {
    fields(id).map(|fields| fields[0] as u32)
}

fn spin_all() -> Duration {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for seed in 0..Machine::cpus() as u64 {
            scope.spawn(move || {
                let mut mixed = seed;
                for _ in 0..SPIN {
                    mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(1);
                }
                black_box(mixed)
            });
        }
    });
    began.elapsed()
}
