//! Given, when, then: groups.

use uuid::Uuid;

use super::*;
use crate::aggregate::Decider;
use crate::given::{ANN, BOB, EVE, Given, NOW, given};
use crate::ids::{InviteId, MessageId};
use crate::personal::{Text, Title};

const CHAT: ChatId = ChatId(Uuid::from_u128(0xc));
const INVITE: InviteId = InviteId(Uuid::from_u128(0x11));
const FRIENDS: ChatFacts = ChatFacts { friends: true, blocked: false, in_a_group: false };
const STRANGERS: ChatFacts = ChatFacts { friends: false, blocked: false, in_a_group: false };
const TOMORROW: Timestamp = Timestamp(NOW.0 + Timestamp::DAY);

fn create(members: &[PersonId]) -> ChatCommand {
    let title = Title("Hiking".into());
    let (history, members) = (History::Joining, members.to_vec());
    ChatCommand::CreateGroup { chat: CHAT, by: ANN, title, history, members, at: NOW }
}

fn created_with(history: History, members: &[PersonId]) -> ChatEvent {
    let (title, members) = (Title("Hiking".into()).into(), members.to_vec());
    ChatEvent::GroupCreated { chat: CHAT, by: ANN, title, history, members, at: NOW }
}

fn created(members: &[PersonId]) -> ChatEvent {
    created_with(History::Joining, members)
}

fn sent(author: PersonId, number: u64) -> ChatEvent {
    ChatEvent::MessageSent {
        chat: CHAT,
        author,
        message_id: MessageId(Uuid::from_u128(u128::from(number))),
        number,
        text: Text("hello".into()).into(),
        sent_at: NOW,
        reply_to: None,
        attachments: Vec::new(),
        forwarded_from: None,
    }
}

fn send(author: PersonId, number: u64) -> ChatCommand {
    ChatCommand::Send {
        author,
        message_id: MessageId(Uuid::from_u128(u128::from(number))),
        text: Text("hello".into()),
        reply_to: None,
        attachments: Vec::new(),
        forwarded_from: None,
        at: NOW,
    }
}

fn role(by: PersonId, person: PersonId, role: Role) -> ChatEvent {
    ChatEvent::RoleSet { chat: CHAT, by, person, role, after_number: 0, at: NOW }
}

fn set_role(by: PersonId, person: PersonId, role: Role) -> ChatCommand {
    ChatCommand::SetRole { by, person, role, at: NOW }
}

fn left(person: PersonId, sees: &[Span]) -> ChatEvent {
    ChatEvent::MemberLeft { chat: CHAT, person, sees: sees.to_vec(), after_number: 0, at: NOW }
}

fn leave(person: PersonId) -> ChatCommand {
    ChatCommand::Leave { person, at: NOW }
}

fn add(by: PersonId, person: PersonId) -> ChatCommand {
    ChatCommand::Add { by, person, at: NOW }
}

fn added(by: PersonId, person: PersonId, sees: &[Span]) -> ChatEvent {
    ChatEvent::MemberAdded { chat: CHAT, by, person, sees: sees.to_vec(), after_number: 0, at: NOW }
}

fn remove(by: PersonId, person: PersonId) -> ChatCommand {
    ChatCommand::Remove { by, person, at: NOW }
}

fn removed(by: PersonId, person: PersonId, sees: &[Span]) -> ChatEvent {
    ChatEvent::MemberRemoved { chat: CHAT, by, person, sees: sees.to_vec(), after_number: 0, at: NOW }
}

fn invite(by: PersonId, uses: Option<u32>) -> ChatCommand {
    ChatCommand::CreateInvite { by, invite: INVITE, expires_at: TOMORROW, uses, at: NOW }
}

fn invited(by: PersonId, uses: Option<u32>) -> ChatEvent {
    ChatEvent::InviteCreated { chat: CHAT, by, invite: INVITE, expires_at: TOMORROW, uses, at: NOW }
}

fn join(person: PersonId, at: Timestamp) -> ChatCommand {
    ChatCommand::Join { person, invite: INVITE, at }
}

fn joined(person: PersonId, sees: &[Span], at: Timestamp) -> ChatEvent {
    ChatEvent::MemberJoined { chat: CHAT, person, invite: INVITE, sees: sees.to_vec(), after_number: 0, at }
}

/// The event, standing after message `number`.
fn after(number: u64, mut event: ChatEvent) -> ChatEvent {
    match &mut event {
        ChatEvent::MemberAdded { after_number, .. }
        | ChatEvent::MemberJoined { after_number, .. }
        | ChatEvent::MemberLeft { after_number, .. }
        | ChatEvent::MemberRemoved { after_number, .. }
        | ChatEvent::ChatDissolved { after_number, .. } => *after_number = number,
        event => panic!("{event:?} is told without"),
    }
    event
}

fn from(first: u64) -> Span {
    Span { first, last: None }
}

fn between(first: u64, last: u64) -> Span {
    Span { first, last: Some(last) }
}

fn person(n: u128) -> PersonId {
    PersonId(Uuid::from_u128(0x1000 + n))
}

fn told(events: impl IntoIterator<Item = ChatEvent>) -> Given<Chat> {
    given(events)
}

/// Ann's, with Bob in it.
fn group() -> Given<Chat> {
    told([created(&[BOB])])
}

#[test]
fn whoever_makes_a_group_owns_it_and_brings_friends() {
    let group = given::<Chat>([]).knowing(FRIENDS).when(create(&[BOB])).then([created(&[BOB])]).state();
    assert_eq!((group.role_of(ANN), group.role_of(BOB)), (Some(Role::Owner), Some(Role::Member)));
    assert!(group.is_group() && group.peer_of(ANN).is_none());
    given::<Chat>([]).knowing(STRANGERS).when(create(&[])).then([created(&[])]);
}

#[test]
fn nobody_is_brought_who_is_no_friend_or_is_blocked() {
    for facts in
        [STRANGERS, ChatFacts { blocked: true, ..FRIENDS }, ChatFacts { in_a_group: true, ..STRANGERS }]
    {
        given::<Chat>([]).knowing(facts).when(create(&[BOB])).then_problem(Kind::NotPermitted);
        group().knowing(facts).when(add(ANN, EVE)).then_problem(Kind::NotPermitted);
    }
}

#[test]
fn a_group_names_each_once_and_has_at_most_500_people() {
    let error = |index: usize, code| FieldError::new(format!("/member_ids/{index}"), code);
    given::<Chat>([]).knowing(FRIENDS).when(create(&[BOB, BOB])).then_invalid(error(1, "twice"));
    given::<Chat>([]).knowing(FRIENDS).when(create(&[ANN])).then_invalid(error(0, "oneself"));
    let many: Vec<PersonId> = (0..500).map(person).collect();
    let too_many = |pointer| FieldError::new(pointer, "too-many-members").with("max", 500);
    given::<Chat>([]).knowing(FRIENDS).when(create(&many)).then_invalid(too_many("/member_ids"));
    let full = told([created(&many[..499]), invited(ANN, None)]).knowing(FRIENDS);
    full.when(add(ANN, EVE)).then_invalid(too_many(""));
    told([created(&many[..499]), invited(ANN, None)]).when(join(EVE, NOW)).then_invalid(too_many(""));
}

#[test]
fn a_title_is_a_line_of_1_to_64() {
    let rename = |title: &str| ChatCommand::Rename { by: ANN, title: Title(title.into()), at: NOW };
    let renamed = |title: &str| ChatEvent::GroupRenamed {
        chat: CHAT,
        by: ANN,
        title: Title(title.into()).into(),
        after_number: 0,
        at: NOW,
    };
    group().when(rename("Climbing")).then([renamed("Climbing")]);
    group().when(rename(&"я".repeat(64))).then([renamed(&"я".repeat(64))]);
    for bad in ["", " ", &"я".repeat(65), "two\nlines", "\u{202e}evil"] {
        group().when(rename(bad)).then_refused(Kind::Invalid);
    }
}

#[test]
fn what_each_role_may_do() {
    let commands = |by: PersonId| {
        [
            ChatCommand::Rename { by, title: Title("x".into()), at: NOW },
            add(by, person(1)),
            remove(by, EVE),
            invite(by, None),
            ChatCommand::RevokeInvite { by, invite: INVITE, at: NOW },
        ]
    };
    let group =
        || told([created(&[BOB, EVE]), role(ANN, BOB, Role::Admin), invited(ANN, None)]).knowing(FRIENDS);
    for by in [ANN, BOB] {
        for command in commands(by) {
            let answer = group().state().decide(command.clone(), &FRIENDS);
            assert!(answer.is_ok(), "{command:?}: {answer:?}");
        }
    }
    for by in [EVE, person(9)] {
        let refusal = if by == EVE { Kind::NotPermitted } else { Kind::NotFound };
        for command in commands(by) {
            group().when(command).then_problem(refusal);
        }
    }
    for (by, refusal) in [(BOB, Kind::NotPermitted), (EVE, Kind::NotPermitted), (person(9), Kind::NotFound)] {
        group().when(set_role(by, EVE, Role::Admin)).then_problem(refusal);
        group().when(ChatCommand::Dissolve { by, at: NOW }).then_problem(refusal);
    }
}

#[test]
fn an_admin_removes_members_and_no_other_admin() {
    let group = || told([created(&[BOB, EVE]), role(ANN, BOB, Role::Admin), role(ANN, EVE, Role::Admin)]);
    group().when(remove(BOB, EVE)).then_problem(Kind::NotPermitted);
    group().when(remove(BOB, ANN)).then_problem(Kind::NotPermitted);
    group().when(remove(ANN, EVE)).then([removed(ANN, EVE, &[])]);
    group().when(remove(ANN, ANN)).then_invalid(FieldError::new("/user_id", "oneself"));
    group().when(remove(ANN, person(1))).then_nothing();
}

#[test]
fn whoever_comes_later_reads_from_there_on() {
    let group = group().and([sent(ANN, 1), sent(BOB, 2)]).knowing(FRIENDS);
    let group = group.when(add(ANN, EVE)).then([after(2, added(ANN, EVE, &[from(3)]))]).state();
    assert!(!group.shows(EVE, 2) && group.shows(EVE, 3) && group.shows(BOB, 1));
}

#[test]
fn whoever_comes_into_an_open_history_reads_all_of_it() {
    let group = told([created_with(History::All, &[BOB]), sent(ANN, 1)]).knowing(FRIENDS);
    let group = group.when(add(ANN, EVE)).then([after(1, added(ANN, EVE, &[from(1)]))]);
    let group = group.and([sent(ANN, 2)]).when(leave(EVE)).then([after(2, left(EVE, &[between(1, 2)]))]);
    let group = group.and([sent(ANN, 3)]).when(add(ANN, EVE)).then([after(3, added(ANN, EVE, &[from(1)]))]);
    assert!(group.state().shows(EVE, 3));
}

#[test]
fn whoever_has_left_reads_up_to_there_and_no_further() {
    let story = group()
        .and([sent(ANN, 1), sent(BOB, 2)])
        .when(leave(BOB))
        .then([after(2, left(BOB, &[between(1, 2)]))]);
    let story = story.and([sent(ANN, 3)]).when(send(BOB, 4)).then_problem(Kind::NotPermitted);
    let state = story.state();
    assert!(state.may_read(BOB) && state.shows(BOB, 2) && !state.shows(BOB, 3));
    assert_eq!((state.last_shown(BOB), state.last_shown(ANN)), (2, 3));
    story.when(leave(BOB)).then_nothing();
}

#[test]
fn what_was_said_while_one_was_away_stays_unread() {
    let story = group().and([sent(ANN, 1)]).when(leave(BOB)).then([after(1, left(BOB, &[between(1, 1)]))]);
    let story = story.and([sent(ANN, 2)]).knowing(FRIENDS);
    let story = story.when(add(ANN, BOB)).then([after(2, added(ANN, BOB, &[between(1, 1), from(3)]))]);
    let story = story
        .and([sent(ANN, 3)])
        .when(leave(BOB))
        .then([after(3, left(BOB, &[between(1, 1), between(3, 3)]))]);
    let state = story.state();
    assert_eq!(
        (1..=4).map(|number| state.shows(BOB, number)).collect::<Vec<_>>(),
        [true, false, true, false]
    );
    // Nothing was said in between: it is one stretch still.
    story.when(add(ANN, BOB)).then([after(3, added(ANN, BOB, &[between(1, 1), from(3)]))]);
}

#[test]
fn of_somebody_who_comes_and_goes_the_newest_stretches_are_kept() {
    let mut story = group();
    for number in 1..=60 {
        let sees = story.state().sees_on_parting(BOB);
        story = story.and([sent(ANN, 2 * number - 1), left(BOB, &[])]);
        let sees = if sees.is_empty() { Vec::new() } else { sees };
        story = story.and([left(BOB, &sees), sent(ANN, 2 * number)]);
        let sees = story.state().sees_on_entering(BOB);
        assert!(sees.len() <= MOST_SPANS, "{}", sees.len());
        story = story.and([added(ANN, BOB, &sees)]);
    }
    assert!(story.state().shows(BOB, 121));
}

#[test]
fn a_last_owner_hands_over_to_whoever_has_been_there_longest() {
    let group = || told([created(&[BOB, EVE])]);
    group()
        .when(leave(ANN))
        .then([role(ANN, BOB, Role::Owner), left(ANN, &[])])
        .when(leave(BOB))
        .then([role(BOB, EVE, Role::Owner), left(BOB, &[])]);
    let with_admin = group().and([role(ANN, EVE, Role::Admin)]);
    with_admin.when(leave(ANN)).then([role(ANN, EVE, Role::Owner), left(ANN, &[])]);
    let with_two_owners = group().and([role(ANN, EVE, Role::Owner)]);
    with_two_owners.when(leave(ANN)).then([left(ANN, &[])]);
    let alone = told([created(&[])]).and([sent(ANN, 1)]);
    let dissolved = ChatEvent::ChatDissolved { chat: CHAT, by: ANN, after_number: 0, at: NOW };
    alone.when(leave(ANN)).then([after(1, dissolved), after(1, left(ANN, &[between(1, 1)]))]);
}

#[test]
fn a_group_always_has_an_owner() {
    let last = FieldError::new("/role", "last-owner");
    group().when(set_role(ANN, ANN, Role::Member)).then_invalid(last);
    let two = group().when(set_role(ANN, BOB, Role::Owner)).then([role(ANN, BOB, Role::Owner)]);
    two.when(set_role(ANN, ANN, Role::Member)).then([role(ANN, ANN, Role::Member)]);
    group().when(set_role(ANN, BOB, Role::Member)).then_nothing();
    let nobody = FieldError::new("/user_id", "no-such-person");
    group().when(set_role(ANN, EVE, Role::Admin)).then_invalid(nobody);
}

#[test]
fn an_invitation_is_open_until_its_time_its_uses_or_its_revocation() {
    let story = group().when(invite(ANN, Some(1))).then([invited(ANN, Some(1))]);
    let story = story.and([sent(ANN, 1)]);
    story.when(join(EVE, TOMORROW)).then_problem(Kind::NotFound);
    let story = group().and([invited(ANN, Some(1)), sent(ANN, 1)]);
    let story = story.when(join(EVE, NOW)).then([after(1, joined(EVE, &[from(2)], NOW))]);
    let story = story.when(join(EVE, NOW)).then_nothing();
    story.when(join(person(1), NOW)).then_problem(Kind::NotFound);
    let revoke = ChatCommand::RevokeInvite { by: ANN, invite: INVITE, at: NOW };
    let revoked = ChatEvent::InviteRevoked { chat: CHAT, by: ANN, invite: INVITE, at: NOW };
    let story = group().and([invited(ANN, None)]).when(revoke.clone()).then([revoked]);
    story.when(revoke).then_nothing().when(join(EVE, NOW)).then_problem(Kind::NotFound);
    group().when(join(EVE, NOW)).then_problem(Kind::NotFound);
}

#[test]
fn an_invitation_has_bounds_of_its_own() {
    let of =
        |expires_at, uses| ChatCommand::CreateInvite { by: ANN, invite: INVITE, expires_at, uses, at: NOW };
    group().when(of(NOW, None)).then_invalid(FieldError::new("/expires_in", "too-small").with("min", 1));
    let too_late = FieldError::new("/expires_in", "too-large").with("max", 365 * 24 * 3_600);
    group().when(of(NOW.plus(LONGEST_INVITE + 1), None)).then_invalid(too_late);
    group().when(of(TOMORROW, Some(0))).then_invalid(FieldError::new("/uses", "too-small").with("min", 1));
    let many = (0..20).map(|n| ChatEvent::InviteCreated {
        chat: CHAT,
        by: ANN,
        invite: InviteId(Uuid::from_u128(n)),
        expires_at: TOMORROW,
        uses: None,
        at: NOW,
    });
    let too_many = FieldError::new("", "too-many-invites").with("max", 20);
    let story = group().and(many).when(of(TOMORROW.plus(1), None)).then_invalid(too_many);
    // Those that are over make room.
    let later = ChatCommand::CreateInvite {
        by: ANN,
        invite: INVITE,
        expires_at: TOMORROW.plus(Timestamp::DAY),
        uses: None,
        at: TOMORROW,
    };
    assert_eq!(story.state().decide(later, &STRANGERS).map(|events| events.len()), Ok(1));
}

#[test]
fn whoever_was_removed_comes_back_by_a_friend_and_by_no_invitation() {
    let story = group().and([invited(ANN, None)]).when(remove(ANN, BOB)).then([removed(ANN, BOB, &[])]);
    let story = story.when(join(BOB, NOW)).then_problem(Kind::NotPermitted).knowing(FRIENDS);
    let story = story.when(add(ANN, BOB)).then([added(ANN, BOB, &[from(1)])]);
    let story = story.when(leave(BOB)).then([left(BOB, &[])]);
    story.when(join(BOB, NOW)).then([joined(BOB, &[from(1)], NOW)]);
}

#[test]
fn a_dissolved_group_can_only_be_read_and_left() {
    let dissolve = ChatCommand::Dissolve { by: ANN, at: NOW };
    let dissolved = ChatEvent::ChatDissolved { chat: CHAT, by: ANN, after_number: 0, at: NOW };
    let story =
        group().and([sent(ANN, 1), invited(ANN, None)]).when(dissolve.clone()).then([after(1, dissolved)]);
    let story = story.when(dissolve).then_nothing();
    let mut story = story.knowing(FRIENDS);
    for command in
        [send(ANN, 2), add(ANN, EVE), remove(ANN, BOB), set_role(ANN, BOB, Role::Admin), invite(ANN, None)]
    {
        story = story.when(command).then_problem(Kind::NotPermitted);
    }
    let story = story.when(join(EVE, NOW)).then_problem(Kind::NotFound);
    assert!(story.state().shows(BOB, 1));
    story.when(leave(ANN)).then([after(1, left(ANN, &[between(1, 1)]))]);
}

#[test]
fn blocks_and_lost_friendships_change_nothing_in_a_group() {
    let facts = ChatFacts { friends: false, blocked: true, in_a_group: false };
    group().knowing(facts).when(send(BOB, 1)).then([sent(BOB, 1)]);
}

#[test]
fn a_direct_chat_is_no_group() {
    let direct = || told([ChatEvent::DirectChatCreated { chat: CHAT, by: ANN, with: BOB, at: NOW }]);
    let mut story = direct().knowing(FRIENDS);
    for command in [
        add(ANN, EVE),
        remove(ANN, BOB),
        leave(ANN),
        invite(ANN, None),
        ChatCommand::Dissolve { by: ANN, at: NOW },
    ] {
        story = story.when(command).then_problem(Kind::NotPermitted);
    }
    story.when(join(EVE, NOW)).then_problem(Kind::NotFound);
}
