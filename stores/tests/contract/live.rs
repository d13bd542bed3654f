use std::path::Path;
use std::sync::Arc;

use domain::live::{Ids, Signal, What};
use futures::future::LocalBoxFuture;
use stores::live::{BACKLOG, Live, Notice, Received, SIGNALS};

use crate::{chat, engines, on_keydb, person};

type OpenLive<'a> = &'a dyn Fn() -> LocalBoxFuture<'a, Arc<dyn Live>>;

engines!([
    a_notice_reaches_all_its_addressees_and_nobody_else,
    notices_come_in_order_and_none_from_before,
    a_slow_subscriber_learns_that_it_lost_some,
    a_signal_reaches_those_who_listen_and_nobody_else,
    signals_never_cost_a_notice,
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

fn typing(who: u128) -> Ids {
    Ids { chat_id: Some(chat(1)), user_id: Some(person(who)), ..Ids::default() }
}

async fn a_signal_reaches_those_who_listen_and_nobody_else(open: OpenLive<'_>) {
    let live = open().await;
    live.signal(Signal::Presence, Ids::default(), &[person(1)]).await.expect("nobody hears it");
    let mut first = live.subscribe(person(1)).await.expect("subscribed");
    let mut again = live.subscribe(person(1)).await.expect("subscribed");
    let mut second = live.subscribe(person(2)).await.expect("subscribed");
    live.signal(Signal::Typing, typing(3), &[person(1), person(4)]).await.expect("signalled");
    live.signal(Signal::Presence, typing(1), &[person(2)]).await.expect("signalled");
    live.signal(Signal::Presence, typing(1), &[]).await.expect("to nobody");
    for heard in [first.next().await, again.next().await] {
        assert_eq!(heard, Some(Received::Signal { signal: Signal::Typing, ids: typing(3) }));
    }
    let heard = second.next().await;
    assert_eq!(heard, Some(Received::Signal { signal: Signal::Presence, ids: typing(1) }));
}

async fn signals_never_cost_a_notice(open: OpenLive<'_>) {
    let live = open().await;
    let mut slow = live.subscribe(person(1)).await.expect("subscribed");
    let mut other = live.subscribe(person(2)).await.expect("subscribed");
    live.publish(vec![notice(1, &[1])]).await.expect("published");
    for _ in 0..BACKLOG * 2 {
        live.signal(Signal::Typing, typing(3), &[person(1)]).await.expect("signalled");
    }
    live.publish(vec![notice(2, &[1, 2])]).await.expect("published");
    assert_eq!(position(other.next().await), 2, "by now all of them have come");
    let (mut notices, mut signals) = (Vec::new(), 0);
    live.publish(vec![notice(3, &[1])]).await.expect("published");
    while notices.len() < 3 || signals < SIGNALS {
        match slow.next().await {
            Some(Received::Notice(notice)) => notices.push(notice.position),
            Some(Received::Signal { .. }) => signals += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(notices, [1, 2, 3]);
}
