//! Given, when, then: account.

use super::*;
use crate::given::{ANN, BOB, event, given};

fn register(person: PersonId) -> AccountCommand {
    AccountCommand::Register { person, email: Email("ann@example.org".into()), verifier: hash(1) }
}

fn registered() -> AccountEvent {
    let (email, verifier) = (Email("ann@example.org".into()).into(), hash(1).into());
    AccountEvent::AccountRegistered { person: ANN, email, verifier }
}

fn change(seen: EventId, why: WhyChanged) -> AccountCommand {
    AccountCommand::ChangePassword { seen, verifier: hash(2), why }
}

fn changed(why: WhyChanged) -> AccountEvent {
    AccountEvent::PasswordChanged { person: ANN, verifier: hash(2).into(), why }
}

fn hash(n: u32) -> Verifier {
    Verifier(format!("$argon2id${n}"))
}

#[test]
fn whoever_has_no_account_registers() {
    given::<Account>([]).when(register(ANN)).then([registered()]);
}

#[test]
fn an_account_is_not_registered_again_by_anybody() {
    for person in [ANN, BOB] {
        given::<Account>([registered()]).when(register(person)).then_refused(Kind::Conflict);
    }
}

#[test]
fn a_password_is_changed_by_whoever_checked_the_current_one() {
    given::<Account>([registered()])
        .when(change(event(1), WhyChanged::Chosen))
        .then([changed(WhyChanged::Chosen)])
        .when(change(event(2), WhyChanged::Rehashed))
        .then([changed(WhyChanged::Rehashed)]);
}

#[test]
fn a_password_that_was_checked_against_a_replaced_verifier_changes_nothing() {
    for why in [WhyChanged::Chosen, WhyChanged::Rehashed] {
        given::<Account>([registered(), changed(why)])
            .when(change(event(1), WhyChanged::Chosen))
            .then_refused(Kind::Conflict);
    }
}

#[test]
fn there_is_no_password_to_change_without_an_account() {
    given::<Account>([]).when(change(event(1), WhyChanged::Chosen)).then_refused(Kind::NotFound);
}

#[test]
fn each_sealed_value_is_kept_with_the_event_that_it_was_sealed_for() {
    let account = given::<Account>([registered(), changed(WhyChanged::Chosen)]).state();
    assert_eq!(account.person, Some(ANN));
    assert_eq!(account.email.and_then(|email| email.event_id), Some(event(1)));
    assert_eq!(account.verifier.as_ref().and_then(|verifier| verifier.event_id), Some(event(2)));
}

#[test]
fn no_verifier_is_of_no_event() {
    assert!(!Account::default().verifier_is_of(event(1)));
    let account = given::<Account>([registered()]).state();
    assert!(account.verifier_is_of(event(1)));
    assert!(!account.verifier_is_of(event(2)));
}
