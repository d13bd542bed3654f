mod groups_and_touches;
pub mod rows;

use std::path::Path;

use domain::Timestamp;
use domain::views::ChatKind;
use stores::Port;
use stores::timeline::{Change, Changed, FeedEntry, Keep, MessageQuery, MessageRow, Timeline};

use groups_and_touches::*;
use rows::*;

use crate::cassandra::Keyspace;
use crate::{Open, at, chat, checkpoint, engines, generations, person};

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
