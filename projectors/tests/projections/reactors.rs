//! Reactors: what they are handed, and from where they go on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chronicle::reactions::Reacted;
use domain::aggregate::{Event, Kind};
use domain::user::UserEvent;
use projectors::{Context, Entry, Pace, ReactionError, Reactor, Running};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{ANN, BOB, PATIENCE, World, created, renamed, requested};

/// Remembers what it was asked for; fails as it is told.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    done: Vec<u64>,
    /// Fails so often in passing before it does anything.
    passing: u32,
    poison: Option<u64>,
}

#[async_trait]
impl Reactor for Noting {
    const NAME: &'static str = "noting";
    const READS: &'static [Kind] = &[Kind::User];

    async fn react(&self, entry: &Entry) -> Result<(), ReactionError> {
        let mut notes = self.0.lock().expect("no panic");
        assert!(matches!(
            &entry.event,
            Event::User(UserEvent::UserCreated { .. } | UserEvent::InfoEdited { .. })
        ));
        if notes.passing > 0 {
            notes.passing -= 1;
            return Err(ReactionError::Passing("not now".into()));
        }
        if notes.poison == Some(entry.position) {
            return Err(ReactionError::Poison("never".into()));
        }
        notes.done.push(entry.position);
        Ok(())
    }
}

impl Noting {
    async fn has_done(&self, positions: &[u64]) {
        let done = async {
            while self.0.lock().expect("no panic").done != positions {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, done).await.is_err() {
            panic!("{:?} instead of {positions:?}", self.0.lock().expect("no panic").done);
        }
    }

    fn begin(&self, context: &Context) -> (Running, CancellationToken) {
        let stop = CancellationToken::new();
        let mut running = Running::none(context, &stop, Pace::default());
        running.react(self.clone());
        (running, stop)
    }
}

async fn end((mut running, stop): (Running, CancellationToken)) {
    stop.cancel();
    while running.ended().await.is_some() {}
}

/// Until somebody has taken the reactor over.
async fn is_held(world: &World) {
    until(world, |reacted| !reacted.holder.is_nil()).await;
}

/// Until what is kept of the reactor is so.
async fn until(world: &World, is_so: impl Fn(&Reacted) -> bool) {
    let waiting = async {
        while !world.log.reactions().of(Noting::NAME).await.expect("an answer").is_some_and(|it| is_so(&it)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it comes to be so");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_reactor_begins_at_the_head_and_a_known_one_goes_on() {
    let world = World::new();
    world.append(created(ANN, "ann", "Ann")).await;
    let context = world.open("data").await;
    let noting = Noting::default();
    let work = noting.begin(&context);
    is_held(&world).await;
    let bob = world.append(created(BOB, "bob", "Bob")).await;
    world.append(requested(ANN, BOB)).await;
    let renaming = world.append(renamed(ANN, None, Some("Anna"))).await;
    noting.has_done(&[bob, renaming]).await;
    until(&world, |reacted| reacted.position >= renaming).await;
    end(work).await;
    let missed = world.append(renamed(BOB, None, Some("Bobby"))).await;
    let work = noting.begin(&context);
    noting.has_done(&[bob, renaming, missed]).await;
    end(work).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_is_waited_for_and_what_does_not_is_passed_over() {
    let world = World::new();
    let context = world.open("data").await;
    let noting = Noting::default();
    let work = noting.begin(&context);
    is_held(&world).await;
    noting.0.lock().expect("no panic").passing = 3;
    let first = world.append(created(ANN, "ann", "Ann")).await;
    noting.has_done(&[first]).await;
    noting.0.lock().expect("no panic").poison = Some(first + 1);
    world.append(renamed(ANN, None, Some("Anna"))).await;
    let last = world.append(renamed(ANN, None, Some("Anne"))).await;
    noting.has_done(&[first, last]).await;
    end(work).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_one_reacts_and_the_other_follows_it() {
    let world = World::new();
    let one = world.open("one").await;
    let other = Context { node: Uuid::from_u128(0x0DD), ..world.open("other").await };
    let (first, second) = (Noting::default(), Noting::default());
    let work = first.begin(&one);
    is_held(&world).await;
    let beside = second.begin(&other);
    let mut done = Vec::new();
    for number in 0..5 {
        done.push(world.append(renamed(ANN, None, Some(&format!("Ann {number}")))).await);
    }
    first.has_done(&done).await;
    second.has_done(&[]).await;
    end(work).await;
    let next = world.append(created(BOB, "bob", "Bob")).await;
    second.has_done(&[next]).await;
    end(beside).await;
}
