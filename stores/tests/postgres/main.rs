//! The directory on a PostgreSQL of a test's own, which is killed, set back and refused.

mod faults;
mod older;
mod refusals;
#[path = "../../../chronicle/tests/log/server.rs"]
#[expect(dead_code, reason = "the log's tests need more of it")]
mod server;

use std::sync::Arc;

use domain::ids::{EventId, PersonId};
use domain::views::{PersonState, Settings};
use stores::directory::{AccountRow, Change, Directory, UserRow};
use stores::{Batch, Checkpoint, Port, Result};
use uuid::Uuid;

fn fresh() -> Checkpoint {
    Checkpoint::start(Uuid::from_u128(0xA1), 3)
}

fn at(position: u64, epoch: u64) -> Checkpoint {
    let event_id = Some(EventId(Uuid::from_u128(u128::from(position))));
    Checkpoint { position, epoch, event_id, ..fresh() }
}

fn person(n: u64) -> PersonId {
    PersonId(Uuid::from_u128(0xB000 + u128::from(n)))
}

fn user(n: u64, position: u64) -> UserRow {
    UserRow {
        user_id: person(n),
        nickname: format!("p{n}"),
        nickname_key: format!("p{n}"),
        name: format!("at {position}"),
        about: String::new(),
        sort_key: format!("p{n}"),
        photo: None,
        settings: Settings::default(),
        state: PersonState::Active,
        position,
    }
}

/// What the event at `position` makes of everybody.
fn everybody(position: u64) -> Vec<Change> {
    (0..PEOPLE).map(|n| Change::User(user(n, position))).collect()
}

const PEOPLE: u64 = 50;

async fn open(url: &str) -> Port<dyn Directory> {
    stores::resolver::directory(url).await.expect("opened")
}

/// Puts the event at `position` of a log in which every event is about everybody.
async fn put(rows: &dyn Directory, position: u64, epoch: u64) -> Result<()> {
    let (mut changes, follows) = (everybody(position), Some(position - 1));
    // And of one person alone, whom no later event makes good.
    let (user_id, email) = (person(position), format!("p{position}@example.org"));
    changes.push(Change::Account(AccountRow { user_id, email, state: PersonState::Active, position }));
    let batch = Batch { changes, parking: Vec::new(), checkpoint: at(position, epoch), follows };
    rows.put(Arc::new(batch)).await
}

/// Where the rows are, which is the same for all of them.
async fn whole(rows: &dyn Directory) -> u64 {
    let held = rows.checkpoint().await.expect("a checkpoint").map_or(0, |held| held.position);
    let people: Vec<PersonId> = (0..PEOPLE).map(person).collect();
    let found = rows.persons(&people).await.expect("an answer");
    let expected: Vec<UserRow> = (0..if held == 0 { 0 } else { PEOPLE }).map(|n| user(n, held)).collect();
    assert_eq!(found, expected, "rows are not where their checkpoint is");
    held
}
