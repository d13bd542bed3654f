//! Given, when, then: user.

use super::*;
use crate::given::{ANN, NOW, event, given};
use crate::views::Audience;

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

fn photo(n: u8) -> Photo {
    Photo { photo_id: PhotoId(uuid::Uuid::from_u128(u128::from(n))), blob: BlobId([n; 32]) }
}

fn change_photo(n: u8) -> UserCommand {
    UserCommand::ChangePhoto { photo: photo(n), at: NOW }
}

fn photo_changed(n: u8, previous: Option<u8>) -> UserEvent {
    let Photo { photo_id, blob } = photo(n);
    let previous = previous.map(|n| photo(n).blob);
    UserEvent::PhotoChanged { person: ANN, photo_id, blob, previous, at: NOW }
}

fn photo_removed(n: u8) -> UserEvent {
    let Photo { photo_id, blob } = photo(n);
    UserEvent::PhotoRemoved { person: ANN, photo_id, previous: blob, at: NOW }
}

#[test]
fn a_changed_photo_names_the_blob_that_it_replaces() {
    given::<User>([created()])
        .when(change_photo(1))
        .then([photo_changed(1, None)])
        .when(change_photo(2))
        .then([photo_changed(2, Some(1))]);
}

#[test]
fn a_removed_photo_is_gone_and_removed_once() {
    let story = given::<User>([created(), photo_changed(1, None)])
        .when(UserCommand::RemovePhoto { at: NOW })
        .then([photo_removed(1)]);
    assert_eq!(story.state().photo, None);
    story
        .when(UserCommand::RemovePhoto { at: NOW })
        .then_nothing()
        .when(change_photo(2))
        .then([photo_changed(2, None)]);
}

#[test]
fn an_edit_leaves_the_photo() {
    let user = given::<User>([created(), photo_changed(1, None), renamed()]).state();
    assert_eq!(user.photo, Some(photo(1)));
}

#[test]
fn nobody_has_a_photo_before_being_created() {
    given::<User>([]).when(change_photo(1)).then_refused(Kind::NotFound);
    given::<User>([]).when(UserCommand::RemovePhoto { at: NOW }).then_refused(Kind::NotFound);
}

#[test]
fn settings_change_each_apart_and_are_told_whole() {
    let change = |changes| UserCommand::ChangeSettings { changes, at: NOW };
    let hidden = SettingsChanges { discoverable: Some(false), ..SettingsChanges::default() };
    let of_friends = SettingsChanges { photo: Some(Audience::Friends), ..SettingsChanges::default() };
    let first = Settings { discoverable: false, ..Settings::default() };
    let then = Settings { photo: Audience::Friends, ..first };
    let changed = |settings| UserEvent::SettingsChanged { person: ANN, settings, at: NOW };
    given::<User>([created()])
        .when(change(hidden))
        .then([changed(first)])
        .when(change(hidden))
        .then_nothing()
        .when(change(of_friends))
        .then([changed(then)])
        .when(change(SettingsChanges::default()))
        .then_nothing();
    given::<User>([]).when(change(hidden)).then_refused(Kind::NotFound);
}
