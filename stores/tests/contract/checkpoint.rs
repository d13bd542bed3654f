//! What every read model promises about its checkpoint.

use stores::{ReadModel, StoreError};

use crate::{Open, at, fresh};

/// The checkpoint begins at nothing, moves with the rows and survives the process.
pub async fn moves_with_rows<M: ReadModel + ?Sized>(open: Open<'_, M>, change: M::Change) {
    let model = open().await.serving();
    assert_eq!(model.checkpoint().await.expect("a checkpoint"), None);
    let first = model.take_over(fresh()).await.expect("taken over");
    assert_eq!((first.epoch, first.position, first.log_id), (1, 0, fresh().log_id));
    model.write(vec![change], at(7, 1)).await.expect("written");
    assert_eq!(model.checkpoint().await.expect("a checkpoint"), Some(at(7, 1)));
    drop(model);

    let model = open().await.serving();
    assert_eq!(model.checkpoint().await.expect("a checkpoint"), Some(at(7, 1)));
    let again = model.take_over(fresh()).await.expect("taken over");
    assert_eq!(again, at(7, 2), "a new writer goes on from what is there");
}

/// Writes `old` as epoch 1, takes over, and tries `stale` as epoch 1 still. The caller sees that
/// only `old` is there.
pub async fn refuses_a_stale_writer<M: ReadModel + ?Sized>(model: &M, old: M::Change, stale: M::Change) {
    model.take_over(fresh()).await.expect("taken over");
    model.write(vec![old], at(7, 1)).await.expect("written");
    model.take_over(fresh()).await.expect("taken over");
    let refused = model.write(vec![stale], at(8, 1)).await;
    assert!(matches!(refused, Err(StoreError::StaleEpoch { mine: 1, theirs: 2 })), "{refused:?}");
    assert_eq!(model.checkpoint().await.expect("a checkpoint"), Some(at(7, 2)));
    model.write(Vec::new(), at(9, 2)).await.expect("the writer of today goes on");
}
