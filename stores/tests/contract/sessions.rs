use std::path::Path;

use domain::Timestamp;
use stores::Port;
use stores::sessions::{Change, SessionRow, SessionState, Sessions};

use crate::{Open, at, checkpoint, engines, fresh, generations, on_keydb, person, sealed, session};

engines!([
    the_checkpoint_moves_with_the_rows,
    a_stale_writer_changes_nothing,
    a_generation_is_built_beside_and_switched_to,
    a_summary_tells_rows_apart,
    what_is_parked_is_kept,
    a_session_lives_until_it_ends,
    an_old_change_written_again_changes_nothing,
    what_ran_out_is_forgotten,
]
    sqlite => async |folder: &Path| -> Port<dyn Sessions> {
        stores::resolver::sessions(&format!("sqlite:{}/sessions", folder.display())).await.expect("opened")
    },
    keydb => async |folder: &Path| -> Port<dyn Sessions> {
        stores::resolver::sessions(&on_keydb::url(folder)).await.expect("opened")
    },
);

fn started(n: u128, position: u64) -> SessionRow {
    SessionRow {
        session_id: session(n),
        person: person(1),
        method: "password".into(),
        device: sealed("device", position),
        address: sealed("address", position),
        started_at: Timestamp(position as i64),
        refreshed_at: Timestamp(position as i64),
        generation: 1,
        position,
    }
}

fn ended(n: u128, position: u64) -> Change {
    Change::Ended { session_id: session(n), person: person(1), until: Timestamp(100), position }
}

async fn state(store: &dyn Sessions, n: u128) -> SessionState {
    store.session(session(n)).await.expect("an answer")
}

async fn the_checkpoint_moves_with_the_rows(open: Open<'_, dyn Sessions>) {
    checkpoint::moves_with_rows(open, Change::Started(started(1, 7))).await;
    assert_eq!(state(&*open().await.serving(), 1).await, SessionState::Live(started(1, 7)));
}

async fn a_stale_writer_changes_nothing(open: Open<'_, dyn Sessions>) {
    let store = open().await.serving();
    checkpoint::refuses_a_stale_writer(&*store, Change::Started(started(1, 7)), ended(1, 8)).await;
    assert_eq!(state(&*store, 1).await, SessionState::Live(started(1, 7)));
}

async fn a_generation_is_built_beside_and_switched_to(open: Open<'_, dyn Sessions>) {
    generations::is_built_beside_and_switched_to(open, Change::Started(started(1, 7)), ended(2, 8)).await;
}

async fn a_summary_tells_rows_apart(open: Open<'_, dyn Sessions>) {
    generations::tells_rows_apart(
        open,
        [Change::Started(started(1, 7)), ended(2, 8)],
        Change::Started(SessionRow { generation: 9, ..started(1, 7) }),
    )
    .await;
}

async fn what_is_parked_is_kept(open: Open<'_, dyn Sessions>) {
    generations::keeps_what_is_parked(open, Change::Started(started(1, 7))).await;
}

async fn a_session_lives_until_it_ends(open: Open<'_, dyn Sessions>) {
    let store = open().await.serving();
    store.take_over(fresh()).await.expect("taken over");
    let changes = vec![
        Change::Started(started(1, 1)),
        Change::Started(started(2, 2)),
        Change::Started(SessionRow { person: person(2), ..started(3, 3) }),
        Change::Refreshed { session_id: session(1), generation: 2, at: Timestamp(9), position: 4 },
    ];
    store.write(changes, at(4, 1)).await.expect("written");
    let first = SessionRow { generation: 2, refreshed_at: Timestamp(9), position: 4, ..started(1, 1) };
    assert_eq!(state(&*store, 1).await, SessionState::Live(first.clone()));
    assert_eq!(state(&*store, 4).await, SessionState::Unknown);
    let mine = store.sessions_of(person(1)).await.expect("an answer");
    assert_eq!(mine, [started(2, 2), first], "one's own alone, the latest first");

    store.write(vec![ended(2, 5)], at(5, 1)).await.expect("written");
    assert_eq!(state(&*store, 2).await, SessionState::Ended);
    let mine = store.sessions_of(person(1)).await.expect("an answer");
    assert_eq!(mine.iter().map(|it| it.session_id).collect::<Vec<_>>(), [session(1)]);
}

async fn an_old_change_written_again_changes_nothing(open: Open<'_, dyn Sessions>) {
    let store = open().await.serving();
    store.take_over(fresh()).await.expect("taken over");
    let refreshed =
        Change::Refreshed { session_id: session(2), generation: 2, at: Timestamp(9), position: 4 };
    let changes =
        vec![Change::Started(started(1, 1)), Change::Started(started(2, 2)), ended(1, 3), refreshed];
    store.write(changes.clone(), at(4, 1)).await.expect("written");
    // Lost its last seconds: an ended session must not live again while it catches up.
    store.write(changes[..2].to_vec(), at(2, 1)).await.expect("written");
    assert_eq!(state(&*store, 1).await, SessionState::Ended);
    let SessionState::Live(second) = state(&*store, 2).await else { panic!("it lives") };
    assert_eq!((second.generation, second.position), (2, 4));
}

async fn what_ran_out_is_forgotten(open: Open<'_, dyn Sessions>) {
    let store = open().await.serving();
    store.take_over(fresh()).await.expect("taken over");
    let forget = |now| Change::Forget {
        now: Timestamp(now),
        started_before: Timestamp(2),
        refreshed_before: Timestamp(3),
    };
    let changes = vec![
        Change::Started(started(1, 1)),
        Change::Started(started(2, 2)),
        Change::Started(started(3, 3)),
        Change::Started(started(4, 4)),
        ended(4, 5),
        forget(100),
    ];
    store.write(changes, at(5, 1)).await.expect("written");
    assert_eq!(state(&*store, 1).await, SessionState::Unknown, "started too long ago");
    assert_eq!(state(&*store, 2).await, SessionState::Unknown, "refreshed too long ago");
    assert!(matches!(state(&*store, 3).await, SessionState::Live(_)));
    assert_eq!(state(&*store, 4).await, SessionState::Ended, "its tokens still run");
    store.write(vec![forget(101)], at(6, 1)).await.expect("written");
    assert_eq!(state(&*store, 4).await, SessionState::Unknown);
}
