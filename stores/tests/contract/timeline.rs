use std::path::Path;
use std::sync::Arc;

use domain::Timestamp;
use domain::chat::Span;
use domain::ids::{BlobId, MessageId};
use domain::views::{AttachmentKind, ChatKind, Deleted, History, LineKind, Role};
use stores::Port;
use stores::timeline::{
    AttachmentRow, Change, Changed, FeedEntry, Keep, LineRow, MessageQuery, MessageRow, Timeline, Touch,
    Unseen,
};
use uuid::Uuid;

use crate::cassandra::Keyspace;
use crate::{Open, at, chat, checkpoint, engines, fresh, generations, person, sealed};

engines!([
    the_checkpoint_moves_with_the_rows,
    a_stale_writer_changes_nothing,
    a_generation_is_built_beside_and_switched_to,
    a_summary_tells_rows_apart,
    what_is_parked_is_kept,
    a_chat_begins_empty_and_is_its_members_alone,
    unread_is_what_others_sent_since_one_read_or_wrote,
    a_mark_never_goes_back,
    history_is_cut_by_number_and_by_time,
    a_page_is_kept_at_the_end_that_was_asked_for,
    messages_lie_sealed_with_their_event,
    the_feed_tells_what_came_after_a_position,
    an_old_change_written_again_changes_nothing,
    a_group_tells_who_is_in_it_what_each_may_read_and_how_it_is_called,
    lines_stand_between_messages_by_their_ordinal,
    an_edit_is_shown_and_what_was_before_is_kept,
    a_deletion_leaves_nothing_but_the_number,
    one_reaction_a_person_and_message,
    what_is_unseen_tells_its_author_and_whether_it_is_gone,
    a_blob_is_found_by_whoever_carries_it,
    how_somebody_keeps_a_chat_is_theirs_alone,
    the_feed_tells_touches_lines_and_changes_of_the_chat,
    touches_that_come_before_their_message_wait_for_it,
]
    sqlite => async |folder: &Path| -> Port<dyn Timeline> {
        stores::resolver::timeline(&format!("sqlite:{}/timeline", folder.display())).await.expect("opened")
    },
    cassandra => {
        let keyspace = Keyspace::default();
        async move |folder: &Path| -> Port<dyn Timeline> { keyspace.open(folder).await }
    },
);

fn created(n: u128, position: u64) -> Vec<Change> {
    let joined = |who| Change::Joined {
        chat_id: chat(n),
        person: person(who),
        role: Role::Member,
        joined_number: 0,
        sees: Vec::new(),
        position,
    };
    let created = Change::Created {
        chat_id: chat(n),
        kind: ChatKind::Direct,
        created_by: person(1),
        created_at: Timestamp(5),
        title: None,
        history: None,
        position,
    };
    vec![created, joined(1), joined(2)]
}

/// Message `number` by `author`, sent at ten times its number.
fn message(number: u64, author: u128, position: u64) -> MessageRow {
    MessageRow {
        chat_id: chat(1),
        number,
        message_id: MessageId(Uuid::from_u128(u128::from(number))),
        author: person(author),
        text: sealed(&number.to_string(), position),
        sent_at: Timestamp(number as i64 * 10),
        reply_to: None,
        attachments: Vec::new(),
        forwarded_from: None,
        lines: 1,
        position,
        touch: Touch::default(),
    }
}

/// Ann's (1) group with Bob (2) in it, in this order: created, joined, a line.
fn group(position: u64) -> Vec<Change> {
    let joined = |who, role| Change::Joined {
        chat_id: chat(1),
        person: person(who),
        role,
        joined_number: 0,
        sees: vec![from(1)],
        position,
    };
    let created = Change::Created {
        chat_id: chat(1),
        kind: ChatKind::Group,
        created_by: person(1),
        created_at: Timestamp(5),
        title: Some(sealed("title", position)),
        history: Some(History::Joining),
        position,
    };
    let line = LineRow {
        title: Some(sealed("title", position)),
        count: Some(1),
        ..line(1, 0, LineKind::Created, position)
    };
    vec![created, joined(1, Role::Owner), joined(2, Role::Member), Change::Line(line)]
}

fn line(ordinal: u64, after_number: u64, kind: LineKind, position: u64) -> LineRow {
    LineRow {
        chat_id: chat(1),
        ordinal,
        after_number,
        kind,
        by: Some(person(1)),
        person: None,
        title: None,
        role: None,
        count: None,
        at: Timestamp(position as i64),
        position,
    }
}

fn from(first: u64) -> Span {
    Span { first, last: None }
}

fn edited(number: u64, text: &str, position: u64) -> Change {
    Change::Edited {
        chat_id: chat(1),
        number,
        text: sealed(text, position),
        at: Timestamp(position as i64),
        position,
    }
}

fn deleted(number: u64, how: Deleted, position: u64) -> Change {
    Change::Deleted { chat_id: chat(1), number, how, position }
}

fn reacted(number: u64, who: u128, emoji: Option<&str>, position: u64) -> Change {
    let emoji = emoji.map(str::to_owned);
    Change::Reacted { chat_id: chat(1), number, person: person(who), emoji, position }
}

fn attachment(n: u8) -> AttachmentRow {
    AttachmentRow {
        blob: BlobId([n; 32]),
        kind: AttachmentKind::Image,
        media_type: "image/jpeg".into(),
        size: 7,
        width: Some(2),
        height: Some(1),
        name: sealed("name", 4),
    }
}

fn sent(number: u64, author: u128, position: u64) -> Change {
    Change::Sent(message(number, author, position))
}

fn read(who: u128, number: u64, position: u64) -> Change {
    Change::Read { chat_id: chat(1), person: person(who), number, position }
}

async fn written(open: Open<'_, dyn Timeline>, changes: Vec<Change>, position: u64) -> Arc<dyn Timeline> {
    let store = open().await.serving();
    store.take_over(fresh()).await.expect("taken over");
    store.write(changes, at(position, 1)).await.expect("written");
    store
}

async fn unread(store: &dyn Timeline, who: u128) -> (u64, u64) {
    let it = store.chat_of(chat(1), person(who)).await.expect("an answer").expect("a member");
    (it.me.read_number, it.unread())
}

async fn the_checkpoint_moves_with_the_rows(open: Open<'_, dyn Timeline>) {
    checkpoint::moves_with_rows(open, created(1, 7).swap_remove(0)).await;
    assert!(open().await.serving().chat(chat(1)).await.expect("an answer").is_some());
}

async fn a_stale_writer_changes_nothing(open: Open<'_, dyn Timeline>) {
    let store = open().await.serving();
    let old = created(1, 7).swap_remove(0);
    checkpoint::refuses_a_stale_writer(&*store, old, sent(1, 1, 8)).await;
    let found = store.chat(chat(1)).await.expect("an answer").expect("a chat");
    assert_eq!(found.last_number, 0);
    assert_eq!(store.message(chat(1), 1).await.expect("an answer"), None);
}

async fn a_generation_is_built_beside_and_switched_to(open: Open<'_, dyn Timeline>) {
    generations::is_built_beside_and_switched_to(open, created(1, 7).swap_remove(0), sent(1, 1, 8)).await;
}

async fn a_summary_tells_rows_apart(open: Open<'_, dyn Timeline>) {
    generations::tells_rows_apart(
        open,
        [created(1, 7).swap_remove(0), sent(1, 1, 8)],
        Change::Sent(MessageRow { author: person(2), ..message(1, 1, 8) }),
    )
    .await;
}

async fn what_is_parked_is_kept(open: Open<'_, dyn Timeline>) {
    generations::keeps_what_is_parked(open, created(1, 7).swap_remove(0)).await;
}

async fn a_chat_begins_empty_and_is_its_members_alone(open: Open<'_, dyn Timeline>) {
    let store = written(open, created(1, 3), 3).await;
    let mine = store.chats_of(person(1)).await.expect("an answer");
    assert_eq!(mine.len(), 1);
    let it = &mine[0];
    assert_eq!(
        (it.chat.kind, it.chat.member_count, it.chat.last_number, it.chat.active_at),
        (ChatKind::Direct, 2, 0, Timestamp(5))
    );
    assert_eq!(it.me.person, person(1));
    assert_eq!(it.peer.as_ref().map(|peer| peer.person), Some(person(2)));
    assert_eq!((it.last.as_ref(), it.unread()), (None, 0));
    assert!(store.chats_of(person(3)).await.expect("an answer").is_empty());
    assert_eq!(store.chat_of(chat(1), person(3)).await.expect("an answer"), None);
    assert_eq!(store.membership(chat(1), person(3)).await.expect("an answer"), None);
    let members = store.members(chat(1)).await.expect("an answer");
    assert_eq!(members.iter().map(|it| it.person).collect::<Vec<_>>(), [person(1), person(2)]);
}

async fn unread_is_what_others_sent_since_one_read_or_wrote(open: Open<'_, dyn Timeline>) {
    let mut changes = created(1, 3);
    changes.extend([sent(1, 1, 4), sent(2, 1, 5), sent(3, 1, 6)]);
    let store = written(open, changes, 6).await;
    assert_eq!(unread(&*store, 1).await, (3, 0), "one's own are no news");
    assert_eq!(unread(&*store, 2).await, (0, 3));
    store.write(vec![read(2, 1, 7)], at(7, 1)).await.expect("written");
    assert_eq!(unread(&*store, 2).await, (1, 2));
    store.write(vec![sent(4, 2, 8), sent(5, 1, 9)], at(9, 1)).await.expect("written");
    assert_eq!(unread(&*store, 2).await, (4, 1), "whoever writes has read");
    let it = store.chat_of(chat(1), person(1)).await.expect("an answer").expect("a member");
    assert_eq!(it.last, Some(message(5, 1, 9)));
    assert_eq!((it.chat.last_number, it.chat.active_at), (5, Timestamp(50)));
    assert_eq!(it.peer.map(|peer| peer.read_number), Some(4));
}

async fn a_mark_never_goes_back(open: Open<'_, dyn Timeline>) {
    let mut changes = created(1, 3);
    changes.extend([sent(1, 1, 4), sent(2, 1, 5), sent(3, 2, 6)]);
    // Another device of the one who wrote 3 marks an older one, later.
    changes.push(read(2, 2, 7));
    let store = written(open, changes, 7).await;
    assert_eq!(unread(&*store, 2).await, (3, 0));
}

async fn history_is_cut_by_number_and_by_time(open: Open<'_, dyn Timeline>) {
    let mut changes = created(1, 3);
    changes.extend((1..=9).map(|number| sent(number, 1, 3 + number)));
    // Two messages at one moment: 5 is sent when 4 is.
    changes[7] = Change::Sent(MessageRow { sent_at: Timestamp(40), ..message(5, 1, 8) });
    let store = written(open, changes, 12).await;
    let numbers = async |from: Option<i64>, to: Option<i64>, after, before| {
        let query = MessageQuery {
            from: from.map(Timestamp),
            to: to.map(Timestamp),
            after,
            before,
            keep: Keep::Oldest,
            limit: 100,
        };
        let found = store.messages(chat(1), query).await.expect("an answer");
        found.into_iter().map(|it| it.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(None, None, None, None).await, (1..=9).collect::<Vec<_>>());
    assert_eq!(numbers(Some(40), Some(70), None, None).await, [4, 5, 6]);
    assert_eq!(numbers(Some(41), None, None, None).await, [6, 7, 8, 9]);
    assert_eq!(numbers(None, Some(40), None, None).await, [1, 2, 3]);
    assert_eq!(numbers(None, None, Some(3), Some(6)).await, [4, 5]);
    assert_eq!(numbers(Some(30), Some(90), Some(4), Some(100)).await, [5, 6, 7, 8]);
    assert!(numbers(Some(91), None, None, None).await.is_empty());
    assert!(numbers(None, Some(10), None, None).await.is_empty());
    assert!(numbers(None, None, Some(u64::MAX), None).await.is_empty());
    assert!(numbers(Some(70), Some(40), None, None).await.is_empty());
    let query = MessageQuery {
        from: Some(Timestamp(1)),
        to: None,
        after: None,
        before: None,
        keep: Keep::Newest,
        limit: 9,
    };
    assert!(store.messages(chat(2), query).await.expect("an answer").is_empty());
}

async fn a_page_is_kept_at_the_end_that_was_asked_for(open: Open<'_, dyn Timeline>) {
    let mut changes = created(1, 3);
    changes.extend((1..=9).map(|number| sent(number, 1, 3 + number)));
    let store = written(open, changes, 12).await;
    let numbers = async |keep, before| {
        let query = MessageQuery { from: None, to: None, after: Some(2), before, keep, limit: 3 };
        let found = store.messages(chat(1), query).await.expect("an answer");
        found.into_iter().map(|it| it.number).collect::<Vec<_>>()
    };
    assert_eq!(numbers(Keep::Newest, None).await, [7, 8, 9], "oldest first all the same");
    assert_eq!(numbers(Keep::Oldest, None).await, [3, 4, 5]);
    assert_eq!(numbers(Keep::Newest, Some(5)).await, [3, 4]);
}

async fn messages_lie_sealed_with_their_event(open: Open<'_, dyn Timeline>) {
    let reply = MessageRow { reply_to: Some(1), ..message(2, 2, 5) };
    let mut changes = created(1, 3);
    changes.extend([sent(1, 1, 4), Change::Sent(reply.clone())]);
    let store = written(open, changes, 5).await;
    assert_eq!(store.message(chat(1), 2).await.expect("an answer"), Some(reply.clone()));
    assert_eq!(store.message(chat(1), 3).await.expect("an answer"), None);
    let mut both = store.messages_by_number(chat(1), &[2, 7, 1]).await.expect("an answer");
    both.sort_by_key(|it| it.number);
    assert_eq!(both, [message(1, 1, 4), reply]);
}

async fn the_feed_tells_what_came_after_a_position(open: Open<'_, dyn Timeline>) {
    let mut changes = created(1, 3);
    changes.extend([sent(1, 1, 4), sent(2, 1, 5), read(2, 1, 6), read(2, 2, 7), sent(3, 2, 8)]);
    let store = written(open, changes, 8).await;
    let feed = async |position, limit| store.feed_since(chat(1), position, limit).await.expect("an answer");
    let (message, read) = (
        |position, number| FeedEntry { position, changed: Changed::Message { number } },
        FeedEntry { position: 7, changed: Changed::Read { person: person(2), number: 2 } },
    );
    let since_4 = feed(4, 9).await;
    assert!(since_4.complete);
    assert_eq!(since_4.entries, [message(5, 2), read, message(8, 3)], "the last mark alone");
    assert_eq!(feed(7, 9).await.entries, [message(8, 3)]);
    assert!(feed(8, 9).await.entries.is_empty());
    assert_eq!(feed(2, 9).await.entries[0], FeedEntry { position: 3, changed: Changed::Chat }, "a new chat");
    assert!(feed(4, 3).await.complete);
    assert!(!feed(4, 2).await.complete);
    assert!(!feed(4, 1).await.complete);
}

async fn an_old_change_written_again_changes_nothing(open: Open<'_, dyn Timeline>) {
    let mut changes = created(1, 3);
    changes.extend([sent(1, 1, 4), read(2, 1, 5), sent(2, 1, 6), sent(3, 2, 7)]);
    let store = written(open, changes.clone(), 7).await;
    let before = store.chats_of(person(2)).await.expect("an answer");
    // The last message came before the loss; what is before it comes again.
    store.write(changes[..5].to_vec(), at(5, 1)).await.expect("written");
    assert_eq!(store.chats_of(person(2)).await.expect("an answer"), before);
    store.write(changes[5..].to_vec(), at(7, 1)).await.expect("written");
    assert_eq!(store.chats_of(person(2)).await.expect("an answer"), before);
    assert_eq!(before[0].chat.member_count, 2);
}

async fn the_message(store: &dyn Timeline, number: u64) -> MessageRow {
    store.message(chat(1), number).await.expect("an answer").expect("it is there")
}

/// Writes changes as they came, then all of them again in parts, as after a loss; each time `check`.
async fn twice(
    open: Open<'_, dyn Timeline>,
    changes: Vec<Change>,
    last: u64,
    check: impl AsyncFn(&dyn Timeline),
) {
    let store = written(open, changes.clone(), last).await;
    check(&*store).await;
    for change in changes {
        store.write(vec![change], at(last, 1)).await.expect("written again");
    }
    check(&*store).await;
}

async fn a_group_tells_who_is_in_it_what_each_may_read_and_how_it_is_called(open: Open<'_, dyn Timeline>) {
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

async fn lines_stand_between_messages_by_their_ordinal(open: Open<'_, dyn Timeline>) {
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

async fn an_edit_is_shown_and_what_was_before_is_kept(open: Open<'_, dyn Timeline>) {
    let mut changes = created(1, 3);
    changes.extend([sent(1, 1, 4), sent(2, 1, 5), edited(1, "better", 6), edited(1, "best", 7)]);
    twice(open, changes, 7, async |store| {
        let touched = the_message(store, 1).await;
        let edit = touched.touch.edited.expect("it was edited");
        assert_eq!((edit.text, edit.at), (sealed("best", 7), Timestamp(7)));
        assert_eq!((touched.text, touched.touch.position), (sealed("1", 4), 7), "as sent");
        let edits = store.edits(chat(1), 1).await.expect("an answer");
        let edits: Vec<_> = edits.into_iter().map(|edit| edit.text).collect();
        assert_eq!(edits, [sealed("better", 6), sealed("best", 7)]);
        assert_eq!(the_message(store, 2).await.touch, Touch::default());
        assert!(store.edits(chat(1), 2).await.expect("an answer").is_empty());
        let query =
            MessageQuery { from: None, to: None, before: None, after: None, keep: Keep::Oldest, limit: 9 };
        let page = store.messages(chat(1), query).await.expect("an answer");
        assert_eq!(page, [the_message(store, 1).await, the_message(store, 2).await], "as in a page");
    })
    .await;
}

async fn a_deletion_leaves_nothing_but_the_number(open: Open<'_, dyn Timeline>) {
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

async fn one_reaction_a_person_and_message(open: Open<'_, dyn Timeline>) {
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
        let both = ["🎉", "🎉"].map(str::to_owned);
        let expected: Vec<_> = [person(1), person(2)].into_iter().zip(both).collect();
        assert_eq!(the_message(store, 1).await.touch.reactions, expected);
        let taken_back = the_message(store, 2).await.touch;
        assert_eq!((taken_back.reactions.len(), taken_back.position), (0, 10));
    })
    .await;
}

async fn what_is_unseen_tells_its_author_and_whether_it_is_gone(open: Open<'_, dyn Timeline>) {
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

async fn a_blob_is_found_by_whoever_carries_it(open: Open<'_, dyn Timeline>) {
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

async fn how_somebody_keeps_a_chat_is_theirs_alone(open: Open<'_, dyn Timeline>) {
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

async fn the_feed_tells_touches_lines_and_changes_of_the_chat(open: Open<'_, dyn Timeline>) {
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
async fn touches_that_come_before_their_message_wait_for_it(open: Open<'_, dyn Timeline>) {
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
}
