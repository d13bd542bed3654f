//! Given, when, then: chat.

use uuid::Uuid;

use super::*;
use crate::given::{ANN, BOB, EVE, Given, NOW, given};
use crate::ids::BlobId;
use crate::personal::FileName;
use crate::text::TEXT_MAX;
use crate::views::AttachmentKind;

const CHAT: ChatId = ChatId(Uuid::from_u128(0xc));
const FRIENDS: ChatFacts = ChatFacts { friends: true, blocked: false, in_a_group: false };
const STRANGERS: ChatFacts = ChatFacts { friends: false, blocked: false, in_a_group: false };
const BLOCKED: ChatFacts = ChatFacts { friends: false, blocked: true, in_a_group: false };

fn create(by: PersonId, with: PersonId) -> ChatCommand {
    ChatCommand::CreateDirect { chat: CHAT, by, with, at: NOW }
}

fn created() -> ChatEvent {
    ChatEvent::DirectChatCreated { chat: CHAT, by: ANN, with: BOB, at: NOW }
}

fn id(number: u64) -> MessageId {
    MessageId(Uuid::from_u128(0x100 + u128::from(number)))
}

fn sent(author: PersonId, number: u64, text: &str, sent_at: Timestamp) -> ChatEvent {
    let text = Text(text.into()).into();
    ChatEvent::MessageSent {
        chat: CHAT,
        author,
        message_id: id(number),
        number,
        text,
        sent_at,
        reply_to: None,
        attachments: Vec::new(),
        forwarded_from: None,
    }
}

/// A text that will be message `number`.
fn send(author: PersonId, number: u64, text: &str, at: Timestamp) -> ChatCommand {
    ChatCommand::Send {
        author,
        message_id: id(number),
        text: Text(text.into()),
        reply_to: None,
        attachments: Vec::new(),
        forwarded_from: None,
        at,
    }
}

fn reply(to: u64) -> ChatCommand {
    ChatCommand::Send {
        author: BOB,
        message_id: id(9),
        text: Text("yes".into()),
        reply_to: Some(to),
        attachments: Vec::new(),
        forwarded_from: None,
        at: NOW,
    }
}

/// The direct chat of two friends.
fn chat_of_friends() -> Given<Chat> {
    given([created()]).knowing(FRIENDS)
}

#[test]
fn a_friend_opens_the_direct_chat_and_both_are_in_it() {
    let chat = given::<Chat>([]).knowing(FRIENDS).when(create(ANN, BOB)).then([created()]).state();
    assert!(chat.has_member(ANN) && chat.has_member(BOB) && !chat.has_member(EVE));
    assert_eq!((chat.peer_of(ANN), chat.peer_of(BOB)), (Some(BOB), Some(ANN)));
}

#[test]
fn strangers_open_no_chat_and_a_block_reads_the_same() {
    for facts in [STRANGERS, BLOCKED, ChatFacts { friends: true, blocked: true, in_a_group: true }] {
        given::<Chat>([]).knowing(facts).when(create(ANN, BOB)).then_problem(Kind::NotPermitted);
    }
}

#[test]
fn nobody_opens_a_chat_with_oneself() {
    let oneself = FieldError::new("/user_id", "oneself");
    given::<Chat>([]).knowing(FRIENDS).when(create(ANN, ANN)).then_invalid(oneself);
}

#[test]
fn a_chat_is_created_once() {
    chat_of_friends().when(create(BOB, ANN)).then_refused(Kind::Conflict);
}

#[test]
fn messages_are_numbered_from_one_without_a_gap() {
    chat_of_friends()
        .when(send(ANN, 1, "hello", NOW))
        .then([sent(ANN, 1, "hello", NOW)])
        .when(send(BOB, 2, "hi", NOW))
        .then([sent(BOB, 2, "hi", NOW)])
        .when(send(BOB, 3, "you?", NOW))
        .then([sent(BOB, 3, "you?", NOW)]);
}

#[test]
fn a_refused_message_takes_no_number() {
    chat_of_friends()
        .when(send(ANN, 1, " ", NOW))
        .then_refused(Kind::Invalid)
        .when(send(ANN, 1, "hello", NOW))
        .then([sent(ANN, 1, "hello", NOW)]);
}

#[test]
fn numbers_count_messages_and_no_other_event() {
    // Whatever else the stream holds; today that is a chat's creation alone.
    chat_of_friends()
        .and([created(), sent(ANN, 1, "hello", NOW), created()])
        .when(send(BOB, 2, "hi", NOW))
        .then([sent(BOB, 2, "hi", NOW)]);
}

#[test]
fn sent_at_never_falls_when_the_clock_does() {
    let before = NOW.plus(-Timestamp::SECOND);
    chat_of_friends()
        .when(send(ANN, 1, "hello", NOW))
        .then([sent(ANN, 1, "hello", NOW)])
        .when(send(BOB, 2, "hi", before))
        .then([sent(BOB, 2, "hi", NOW)])
        .when(send(BOB, 3, "late", NOW.plus(1)))
        .then([sent(BOB, 3, "late", NOW.plus(1))]);
}

#[test]
fn a_text_is_kept_exactly_as_sent() {
    for text in [" padded\n", "e\u{301}", "\u{1f1ea}\u{1f1fa}\t", "\u{fb01}"] {
        chat_of_friends().when(send(ANN, 1, text, NOW)).then([sent(ANN, 1, text, NOW)]);
    }
}

#[test]
fn a_text_has_one_to_4000_scalar_values_and_is_not_blank() {
    let longest = "😀".repeat(TEXT_MAX);
    chat_of_friends().when(send(ANN, 1, &longest, NOW)).then([sent(ANN, 1, &longest, NOW)]);
    chat_of_friends()
        .when(send(ANN, 1, &format!("{longest} "), NOW))
        .then_invalid(FieldError::new("/text", "too-long").with("max", 4_000));
    for blank in ["", " \n\t", "\u{2003}"] {
        chat_of_friends()
            .when(send(ANN, 1, blank, NOW))
            .then_invalid(FieldError::new("/text", "too-short").with("min", 1));
    }
}

#[test]
fn whoever_is_not_in_a_chat_does_not_find_it() {
    chat_of_friends().when(send(EVE, 1, "let me in", NOW)).then_problem(Kind::NotFound);
    chat_of_friends().when(send(EVE, 1, "", NOW)).then_problem(Kind::NotFound);
    given::<Chat>([]).knowing(FRIENDS).when(send(ANN, 1, "hello", NOW)).then_problem(Kind::NotFound);
}

#[test]
fn former_friends_do_not_write_and_a_block_reads_the_same() {
    for facts in [STRANGERS, BLOCKED, ChatFacts { friends: true, blocked: true, in_a_group: true }] {
        for author in [ANN, BOB] {
            chat_of_friends()
                .knowing(facts)
                .when(send(author, 1, "hello?", NOW))
                .then_problem(Kind::NotPermitted);
        }
    }
}

#[test]
fn whoever_is_in_a_common_group_talks_unless_there_is_a_block() {
    let common = ChatFacts { in_a_group: true, ..STRANGERS };
    given::<Chat>([]).knowing(common).when(create(ANN, BOB)).then([created()]);
    chat_of_friends().knowing(common).when(send(ANN, 1, "hello", NOW)).then([sent(ANN, 1, "hello", NOW)]);
    let blocked = ChatFacts { blocked: true, ..common };
    chat_of_friends().knowing(blocked).when(send(ANN, 1, "hello", NOW)).then_problem(Kind::NotPermitted);
}

#[test]
fn a_picture_needs_no_words_and_there_are_at_most_ten() {
    let picture = Attachment {
        blob: BlobId([7; 32]),
        kind: AttachmentKind::Image,
        media_type: "image/jpeg".into(),
        size: 5,
        width: Some(2),
        height: Some(1),
        name: FileName("me.jpg".into()).into(),
    };
    let with = |text: &str, count: usize| ChatCommand::Send {
        author: ANN,
        message_id: id(1),
        text: Text(text.into()),
        reply_to: None,
        attachments: vec![picture.clone(); count],
        forwarded_from: None,
        at: NOW,
    };
    let ChatEvent::MessageSent { chat, author, message_id, number, text, sent_at, .. } =
        sent(ANN, 1, "", NOW)
    else {
        unreachable!("sent() is a message")
    };
    let carries = ChatEvent::MessageSent {
        chat,
        author,
        message_id,
        number,
        text,
        sent_at,
        reply_to: None,
        attachments: vec![picture.clone()],
        forwarded_from: None,
    };
    chat_of_friends().when(with("", 1)).then([carries]);
    let too_many = FieldError::new("/attachments", "too-long").with("max", 10);
    chat_of_friends().when(with("", 11)).then_invalid(too_many);
    let blank = FieldError::new("/text", "too-short").with("min", 1);
    chat_of_friends().when(with(" ", 1)).then_invalid(blank);
}

#[test]
fn friends_again_write_on_where_they_stopped() {
    chat_of_friends()
        .and([sent(ANN, 1, "hello", NOW)])
        .knowing(STRANGERS)
        .when(send(BOB, 2, "hi", NOW))
        .then_refused(Kind::NotPermitted)
        .knowing(FRIENDS)
        .when(send(BOB, 2, "hi", NOW))
        .then([sent(BOB, 2, "hi", NOW)]);
}

#[test]
fn a_reply_names_a_message_that_is_there() {
    let ChatEvent::MessageSent { chat, author, text, sent_at, .. } = sent(BOB, 9, "yes", NOW) else {
        unreachable!("sent() is a message")
    };
    let answer = ChatEvent::MessageSent {
        chat,
        author,
        message_id: id(9),
        number: 3,
        text,
        sent_at,
        reply_to: Some(2),
        attachments: Vec::new(),
        forwarded_from: None,
    };
    let story = [sent(ANN, 1, "one", NOW), sent(ANN, 2, "two", NOW)];
    chat_of_friends().and(story).when(reply(2)).then([answer]);
}

#[test]
fn a_reply_to_a_message_that_is_not_there_is_refused() {
    for missing in [0, 2, 3, u64::MAX] {
        chat_of_friends()
            .and([sent(ANN, 1, "one", NOW)])
            .when(reply(missing))
            .then_invalid(FieldError::new("/reply_to", "no-such-message"));
    }
}

#[test]
fn a_number_leads_to_the_event_that_holds_the_message() {
    let chat = chat_of_friends().and([
        sent(ANN, 1, "one", NOW),
        sent(BOB, 2, "two", NOW),
        sent(ANN, 3, "three", NOW),
    ]);
    let chat = chat.state();
    let found: Vec<_> = (0..=4).map(|number| chat.sequence_of(number)).collect();
    assert_eq!(found, [None, Some(2), Some(3), Some(4), None]);
    assert_eq!(chat.runs.len(), 1, "the state does not grow with the messages");
}
