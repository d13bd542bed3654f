use std::path::Path;
use std::sync::Arc;

use domain::live::{Ids, What};
use futures::future::LocalBoxFuture;
use stores::live::{BACKLOG, Live, Notice, Received};

use crate::{engines, on_keydb, person};

type OpenLive<'a> = &'a dyn Fn() -> LocalBoxFuture<'a, Arc<dyn Live>>;

engines!([
    a_notice_reaches_all_its_addressees_and_nobody_else,
    notices_come_in_order_and_none_from_before,
    a_slow_subscriber_learns_that_it_lost_some,
]
    memory => async |_: &Path| -> Arc<dyn Live> { stores::resolver::live("memory:").await.expect("opened") },
    keydb => async |folder: &Path| -> Arc<dyn Live> {
        stores::resolver::live(&on_keydb::url(folder)).await.expect("opened")
    },
);

fn notice(position: u64, to: &[u128]) -> Notice {
    let to = to.iter().map(|n| person(*n)).collect();
    Notice { position, what: What::Me, ids: Ids::default(), to }
}

fn position(received: Option<Received>) -> u64 {
    match received {
        Some(Received::Notice(notice)) => notice.position,
        other => panic!("a notice, not {other:?}"),
    }
}

async fn a_notice_reaches_all_its_addressees_and_nobody_else(open: OpenLive<'_>) {
    let live = open().await;
    let mut first = live.subscribe(person(1)).await.expect("subscribed");
    let mut again = live.subscribe(person(1)).await.expect("subscribed");
    let mut second = live.subscribe(person(2)).await.expect("subscribed");
    live.publish(vec![notice(1, &[1, 3]), notice(2, &[1, 2])]).await.expect("published");
    assert_eq!(position(first.next().await), 1);
    assert_eq!(position(again.next().await), 1);
    assert_eq!(position(second.next().await), 2, "the first was none of theirs");
}

async fn notices_come_in_order_and_none_from_before(open: OpenLive<'_>) {
    let live = open().await;
    live.publish(vec![notice(1, &[1])]).await.expect("published");
    let mut subscription = live.subscribe(person(1)).await.expect("subscribed");
    live.publish(vec![notice(2, &[1]), notice(3, &[1])]).await.expect("published");
    drop(live.subscribe(person(1)).await.expect("subscribed"));
    live.publish(vec![notice(4, &[1])]).await.expect("published");
    for expected in [2, 3, 4] {
        assert_eq!(position(subscription.next().await), expected);
    }
}

async fn a_slow_subscriber_learns_that_it_lost_some(open: OpenLive<'_>) {
    let live = open().await;
    let mut slow = live.subscribe(person(1)).await.expect("subscribed");
    let mut other = live.subscribe(person(2)).await.expect("subscribed");
    let last = BACKLOG as u64 * 3;
    let mut many: Vec<Notice> = (1..last).map(|position| notice(position, &[1])).collect();
    many.push(notice(last, &[1, 2]));
    live.publish(many).await.expect("published");
    assert_eq!(position(other.next().await), last, "by now all of them have come");
    assert_eq!(slow.next().await, Some(Received::Lagged));
}
