//! Given, when, then: user.

use super::*;
use crate::given::{ANN, event, given};

fn create() -> UserCommand {
    UserCommand::Create { person: ANN, nickname: Nickname("ann".into()), name: Name("Ann".into()) }
}

fn created() -> UserEvent {
    let (nickname, name) = (Nickname("ann".into()).into(), Name("Ann".into()).into());
    UserEvent::UserCreated { person: ANN, nickname, name }
}

fn rename(seen: Option<EventId>) -> UserCommand {
    UserCommand::EditInfo { seen, nickname: Some(Nickname("anna".into())), name: None, about: None }
}

fn renamed() -> UserEvent {
    let nickname = Some(Nickname("anna".into()).into());
    UserEvent::InfoEdited { person: ANN, nickname, name: None, about: None }
}

fn tell_about(about: &str) -> UserCommand {
    UserCommand::EditInfo { seen: None, nickname: None, name: None, about: Some(About(about.into())) }
}

fn told_about(about: &str) -> UserEvent {
    let about = Some(About(about.into()).into());
    UserEvent::InfoEdited { person: ANN, nickname: None, name: None, about }
}

#[test]
fn an_account_gets_its_user() {
    given::<User>([]).when(create()).then([created()]);
}

#[test]
fn whoever_has_a_user_gets_no_second_one() {
    given::<User>([created()]).when(create()).then_refused(Kind::UserExists);
}

#[test]
fn a_new_nickname_replaces_the_one_that_was_seen() {
    given::<User>([created()])
        .when(rename(Some(event(1))))
        .then([renamed()])
        .when(rename(Some(event(2))))
        .then([renamed()]);
}

#[test]
fn a_nickname_that_was_changed_meanwhile_is_not_replaced() {
    // Its claim would be given up in place of the one that holds now.
    given::<User>([created(), renamed()]).when(rename(Some(event(1)))).then_refused(Kind::Conflict);
    given::<User>([created()]).when(rename(None)).then_refused(Kind::Conflict);
}

#[test]
fn an_edit_of_something_else_leaves_the_nickname_to_be_seen_where_it_was_set() {
    given::<User>([created(), told_about("sails")]).when(rename(Some(event(1)))).then([renamed()]);
}

#[test]
fn name_and_about_are_edited_without_having_seen_the_nickname() {
    let name = || Name("Anna".into());
    given::<User>([created()])
        .when(UserCommand::EditInfo { seen: None, nickname: None, name: Some(name()), about: None })
        .then([UserEvent::InfoEdited {
            person: ANN,
            nickname: None,
            name: Some(name().into()),
            about: None,
        }]);
}

#[test]
fn what_one_says_of_oneself_can_be_emptied() {
    given::<User>([created(), told_about("sails")]).when(tell_about("")).then([told_about("")]);
}

#[test]
fn an_edit_of_nothing_changes_nothing() {
    let nothing = UserCommand::EditInfo { seen: None, nickname: None, name: None, about: None };
    given::<User>([created()]).when(nothing).then_nothing();
}

#[test]
fn nobody_is_edited_before_being_created() {
    given::<User>([]).when(rename(None)).then_refused(Kind::NotFound);
    let nothing = UserCommand::EditInfo { seen: None, nickname: None, name: None, about: None };
    given::<User>([]).when(nothing).then_refused(Kind::NotFound);
}

#[test]
fn what_an_edit_leaves_out_stays_as_it_was() {
    let since = |sealed: Option<Sealed>| sealed.and_then(|sealed| sealed.event_id);
    let user = given::<User>([created(), told_about("sails"), renamed()]).state();
    assert_eq!(user.person, Some(ANN));
    assert_eq!(since(user.nickname), Some(event(3)));
    assert_eq!(since(user.name), Some(event(1)));
    assert_eq!(since(user.about), Some(event(2)));
    let name = Some(Name("Anna".into()).into());
    let named = UserEvent::InfoEdited { person: ANN, nickname: None, name, about: None };
    let user = given::<User>([created(), named]).state();
    assert_eq!(
        (since(user.nickname), since(user.name), since(user.about)),
        (Some(event(1)), Some(event(2)), None)
    );
}
