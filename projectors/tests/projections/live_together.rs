//! Several processes on one log whose live engine is shared: one publishes, all hear.

use domain::live::What;
use projectors::{Context, Health};
use stores::live::{Received, Subscription};
use uuid::Uuid;

use crate::world::*;

/// The address of a KeyDB, under a prefix of the test's own.
#[expect(clippy::disallowed_methods, reason = "where the servers are is the script's to say")]
fn keydb(test: &str) -> String {
    let url = std::env::var("LETOPIS_TEST_KEYDB")
        .expect("LETOPIS_TEST_KEYDB names no server: `./dev test` starts one, and `./dev stack` for longer");
    format!("{url}?prefix=t{}-{test}", std::process::id())
}

/// A process with rows of its own.
async fn process(world: &World, number: u128, keydb: &str) -> Context {
    let mut context = world.open(&number.to_string()).await;
    context.stores.live = stores::resolver::live(keydb).await.expect("opened");
    context.node = Uuid::from_u128(number);
    context
}

async fn listen(context: &Context) -> Box<dyn Subscription> {
    context.stores.live.subscribe(ANN).await.expect("subscribed")
}

async fn next(subscription: &mut Box<dyn Subscription>) -> Received {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("in time").expect("the engine is there")
}

fn position(received: Received) -> u64 {
    match received {
        Received::Notice(notice) => {
            assert_eq!(notice.what, What::Message);
            notice.position
        }
        other => panic!("a notice, not {other:?}"),
    }
}

#[tokio::test]
async fn one_publishes_and_the_next_goes_on_where_it_was() {
    let world = World::new();
    world.append_all([created(ANN, "ann", "Ann"), chat_created(ANN, BOB)]).await;
    let url = keydb("together");
    let one = Work::begin(process(&world, 1, &url).await);
    one.until("live", |status| status.health == Health::Running).await;
    let other = Work::begin(process(&world, 2, &url).await);
    other.until("live", |status| status.health == Health::StandingBy).await;
    let (mut of_one, mut of_other) = (listen(&one.context).await, listen(&other.context).await);
    let first = world.append(sent(BOB, 1, "Hello")).await;
    assert_eq!(position(next(&mut of_one).await), first);
    assert_eq!(position(next(&mut of_other).await), first, "once");
    assert_eq!(other.context.stores.progress.wait(&["live"], first, PATIENCE).await, first);

    one.end().await;
    let second = world.append(sent(BOB, 2, "There?")).await;
    other.until("live", |status| status.health == Health::Running).await;
    assert_eq!(position(next(&mut of_other).await), second, "and nothing between");
    assert_eq!(position(next(&mut of_one).await), second, "whoever listens still");
}

#[tokio::test]
async fn what_nobody_published_is_told_as_a_gap_in_what_is_told() {
    let world = World::new();
    world.append_all([created(ANN, "ann", "Ann"), chat_created(ANN, BOB)]).await;
    let url = keydb("gap");
    let one = Work::begin(process(&world, 1, &url).await);
    one.until("live", |status| status.health == Health::Running).await;
    one.context.stores.progress.wait(&["live"], 2, PATIENCE).await;
    one.end().await;
    world.append_all((1..=1_001).map(|number| sent(BOB, number, "Nobody hears"))).await;
    let context = process(&world, 2, &url).await;
    let mut ann = listen(&context).await;
    let other = Work::begin(context);
    assert_eq!(next(&mut ann).await, Received::Resumed);
    other.shows(1_003).await;
    let position_after = world.append(sent(BOB, 1_002, "Somebody does")).await;
    assert_eq!(position(next(&mut ann).await), position_after);
}
