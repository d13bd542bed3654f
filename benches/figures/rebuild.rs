//! Projections made anew from a large log, by the running server, while it is read from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context;

use crate::Bench;
use crate::house::Engine;
use crate::http::{Guest, guests};
use crate::long_chat::Reader;
use crate::measure::Client;
use crate::sends::{FRIENDS, PEOPLE, peopled};
use crate::serve::Letopis;
use crate::table::{Bar, Row, number};

const PROJECTIONS: [&str; 4] = ["timeline", "directory", "sessions", "search"];
/// Messages in a page that is read meanwhile.
const PAGE: u64 = 10;
/// Clients that read pages of history all the while.
const READERS: usize = 2;
/// Between two messages of the past, in microseconds.
const STEP: i64 = 5_000_000;

/// A folder with a large log, made when it is first asked for.
#[derive(Clone)]
pub struct Large {
    pub guests: Vec<Guest>,
    pub events: u64,
}

/// Mostly messages in a thousand chats, and what their people did before.
pub async fn large(bench: &mut Bench) -> anyhow::Result<Large> {
    if let Some(large) = &bench.large {
        return Ok(large.clone());
    }
    let mut house = peopled(bench, "large", &Engine::Sqlite).await?;
    let (seats, messages, texts) = (house.seats.clone(), bench.scale.messages, bench.texts.clone());
    bench.say(&format!("{messages} messages go into {} chats", PEOPLE * FRIENDS));
    house.fill(&seats, messages, STEP, &texts).await?;
    let events = house.executor.log().head().await?.position;
    let large = Large { guests: guests(&house), events };
    house.close().await?;
    bench.large = Some(large.clone());
    Ok(large)
}

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let Large { guests, events } = large(bench).await?;
    let folder = bench.folder("large");
    let watch = bench.machine.watch();
    let began = Instant::now();
    let letopis = Letopis::start(&folder, &Engine::Sqlite).await?;
    let took = began.elapsed().as_secs_f64();
    let what = format!("all projections at once, from {events} events, at the first start");
    bench.add(Row::value(what, events as f64 / took, " events/s").note(format!("{took:.1} s")), &watch);

    for name in PROJECTIONS {
        let watch = bench.machine.watch();
        let (stop, pages) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut reading = tokio::task::JoinSet::new();
        for reader in 0..READERS {
            let guest = &guests[reader * 7 % guests.len()];
            let chat = guest.chats.first().context("everybody is in a chat")?;
            let path = format!("/query/v1/chats/{chat}/messages?limit={PAGE}");
            let mut reader = Reader::open(&letopis, &path, &guest.token, PAGE).await?;
            let (stop, pages) = (stop.clone(), pages.clone());
            reading.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    reader.command().await?;
                    pages.fetch_add(1, Ordering::Relaxed);
                }
                anyhow::Ok(())
            });
        }
        let began = Instant::now();
        let told = letopis.run(&["projections", "rebuild", name]).await?;
        let took = began.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        while let Some(read) = reading.join_next().await {
            read??;
        }
        let pages = pages.load(Ordering::Relaxed) as f64 / took;
        let what = format!("rebuild of {name} from {events} events, compared and switched");
        let mut row = Row::value(what, events as f64 / took, " events/s")
            .note(format!("{took:.1} s in all; {pages:.0} pages of history/s read meanwhile"));
        // It tells what it does five times a second; a short stage may pass untold.
        if let Some((seconds, _)) = told.iter().find(|(_, line)| line.contains("comparing")) {
            row = row.note(format!(
                "loaded and indexed after {seconds:.1} s ({}/s), then compared",
                number(events as f64 / seconds)
            ));
        }
        bench.add(if name == "timeline" { row.bar(Bar::AtLeast(200_000.0)) } else { row }, &watch);
    }
    letopis.stop().await
}
