//! Given, when, then: session.

use super::*;
use crate::given::{ANN, BOB, Given, NOW, given};

const SESSION: SessionId = SessionId(Uuid::from_u128(0x5e));
const KEY: Uuid = Uuid::from_u128(0x1);
const OTHER_KEY: Uuid = Uuid::from_u128(0x2);

fn start(session: SessionId) -> SessionCommand {
    SessionCommand::Start {
        session,
        person: ANN,
        method: Method::Password,
        device: Device("Firefox".into()),
        address: Address("192.0.2.7".into()),
        at: NOW,
    }
}

fn started() -> SessionEvent {
    SessionEvent::SessionStarted {
        session: SESSION,
        person: ANN,
        method: Method::Password,
        device: Device("Firefox".into()).into(),
        address: Address("192.0.2.7".into()).into(),
        at: NOW,
    }
}

fn refresh(presented: u64, key: Uuid, at: Timestamp) -> SessionCommand {
    SessionCommand::Refresh { presented, key, at }
}

fn refreshed(generation: u64, key: Uuid, at: Timestamp) -> SessionEvent {
    SessionEvent::SessionRefreshed { session: SESSION, person: ANN, generation, key, at }
}

fn reuse_detected(generation: u64, at: Timestamp) -> SessionEvent {
    SessionEvent::RefreshReuseDetected { session: SESSION, person: ANN, generation, at }
}

fn revoke(by: PersonId) -> SessionCommand {
    SessionCommand::Revoke { by, why: WhyRevoked::SignedOut, at: NOW }
}

fn revoked() -> SessionEvent {
    SessionEvent::SessionRevoked { session: SESSION, person: ANN, why: WhyRevoked::SignedOut, at: NOW }
}

fn after(micros: i64) -> Timestamp {
    NOW.plus(micros)
}

/// A session whose second token was made under `KEY` at `NOW`.
fn refreshed_once() -> Given<Session> {
    given([started(), refreshed(2, KEY, NOW)])
}

#[test]
fn a_login_starts_a_session_with_its_first_token() {
    let session = given::<Session>([]).when(start(SESSION)).then([started()]).state();
    assert_eq!(session.generation, 1);
    assert!(session.is_live(NOW));
}

#[test]
fn a_session_starts_once_and_not_again_after_its_end() {
    given::<Session>([started()]).when(start(SESSION)).then_refused(Kind::Conflict);
    given::<Session>([started(), revoked()]).when(start(SESSION)).then_refused(Kind::Conflict);
}

#[test]
fn the_newest_token_yields_its_successor() {
    given::<Session>([started()])
        .when(refresh(1, KEY, after(1)))
        .then([refreshed(2, KEY, after(1))])
        .when(refresh(2, OTHER_KEY, after(2)))
        .then([refreshed(3, OTHER_KEY, after(2))]);
}

#[test]
fn a_lost_answer_is_asked_for_again_under_the_same_key_however_late() {
    let session = refreshed_once().when(refresh(1, KEY, after(Timestamp::DAY))).then_nothing().state();
    assert_eq!(session.generation, 2, "the same successor");
    assert!(session.is_live(after(Timestamp::DAY)));
}

#[test]
fn another_tab_gets_the_same_successor_for_ten_seconds() {
    for soon in [0, Timestamp::SECOND, 10 * Timestamp::SECOND - 1] {
        refreshed_once().when(refresh(1, OTHER_KEY, after(soon))).then_nothing();
    }
}

#[test]
fn a_spent_token_under_another_key_is_theft_after_ten_seconds() {
    for late in [10 * Timestamp::SECOND, Timestamp::DAY] {
        let session =
            refreshed_once().when(refresh(1, OTHER_KEY, after(late))).then([reuse_detected(1, after(late))]);
        assert!(session.state().ended);
    }
}

#[test]
fn once_the_successor_was_used_its_predecessor_is_theft_under_any_key() {
    for key in [KEY, OTHER_KEY] {
        refreshed_once()
            .and([refreshed(3, OTHER_KEY, after(1))])
            .when(refresh(1, key, after(2)))
            .then([reuse_detected(1, after(2))]);
    }
}

#[test]
fn the_ten_seconds_begin_with_the_newest_token() {
    let used_later = || refreshed_once().and([refreshed(3, KEY, after(Timestamp::DAY))]);
    let soon = after(Timestamp::DAY + 9 * Timestamp::SECOND);
    used_later().when(refresh(2, OTHER_KEY, soon)).then_nothing();
    let late = after(Timestamp::DAY + 10 * Timestamp::SECOND);
    used_later().when(refresh(2, OTHER_KEY, late)).then([reuse_detected(2, late)]);
}

#[test]
fn the_key_of_an_earlier_refresh_does_not_excuse_a_later_one() {
    refreshed_once()
        .and([refreshed(3, OTHER_KEY, NOW)])
        .when(refresh(2, KEY, after(GRACE)))
        .then([reuse_detected(2, after(GRACE))]);
}

#[test]
fn a_token_that_was_never_made_ends_the_session() {
    for never in [0, 3, u64::MAX] {
        refreshed_once().when(refresh(never, KEY, after(GRACE))).then([reuse_detected(never, after(GRACE))]);
    }
}

#[test]
fn theft_ends_the_session_for_the_newest_token_too() {
    refreshed_once()
        .and([reuse_detected(1, after(GRACE))])
        .when(refresh(2, OTHER_KEY, after(GRACE)))
        .then_refused(Kind::SessionEnded);
}

#[test]
fn a_revoked_session_is_not_refreshed() {
    let session = given::<Session>([started(), revoked()]);
    assert!(!session.state().is_live(NOW));
    session.when(refresh(1, KEY, NOW)).then_refused(Kind::SessionEnded);
}

#[test]
fn a_session_that_never_started_is_not_refreshed() {
    given::<Session>([]).when(refresh(1, KEY, NOW)).then_refused(Kind::SessionEnded);
    assert!(!Session::default().is_live(NOW));
}

#[test]
fn an_idle_session_ends_after_thirty_days() {
    let last = after(30 * Timestamp::DAY - 1);
    given::<Session>([started()]).when(refresh(1, KEY, last)).then([refreshed(2, KEY, last)]);
    let idle = given::<Session>([started()]);
    assert!(idle.state().is_live(last));
    assert!(!idle.state().is_live(last.plus(1)));
    idle.when(refresh(1, KEY, last.plus(1))).then_refused(Kind::SessionEnded);
}

#[test]
fn a_busy_session_ends_after_ninety_days() {
    let weekly = (1..=12_u64).map(|n| refreshed(n + 1, KEY, after(7 * Timestamp::DAY * n as i64)));
    let busy = given::<Session>([started()]).and(weekly);
    let last = after(90 * Timestamp::DAY - 1);
    assert!(busy.state().is_live(last));
    assert!(!busy.state().is_live(last.plus(1)));
    busy.when(refresh(13, OTHER_KEY, last.plus(1))).then_refused(Kind::SessionEnded);
}

#[test]
fn its_person_revokes_a_session_and_says_why() {
    given::<Session>([started()]).when(revoke(ANN)).then([revoked()]);
    let why = WhyRevoked::EndedElsewhere;
    given::<Session>([started()])
        .when(SessionCommand::Revoke { by: ANN, why, at: NOW })
        .then([SessionEvent::SessionRevoked { session: SESSION, person: ANN, why, at: NOW }]);
}

#[test]
fn an_ended_session_is_revoked_again_without_an_event() {
    given::<Session>([started(), revoked()]).when(revoke(ANN)).then_nothing();
    given::<Session>([started(), reuse_detected(1, NOW)]).when(revoke(ANN)).then_nothing();
}

#[test]
fn nobody_finds_anothers_session_live_or_ended() {
    given::<Session>([started()]).when(revoke(BOB)).then_problem(Kind::NotFound);
    given::<Session>([started(), revoked()]).when(revoke(BOB)).then_problem(Kind::NotFound);
    given::<Session>([]).when(revoke(BOB)).then_problem(Kind::NotFound);
}
