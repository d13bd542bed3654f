//! Sends through HTTP: the release binary as a process of its own, signed-in people, a new
//! Idempotency-Key for each message, projections at work as ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use domain::ids::{ChatId, uuid_v7};

use crate::Bench;
use crate::house::{Engine, House, Seat, now};
use crate::measure::{Client, Dice, Window, rate};
use crate::sends::{PEOPLE, peopled};
use crate::serve::{Connection, Letopis, get};
use crate::single::Single;
use crate::table::{Bar, Row};
use crate::texts::Texts;

/// The longest that projections may take to catch up after a measurement.
const PATIENCE: Duration = Duration::from_secs(300);

/// Somebody with a token, and the chats that they may write into.
#[derive(Clone)]
pub struct Guest {
    pub token: String,
    pub chats: Vec<ChatId>,
}

/// All people of a house as guests of a server over the same folder.
pub fn guests(house: &House) -> Vec<Guest> {
    let guest = |number: usize| {
        let mine = |seat: &&Seat| seat.pair.contains(&number);
        let chats = house.seats.iter().filter(mine).map(|seat| seat.chat).collect();
        Guest { token: house.token(house.people[number]), chats }
    };
    (0..house.people.len()).map(guest).collect()
}

/// A client with a connection of its own.
pub struct Sender {
    connection: Connection,
    guest: Guest,
    texts: Arc<Texts>,
    dice: Dice,
    request: Vec<u8>,
}

impl Sender {
    pub async fn open(
        letopis: &Letopis,
        guest: &Guest,
        texts: &Arc<Texts>,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let connection = Connection::open(letopis.address).await?;
        let dice = Dice::new(now().0 as u64 ^ seed << 48);
        Ok(Self { connection, guest: guest.clone(), texts: texts.clone(), dice, request: Vec::new() })
    }

    /// Sends one message, and answers the position that it came to.
    pub async fn send(&mut self) -> anyhow::Result<u64> {
        use std::io::Write;
        let chat_id = self.guest.chats[self.dice.below(self.guest.chats.len())];
        let text = self.texts.pick(&mut self.dice).to_owned();
        let body = serde_json::to_vec(&domain::requests::Send::text(chat_id, text))?;
        let key = uuid_v7(now(), &self.dice.ten_bytes());
        self.request.clear();
        write!(
            self.request,
            "POST /command/v1/send HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
             idempotency-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.guest.token,
            body.len()
        )?;
        self.request.extend_from_slice(&body);
        let (status, answer) = self.connection.ask(&self.request).await?;
        ensure!(status == 200, "send answers {status}: {}", String::from_utf8_lossy(answer));
        let sent: domain::requests::Sent = serde_json::from_slice(answer)?;
        Ok(sent.position)
    }
}

impl Client for Sender {
    async fn command(&mut self) -> anyhow::Result<bool> {
        self.send().await.map(|_| true)
    }
}

pub async fn senders(
    letopis: &Letopis,
    guests: &[Guest],
    clients: usize,
    texts: &Arc<Texts>,
) -> anyhow::Result<Vec<Sender>> {
    let mut senders = Vec::new();
    for client in 0..clients {
        senders.push(Sender::open(letopis, &guests[client % guests.len()], texts, client as u64).await?);
    }
    Ok(senders)
}

/// Waits until every projection shows what was sent by now, so that its work is not somebody else's
/// measurement. Answers how long that took.
pub async fn settled(letopis: &Letopis, guest: &Guest, texts: &Arc<Texts>) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let position = Sender::open(letopis, guest, texts, 0).await?.send().await?;
    let mut connection = Connection::open(letopis.address).await?;
    for path in ["/query/v1/chats", "/query/v1/friends", "/query/v1/sessions", "/query/v1/users?q=person1"] {
        loop {
            let (status, answer) = connection.ask(&get(path, Some(&guest.token), Some(position))).await?;
            ensure!(status == 200, "{path} answers {status}: {}", String::from_utf8_lossy(answer));
            let answer: serde_json::Value = serde_json::from_slice(answer)?;
            let shown = answer["position"].as_u64().with_context(|| format!("{path} answers no position"))?;
            if shown >= position {
                break;
            }
            ensure!(began.elapsed() < PATIENCE, "{path} shows {shown} of {position} only");
        }
    }
    Ok(began.elapsed())
}

/// Both engines, beside pgbench and beside one transaction a command.
pub async fn run(bench: &mut Bench) -> anyhow::Result<()> {
    let pgbench = bench.server.rival(bench.texts.typical()).await?;
    let single = Single::open(&bench.folder("http-single.db"))?;
    let url = bench.server.fresh("bench_http").await?;
    for (name, engine) in [("PostgreSQL", Engine::Postgres(url)), ("SQLite", Engine::Sqlite)] {
        let folder = format!("http-{name}");
        let house = peopled(bench, &folder, &engine).await?;
        let guests = guests(&house);
        house.close().await?;
        let letopis = Letopis::start(&bench.folder(&folder), &engine).await?;
        // Every token is verified and every stream read before anything is compared.
        let texts = bench.texts.clone();
        rate(senders(&letopis, &guests, PEOPLE, &texts).await?, Window::seconds(1.0)).await?;
        settled(&letopis, &guests[0], &texts).await?;

        for clients in bench.clients.clone() {
            let watch = bench.machine.watch();
            let (mut ours, mut insert, mut plain) = (Vec::new(), Vec::new(), Vec::new());
            let (mut behind, mut cpu) = (Duration::ZERO, String::new());
            for _ in 0..bench.scale.rounds {
                let senders = senders(&letopis, &guests, clients, &texts).await?;
                let (rate_of_ours, cpu_of_ours) = bench.ours(senders).await?;
                ours.push(rate_of_ours);
                cpu = cpu_of_ours;
                behind = behind.max(settled(&letopis, &guests[0], &texts).await?);
                insert.push(pgbench.rate(clients, bench.scale.window).await?);
                if matches!(engine, Engine::Sqlite) {
                    plain.push(single.rate(bench.scale.window, &texts).await?);
                }
            }
            let what = format!("send through HTTP, {name}, {clients} clients");
            let lag = format!("projections had caught up {:.1} s after it", behind.as_secs_f64());
            let row = Row::ratio(&what, "/s", &ours, ("pgbench INSERT", &insert)).note(cpu).note(lag);
            let bar = clients == 256 && matches!(engine, Engine::Postgres(_));
            bench.add(if bar { row.bar(Bar::AtLeast(2.0)) } else { row }, &watch);
            if !plain.is_empty() {
                let row = Row::ratio(&what, "/s", &ours, ("one transaction a command", &plain));
                bench.add(if clients == 256 { row.bar(Bar::AtLeast(5.0)) } else { row }, &watch);
            }
        }
        letopis.stop().await?;
    }
    Ok(())
}
