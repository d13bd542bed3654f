//! A chat of 1,000,000 messages beside one of 100: what a send and a page of history cost, and the
//! first send after a start.

use std::time::Instant;

use anyhow::{Context, ensure};
use domain::Timestamp;

use crate::Bench;
use crate::house::{Engine, House, Seat};
use crate::http::{Guest, Sender, settled};
use crate::measure::{Client, Window, rate};
use crate::serve::{Connection, Letopis, get};
use crate::table::{Bar, Row, number};

/// Between two messages of the past, in microseconds.
const STEP: i64 = 30 * Timestamp::SECOND;
const SHORT: u64 = 100;
/// Messages in a page, and in the period that is asked for.
pub const PAGE: u64 = 50;
const FLAT: Bar = Bar::AtMost(1.1);

/// One of the two chats.
pub struct Side {
    pub seat: Seat,
    pub messages: u64,
    pub guest: Guest,
}

pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let folder = bench.folder("long-chat");
    let mut house = House::open(&folder, &Engine::Sqlite).await?;
    house.populate(4, 1).await?;
    let texts = bench.texts.clone();
    let mut sides = Vec::new();
    for (index, messages) in [(0, bench.scale.messages), (2, SHORT)] {
        let seat = *house.seats.get(index).context("there are four chats")?;
        bench.say(&format!("{messages} messages go into one chat"));
        house.fill(&[seat], messages, STEP, &texts).await?;
        let token = house.token(house.people[seat.pair[0]]);
        sides.push(Side { seat, messages, guest: Guest { token, chats: vec![seat.chat] } });
    }
    let [long, short] = &sides[..] else { anyhow::bail!("two chats") };
    let beside = format!("{SHORT} messages");
    let name = |what: &str| format!("{what} in a chat of {} messages", number(long.messages as f64));

    // Both streams are in the cache before anything is compared.
    for side in &sides {
        rate(house.senders_into(2, side.seat, &texts), Window::seconds(0.2)).await?;
    }
    for clients in [1, 64] {
        let watch = bench.machine.watch();
        let (mut costs, mut short_costs) = (Vec::new(), Vec::new());
        for _ in 0..bench.scale.rounds {
            for (side, costs) in [(long, &mut costs), (short, &mut short_costs)] {
                let rate = rate(house.senders_into(clients, side.seat, &texts), bench.scale.window).await?;
                costs.push(1e6 / rate.per_second);
            }
        }
        let what = name(&format!("send (executor, SQLite, {clients} clients)"));
        bench.add(Row::ratio(what, " µs", &costs, (&beside, &short_costs)).bar(FLAT), &watch);
    }
    house.close().await?;

    bench.say("the projections are built");
    let began = Instant::now();
    let letopis = Letopis::start(&folder, &Engine::Sqlite).await?;
    bench.say(&format!("ready after {:.1} s", began.elapsed().as_secs_f64()));
    settled(&letopis, &short.guest, &texts).await?;
    pages(bench, &letopis, long, short).await?;
    letopis.stop().await?;
    first_send(bench, long, short).await
}

/// What the reader asks for.
pub async fn paths(letopis: &Letopis, side: &Side) -> anyhow::Result<[(&'static str, String); 3]> {
    let base = format!("/query/v1/chats/{}/messages", side.seat.chat);
    let middle = side.messages / 2 - PAGE / 2;
    // The time of a message in the middle, as the answer has it.
    let mut connection = Connection::open(letopis.address).await?;
    let page = format!("{base}?after={middle}&limit={PAGE}");
    let (status, answer) = connection.ask(&get(&page, Some(&side.guest.token), None)).await?;
    ensure!(status == 200, "a page answers {status}: {}", String::from_utf8_lossy(answer));
    let answer: serde_json::Value = serde_json::from_slice(answer)?;
    let time = |index: usize| {
        let text = answer["items"][index]["sent_at"].as_str().context("a message without a time")?;
        Timestamp::parse(text).context("a time that is none")
    };
    let (from, to) = (time(0)?, time(PAGE as usize - 1)?.plus(1));
    Ok([
        ("newest page", base.clone()),
        ("page by number from the middle", page),
        ("page by period from the middle", format!("{base}?from={from}&to={to}&limit={PAGE}")),
    ])
}

async fn pages(bench: &mut Bench, letopis: &Letopis, long: &Side, short: &Side) -> anyhow::Result<()> {
    let (long_paths, short_paths) = (paths(letopis, long).await?, paths(letopis, short).await?);
    for ((what, long_path), (_, short_path)) in long_paths.iter().zip(&short_paths) {
        let watch = bench.machine.watch();
        let (mut costs, mut short_costs) = (Vec::new(), Vec::new());
        for _ in 0..bench.scale.rounds {
            for (side, path, costs) in [(long, long_path, &mut costs), (short, short_path, &mut short_costs)]
            {
                let reader = Reader::open(letopis, path, &side.guest.token, PAGE).await?;
                costs.push(1e6 / rate(vec![reader], bench.scale.window).await?.per_second);
            }
        }
        let what = format!("{what} (HTTP, SQLite) in a chat of {} messages", number(long.messages as f64));
        let beside = format!("{SHORT} messages");
        bench.add(Row::ratio(what, " µs", &costs, (&beside, &short_costs)).bar(FLAT), &watch);
    }
    Ok(())
}

/// The first send after a start, each on a process of its own.
async fn first_send(bench: &mut Bench, long: &Side, short: &Side) -> anyhow::Result<()> {
    let folder = bench.folder("long-chat");
    let watch = bench.machine.watch();
    let (mut costs, mut short_costs) = (Vec::new(), Vec::new());
    for _ in 0..bench.scale.rounds {
        for (side, costs) in [(long, &mut costs), (short, &mut short_costs)] {
            let letopis = Letopis::start(&folder, &Engine::Sqlite).await?;
            let mut sender = Sender::open(&letopis, &side.guest, &bench.texts, 1).await?;
            let began = Instant::now();
            sender.send().await?;
            costs.push(began.elapsed().as_secs_f64() * 1e3);
            letopis.stop().await?;
        }
    }
    let what = format!("first send after a start, chat of {} messages", number(long.messages as f64));
    bench.add(Row::ratio(what, " ms", &costs, (&format!("{SHORT} messages"), &short_costs)), &watch);
    Ok(())
}

/// Asks for the same page over and over.
pub struct Reader {
    connection: Connection,
    request: Vec<u8>,
}

impl Reader {
    /// # Errors
    /// If the first answer is no page of `size` messages.
    pub async fn open(letopis: &Letopis, path: &str, token: &str, size: u64) -> anyhow::Result<Self> {
        let (reader, items) = Self::asked(letopis, path, token).await?;
        ensure!(items == size, "{path} answers {items} messages instead of {size}");
        Ok(reader)
    }

    /// # Errors
    /// If the first answer has fewer items.
    pub async fn at_least(letopis: &Letopis, path: &str, token: &str, items: u64) -> anyhow::Result<Self> {
        let (reader, found) = Self::asked(letopis, path, token).await?;
        ensure!(found >= items, "{path} answers {found} items, fewer than {items}");
        Ok(reader)
    }

    /// With the number of items in the first answer.
    async fn asked(letopis: &Letopis, path: &str, token: &str) -> anyhow::Result<(Self, u64)> {
        let mut connection = Connection::open(letopis.address).await?;
        let request = get(path, Some(token), None);
        let (status, answer) = connection.ask(&request).await?;
        ensure!(status == 200, "{path} answers {status}: {}", String::from_utf8_lossy(answer));
        let answer: serde_json::Value = serde_json::from_slice(answer)?;
        let items = answer["items"].as_array().map_or(0, Vec::len) as u64;
        Ok((Self { connection, request }, items))
    }
}

impl Client for Reader {
    async fn command(&mut self) -> anyhow::Result<bool> {
        let (status, answer) = self.connection.ask(&self.request).await?;
        ensure!(status == 200, "a page answers {status}: {}", String::from_utf8_lossy(answer));
        Ok(true)
    }
}
