//! What every port promises about its generations, and every read model about what it is summed to.

use std::sync::Arc;

use domain::Timestamp;
use stores::{Asked, Batch, Checkpoint, Parked, Parking, Port, ReadModel, StoreError, Sum, Summary};
use uuid::Uuid;

use crate::{Open, at, fresh};

fn of(generation: u64, position: u64, epoch: u64) -> Checkpoint {
    Checkpoint { generation, ..at(position, epoch) }
}

async fn shown<M: ReadModel + ?Sized>(port: &Port<M>) -> (u64, u64) {
    let held = port.serving().checkpoint().await.expect("a checkpoint").expect("it");
    (held.generation, held.position)
}

/// Readers stay with the old generation until the switch; the new one, and how it was asked for,
/// outlive the process; a writer of before changes nothing.
pub async fn is_built_beside_and_switched_to<M: ReadModel + ?Sized>(
    open: Open<'_, M>,
    old: M::Change,
    new: M::Change,
) {
    let port = open().await;
    let held = port.shelf().take_over(Uuid::from_u128(1), fresh()).await.expect("taken over");
    assert_eq!((held.epoch, held.number, held.building.is_none()), (1, 1, true));
    let serving = held.serving.expect("it can be read");
    serving.model.write(vec![old.clone()], of(1, 7, 1)).await.expect("written");
    let next = port.shelf().begin(fresh(), 1, Asked::default()).await.expect("begun");
    port.shelf().amend(2, 1, Asked { accept: true }).await.expect("kept");
    assert_eq!((next.number, next.checkpoint.position, next.checkpoint.epoch), (2, 0, 1));
    next.model.write(vec![old, new], of(2, 8, 1)).await.expect("written");
    assert_eq!(shown(&port).await, (1, 7), "readers see nothing of it");
    drop((port, serving, next));

    let port = open().await;
    assert_eq!(shown(&port).await, (1, 7));
    let held = port.shelf().take_over(Uuid::from_u128(1), fresh()).await.expect("taken over");
    let (next, asked) = held.building.expect("it is still being built");
    assert_eq!((held.epoch, next.number, &next.checkpoint), (2, 2, &of(2, 8, 2)));
    assert!(asked.accept);
    for refused in [
        port.shelf().amend(2, 1, asked).await.err(),
        port.shelf().switch(2, 1).await.err(),
        port.shelf().discard(2, 1).await.err(),
        port.shelf().begin(fresh(), 1, asked).await.err(),
        next.model.write(Vec::new(), of(2, 9, 1)).await.err(),
    ] {
        assert!(matches!(refused, Some(StoreError::StaleEpoch { mine: 1, theirs: 2 })), "{refused:?}");
    }
    assert!(port.shelf().discard(1, 2).await.is_err(), "what is served stays");
    let before = port.serving();
    port.shelf().switch(2, 2).await.expect("switched");
    port.shelf().switch(2, 2).await.expect("asked again, since the answer was lost");
    assert_eq!(shown(&port).await, (2, 8));
    let held = before.checkpoint().await.expect("a reader goes on").expect("it");
    assert_eq!(held.generation, 1);
    port.shelf().discard(1, 2).await.expect("dropped");
    drop((port, before, held, next));
    assert_eq!(shown(&open().await).await, (2, 8));
}

async fn summary<M: ReadModel + ?Sized>(model: &M) -> Summary {
    model.summary().await.expect("a snapshot").await.expect("a summary")
}

/// Neither the order of writing nor writing twice changes it; another row, a missing one and one
/// of another content do. `changed` is the first of `rows` or the second with another content.
pub async fn tells_rows_apart<M: ReadModel + ?Sized>(
    open: Open<'_, M>,
    rows: [M::Change; 2],
    changed: M::Change,
) {
    let port = open().await;
    let shelf = port.shelf();
    shelf.take_over(Uuid::from_u128(1), fresh()).await.expect("taken over");
    let [one, other] = rows;
    let mut summaries = Vec::new();
    for writes in [
        vec![vec![one.clone(), other.clone()]],
        vec![vec![one.clone()], vec![other.clone()], vec![one.clone(), other.clone()]],
        vec![vec![one.clone()]],
        vec![vec![one.clone(), changed.clone()], vec![other.clone(), changed.clone()]],
    ] {
        let it = shelf.begin(fresh(), 1, Asked::default()).await.expect("begun");
        for changes in writes {
            it.model.write(changes, of(it.number, 8, 1)).await.expect("written");
        }
        it.model.index().await.expect("indexed");
        it.model.index().await.expect("indexed again");
        summaries.push(summary(&*it.model).await);
    }
    let [once, again, missing, changed] = &summaries[..] else { panic!("four") };
    assert_eq!(once.position, 8);
    assert!(once.differences(again).is_empty(), "{:?}", once.differences(again));
    for different in [missing, changed] {
        let words = once.differences(different);
        assert!(words.iter().any(|it| it.contains("in the new one")), "{words:?}");
    }
}

/// What is parked moves with the rows and outlives the process.
pub async fn keeps_what_is_parked<M: ReadModel + ?Sized>(open: Open<'_, M>, change: M::Change) {
    let parked = |stream: &str, position| Parked {
        stream: stream.into(),
        position,
        sequence: 3,
        why: "it cannot be applied".into(),
        since: Timestamp(5),
    };
    let model = open().await.serving();
    model.take_over(fresh()).await.expect("taken over");
    let park = [parked("Chat/a", 6), parked("User/b", 7)].map(Parking::Park).to_vec();
    let batch = Batch { changes: vec![change], parking: park, checkpoint: at(7, 1), follows: None };
    model.put(Arc::new(batch)).await.expect("written");
    drop(model);
    let model = open().await.serving();
    assert_eq!(model.parked().await.expect("an answer"), [parked("Chat/a", 6), parked("User/b", 7)]);
    let parking = vec![Parking::Unpark("Chat/a".into()), Parking::Park(parked("User/b", 9))];
    model
        .put(Arc::new(Batch { changes: vec![], parking, checkpoint: at(8, 1), follows: Some(7) }))
        .await
        .expect("written");
    assert_eq!(model.parked().await.expect("an answer"), [parked("User/b", 9)]);
}

#[test]
fn a_doubled_row_is_another_sum() {
    let (mut once, mut twice) = (Sum::default(), Sum::default());
    once.add(b"row");
    twice.add(b"row");
    twice.add(b"row");
    assert_ne!(once.checksum, twice.checksum);
    assert_ne!(once.count, twice.count);
}
