//! One stream that is long already: a command reads it from the cache here, and whole there.

use std::time::Duration;

use crate::Bench;
use crate::house::{Engine, House};
use crate::measure::{rate, slow_rate};
use crate::stock::Stock;
use crate::table::{Bar, Row, number};

/// Between two messages of the past, in microseconds.
const STEP: i64 = 30_000_000;
/// Stock needs seconds a command here: it is given this long at most.
const LONGEST: Duration = Duration::from_secs(90);

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let engine = Engine::Postgres(bench.server.fresh("bench_long").await?);
    let mut house = House::open(&bench.folder("long-stream"), &engine).await?;
    house.populate(2, 1).await?;
    let Some(seat) = house.seats.first().copied() else { anyhow::bail!("there is no chat") };
    let events = bench.scale.stream;
    bench.say(&format!("{events} messages go into one chat"));
    let texts = bench.texts.clone();
    house.fill(&[seat], events, STEP, &texts).await?;
    let stock = Stock::with_long_stream(&bench.server, "bench_stock_long", &texts, events).await?;

    for (clients, enough, bar) in [(1, 8, 500.0), (64, 3, 5_000.0)] {
        let watch = bench.machine.watch();
        let window = bench.scale.window;
        let (mut ours, mut rival, mut conflicts) = (Vec::new(), Vec::new(), 0.0_f64);
        // Where stock takes a minute, once tells enough.
        for _ in 0..if clients == 1 { bench.scale.rounds } else { 1 } {
            ours.push(rate(house.senders_into(clients, seat, &texts), window).await?.per_second);
            let slow = slow_rate(stock.long_clients(clients), window, enough, LONGEST).await?;
            rival.push(slow.per_second);
            conflicts = conflicts.max(slow.conflicts);
        }
        let what =
            format!("executor, PostgreSQL, a stream of {} events, {clients} clients", number(events as f64));
        let row = Row::ratio(what, "/s", &ours, ("stock postgres-es", &rival)).bar(Bar::AtLeast(bar));
        bench.add(row.note(format!("{:.0} % of stock's commands conflict", conflicts * 100.0)), &watch);
    }
    house.close().await
}
