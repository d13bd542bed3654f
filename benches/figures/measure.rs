//! Driving clients that each send one command after the other, and counting what was answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

/// After the end of a measurement its last commands are waited for this long, then left.
const DRAIN: Duration = Duration::from_secs(2);
/// How often a measurement that has to wait for its first answers looks for them.
const LOOK: Duration = Duration::from_millis(20);

/// One client, with whatever connection and state it has.
pub trait Client: Send + 'static {
    /// Sends one command and waits for its answer; false if it was refused by a conflict.
    fn command(&mut self) -> impl Future<Output = anyhow::Result<bool>> + Send;
}

/// How long one measurement lasts.
#[derive(Clone, Copy)]
pub struct Window {
    pub warm: Duration,
    pub time: Duration,
}

impl Window {
    pub fn seconds(seconds: f64) -> Self {
        let time = Duration::from_secs_f64(seconds);
        Self { warm: (time / 4).min(Duration::from_secs(1)), time }
    }
}

/// What was counted.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Commands that were done, a second.
    pub per_second: f64,
    /// Of all answers, the share that were conflicts.
    pub conflicts: f64,
    /// Commands that were done from first to last, warming up included.
    pub all: u64,
}

#[derive(Default)]
struct Counts {
    done: AtomicU64,
    conflicts: AtomicU64,
    stop: AtomicBool,
}

fn start<C: Client>(clients: Vec<C>, counts: &Arc<Counts>) -> JoinSet<anyhow::Result<()>> {
    let mut running = JoinSet::new();
    for mut client in clients {
        let counts = counts.clone();
        running.spawn(async move {
            while !counts.stop.load(Ordering::Relaxed) {
                let counter = if client.command().await? { &counts.done } else { &counts.conflicts };
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    running
}

/// Ends the clients; the first error that one of them met.
async fn end(mut running: JoinSet<anyhow::Result<()>>, counts: &Counts) -> anyhow::Result<()> {
    counts.stop.store(true, Ordering::Relaxed);
    let drain = async {
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        Ok(())
    };
    // Whoever still waits is dropped with the set.
    tokio::time::timeout(DRAIN, drain).await.unwrap_or(Ok(()))
}

/// Warms up, then counts for the window's time.
pub async fn rate<C: Client>(clients: Vec<C>, window: Window) -> anyhow::Result<Rate> {
    let counts = Arc::new(Counts::default());
    let mut running = start(clients, &counts);
    wait(&mut running, window.warm).await?;
    let before = (counts.done.load(Ordering::Relaxed), counts.conflicts.load(Ordering::Relaxed));
    let began = Instant::now();
    wait(&mut running, window.time).await?;
    let took = began.elapsed().as_secs_f64();
    let done = (counts.done.load(Ordering::Relaxed) - before.0) as f64;
    let conflicts = (counts.conflicts.load(Ordering::Relaxed) - before.1) as f64;
    end(running, &counts).await?;
    let all = counts.done.load(Ordering::Relaxed);
    Ok(Rate { per_second: done / took, conflicts: conflicts / (done + conflicts).max(1.0), all })
}

/// For what is too slow for a window: counts from the start until there were `enough` answers and
/// the window's time is over, but never for longer than `longest`. With none done by then, the rate
/// of one in that time is answered, which is more than it was.
pub async fn slow_rate<C: Client>(
    clients: Vec<C>,
    window: Window,
    enough: u64,
    longest: Duration,
) -> anyhow::Result<Rate> {
    let counts = Arc::new(Counts::default());
    let mut running = start(clients, &counts);
    let began = Instant::now();
    loop {
        wait(&mut running, LOOK).await?;
        let (done, took) = (counts.done.load(Ordering::Relaxed), began.elapsed());
        if (done >= enough && took >= window.time) || took >= longest {
            break;
        }
    }
    let took = began.elapsed().as_secs_f64();
    let (done, conflicts) = (counts.done.load(Ordering::Relaxed), counts.conflicts.load(Ordering::Relaxed));
    counts.stop.store(true, Ordering::Relaxed);
    running.shutdown().await;
    let (all, conflicts) = (done.max(1), conflicts as f64);
    Ok(Rate { per_second: all as f64 / took, conflicts: conflicts / (all as f64 + conflicts), all })
}

/// Waits for `time`, or for a client that failed.
async fn wait(running: &mut JoinSet<anyhow::Result<()>>, time: Duration) -> anyhow::Result<()> {
    match tokio::time::timeout(time, running.join_next()).await {
        Err(_over) => Ok(()),
        Ok(Some(ended)) => Err(ended?.err().unwrap_or_else(|| anyhow::anyhow!("a client stopped early"))),
        Ok(None) => anyhow::bail!("there is no client"),
    }
}

/// The middle value; the mean of the two middle ones of an even number.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// Reproducible, and different for each seed (splitmix64).
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.roll() % end.max(1) as u64) as usize
    }

    /// 80 bits.
    pub fn ten_bytes(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&self.roll().to_le_bytes());
        bytes[8..].copy_from_slice(&self.roll().to_le_bytes()[..2]);
        bytes
    }
}
