//! What docs/projections.md shows a newcomer is true.

use std::sync::Arc;

use projectors::{Pace, Running};
use stores::Port;
use tokio_util::sync::CancellationToken;

use crate::chatter::{Chatter, ChatterProjection};
use crate::world::*;

const DOCS: &str = include_str!("../../../docs/projections.md");

#[tokio::test]
async fn a_projection_is_one_file_and_one_line() {
    let world = World::new();
    let head = world.append_all(a_story()).await;
    let context = world.open("data").await;
    let stop = CancellationToken::new();
    let mut running = Running::none(&context, &stop, Pace::default());
    let chatter = Port::fixed(Arc::new(Chatter::default()), "it lives in memory");
    running.carry(&chatter, |_| ChatterProjection);
    let work = Work { context, running, stop };
    work.until("chatter", |status| status.position == head).await;
    assert_eq!(chatter.serving().of(CHAT), 4);
}

#[test]
fn the_docs_show_them_as_they_are() {
    assert!(DOCS.contains(include_str!("chatter.rs")), "docs/projections.md must quote chatter.rs");
    let line = "running.carry(&chatter, |_| ChatterProjection);";
    assert!(DOCS.contains(line) && include_str!("newcomer.rs").matches(line).count() == 2);
    let start = include_str!("../../src/lib.rs");
    for line in DOCS.lines().filter(|line| line.starts_with("running.carry(&stores.")) {
        assert!(start.contains(line), "start has no such line: {line}");
    }
}
