//! `log verify` on both engines: a good log passes, and every kind of damage is found by its name.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use chronicle::keys::{Keyring, subject_of};
use chronicle::log::{ClaimKey, Head, LogError, Recorded};
use chronicle::verify::postgres::PostgresSource;
use chronicle::verify::sqlite::SqliteSource;
use chronicle::verify::{
    Changes, ClaimRow, MembershipRow, Mended, Outcome, Report, Source, Stock, rebuild_claims, verify,
};
use chronicle::{Halt, Ledger};
use domain::account::{Account, AccountCommand};
use domain::aggregate::StreamId;
use domain::chat::{Chat, ChatCommand, ChatFacts};
use domain::friendship::{Friendship, FriendshipCommand, FriendshipFacts, Wish};
use domain::ids::Pair;
use domain::personal::{Email, Name, Nickname, Verifier};
use domain::user::{User, UserCommand};
use sqlx::{AnyConnection, Connection, Executor};
use tempfile::TempDir;

use crate::contract::Engine as _;
use crate::postgres::Postgres;
use crate::support::{House, chat, key, person};

/// A log with people, friends and messages, on one of the engines.
struct Village {
    folder: TempDir,
    postgres: Option<Postgres>,
    house: House,
}

const EMAIL: &str = "email/1";
const NICKNAME: &str = "nickname/1";

impl Village {
    async fn on_sqlite() -> Self {
        let folder = TempDir::new().expect("a folder");
        let house = House::open(folder.path()).await;
        Self { folder, postgres: None, house }.settled().await
    }

    async fn on_postgres() -> Self {
        let (folder, postgres) = (TempDir::new().expect("a folder"), Postgres::new().await);
        let house = House::on(folder.path(), postgres.open().await).await;
        Self { folder, postgres: Some(postgres), house }.settled().await
    }

    async fn settled(self) -> Self {
        for (number, nickname) in [(0, "ann"), (1, "bob"), (2, "cyd")] {
            self.register(number, nickname).await;
        }
        self.rename(0, "ann", "anna").await;
        for (step, by, other, wish) in [
            (1, 0, 1, Wish::Add),
            (2, 1, 0, Wish::Accept),
            (3, 2, 0, Wish::Add),
            (4, 2, 1, Wish::Add),
            (5, 1, 2, Wish::Decline),
        ] {
            self.wish(step, by, other, wish).await;
        }
        self.chat_between(0, 1).await;
        for message in 0..6 {
            let text = format!("message {message}");
            self.house.send(1, u128::from(message % 2), key(40, message), &text).await.expect("sent");
        }
        self
    }

    fn keys(&self) -> &Keyring {
        self.house.executor.keyring()
    }

    async fn execute(
        &self,
        who: u128,
        step: u64,
        decide: impl Fn(&mut Ledger<'_, '_>) -> Result<(), Halt> + Send + Sync + 'static,
    ) {
        let envelope = self.house.envelope(who, key(30 + who as u64, step), "settle", "");
        self.house.executor.execute(envelope, decide).await.expect("done");
    }

    async fn register(&self, number: u128, nickname: &str) {
        let (who, nickname) = (person(number), nickname.to_owned());
        self.execute(number, 100, move |ledger| {
            let email = format!("{nickname}@example.org");
            let register = AccountCommand::Register {
                person: who,
                email: Email(email.clone()),
                verifier: Verifier("verifier".into()),
            };
            ledger.decide::<Account>(who, register, &())?;
            ledger.claim(EMAIL, &email)?;
            ledger.set_claim(EMAIL, &email, Some(who.to_string()))?;
            let create = UserCommand::Create {
                person: who,
                nickname: Nickname(nickname.clone()),
                name: Name(nickname.clone()),
            };
            ledger.decide::<User>(who, create, &())?;
            ledger.set_claim(NICKNAME, &nickname, Some(who.to_string()))
        })
        .await;
    }

    async fn rename(&self, number: u128, old: &'static str, new: &'static str) {
        let who = person(number);
        self.execute(number, 101, move |ledger| {
            let seen = ledger.read::<User>(who)?.nickname.as_ref().and_then(|sealed| sealed.event_id);
            let edit =
                UserCommand::EditInfo { seen, nickname: Some(Nickname(new.into())), name: None, about: None };
            ledger.decide::<User>(who, edit, &())?;
            ledger.set_claim(NICKNAME, new, Some(who.to_string()))?;
            ledger.set_claim(NICKNAME, old, None)
        })
        .await;
    }

    async fn wish(&self, step: u64, by: u128, other: u128, wish: Wish) {
        let at = self.house.executor.clock().now();
        self.execute(by, step, move |ledger| {
            let (by, other) = (person(by), person(other));
            let pair = Pair::of(by, other).expect("two people");
            let command = FriendshipCommand { by, other, wish, at };
            let pending = |friendship: &Friendship| [by, other].map(|who| friendship.seen_by(who));
            let before = pending(ledger.read::<Friendship>(pair)?);
            ledger.decide::<Friendship>(pair, command, &FriendshipFacts { other_exists: true })?;
            let after = pending(ledger.read::<Friendship>(pair)?);
            for (index, who) in [by, other].into_iter().enumerate() {
                let outgoing = |relation| u64::from(relation == domain::views::Relation::Outgoing);
                let asker = who.to_string();
                let count =
                    ledger.claim("pending/1", &asker)?.and_then(|it| it.parse::<u64>().ok()).unwrap_or(0);
                let count = count + outgoing(after[index]) - outgoing(before[index]);
                ledger.set_claim("pending/1", &asker, (count > 0).then(|| count.to_string()))?;
            }
            Ok(())
        })
        .await;
    }

    async fn chat_between(&self, by: u128, with: u128) {
        let at = self.house.executor.clock().now();
        self.execute(by, 102, move |ledger| {
            let (by, with) = (person(by), person(with));
            let direct = Pair::of(by, with).expect("two people").to_string();
            let create = ChatCommand::CreateDirect { chat: chat(1), by, with, at };
            ledger.decide::<Chat>(
                chat(1),
                create,
                &ChatFacts { friends: true, blocked: false, in_a_group: false },
            )?;
            ledger.set_claim("direct/1", &direct, Some(chat(1).to_string()))
        })
        .await;
    }

    async fn source(&self, writable: bool) -> Box<dyn Source> {
        match &self.postgres {
            None => {
                let file = self.folder.path().join("log.db");
                Box::new(SqliteSource::open(&file, writable).await.expect("a log"))
            }
            Some(Postgres(url)) => Box::new(PostgresSource::open(url, writable).await.expect("a log")),
        }
    }

    async fn verified(&self) -> Report {
        verify(&mut *self.source(false).await, Some(self.keys()), &mut |_| {}).await.expect("it reads")
    }

    /// Runs statements as somebody who has the database.
    async fn run(&self, statements: &str) {
        sqlx::any::install_default_drivers();
        let url = match &self.postgres {
            None => format!("sqlite:{}", self.folder.path().join("log.db").display()),
            Some(Postgres(url)) => url.clone(),
        };
        let mut connection = AnyConnection::connect(&url).await.expect("connects");
        connection.execute(sqlx::raw_sql(statements)).await.expect(statements);
        connection.close().await.expect("closes");
    }

    /// `statement` with `{…}` around what becomes the type of a payload.
    fn json(&self, statement: &str) -> String {
        let (open, close) = if self.postgres.is_some() { ("CAST(", " AS json)") } else { ("(", ")") };
        statement.replace('{', open).replace('}', close)
    }
}

fn wrong(report: &Report) -> BTreeSet<&str> {
    let wrong = report.checks.iter().filter(|check| check.outcome == Outcome::Wrong);
    wrong.map(|check| check.name.as_str()).collect()
}

/// What somebody does to the tables, and the checks that turn wrong.
const DAMAGES: &[(&str, &str, &[&str])] = &[
    (
        "an event is deleted",
        "DELETE FROM events WHERE position = 15",
        &["positions", "sequences", "numbers", "streams"],
    ),
    (
        "the newest event is deleted",
        "DELETE FROM events WHERE position = (SELECT max(position) FROM events)",
        &["head"],
    ),
    (
        "a sealed text is changed",
        r#"UPDATE events SET payload = {replace(CAST(payload AS text), '"text":"s1.', '"text":"s1.A')} WHERE position = 15"#,
        &["sealed values"],
    ),
    (
        "a number is changed",
        r#"UPDATE events SET payload = {replace(CAST(payload AS text), '"number":2', '"number":7')} WHERE position = 16"#,
        &["numbers", "streams"],
    ),
    (
        "a payload becomes another event's",
        r#"UPDATE events SET payload = {replace(CAST(payload AS text), 'MessageSent', 'MessageLost')} WHERE position = 19"#,
        &["payloads", "numbers", "streams"],
    ),
    (
        "metadata are changed",
        r#"UPDATE events SET metadata = {replace(CAST(metadata AS text), '"ordinal":"0"', '"ordinal":"4"')} WHERE position = 15"#,
        &["event ids"],
    ),
    (
        "two payloads are swapped",
        "UPDATE events SET payload = (SELECT other.payload FROM events other WHERE other.position = 32 - events.position) \
         WHERE position IN (15, 17)",
        &["numbers", "sealed values", "streams"],
    ),
    (
        "two positions are swapped",
        "UPDATE events SET position = -1 WHERE position = 15; UPDATE events SET position = 15 WHERE position = 16; \
         UPDATE events SET position = 16 WHERE position = -1",
        &["times", "sequences", "numbers", "streams"],
    ),
    (
        "a time is put back",
        "UPDATE events SET recorded_at = recorded_at - 1000000000 WHERE position = 12",
        &["times"],
    ),
    (
        "an event gets another id",
        "UPDATE events SET event_id = '01935430-0000-8000-8000-000000000000' WHERE position = 12",
        &["event ids"],
    ),
    (
        "an account is given to somebody else",
        "UPDATE events SET aggregate_id = '01935430-0000-7000-8000-000000000000' WHERE position = 2",
        &["places", "sealed values"],
    ),
    ("the log begins elsewhere", "DELETE FROM events WHERE position = 1", &["chronicle", "positions"]),
    ("a claim is dropped", "DELETE FROM claims WHERE kind = 'email/1' AND position = 3", &["claims"]),
    (
        "a claim is added",
        "INSERT INTO claims (kind, key, owner, position) SELECT 'nickname/1', key, owner, position FROM claims \
         WHERE kind = 'email/1' AND position = 3",
        &["claims"],
    ),
    (
        "a claim has another owner",
        "UPDATE claims SET owner = (SELECT max(owner) FROM claims WHERE kind = 'email/1') WHERE kind = 'direct/1'",
        &["claims"],
    ),
    (
        "pending requests are miscounted",
        "UPDATE claims SET owner = '9' WHERE kind = 'pending/1'",
        &["claims"],
    ),
    (
        "somebody is put into a chat",
        "INSERT INTO memberships SELECT 'x', chat, position FROM memberships LIMIT 1",
        &["memberships"],
    ),
    (
        "somebody is missing in a chat",
        "DELETE FROM memberships WHERE person = (SELECT max(person) FROM memberships)",
        &["memberships"],
    ),
    ("somebody joined earlier", "UPDATE memberships SET position = 3", &["memberships"]),
    ("the head is put back", "UPDATE head SET position = position - 1", &["head"]),
    ("the head is of another event", "UPDATE head SET recorded_at = recorded_at - 1", &["head"]),
];

const KEEP: &str = "CREATE TABLE kept_events AS SELECT * FROM events; CREATE TABLE kept_claims AS SELECT * FROM claims; \
    CREATE TABLE kept_memberships AS SELECT * FROM memberships; CREATE TABLE kept_head AS SELECT * FROM head";
const RESTORE: &str = "DELETE FROM events; INSERT INTO events SELECT * FROM kept_events; DELETE FROM claims; \
    INSERT INTO claims SELECT * FROM kept_claims; DELETE FROM memberships; INSERT INTO memberships SELECT * FROM \
    kept_memberships; DELETE FROM head; INSERT INTO head SELECT * FROM kept_head";

async fn every_damage_is_found(village: &Village) {
    let good = village.verified().await;
    assert!(good.is_good(), "{good:#?}");
    assert!(good.checks.iter().all(|check| check.outcome == Outcome::Ok), "{good:#?}");
    let head = village.house.log.head().await.expect("a head").position;
    assert_eq!((good.events, good.log_id), (head, Some(village.keys().log_id())));
    village.run(KEEP).await;
    let mut complaints = Vec::new();
    for (what, statement, names) in DAMAGES {
        village.run(&village.json(statement)).await;
        let report = village.verified().await;
        let expected: BTreeSet<&str> = names.iter().copied().collect();
        if wrong(&report) != expected {
            complaints.push(format!("{what}: {:?} instead of {expected:?}\n{report:#?}", wrong(&report)));
        }
        village.run(RESTORE).await;
        let restored = village.verified().await;
        assert!(restored.is_good(), "after {what}: {restored:#?}");
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damage_on_sqlite_is_found_by_name() {
    every_damage_is_found(&Village::on_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damage_on_postgres_is_found_by_name() {
    every_damage_is_found(&Village::on_postgres().await).await;
}

async fn claims_are_rebuilt(village: &Village) {
    let rebuild = async || {
        let mut source = village.source(true).await;
        rebuild_claims(&mut *source, village.keys(), &mut |_| {}).await
    };
    assert!(rebuild().await.expect("in order").nothing(), "nothing is wrong yet");
    village
        .run(
            "UPDATE claims SET owner = '9' WHERE kind = 'pending/1'; \
             DELETE FROM claims WHERE kind = 'email/1'; \
             INSERT INTO claims (kind, key, owner, position) VALUES ('nickname/1', '00', 'nobody', 1); \
             DELETE FROM memberships; \
             INSERT INTO memberships (person, chat, position) VALUES ('a', 'b', 1)",
        )
        .await;
    assert_eq!(wrong(&village.verified().await), BTreeSet::from(["claims", "memberships"]));
    let mended = rebuild().await.expect("the log itself is in order");
    let expected = Mended { claims_put: 4, claims_dropped: 1, memberships_put: 2, memberships_dropped: 1 };
    assert_eq!(mended, expected);
    let report = village.verified().await;
    assert!(report.is_good(), "{report:#?}");

    // With somebody's key gone, that person's claims can't be computed and stay.
    village.keys().destroy(&subject_of(person(1))).expect("destroyed");
    let report = village.verified().await;
    assert!(report.is_good(), "{report:#?}");
    let claims = report.checks.iter().find(|check| check.name == "claims").expect("it is checked");
    assert!(claims.counted.contains("2 of them of people whose keys were destroyed"), "{claims:?}");
    assert!(rebuild().await.expect("in order").nothing());

    village.run("UPDATE head SET position = position - 1").await;
    let refused = rebuild().await.expect_err("what is wrong itself makes nothing right");
    assert!(refused.to_string().contains("log verify"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_on_sqlite_are_rebuilt_from_the_log() {
    claims_are_rebuilt(&Village::on_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_on_postgres_are_rebuilt_from_the_log() {
    claims_are_rebuilt(&Village::on_postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_rest_is_still_checked() {
    let village = Village::on_sqlite().await;
    let report = verify(&mut *village.source(false).await, None, &mut |_| {}).await.expect("it reads");
    let unchecked: Vec<&str> = report
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Unchecked)
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(unchecked, ["sealed values", "claims"]);
    assert!(report.is_good());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_is_no_good_log() {
    let folder = TempDir::new().expect("a folder");
    let absent = SqliteSource::open(&folder.path().join("log.db"), false).await.expect_err("there is none");
    assert!(absent.to_string().contains("there is no log"), "{absent}");
}

/// A long stream is read event by event; both ways come to the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_grows_meanwhile_is_verified_as_it_was() {
    let village = Arc::new(Village::on_sqlite().await);
    let writing = tokio::spawn({
        let village = village.clone();
        async move {
            for message in 0..3_600 {
                let mut sends = Vec::new();
                for lane in 0..3_u64 {
                    sends.push(village.house.send(
                        1,
                        u128::from(message % 2),
                        key(50 + lane, message),
                        "more",
                    ));
                }
                if futures::future::join_all(sends).await.iter().any(Result::is_err) {
                    return false;
                }
                if message % 100 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            true
        }
    });
    let mut rounds = 0;
    loop {
        let done = writing.is_finished();
        let report = village.verified().await;
        assert!(report.is_good(), "{report:#?}");
        rounds += 1;
        if done {
            break;
        }
    }
    assert!(writing.await.expect("no panic"), "all was sent");
    assert!(rounds > 1, "it was verified while it grew");
}

/// A stock repository that leaves the last event of every stream out.
struct Forgetful(Box<dyn Source>);

#[async_trait]
impl Source for Forgetful {
    async fn integrity(&mut self) -> Result<Option<Vec<String>>, LogError> {
        Ok(Some(vec!["page 7 is damaged".into()]))
    }
    async fn head(&mut self) -> Result<Head, LogError> {
        self.0.head().await
    }
    async fn read(&mut self, after: u64, limit: usize) -> Result<Vec<Recorded>, LogError> {
        self.0.read(after, limit).await
    }
    async fn freeze(&mut self) -> Result<(), LogError> {
        self.0.freeze().await
    }
    async fn lock(&mut self) -> Result<(), LogError> {
        self.0.lock().await
    }
    async fn mend(&mut self, changes: &Changes) -> Result<(), LogError> {
        self.0.mend(changes).await
    }
    async fn let_go(&mut self) -> Result<(), LogError> {
        self.0.let_go().await
    }
    async fn doubled_ids(&mut self) -> Result<Vec<String>, LogError> {
        Ok(vec!["01935430-0000-8000-8000-000000000000".into()])
    }
    async fn claims(&mut self, after: Option<&ClaimKey>, limit: usize) -> Result<Vec<ClaimRow>, LogError> {
        self.0.claims(after, limit).await
    }
    async fn memberships(
        &mut self,
        after: Option<&MembershipRow>,
        limit: usize,
    ) -> Result<Vec<MembershipRow>, LogError> {
        self.0.memberships(after, limit).await
    }
    async fn stock(&self, stream: &StreamId, known: u64) -> Result<Stock, LogError> {
        self.0.stock(stream, known - 1).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_leaves_out_events_and_an_engine_that_complains_are_found() {
    let village = Village::on_sqlite().await;
    let mut source = Forgetful(village.source(false).await);
    let report = verify(&mut source, Some(village.keys()), &mut |_| {}).await.expect("it reads");
    assert_eq!(wrong(&report), BTreeSet::from(["engine", "event ids", "streams"]));
}
