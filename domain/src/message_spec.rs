//! Given, when, then: message.

use uuid::Uuid;

use super::*;
use crate::given::{ANN, BOB, EVE, NOW, given};

const CHAT: ChatId = ChatId(Uuid::from_u128(0xc));
const THUMB: &str = "👍";

/// What Ann's message is to `by`, who may write.
fn to(_: PersonId) -> MessageFacts {
    MessageFacts { author: Some(ANN), may_write: true, is_member: true, ..MessageFacts::default() }
}

fn wish(by: PersonId, wish: Wish) -> MessageCommand {
    MessageCommand { chat: CHAT, number: 7, by, wish, at: NOW }
}

fn edit(by: PersonId, text: &str) -> MessageCommand {
    wish(by, Wish::Edit(Text(text.into())))
}

fn edited(text: &str) -> MessageEvent {
    MessageEvent::MessageEdited {
        chat: CHAT,
        number: 7,
        author: ANN,
        text: Text(text.into()).into(),
        at: NOW,
    }
}

fn deleted() -> MessageEvent {
    MessageEvent::MessageDeleted { chat: CHAT, number: 7, by: ANN, at: NOW }
}

fn removed(by: PersonId) -> MessageEvent {
    MessageEvent::MessageRemoved { chat: CHAT, number: 7, by, at: NOW }
}

fn react(by: PersonId, emoji: &str) -> MessageCommand {
    wish(by, Wish::React(Some(emoji.into())))
}

fn reacted(person: PersonId, emoji: Option<&str>) -> MessageEvent {
    let emoji = emoji.map(str::to_owned);
    MessageEvent::ReactionSet { chat: CHAT, number: 7, person, emoji, at: NOW }
}

fn person(n: u128) -> PersonId {
    PersonId(Uuid::from_u128(0x1000 + n))
}

#[test]
fn its_author_edits_a_message() {
    given::<Message>([])
        .knowing(to(ANN))
        .when(edit(ANN, "hi"))
        .then([edited("hi")])
        .when(edit(ANN, ""))
        .then_refused(Kind::Invalid);
}

#[test]
fn nobody_else_edits_it_and_nobody_a_forwarded_one() {
    given::<Message>([])
        .knowing(MessageFacts { moderates: true, ..to(BOB) })
        .when(edit(BOB, "hi"))
        .then_problem(Kind::NotPermitted);
    given::<Message>([])
        .knowing(MessageFacts { forwarded: true, ..to(ANN) })
        .when(edit(ANN, "hi"))
        .then_problem(Kind::NotPermitted);
}

#[test]
fn whoever_may_not_write_edits_and_reacts_no_more_but_takes_back_what_was_said() {
    let silent = MessageFacts { may_write: false, ..to(ANN) };
    given::<Message>([])
        .knowing(silent)
        .when(edit(ANN, "hi"))
        .then_problem(Kind::NotPermitted)
        .when(react(ANN, THUMB))
        .then_problem(Kind::NotPermitted)
        .when(wish(ANN, Wish::Delete))
        .then([deleted()]);
}

#[test]
fn a_picture_needs_no_words_when_edited_either() {
    given::<Message>([])
        .knowing(MessageFacts { attachments: 1, ..to(ANN) })
        .when(edit(ANN, ""))
        .then([edited("")]);
}

#[test]
fn edits_have_an_end() {
    let many = (0..MOST_EDITS).map(|n| edited(&n.to_string()));
    let error = FieldError::new("/text", "too-many-edits").with("max", 100);
    given::<Message>(many).knowing(to(ANN)).when(edit(ANN, "once more")).then_invalid(error);
}

#[test]
fn its_author_deletes_it_once_and_for_good() {
    given::<Message>([edited("hi"), reacted(BOB, Some(THUMB))])
        .knowing(to(ANN))
        .when(wish(ANN, Wish::Delete))
        .then([deleted()])
        .when(wish(ANN, Wish::Delete))
        .then_nothing()
        .when(edit(ANN, "back"))
        .then_problem(Kind::MessageDeleted)
        .when(react(BOB, THUMB))
        .then_problem(Kind::MessageDeleted);
    given::<Message>([]).knowing(to(BOB)).when(wish(BOB, Wish::Delete)).then_problem(Kind::NotPermitted);
}

#[test]
fn a_moderator_removes_it() {
    let moderator = MessageFacts { moderates: true, ..to(EVE) };
    let gone = given::<Message>([]).knowing(moderator).when(wish(EVE, Wish::Remove)).then([removed(EVE)]);
    gone.when(wish(EVE, Wish::Remove)).then_nothing();
    given::<Message>([]).knowing(to(BOB)).when(wish(BOB, Wish::Remove)).then_problem(Kind::NotPermitted);
    // Whoever has deleted it, has; it is not said again by whom.
    given::<Message>([deleted()]).knowing(moderator).when(wish(EVE, Wish::Remove)).then_nothing();
}

#[test]
fn a_person_has_one_reaction_to_a_message() {
    let state = given::<Message>([])
        .knowing(to(BOB))
        .when(react(BOB, THUMB))
        .then([reacted(BOB, Some(THUMB))])
        .when(react(BOB, THUMB))
        .then_nothing()
        .when(react(BOB, "❤️"))
        .then([reacted(BOB, Some("❤️"))])
        .when(react(EVE, THUMB))
        .then([reacted(EVE, Some(THUMB))])
        .state();
    assert_eq!(state.reactions.len(), 2);
    given::<Message>([reacted(BOB, Some(THUMB))])
        .knowing(to(BOB))
        .when(wish(BOB, Wish::React(None)))
        .then([reacted(BOB, None)])
        .when(wish(BOB, Wish::React(None)))
        .then_nothing();
}

#[test]
fn a_reaction_is_one_emoji() {
    for good in [THUMB, "❤️", "👩‍👩‍👧", "🇪🇺", "👍🏽", "1️⃣"] {
        given::<Message>([]).knowing(to(BOB)).when(react(BOB, good)).then([reacted(BOB, Some(good))]);
    }
    for bad in ["", "a", "1", "👍👍", "👍 ", ":+1:", "❤", "<b>", &"👍".repeat(500)] {
        given::<Message>([])
            .knowing(to(BOB))
            .when(react(BOB, bad))
            .then_invalid(FieldError::new("/emoji", "bad-emoji"));
    }
}

#[test]
fn a_message_has_at_most_twenty_different_emoji() {
    let twenty = [
        "😀", "😃", "😄", "😁", "😆", "😅", "🤣", "😂", "🙂", "🙃", "😉", "😊", "😇", "🥰", "😍", "🤩", "😘",
        "😗", "😙", "😋",
    ];
    let all = (0..).zip(twenty).map(|(n, emoji)| reacted(person(n), Some(emoji)));
    let full = given::<Message>(all).knowing(to(BOB));
    let error = FieldError::new("/emoji", "too-many-emoji").with("max", 20);
    let full = full.when(react(BOB, THUMB)).then_invalid(error);
    let full = full.when(react(BOB, "😀")).then([reacted(BOB, Some("😀"))]);
    // One's own gives its place up.
    full.when(react(person(1), THUMB)).then([reacted(person(1), Some(THUMB))]);
}

#[test]
fn a_message_is_reported_once_by_each_and_never_by_its_author() {
    let report = |by| wish(by, Wish::Report(ReportReason::Spam));
    let reported =
        |by| MessageEvent::MessageReported { chat: CHAT, number: 7, by, reason: ReportReason::Spam, at: NOW };
    given::<Message>([])
        .knowing(to(BOB))
        .when(report(BOB))
        .then([reported(BOB)])
        .when(wish(BOB, Wish::Report(ReportReason::Other)))
        .then_nothing()
        .when(report(EVE))
        .then([reported(EVE)]);
    given::<Message>([])
        .knowing(to(ANN))
        .when(report(ANN))
        .then_invalid(FieldError::new("/number", "oneself"));
    given::<Message>([deleted()]).knowing(to(BOB)).when(report(BOB)).then([reported(BOB)]);
}

#[test]
fn what_one_may_not_read_is_not_there_and_who_has_left_touches_nothing() {
    for what in [Wish::Delete, Wish::Remove, Wish::React(None), Wish::Report(ReportReason::Other)] {
        let nothing = MessageFacts { author: None, ..to(BOB) };
        given::<Message>([]).knowing(nothing).when(wish(BOB, what.clone())).then_problem(Kind::NotFound);
        let gone = MessageFacts { is_member: false, moderates: true, ..to(ANN) };
        given::<Message>([]).knowing(gone).when(wish(ANN, what)).then_problem(Kind::NotPermitted);
    }
}
