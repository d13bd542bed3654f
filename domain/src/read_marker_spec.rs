//! Given, when, then: read_marker.

use uuid::Uuid;

use super::*;
use crate::given::{ANN, NOW, given};

const CHAT: ChatId = ChatId(Uuid::from_u128(0xc));

fn mark(number: u64) -> ReadMarkerCommand {
    ReadMarkerCommand { chat: CHAT, person: ANN, wish: Wish::Read(number), at: NOW }
}

fn keep(muted_until: Option<Option<Timestamp>>, pinned: Option<bool>) -> ReadMarkerCommand {
    ReadMarkerCommand { chat: CHAT, person: ANN, wish: Wish::Keep { muted_until, pinned }, at: NOW }
}

fn kept(muted_until: Option<Timestamp>, pinned: bool) -> ReadMarkerEvent {
    ReadMarkerEvent::ChatPrefsSet { chat: CHAT, person: ANN, muted_until, pinned, at: NOW }
}

fn read(number: u64) -> ReadMarkerEvent {
    ReadMarkerEvent::ReadUpTo { chat: CHAT, person: ANN, number, at: NOW }
}

fn member_of_a_chat_with(last_number: u64) -> ReadFacts {
    ReadFacts { may_read: true, last_number, own_last: 0 }
}

#[test]
fn a_member_reads_up_to_the_newest_message() {
    given::<ReadMarker>([]).knowing(member_of_a_chat_with(7)).when(mark(7)).then([read(7)]);
}

#[test]
fn a_marker_moves_on() {
    given::<ReadMarker>([read(3)]).knowing(member_of_a_chat_with(7)).when(mark(4)).then([read(4)]);
}

#[test]
fn sending_was_reading() {
    let sent_the_third = ReadFacts { own_last: 3, ..member_of_a_chat_with(7) };
    given::<ReadMarker>([]).knowing(sent_the_third).when(mark(3)).then_nothing();
    given::<ReadMarker>([read(1)]).knowing(sent_the_third).when(mark(2)).then_nothing();
    given::<ReadMarker>([read(1)]).knowing(sent_the_third).when(mark(4)).then([read(4)]);
}

#[test]
fn a_marker_never_goes_back() {
    for number in [0, 1, 2, 3] {
        given::<ReadMarker>([read(3)]).knowing(member_of_a_chat_with(7)).when(mark(number)).then_nothing();
    }
    assert_eq!(given::<ReadMarker>([read(3), read(2)]).state().number, 3, "whatever the log holds");
}

#[test]
fn nothing_is_read_in_an_empty_chat() {
    given::<ReadMarker>([]).knowing(member_of_a_chat_with(0)).when(mark(0)).then_nothing();
}

#[test]
fn a_message_that_does_not_exist_yet_is_not_read() {
    let too_large = FieldError::new("/number", "too-large").with("max", 7);
    given::<ReadMarker>([]).knowing(member_of_a_chat_with(7)).when(mark(8)).then_invalid(too_large);
}

#[test]
fn a_chat_one_is_not_in_is_not_found_however_far_it_goes() {
    for number in [1, 8] {
        given::<ReadMarker>([])
            .knowing(ReadFacts { may_read: false, last_number: 7, own_last: 0 })
            .when(mark(number))
            .then_problem(Kind::NotFound);
    }
}

#[test]
fn a_chat_is_pinned_and_muted_each_apart() {
    let later = NOW.plus(Timestamp::DAY);
    given::<ReadMarker>([])
        .knowing(member_of_a_chat_with(7))
        .when(keep(None, Some(true)))
        .then([kept(None, true)])
        .when(keep(Some(Some(later)), None))
        .then([kept(Some(later), true)])
        .when(keep(Some(Some(later)), Some(true)))
        .then_nothing()
        .when(keep(None, None))
        .then_nothing()
        .when(mark(3))
        .then([read(3)])
        .when(keep(Some(None), None))
        .then([kept(None, true)])
        .when(keep(None, Some(false)))
        .then([kept(None, false)]);
}

#[test]
fn a_chat_one_is_not_in_is_not_kept_either() {
    given::<ReadMarker>([]).when(keep(None, Some(true))).then_problem(Kind::NotFound);
}
