//! Memory of `letopis serve` on its embedded engines. No password is hashed here: each hash takes
//! 19 MiB more while it runs, and at most a few run at once.

use std::time::Duration;

use crate::Bench;
use crate::house::Engine;
use crate::http::{guests, senders, settled};
use crate::measure::{Window, rate};
use crate::rebuild::{Large, large};
use crate::sends::peopled;
use crate::serve::{Letopis, Memory};
use crate::table::{Bar, Row};

/// A server is left alone for this long before it counts as idle.
const IDLE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(100);
const BUSY: usize = 256;

fn row(what: String, memory: Memory) -> Row {
    Row::value(what, memory.pss, " MB PSS")
        .note(format!("RSS {:.0} MB, at its highest {:.0} MB", memory.rss, memory.highest_rss))
}

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let watch = bench.machine.watch();
    let letopis = Letopis::start(&bench.folder("empty"), &Engine::Sqlite).await?;
    tokio::time::sleep(IDLE).await;
    let idle = row("memory, idle, a fresh folder".into(), letopis.memory()?).bar(Bar::AtMost(50.0));
    bench.add(idle, &watch);
    letopis.stop().await?;

    let Large { events, .. } = large(bench).await?;
    let folder = bench.folder("large");
    // The first start builds the projections; it is the second one that is idle.
    Letopis::start(&folder, &Engine::Sqlite).await?.stop().await?;
    let watch = bench.machine.watch();
    let letopis = Letopis::start(&folder, &Engine::Sqlite).await?;
    tokio::time::sleep(IDLE).await;
    let idle =
        row(format!("memory, idle, a log of {events} events"), letopis.memory()?).bar(Bar::AtMost(50.0));
    bench.add(idle, &watch);
    letopis.stop().await?;

    let house = peopled(bench, "busy", &Engine::Sqlite).await?;
    let guests = guests(&house);
    house.close().await?;
    let letopis = Letopis::start(&bench.folder("busy"), &Engine::Sqlite).await?;
    let watch = bench.machine.watch();
    let senders = senders(&letopis, &guests, BUSY, &bench.texts).await?;
    let time = bench.scale.window.time * 3;
    let sending = tokio::spawn(rate(senders, Window { warm: Duration::ZERO, time }));
    let mut most = Memory::default();
    while !sending.is_finished() {
        let seen = letopis.memory()?;
        most = Memory { rss: most.rss.max(seen.rss), pss: most.pss.max(seen.pss), ..seen };
        tokio::time::sleep(LOOK).await;
    }
    let sent = sending.await??.per_second;
    let busy = row(format!("memory, {BUSY} clients that send at {sent:.0}/s"), most).bar(Bar::AtMost(100.0));
    bench.add(busy, &watch);
    settled(&letopis, &guests[0], &bench.texts).await?;
    letopis.stop().await
}
