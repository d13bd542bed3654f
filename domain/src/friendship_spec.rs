//! Given, when, then: friendship.

use super::*;
use crate::given::{ANN, BOB, Given, NOW, given};

const THIRTY_DAYS: i64 = 30 * Timestamp::DAY;
const THERE: FriendshipFacts = FriendshipFacts { other_exists: true };

fn other(one: PersonId) -> PersonId {
    if one == ANN { BOB } else { ANN }
}

fn wish_at(by: PersonId, wish: Wish, at: Timestamp) -> FriendshipCommand {
    FriendshipCommand { by, other: other(by), wish, at }
}

fn wish(by: PersonId, wish: Wish) -> FriendshipCommand {
    wish_at(by, wish, NOW)
}

fn requested_at(from: PersonId, at: Timestamp) -> FriendshipEvent {
    FriendshipEvent::FriendRequested { from, to: other(from), at }
}

fn requested(from: PersonId) -> FriendshipEvent {
    requested_at(from, NOW)
}

fn accepted(by: PersonId) -> FriendshipEvent {
    FriendshipEvent::FriendAccepted { by, from: other(by), at: NOW }
}

fn declined(by: PersonId) -> FriendshipEvent {
    FriendshipEvent::FriendDeclined { by, from: other(by), at: NOW }
}

fn removed(by: PersonId) -> FriendshipEvent {
    FriendshipEvent::FriendRemoved { by, other: other(by), at: NOW }
}

fn blocked(by: PersonId) -> FriendshipEvent {
    FriendshipEvent::PersonBlocked { by, other: other(by), at: NOW }
}

fn unblocked(by: PersonId) -> FriendshipEvent {
    FriendshipEvent::PersonUnblocked { by, other: other(by), at: NOW }
}

fn pair(events: impl IntoIterator<Item = FriendshipEvent>) -> Given<Friendship> {
    given(events).knowing(THERE)
}

fn friends() -> Given<Friendship> {
    pair([requested(ANN), accepted(BOB)])
}

/// What Ann sees and what Bob sees.
#[track_caller]
fn seen(story: &Given<Friendship>, ann: Relation, bob: Relation) {
    let state = story.state();
    assert_eq!((state.seen_by(ANN), state.seen_by(BOB)), (ann, bob));
}

#[test]
fn adding_somebody_asks_for_friendship() {
    let story = pair([]).when(wish(ANN, Wish::Add)).then([requested(ANN)]);
    seen(&story, Relation::Outgoing, Relation::Incoming);
    assert!(!story.state().are_friends());
}

#[test]
fn asking_again_changes_nothing() {
    pair([requested(ANN)]).when(wish(ANN, Wish::Add)).then_nothing();
    pair([requested(ANN)]).when(wish_at(ANN, Wish::Add, NOW.plus(THIRTY_DAYS))).then_nothing();
    friends().when(wish(ANN, Wish::Add)).then_nothing().when(wish(BOB, Wish::Add)).then_nothing();
}

#[test]
fn whoever_adds_the_one_who_asked_accepts() {
    let story = pair([requested(ANN)]).when(wish(BOB, Wish::Add)).then([accepted(BOB)]);
    seen(&story, Relation::Friends, Relation::Friends);
    assert!(story.state().are_friends());
}

#[test]
fn the_one_who_was_asked_accepts() {
    let story = pair([requested(ANN)]).when(wish(BOB, Wish::Accept)).then([accepted(BOB)]);
    seen(&story, Relation::Friends, Relation::Friends);
}

#[test]
fn only_the_one_who_was_asked_answers() {
    for answer in [Wish::Accept, Wish::Decline] {
        pair([]).when(wish(BOB, answer)).then_problem(Kind::NoSuchRequest);
        pair([requested(ANN)]).when(wish(ANN, answer)).then_problem(Kind::NoSuchRequest);
        pair([requested(ANN), removed(ANN)]).when(wish(BOB, answer)).then_problem(Kind::NoSuchRequest);
        pair([requested(ANN), declined(BOB)]).when(wish(BOB, answer)).then_problem(Kind::NoSuchRequest);
        friends().when(wish(BOB, answer)).then_problem(Kind::NoSuchRequest);
    }
}

#[test]
fn a_declined_asker_goes_on_seeing_it_outgoing() {
    let story = pair([requested(ANN)]).when(wish(BOB, Wish::Decline)).then([declined(BOB)]);
    seen(&story, Relation::Outgoing, Relation::None);
    assert!(!story.state().are_friends());
}

#[test]
fn a_declined_asker_may_ask_again_after_thirty_days() {
    let story = || pair([requested(ANN), declined(BOB)]);
    story().when(wish_at(ANN, Wish::Add, NOW.plus(THIRTY_DAYS - 1))).then_nothing();
    let again = NOW.plus(THIRTY_DAYS);
    let story = story().when(wish_at(ANN, Wish::Add, again)).then([requested_at(ANN, again)]);
    seen(&story, Relation::Outgoing, Relation::Incoming);
}

#[test]
fn withdrawing_does_not_shorten_the_thirty_days() {
    let soon = NOW.plus(THIRTY_DAYS - 1);
    let story = pair([requested(ANN), declined(BOB), removed(ANN)])
        .when(wish_at(ANN, Wish::Add, soon))
        .then([requested_at(ANN, soon)]);
    seen(&story, Relation::Outgoing, Relation::None);
    let again = NOW.plus(THIRTY_DAYS);
    let story = story.when(wish_at(ANN, Wish::Add, again)).then([requested_at(ANN, again)]);
    seen(&story, Relation::Outgoing, Relation::Incoming);
}

#[test]
fn blocking_and_unblocking_does_not_shorten_the_thirty_days() {
    let soon = NOW.plus(THIRTY_DAYS - 1);
    for who in [ANN, BOB] {
        let story = pair([requested(ANN), declined(BOB), blocked(who), unblocked(who)])
            .when(wish_at(ANN, Wish::Add, soon))
            .then([requested_at(ANN, soon)]);
        seen(&story, Relation::Outgoing, Relation::None);
    }
}

#[test]
fn a_second_decline_counts_from_its_own_day() {
    let later = NOW.plus(THIRTY_DAYS);
    let again = FriendshipEvent::FriendDeclined { by: BOB, from: ANN, at: later };
    let declined_twice = || pair([requested(ANN), declined(BOB), requested_at(ANN, later), again.clone()]);
    declined_twice()
        .when(wish_at(ANN, Wish::Add, later.plus(THIRTY_DAYS - 1)))
        .then_nothing()
        .when(wish_at(ANN, Wish::Add, later.plus(THIRTY_DAYS)))
        .then([requested_at(ANN, later.plus(THIRTY_DAYS))]);
    let soon = later.plus(THIRTY_DAYS - 1);
    let withdrawn = declined_twice()
        .and([removed(ANN)])
        .when(wish_at(ANN, Wish::Add, soon))
        .then([requested_at(ANN, soon)]);
    seen(&withdrawn, Relation::Outgoing, Relation::None);
    assert_eq!(withdrawn.state().declined.len(), 1, "only the last one is kept");
}

#[test]
fn whoever_declined_may_still_come_round() {
    let story = pair([requested(ANN), declined(BOB)]).when(wish(BOB, Wish::Add)).then([accepted(BOB)]);
    seen(&story, Relation::Friends, Relation::Friends);
}

#[test]
fn whoever_declined_may_ask_once_the_other_has_withdrawn() {
    let story =
        pair([requested(ANN), declined(BOB), removed(ANN)]).when(wish(BOB, Wish::Add)).then([requested(BOB)]);
    seen(&story, Relation::Incoming, Relation::Outgoing);
}

#[test]
fn an_old_decline_is_forgotten_once_they_were_friends() {
    let story = pair([requested(ANN), declined(BOB), accepted(BOB), removed(BOB)])
        .when(wish(ANN, Wish::Add))
        .then([requested(ANN)]);
    seen(&story, Relation::Outgoing, Relation::Incoming);
}

#[test]
fn the_one_who_asked_withdraws_declined_or_not() {
    for story in [pair([requested(ANN)]), pair([requested(ANN), declined(BOB)])] {
        let story = story.when(wish(ANN, Wish::Remove)).then([removed(ANN)]);
        seen(&story, Relation::None, Relation::None);
    }
}

#[test]
fn either_friend_ends_the_friendship() {
    for one in [ANN, BOB] {
        let story = friends().when(wish(one, Wish::Remove)).then([removed(one)]);
        seen(&story, Relation::None, Relation::None);
    }
}

#[test]
fn there_is_nothing_to_remove_where_one_neither_asked_nor_is_a_friend() {
    pair([]).when(wish(ANN, Wish::Remove)).then_nothing();
    pair([requested(ANN)]).when(wish(BOB, Wish::Remove)).then_nothing();
    pair([requested(ANN), declined(BOB)]).when(wish(BOB, Wish::Remove)).then_nothing();
}

#[test]
fn blocking_ends_whatever_link_there_was() {
    for story in [pair([]), pair([requested(ANN)]), pair([requested(BOB)]), friends()] {
        let story = story.when(wish(BOB, Wish::Block)).then([blocked(BOB)]);
        seen(&story, Relation::None, Relation::None);
        let state = story.state();
        assert!(state.is_blocked() && state.has_blocked(BOB) && !state.has_blocked(ANN));
    }
}

#[test]
fn a_block_is_ones_own() {
    let both = pair([blocked(BOB)]).when(wish(ANN, Wish::Block)).then([blocked(ANN)]);
    let one = both.when(wish(BOB, Wish::Unblock)).then([unblocked(BOB)]);
    let state = one.state();
    assert!(state.is_blocked() && state.has_blocked(ANN) && !state.has_blocked(BOB));
    let none = one.when(wish(ANN, Wish::Unblock)).then([unblocked(ANN)]);
    assert!(!none.state().is_blocked());
}

#[test]
fn blocking_twice_and_unblocking_nobody_change_nothing() {
    pair([blocked(BOB)]).when(wish(BOB, Wish::Block)).then_nothing();
    pair([]).when(wish(BOB, Wish::Unblock)).then_nothing();
    pair([blocked(BOB)]).when(wish(ANN, Wish::Unblock)).then_nothing();
}

#[test]
fn unblocking_restores_nothing() {
    for story in [friends(), pair([requested(ANN)]), pair([requested(BOB)])] {
        let story = story.and([blocked(BOB)]).when(wish(BOB, Wish::Unblock)).then([unblocked(BOB)]);
        seen(&story, Relation::None, Relation::None);
        story.when(wish(BOB, Wish::Accept)).then_refused(Kind::NoSuchRequest);
    }
}

#[test]
fn who_unfriends_or_blocks_has_parted_until_they_are_friends_again() {
    let parted = |story: &Given<Friendship>| {
        let state = story.state();
        (state.has_parted(ANN), state.has_parted(BOB))
    };
    let asked_and_not = [
        pair([requested(ANN)]),
        pair([requested(ANN), removed(ANN)]),
        pair([requested(ANN), declined(BOB)]),
        pair([requested(ANN), declined(BOB), removed(ANN)]),
    ];
    for story in asked_and_not.iter().chain([&pair([]), &friends()]) {
        assert_eq!(parted(story), (false, false));
    }
    for ended in [vec![removed(BOB)], vec![blocked(BOB)], vec![blocked(BOB), unblocked(BOB)]] {
        let story = friends().and(ended);
        assert_eq!(parted(&story), (false, true));
        let asking = story.and([requested(ANN)]);
        assert_eq!(parted(&asking), (false, true), "asking again tells the two apart no more");
        assert_eq!(parted(&asking.and([accepted(BOB)])), (false, false));
    }
    assert_eq!(parted(&pair([blocked(ANN), blocked(BOB)])), (true, true));
}

#[test]
fn a_blocked_asker_sees_it_outgoing_and_the_blocker_sees_nothing() {
    let story = pair([blocked(BOB)]).when(wish(ANN, Wish::Add)).then([requested(ANN)]);
    seen(&story, Relation::Outgoing, Relation::None);
    let story = story.when(wish_at(ANN, Wish::Add, NOW.plus(THIRTY_DAYS))).then_nothing();
    story.when(wish(BOB, Wish::Accept)).then_refused(Kind::NoSuchRequest);
}

#[test]
fn what_was_asked_during_a_block_stays_unseen_after_it_and_may_be_asked_again() {
    let story = pair([blocked(BOB), requested(ANN), unblocked(BOB)]);
    seen(&story, Relation::Outgoing, Relation::None);
    let again = NOW.plus(THIRTY_DAYS);
    let story = story.when(wish_at(ANN, Wish::Add, again)).then([requested_at(ANN, again)]);
    seen(&story, Relation::Outgoing, Relation::Incoming);
}

#[test]
fn the_blocker_unblocks_before_asking() {
    for story in [pair([blocked(ANN)]), friends().and([blocked(ANN)])] {
        story.when(wish(ANN, Wish::Add)).then_refused(Kind::NotPermitted);
    }
    pair([blocked(ANN), unblocked(ANN)]).when(wish(ANN, Wish::Add)).then([requested(ANN)]);
}

#[test]
fn nobody_is_ones_own_friend() {
    for wish in [Wish::Add, Wish::Accept, Wish::Decline, Wish::Remove, Wish::Block, Wish::Unblock] {
        pair([])
            .when(FriendshipCommand { by: ANN, other: ANN, wish, at: NOW })
            .then_invalid(FieldError::new("/user_id", "oneself"));
    }
}

#[test]
fn nothing_is_wished_of_somebody_who_does_not_exist() {
    for it in [Wish::Add, Wish::Accept, Wish::Decline, Wish::Remove, Wish::Block, Wish::Unblock] {
        given::<Friendship>([])
            .knowing(FriendshipFacts { other_exists: false })
            .when(wish(ANN, it))
            .then_problem(Kind::NotFound);
    }
}

#[test]
fn an_account_is_new_for_a_week() {
    let made = Timestamp(1_800_000_000_000_000);
    let id = uuid::Builder::from_unix_timestamp_millis(1_800_000_000_000, &[0; 10]).into_uuid();
    let at = |after: i64| most_pending(PersonId(id), made.plus(after));
    assert_eq!((at(0), at(NEW_FOR - 1)), (10, 10));
    assert_eq!((at(NEW_FOR), at(10 * NEW_FOR)), (100, 100));
}
