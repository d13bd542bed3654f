//! Sends through the executor: durable, sealed, idempotent, authorised by facts of other streams.

use crate::Bench;
use crate::house::{Engine, House};
use crate::measure::{Window, rate};
use crate::single::Single;
use crate::stock::Stock;
use crate::table::{Bar, Row};

/// People of a house, and how many friends each makes: 1,024 chats.
pub const PEOPLE: usize = 256;
pub const FRIENDS: usize = 4;

/// A house with its people on an engine.
pub async fn peopled(bench: &Bench, name: &str, engine: &Engine) -> anyhow::Result<House> {
    bench.say(&format!("{PEOPLE} people make {} chats ({name})", PEOPLE * FRIENDS));
    let mut house = House::open(&bench.folder(name), engine).await?;
    house.populate(PEOPLE, FRIENDS).await?;
    Ok(house)
}

/// On PostgreSQL, beside pgbench and stock postgres-es.
pub async fn postgres(bench: &mut Bench) -> anyhow::Result<()> {
    let engine = Engine::Postgres(bench.server.fresh("bench_sends").await?);
    let house = peopled(bench, "sends-postgres", &engine).await?;
    let pgbench = bench.server.rival(bench.texts.typical()).await?;
    let stock = Stock::open(&bench.server, "bench_stock", &bench.texts).await?;
    bench.table.fact("settings of our committing connection, PostgreSQL", &house.durability);
    bench.table.fact("settings of pgbench's connections", &pgbench.settings);
    bench.table.fact("settings of stock's connections", &stock.settings);

    let window = bench.scale.window;
    for clients in bench.clients.clone() {
        let watch = bench.machine.watch();
        let (mut ours, mut single, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        let (mut conflicts, mut cpu) = (0.0_f64, String::new());
        for _ in 0..bench.scale.rounds {
            let (rate_of_ours, cpu_of_ours) = bench.ours(house.senders(clients, &bench.texts)).await?;
            ours.push(rate_of_ours);
            cpu = cpu_of_ours;
            single.push(pgbench.rate(clients, window).await?);
            let rate = rate(stock.clients(clients, PEOPLE * FRIENDS), window).await?;
            whole.push(rate.per_second);
            conflicts = conflicts.max(rate.conflicts);
        }
        let what = format!("executor, PostgreSQL, {clients} clients");
        let row = Row::ratio(&what, "/s", &ours, ("pgbench INSERT", &single)).note(cpu);
        let row = match clients {
            64 => row.bar(Bar::AtLeast(1.5)),
            256 => row.bar(Bar::AtLeast(3.0)),
            _ => row,
        };
        bench.add(row, &watch);
        let row = Row::ratio(&what, "/s", &ours, ("stock postgres-es", &whole));
        let row = if clients == 256 { row.bar(Bar::AtLeast(10.0)) } else { row };
        bench.add(row.note(format!("{:.1} % of stock's commands conflict", conflicts * 100.0)), &watch);
    }
    house.close().await
}

/// On SQLite, beside one transaction a command.
pub async fn sqlite(bench: &mut Bench) -> anyhow::Result<()> {
    let house = peopled(bench, "sends-sqlite", &Engine::Sqlite).await?;
    let single = Single::open(&bench.folder("single.db"))?;
    bench.table.fact("settings of our committing connection, SQLite", &house.durability);
    bench.table.fact("settings of one transaction a command", single.settings()?);
    for clients in bench.clients.clone() {
        let watch = bench.machine.watch();
        let (mut ours, mut rival, mut cpu) = (Vec::new(), Vec::new(), String::new());
        for _ in 0..bench.scale.rounds {
            let (rate_of_ours, cpu_of_ours) = bench.ours(house.senders(clients, &bench.texts)).await?;
            ours.push(rate_of_ours);
            cpu = cpu_of_ours;
            rival.push(single.rate(bench.scale.window, &bench.texts).await?);
        }
        let what = format!("executor, SQLite, {clients} clients");
        let row = Row::ratio(what, "/s", &ours, ("one transaction a command", &rival)).note(cpu);
        bench.add(row, &watch);
    }
    house.close().await
}

/// All clients in one chat, beside the same clients in a thousand.
pub async fn hot_chat(bench: &mut Bench) -> anyhow::Result<()> {
    const BUSY: usize = 256;
    let url = bench.server.fresh("bench_hot").await?;
    for (name, engine) in [("SQLite", Engine::Sqlite), ("PostgreSQL", Engine::Postgres(url))] {
        let house = peopled(bench, &format!("hot-{name}"), &engine).await?;
        let Some(seat) = house.seats.first().copied() else { anyhow::bail!("there is no chat") };
        // Every stream is in the cache before anything is compared.
        rate(house.senders(BUSY, &bench.texts), Window::seconds(0.5)).await?;
        let watch = bench.machine.watch();
        let (mut hot, mut quiet) = (Vec::new(), Vec::new());
        for _ in 0..bench.scale.rounds {
            hot.push(
                rate(house.senders_into(BUSY, seat, &bench.texts), bench.scale.window).await?.per_second,
            );
            quiet.push(rate(house.senders(BUSY, &bench.texts), bench.scale.window).await?.per_second);
        }
        let what = format!("executor, {name}, {BUSY} clients in one chat");
        let quiet = Row::ratio(what, "/s", &hot, (&format!("in {} chats", PEOPLE * FRIENDS), &quiet));
        bench.add(quiet.bar(Bar::AtLeast(1.0)), &watch);
        house.close().await?;
    }
    Ok(())
}
