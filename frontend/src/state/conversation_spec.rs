use domain::Timestamp;
use domain::ids::PersonId;
use domain::views::{Author, Deleted, LineKind, PersonState};
use uuid::Uuid;

use super::super::window::TOGETHER;
use super::*;

fn message(number: u64) -> Message {
    let id = |n: u64| Uuid::from_u128(u128::from(n));
    let author = Author {
        user_id: PersonId(id(7)),
        nickname: "anna".to_owned(),
        name: "Anna".to_owned(),
        photo_id: None,
        state: PersonState::Active,
    };
    Message {
        message_id: MessageId(id(number)),
        chat_id: ChatId(id(1)),
        number,
        author,
        text: format!("message {number}"),
        sent_at: Timestamp(0),
        edited_at: None,
        deleted: None,
        reply_to: None,
        forwarded_from: None,
        reactions: Vec::new(),
        attachments: Vec::new(),
        collapsed: false,
    }
}

fn line(position: u64, after_number: u64) -> Line {
    Line {
        position,
        after_number,
        kind: LineKind::Left,
        by: None,
        person: None,
        title: None,
        role: None,
        count: None,
        at: Timestamp(0),
    }
}

fn page_with(from: u64, to: u64, lines: Vec<Line>) -> Messages {
    let items = (from..=to).map(message).collect();
    Messages { items, lines, next: None, prev: None, position: 0 }
}

fn page(from: u64, to: u64) -> Messages {
    page_with(from, to, Vec::new())
}

fn range(window: &Window) -> (Option<u64>, Option<u64>) {
    (window.first(), window.last())
}

#[test]
fn a_window_never_holds_more_rows_than_it_may_and_knows_what_it_dropped() {
    let mut window = Window::default();
    window.replace(page(951, 1000), true, false);
    while window.first() > Some(1) {
        let first = window.first().expect("it is not empty");
        window.prepend(page(first - 50, first - 1));
        assert!(window.entries.len() <= ROWS);
    }
    assert_eq!(range(&window), (Some(1), Some(400)));
    assert_eq!((window.older, window.newer), (false, true));
    window.append(page(401, 450));
    assert_eq!(range(&window), (Some(51), Some(450)));
    assert_eq!((window.older, window.newer), (true, true));
    window.append(page(451, 470));
    assert!(!window.newer, "a short page is the last one");
}

#[test]
fn a_message_that_has_arrived_follows_the_last_or_shows_a_gap() {
    let mut window = Window::default();
    assert_eq!(window.receive(message(1), None), Fit::Added);
    assert_eq!(window.receive(message(1), None), Fit::Known);
    assert_eq!(window.receive(message(3), None), Fit::Gap);
    assert_eq!(window.receive(message(2), None), Fit::Added);
    assert_eq!(range(&window), (Some(1), Some(2)));
    window.newer = true;
    assert_eq!(window.receive(message(3), None), Fit::Away);
}

#[test]
fn a_pending_message_keeps_its_row_when_it_is_sent() {
    let conversation = Conversation::new(ChatId(Uuid::from_u128(1)));
    conversation.phase.set(Phase::Ready);
    let pending = Item { delivery: Delivery::Pending, message: message(1) };
    let row = Entry::new(pending);
    conversation.outbox.set(vec![row.clone()]);
    assert_eq!(conversation.receive(message(1)), Fit::Added);
    assert_eq!(conversation.receive(message(1)), Fit::Known, "the answer after the frame changes nothing");
    assert!(conversation.outbox.get_untracked().is_empty());
    assert_eq!(row.number(), Some(1), "the very row that was pending");
    assert_eq!(conversation.window.get_untracked().entries.len(), 1);
}

#[test]
fn lines_stand_where_they_happened_and_go_with_their_messages() {
    let mut window = Window::default();
    window.replace(page_with(951, 1000, vec![line(7, 1000), line(5, 960), line(3, 950)]), true, false);
    window.take_lines(vec![line(6, 960), line(5, 960), line(2, 949)]);
    let positions = |window: &Window, index| {
        window.lines_before(index).iter().map(|line| line.position).collect::<Vec<_>>()
    };
    assert_eq!(positions(&window, 0), [3], "what stands before the first one, and nothing older");
    assert_eq!(positions(&window, 10), [5, 6]);
    assert_eq!(positions(&window, 50), [7]);
    while window.first() > Some(501) {
        let first = window.first().expect("it is not empty");
        window.prepend(page(first - 50, first - 1));
    }
    assert_eq!(window.last(), Some(900), "messages go, and their lines with them");
    assert!(window.lines_before(window.entries.len()).is_empty());
}

#[test]
fn lines_count_as_rows() {
    let mut window = Window::default();
    window.replace(page(1, 50), false, false);
    for start in (51..401).step_by(50) {
        window.append(page(start, start + 49));
    }
    assert_eq!(window.entries.len(), ROWS);
    window.append(page_with(401, 450, (0..30).map(|at| line(at, 420)).collect()));
    assert_eq!(window.entries.len() + TOGETHER + 1, ROWS);
    assert_eq!(window.last(), Some(450));
}

#[test]
fn what_was_deleted_is_quoted_nowhere_any_more() {
    let conversation = Conversation::new(ChatId(Uuid::from_u128(1)));
    conversation.phase.set(Phase::Ready);
    conversation.receive(message(1));
    let author = message(1).author;
    let reply = ReplyTo { number: 1, author, excerpt: Some("message 1".to_owned()) };
    conversation.receive(Message { reply_to: Some(reply.clone()), ..message(2) });
    conversation.reply.set(Some(reply));
    let quoted = || conversation.message(2).and_then(|message| message.reply_to?.excerpt);
    conversation.receive(Message {
        text: "new  words".to_owned(),
        edited_at: Some(Timestamp(1)),
        ..message(1)
    });
    assert_eq!(quoted().as_deref(), Some("new words"));
    let gone = Message { text: String::new(), deleted: Some(Deleted::Author), ..message(1) };
    assert_eq!(conversation.receive(gone), Fit::Known);
    assert_eq!(quoted(), None);
    assert_eq!(conversation.reply.get_untracked().and_then(|reply| reply.excerpt), None);
}

#[test]
fn another_author_s_message_of_the_same_id_is_another_message() {
    let conversation = Conversation::new(ChatId(Uuid::from_u128(1)));
    conversation.phase.set(Phase::Ready);
    conversation.receive(message(1));
    let mut stranger = Message { message_id: message(1).message_id, ..message(2) };
    stranger.author.user_id = PersonId(Uuid::from_u128(8));
    assert_eq!(conversation.receive(stranger.clone()), Fit::Added);
    assert_eq!(conversation.message(1), Some(message(1)));
    // Nor does it take an unsent one's place.
    let unsent = Message { message_id: MessageId(Uuid::from_u128(3)), ..message(0) };
    conversation.outbox.set(vec![Entry::new(Item { delivery: Delivery::Pending, message: unsent.clone() })]);
    conversation.receive(Message { message_id: unsent.message_id, ..message_of(&stranger, 3) });
    assert_eq!(conversation.outbox.with_untracked(Vec::len), 1);
    let items = vec![message(1), stranger];
    let page = Messages { items, lines: Vec::new(), next: None, prev: None, position: 0 };
    conversation.window.update(|window| window.replace(page, false, false));
    assert_eq!(conversation.message(1), Some(message(1)));
}

fn message_of(other: &Message, number: u64) -> Message {
    Message { author: other.author.clone(), ..message(number) }
}

#[test]
fn what_a_blocked_person_edits_is_quoted_nowhere() {
    let conversation = Conversation::new(ChatId(Uuid::from_u128(1)));
    conversation.phase.set(Phase::Ready);
    let hidden = Message { collapsed: true, ..message(1) };
    conversation.receive(hidden.clone());
    let reply = ReplyTo { number: 1, author: hidden.author.clone(), excerpt: None };
    conversation.receive(Message { reply_to: Some(reply), ..message(2) });
    conversation.receive(Message { edited_at: Some(Timestamp(1)), ..hidden });
    assert_eq!(conversation.message(2).and_then(|message| message.reply_to?.excerpt), None);
}

#[test]
fn a_page_says_what_was_told_while_it_was_on_its_way() {
    let conversation = Conversation::new(ChatId(Uuid::from_u128(1)));
    let gone = Message { text: String::new(), deleted: Some(Deleted::Author), ..message(1) };
    let reply = ReplyTo { number: 1, author: gone.author.clone(), excerpt: Some("message 1".to_owned()) };
    let mut before = page(1, 3);
    before.items[1].reply_to = Some(reply);
    let arrives = async {
        conversation.receive(gone.clone());
        Ok(before.clone())
    };
    let page = futures::executor::block_on(conversation.awaiting(arrives)).expect("it arrives");
    assert_eq!((&page.items[0], &page.items[2]), (&gone, &message(3)));
    assert_eq!(page.items[1].reply_to.as_ref().and_then(|reply| reply.excerpt.as_ref()), None);
    // What was told before a page was asked for is in it.
    let later = futures::executor::block_on(conversation.awaiting(async { Ok(before.clone()) }));
    assert_eq!(later.expect("it arrives").items[0], message(1));
}

#[test]
fn what_was_said_while_one_was_away_is_a_hole_and_no_end() {
    let mut window = Window::default();
    let items = [1, 2, 3, 7, 8].map(message).to_vec();
    let of = |items| Messages { items, lines: Vec::new(), next: None, prev: None, position: 0 };
    window.replace(of(items), false, false);
    assert_eq!(window.entry(7).and_then(Entry::number), Some(7));
    assert!([0, 4, 6, 9].iter().all(|number| window.entry(*number).is_none()));
    let gone = Message { text: String::new(), deleted: Some(Deleted::Author), ..message(8) };
    window.renew(of(vec![gone.clone()]));
    assert_eq!(window.entry(8).map(|entry| entry.item.get_untracked().message), Some(gone));
}

#[test]
fn a_page_of_history_is_a_block_of_its_own_and_leaves_the_others_as_they_are() {
    let mut window = Window::default();
    let block = |window: &Window, number| window.block_of(Some(number));
    window.replace(page(951, 1000), true, false);
    let newest = block(&window, 1000);
    assert_eq!(
        (block(&window, 951), window.block_of(None)),
        (newest, newest),
        "what is not sent stands behind"
    );
    window.prepend(page(901, 950));
    let older = block(&window, 901);
    assert_eq!((block(&window, 950), block(&window, 951)), (older, newest));
    assert_ne!(older, newest);
    assert_eq!(window.receive(message(1001), None), Fit::Added);
    assert_ne!(block(&window, 1001), newest, "that one is full");
    window.append(page(1002, 1010));
    assert_ne!(block(&window, 1002), block(&window, 1001));

    // What is cut off at the older end comes back as a block beside what is left of it.
    while window.first() == Some(901) {
        let last = window.last().expect("it is not empty");
        window.append(page(last + 1, last + 50));
    }
    let first = window.first().expect("it is not empty");
    let cut = block(&window, first);
    window.prepend(page(first - 50, first - 1));
    assert_eq!(block(&window, first), cut);
    assert_ne!(block(&window, first - 1), cut);
    let mut blocks: Vec<u64> = window.entries.iter().map(|entry| window.block_of(entry.number())).collect();
    blocks.dedup();
    let different: std::collections::BTreeSet<u64> = blocks.iter().copied().collect();
    assert_eq!(different.len(), blocks.len(), "each is there once");
}
