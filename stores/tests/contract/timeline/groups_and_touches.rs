//! Groups, lines, and what becomes of messages.

use domain::Timestamp;
use domain::chat::Span;
use domain::ids::BlobId;
use domain::views::{ChatKind, Deleted, History, LineKind, Role};
use stores::timeline::{
    Change, Changed, FeedEntry, Keep, LineRow, MessageQuery, MessageRow, ReactionRow, Timeline, Touch, Unseen,
};

use super::rows::{
    attachment, created, deleted, edited, from, group, line, message, reacted, sent, the_message, twice,
    written,
};
use crate::{Open, at, chat, person, sealed};

pub async fn a_group_tells_who_is_in_it_what_each_may_read_and_how_it_is_called(
    open: Open<'_, dyn Timeline>,
) {
    let mut changes = group(3);
    changes.extend((1..=4).map(|number| sent(number, 1, 3 + number)));
    changes.push(Change::Joined {
        chat_id: chat(1),
        person: person(3),
        role: Role::Member,
        joined_number: 4,
        sees: vec![from(5)],
        position: 8,
    });
    changes.push(sent(5, 1, 9));
    let until = Span { first: 1, last: Some(5) };
    changes.push(Change::Parted { chat_id: chat(1), person: person(2), sees: vec![until], position: 10 });
    changes.push(sent(6, 3, 11));
    changes.push(Change::RoleSet { chat_id: chat(1), person: person(3), role: Role::Admin, position: 12 });
    changes.push(Change::Renamed { chat_id: chat(1), title: sealed("other", 13), position: 13 });
    twice(open, changes, 13, async |store| {
        let of =
            async |who| store.chat_of(chat(1), person(who)).await.expect("an answer").expect("they have it");
        let (ann, bob, eve) = (of(1).await, of(2).await, of(3).await);
        assert_eq!((ann.chat.kind, ann.chat.member_count), (ChatKind::Group, 2));
        assert_eq!(ann.chat.title, Some(sealed("other", 13)));
        assert_eq!((ann.chat.history, ann.chat.dissolved), (Some(History::Joining), false));
        assert_eq!((ann.me.role, ann.me.left, ann.peer.is_none()), (Role::Owner, false, true));
        assert_eq!(ann.last.as_ref().map(|last| last.number), Some(6));
        assert_eq!((bob.me.left, &bob.me.sees), (true, &vec![until]));
        assert_eq!((bob.last.as_ref().map(|last| last.number), bob.unread()), (Some(5), 5));
        assert_eq!((eve.me.role, eve.me.left, &eve.me.sees), (Role::Admin, false, &vec![from(5)]));
        assert_eq!((eve.me.read_number, eve.unread()), (6, 0));
        assert_eq!(store.chats_of(person(2)).await.expect("an answer").len(), 1, "who has left has it still");
        let members = store.members(chat(1)).await.expect("an answer");
        let members: Vec<_> = members.iter().map(|it| (it.person, it.left)).collect();
        assert_eq!(members, [(person(1), false), (person(2), true), (person(3), false)]);
    })
    .await;
    let store = open().await.serving();
    store
        .write(vec![Change::Dissolved { chat_id: chat(1), position: 14 }], at(14, 1))
        .await
        .expect("written");
    assert!(store.chat(chat(1)).await.expect("an answer").expect("it is there").dissolved);
}

pub async fn lines_stand_between_messages_by_their_ordinal(open: Open<'_, dyn Timeline>) {
    let mut changes = group(3);
    let all: Vec<LineRow> = (2..=2_010).map(|n| line(n, 0, LineKind::RoleSet, 2 + n)).collect();
    changes.extend(all.iter().cloned().map(Change::Line));
    let store = written(open, changes, 2_012).await;
    let lines = async |after, last, limit| store.lines(chat(1), after, last, limit).await.expect("an answer");
    assert_eq!(lines(0, 1, 9).await.iter().map(|it| it.count).collect::<Vec<_>>(), [Some(1)]);
    assert_eq!(lines(1, 4, 9).await, all[..3]);
    assert_eq!(lines(997, 1_002, 9).await, all[996..1_001], "over the end of a bucket");
    assert_eq!(lines(2_007, u64::MAX, 9).await, all[2_006..]);
    assert_eq!(lines(0, u64::MAX, 2).await, all[2_007..], "the newest");
    assert!(lines(5, 5, 9).await.is_empty());
    assert!(store.lines(chat(2), 0, u64::MAX, 9).await.expect("an answer").is_empty());
}

pub async fn an_edit_is_shown_and_what_was_before_is_kept(open: Open<'_, dyn Timeline>) {
    let mut changes = created(1, 3);
    changes.extend([sent(1, 1, 4), sent(2, 1, 5), edited(1, "better", 6), edited(1, "best", 7)]);
    twice(open, changes, 7, async |store| {
        let touched = the_message(store, 1).await;
        let edit = touched.touch.edited.expect("it was edited");
        assert_eq!((edit.text, edit.at, edit.position), (sealed("best", 7), Timestamp(7), 7));
        assert_eq!((touched.text, touched.touch.position), (sealed("1", 4), 7), "as sent");
        let edits = store.edits(chat(1), 1).await.expect("an answer");
        let edits: Vec<_> = edits.into_iter().map(|edit| (edit.text, edit.position)).collect();
        assert_eq!(edits, [(sealed("better", 6), 6), (sealed("best", 7), 7)]);
        assert_eq!(the_message(store, 2).await.touch, Touch::default());
        assert!(store.edits(chat(1), 2).await.expect("an answer").is_empty());
        let query =
            MessageQuery { from: None, to: None, before: None, after: None, keep: Keep::Oldest, limit: 9 };
        let page = store.messages(chat(1), query).await.expect("an answer");
        assert_eq!(page, [the_message(store, 1).await, the_message(store, 2).await], "as in a page");
    })
    .await;
}

pub async fn a_deletion_leaves_nothing_but_the_number(open: Open<'_, dyn Timeline>) {
    let carries = MessageRow { attachments: vec![attachment(1), attachment(2)], ..message(1, 1, 4) };
    let mut changes = created(1, 3);
    changes.extend([
        Change::Sent(carries),
        edited(1, "better", 5),
        reacted(1, 2, Some("👍"), 6),
        deleted(1, Deleted::Moderator, 7),
        sent(2, 2, 8),
    ]);
    twice(open, changes, 8, async |store| {
        let gone = the_message(store, 1).await;
        assert_eq!(gone.touch.deleted, Some(Deleted::Moderator));
        assert_eq!((gone.touch.edited.is_none(), gone.touch.reactions.len()), (true, 0));
        assert_eq!((gone.text.token.as_str(), gone.text.event_id, gone.attachments.len()), ("", None, 0));
        assert_eq!((gone.author, gone.sent_at, gone.position), (person(1), Timestamp(10), 4));
        assert!(store.edits(chat(1), 1).await.expect("an answer").is_empty());
        let blobs = [1, 2].map(|n| BlobId([n; 32]));
        assert_eq!(store.carrier(blobs[0]).await.expect("an answer"), None);
        assert!(store.carried(&blobs).await.expect("an answer").is_empty());
        let head = store.chat(chat(1)).await.expect("an answer").expect("it is there");
        assert_eq!((head.last_number, head.deletion), (2, 7));
    })
    .await;
}

pub async fn one_reaction_a_person_and_message(open: Open<'_, dyn Timeline>) {
    let mut changes = created(1, 3);
    changes.extend([
        sent(1, 1, 4),
        sent(2, 1, 5),
        reacted(1, 2, Some("👍"), 6),
        reacted(1, 1, Some("🎉"), 7),
        reacted(1, 2, Some("🎉"), 8),
        reacted(2, 2, Some("👍"), 9),
        reacted(2, 2, None, 10),
    ]);
    twice(open, changes, 10, async |store| {
        let set = |n, position| ReactionRow { person: person(n), emoji: "🎉".to_owned(), position };
        assert_eq!(the_message(store, 1).await.touch.reactions, [set(1, 7), set(2, 8)]);
        let taken_back = the_message(store, 2).await.touch;
        assert_eq!((taken_back.reactions.len(), taken_back.position), (0, 10));
    })
    .await;
}

pub async fn what_is_unseen_tells_its_author_and_whether_it_is_gone(open: Open<'_, dyn Timeline>) {
    let mut changes = created(1, 3);
    changes.extend((1..=1_003).map(|number| sent(number, u128::from(number % 2) + 1, 3 + number)));
    changes.extend([deleted(999, Deleted::Author, 2_000), deleted(1_002, Deleted::Author, 2_001)]);
    let store = written(open, changes, 2_001).await;
    let unseen = store.unseen(chat(1), 998, 1_002).await.expect("an answer");
    let expected: Vec<Unseen> = (999..=1_002)
        .map(|number| Unseen {
            number,
            author: person(u128::from(number % 2) + 1),
            deleted: number == 999 || number == 1_002,
        })
        .collect();
    assert_eq!(unseen, expected);
    assert!(store.unseen(chat(1), 7, 7).await.expect("an answer").is_empty());
}

pub async fn a_blob_is_found_by_whoever_carries_it(open: Open<'_, dyn Timeline>) {
    let mut changes = created(1, 3);
    changes.push(Change::Sent(MessageRow {
        attachments: vec![attachment(1), attachment(2)],
        ..message(1, 1, 4)
    }));
    let store = written(open, changes, 4).await;
    assert_eq!(the_message(&*store, 1).await.attachments, [attachment(1), attachment(2)]);
    let [one, two, other] = [1, 2, 9].map(|n| BlobId([n; 32]));
    assert_eq!(store.carrier(two).await.expect("an answer"), Some((chat(1), 1)));
    assert_eq!(store.carrier(other).await.expect("an answer"), None);
    let mut carried = store.carried(&[other, two, one]).await.expect("an answer");
    carried.sort_unstable();
    assert_eq!(carried, [one, two]);
}

pub async fn how_somebody_keeps_a_chat_is_theirs_alone(open: Open<'_, dyn Timeline>) {
    let kept = |until: Option<i64>, pinned, position| Change::Kept {
        chat_id: chat(1),
        person: person(1),
        muted_until: until.map(Timestamp),
        pinned,
        position,
    };
    let mut changes = created(1, 3);
    changes.extend([kept(Some(99), false, 4), kept(Some(99), true, 5), sent(1, 2, 6), kept(None, true, 7)]);
    twice(open, changes, 7, async |store| {
        let me = store.membership(chat(1), person(1)).await.expect("an answer").expect("a member");
        assert_eq!((me.muted_until, me.pinned, me.read_number), (None, true, 0));
        let other = store.membership(chat(1), person(2)).await.expect("an answer").expect("a member");
        assert_eq!((other.muted_until, other.pinned), (None, false));
    })
    .await;
}

pub async fn the_feed_tells_touches_lines_and_changes_of_the_chat(open: Open<'_, dyn Timeline>) {
    let mut changes = group(3);
    changes.extend([sent(1, 1, 4), sent(2, 2, 5), edited(1, "better", 6), reacted(1, 2, Some("👍"), 7)]);
    changes.push(Change::Renamed { chat_id: chat(1), title: sealed("other", 8), position: 8 });
    changes.push(Change::Line(line(2, 2, LineKind::Renamed, 8)));
    let kept =
        Change::Kept { chat_id: chat(1), person: person(2), muted_until: None, pinned: true, position: 9 };
    changes.extend([kept, deleted(2, Deleted::Author, 10)]);
    // Far away in the log.
    changes.push(reacted(1, 1, Some("🎉"), 3_000_005));
    let store = written(open, changes, 3_000_005).await;
    let feed = async |position, limit| store.feed_since(chat(1), position, limit).await.expect("an answer");
    let entry = |position, changed| FeedEntry { position, changed };
    let mut since_5 = feed(5, 9).await;
    assert!(since_5.complete);
    // Of two at one position either may come first.
    since_5.entries.sort_by_key(|it| (it.position, it.changed == Changed::Chat));
    let expected = [
        entry(8, Changed::Line { ordinal: 2 }),
        entry(8, Changed::Chat),
        entry(9, Changed::Kept { person: person(2) }),
        entry(10, Changed::Message { number: 2 }),
        entry(3_000_005, Changed::Message { number: 1 }),
    ];
    assert_eq!(since_5.entries, expected, "of a message that was touched twice the last alone");
    assert_eq!(feed(10, 9).await.entries, expected[4..]);
    assert!(!feed(5, 4).await.complete);
}

/// Their chat's stream was parked: it comes after they did.
pub async fn touches_that_come_before_their_message_wait_for_it(open: Open<'_, dyn Timeline>) {
    let store = written(open, created(1, 3), 3).await;
    let touches = vec![edited(1, "better", 7), reacted(1, 2, Some("👍"), 8), deleted(2, Deleted::Author, 9)];
    store.write(touches, at(9, 1)).await.expect("written");
    assert_eq!(store.message(chat(1), 1).await.expect("an answer"), None);
    let carries = MessageRow { attachments: vec![attachment(1)], ..message(2, 1, 5) };
    store.write(vec![sent(1, 1, 4), Change::Sent(carries)], at(9, 1)).await.expect("written");
    let first = the_message(&*store, 1).await;
    assert_eq!(first.touch.edited.map(|edit| edit.text), Some(sealed("better", 7)));
    assert_eq!(first.touch.reactions.len(), 1);
    let second = the_message(&*store, 2).await;
    assert_eq!((second.touch.deleted, second.text.token.as_str()), (Some(Deleted::Author), ""));
    assert!(second.attachments.is_empty());
    let blob = BlobId([1; 32]);
    assert_eq!(store.carrier(blob).await.expect("an answer"), None, "its bytes are swept");
    assert!(store.carried(&[blob]).await.expect("an answer").is_empty());
}
