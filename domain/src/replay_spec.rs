//! What holds for every story, however it goes: a stream replays to the state that was decided on,
//! and what must never fall, go back or live again does not.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

use crate::account::{Account, AccountCommand, WhyChanged};
use crate::aggregate::{Any, Decider, Event, State, replay, survives_json};
use crate::chat::{Chat, ChatCommand, ChatEvent, ChatFacts};
use crate::chronicle::{Chronicle, ChronicleCommand};
use crate::friendship::{ASK_AGAIN_AFTER, Friendship, FriendshipCommand, FriendshipFacts, Wish};
use crate::given::{ANN, BOB, EVE, NOW, Told, event, seal};
use crate::ids::{BlobId, ChatId, EventId, InviteId, MessageId, PersonId, PhotoId, SessionId};
use crate::message::{self, Message, MessageCommand, MessageFacts};
use crate::personal::{About, Address, Device, Email, Name, Nickname, Personals, Text, Title, Verifier};
use crate::read_marker::{self, ReadFacts, ReadMarker, ReadMarkerCommand};
use crate::session::{Method, Session, SessionCommand, WhyRevoked};
use crate::user::{Photo, User, UserCommand};
use crate::views::{Audience, History, Relation, ReportReason, Role, SettingsChanges};
use crate::{Problem, Timestamp};

/// Tells a story of one stream, a command a step, and holds its state in four ways that must agree:
/// evolved as it goes; replayed from the start; from events written and read back; written and read
/// back itself between any two events. `check` sees the state before and after each step.
fn tell<A, S>(
    steps: Vec<S>,
    command: impl Fn(&A, S) -> (A::Command, A::Facts),
    mut check: impl FnMut(&A, &A),
) -> Vec<A::Event>
where
    A: Told + Any + PartialEq + Debug,
{
    let mut evolved = A::default();
    let mut of_stored = A::KIND.initial();
    let mut of_snapshots = A::KIND.initial();
    let mut events = Vec::new();
    for step in steps {
        let before = evolved.clone();
        let (command, facts) = command(&before, step);
        for mut decided in evolved.decide(command, &facts).unwrap_or_default() {
            let id = event(events.len() as u128 + 1);
            seal(&mut decided, id);
            evolved.evolve(&decided);
            of_stored.evolve(&stored_and_read(A::event(decided.clone()), id));
            of_snapshots.evolve(&A::event(decided.clone()));
            let snapshot = serde_json::to_string(&of_snapshots).expect("a state serialises");
            of_snapshots = serde_json::from_str::<State>(&snapshot).expect("and is read back");
            events.push(decided);
        }
        check(&before, &evolved);
    }
    assert_eq!(replay::<A>(&events), evolved);
    assert_eq!(A::of(&of_stored), Some(&evolved));
    assert_eq!(A::of(&of_snapshots), Some(&evolved));
    survives_json(&evolved);
    events
}

/// The event after its way through the log.
fn stored_and_read(event: Event, id: EventId) -> Event {
    let payload = event.encode().expect("everything personal is walked over, and so sealed");
    let (event_type, version) = (event.event_type(), event.event_version());
    let mut read = Event::decode(event.kind().name(), &event_type, &version, &payload).expect("is read back");
    read.personals(&mut |_, _, personal| personal.bind(id));
    assert_eq!(read, event);
    for (field, token) in sealed_fields(&payload) {
        // A seal holds for the field's wire name; under another one it could not be opened.
        assert!(token.starts_with(&format!("s1.test.{field}-")), "{field} was sealed as {token}");
    }
    read
}

fn sealed_fields(payload: &str) -> Vec<(String, String)> {
    let payload: Value = serde_json::from_str(payload).expect("an event is JSON");
    let variants = payload.as_object().expect("an event is an object").values();
    let fields = variants.flat_map(|fields| fields.as_object().expect("of an object"));
    fields
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .filter(|(_, value)| value.starts_with("s1."))
        .collect()
}

fn person() -> impl Strategy<Value = PersonId> {
    prop::sample::select(vec![ANN, BOB, EVE])
}

/// Of a group.
fn member() -> impl Strategy<Value = PersonId> {
    prop::sample::select(vec![ANN, BOB, EVE, PersonId(Uuid::from_u128(0xf))])
}

fn role() -> impl Strategy<Value = Role> {
    prop::sample::select(vec![Role::Owner, Role::Admin, Role::Member])
}

/// Times of a story: mostly a moment apart, now and then days, sometimes with the clock set back.
fn with_times<S: Debug>(
    step: impl Strategy<Value = S>,
    most: usize,
) -> impl Strategy<Value = Vec<(Timestamp, S)>> {
    let apart = prop_oneof![
        6 => 0..12 * Timestamp::SECOND,
        1 => -5 * Timestamp::SECOND..0,
        2 => (0..31_i64).prop_map(|days| days * Timestamp::DAY),
    ];
    vec((apart, step), 0..most).prop_map(|steps| {
        let mut now = NOW;
        steps
            .into_iter()
            .map(|(apart, step)| {
                now = now.plus(apart);
                (now, step)
            })
            .collect()
    })
}

fn wish() -> impl Strategy<Value = Wish> {
    prop::sample::select(vec![
        Wish::Add,
        Wish::Accept,
        Wish::Decline,
        Wish::Remove,
        Wish::Block,
        Wish::Unblock,
    ])
}

fn of_pair(by: PersonId, wish: Wish, at: Timestamp) -> FriendshipCommand {
    FriendshipCommand { by, other: if by == ANN { BOB } else { ANN }, wish, at }
}

const THERE: FriendshipFacts = FriendshipFacts { other_exists: true };

/// What `by` is answered, and how many events that wrote: all that the position tells.
fn answer(link: &mut Friendship, command: FriendshipCommand) -> Result<usize, Problem> {
    let events = link.decide(command, &THERE)?;
    events.iter().for_each(|event| link.evolve(event));
    Ok(events.len())
}

proptest! {
    #[test]
    fn an_account_replays(steps in vec((person(), any::<bool>(), 0..4_u128), 0..24)) {
        tell::<Account, _>(steps, |account, (person, register, seen)| {
            let verifier = Verifier(format!("$argon2id${seen}"));
            let current = account.verifier.as_ref().and_then(|it| it.event_id);
            let seen = if seen == 0 { event(1) } else { current.unwrap_or(event(seen)) };
            let command = if register {
                AccountCommand::Register { person, email: Email("ann@example.org".into()), verifier }
            } else {
                AccountCommand::ChangePassword { seen, verifier, why: WhyChanged::Chosen }
            };
            (command, ())
        }, |before, after| {
            if before.person.is_some() {
                assert_eq!((before.person, &before.email), (after.person, &after.email));
            }
        });
    }

    #[test]
    fn a_session_replays_its_generation_never_falls_and_once_ended_it_never_lives_again(
        steps in with_times((person(), 0..8_u8, 0..3_u64, 0..3_u128), 40)
    ) {
        tell::<Session, _>(steps, |session, (at, (person, what, back, key))| {
            let command = match what {
                0 => SessionCommand::Start {
                    session: SessionId(Uuid::from_u128(key)),
                    person,
                    method: Method::Password,
                    device: Device("Firefox".into()),
                    address: Address("192.0.2.7".into()),
                    at,
                },
                1 => SessionCommand::Revoke { by: person, why: WhyRevoked::EndedElsewhere, at },
                _ => {
                    let presented = session.generation.saturating_sub(back.saturating_sub(1));
                    SessionCommand::Refresh { presented, key: Uuid::from_u128(key), at }
                }
            };
            (command, ())
        }, |before, after| {
            assert!((before.generation..=before.generation + 1).contains(&after.generation));
            if before.ended {
                assert_eq!(before, after);
                assert!([NOW, NOW.plus(-Timestamp::DAY), after.refreshed_at].iter().all(|at| !after.is_live(*at)));
            }
            if before.session.is_some() {
                assert_eq!((before.session, before.person), (after.session, after.person));
            }
        });
    }

    #[test]
    fn a_user_replays(steps in vec((0..7_u8, any::<[bool; 4]>()), 0..24)) {
        tell::<User, _>(steps, |user, (what, [seen, nickname, name, about])| {
            if what == 6 {
                let of = |friends: bool| Some(if friends { Audience::Friends } else { Audience::Everyone });
                let changes = SettingsChanges { discoverable: Some(seen), photo: of(name), about: of(about), presence: None };
                return (UserCommand::ChangeSettings { changes, at: NOW }, ());
            }
            let command = if what == 0 {
                UserCommand::Create { person: ANN, nickname: Nickname("ann".into()), name: Name("Ann".into()) }
            } else if what == 4 {
                let n = u8::from(nickname);
                let photo_id = PhotoId(Uuid::from_u128(u128::from(n)));
                UserCommand::ChangePhoto { photo: Photo { photo_id, blob: BlobId([n; 32]) }, at: NOW }
            } else if what == 5 {
                UserCommand::RemovePhoto { at: NOW }
            } else {
                UserCommand::EditInfo {
                    seen: if seen { user.nickname.as_ref().and_then(|it| it.event_id) } else { Some(event(1)) },
                    nickname: nickname.then(|| Nickname("anna".into())),
                    name: name.then(|| Name("Anna".into())),
                    about: about.then(|| About(String::new())),
                }
            };
            (command, ())
        }, |before, after| {
            if before.person.is_some() {
                assert!(after.person == before.person && after.nickname.is_some() && after.name.is_some());
            }
        });
    }

    #[test]
    fn a_pair_replays_and_both_see_the_same_link_from_their_sides(
        steps in with_times((any::<bool>(), wish()), 40)
    ) {
        let mut blocking = [false, false];
        let people = [ANN, BOB];
        let stepped = std::cell::Cell::new((ANN, Wish::Add));
        tell::<Friendship, _>(steps, |_, (at, (ann, wish))| {
            let by = if ann { ANN } else { BOB };
            stepped.set((by, wish));
            (of_pair(by, wish, at), THERE)
        }, |_, after| {
            let (by, wish) = stepped.get();
            let own = &mut blocking[usize::from(by == BOB)];
            match wish {
                Wish::Block => *own = true,
                Wish::Unblock => *own = false,
                Wish::Add | Wish::Accept | Wish::Decline | Wish::Remove => {}
            }
            assert_eq!(people.map(|one| after.has_blocked(one)), blocking);
            assert_eq!(after.is_blocked(), blocking.contains(&true));
            assert!(after.blocked_by.len() <= 2 && after.declined.len() <= 2, "the state stays small");

            let [ann, bob] = people.map(|one| after.seen_by(one));
            for (one, other) in [(ann, bob), (bob, ann)] {
                match one {
                    Relation::Friends => assert_eq!(other, Relation::Friends),
                    Relation::Incoming => assert_eq!(other, Relation::Outgoing),
                    // Declined or unseen, the other one sees nothing of it.
                    Relation::Outgoing => assert!(matches!(other, Relation::Incoming | Relation::None)),
                    Relation::None => assert!(matches!(other, Relation::Outgoing | Relation::None)),
                    Relation::Oneself => panic!("a pair is two people"),
                }
            }
            assert_eq!(after.are_friends(), ann == Relation::Friends);
            for (one, seen) in people.into_iter().zip([ann, bob]) {
                if after.has_blocked(one) {
                    assert_eq!(seen, Relation::None, "whoever blocks has no link");
                }
            }
        });
    }

    #[test]
    fn a_blocked_person_is_answered_as_a_former_friend_is(steps in with_times(wish(), 24)) {
        let friends = || {
            let mut link = Friendship::default();
            answer(&mut link, of_pair(BOB, Wish::Add, NOW)).expect("Bob asks");
            answer(&mut link, of_pair(ANN, Wish::Accept, NOW)).expect("Ann accepts");
            link
        };
        let (mut former, mut blocked) = (friends(), friends());
        answer(&mut former, of_pair(ANN, Wish::Remove, NOW)).expect("Ann unfriends");
        answer(&mut blocked, of_pair(ANN, Wish::Block, NOW)).expect("or blocks");
        for (at, wish) in steps {
            let command = of_pair(BOB, wish, at);
            prop_assert_eq!(answer(&mut former, command.clone()), answer(&mut blocked, command));
            prop_assert_eq!(former.seen_by(BOB), blocked.seen_by(BOB));
            prop_assert_eq!(blocked.seen_by(ANN), Relation::None, "the blocker is left in peace");
        }
    }

    #[test]
    fn a_declined_person_sees_what_an_unanswered_one_sees(steps in with_times(wish(), 24)) {
        let asked = || {
            let mut link = Friendship::default();
            answer(&mut link, of_pair(BOB, Wish::Add, NOW)).expect("Bob asks");
            link
        };
        let (mut unanswered, mut declined) = (asked(), asked());
        answer(&mut declined, of_pair(ANN, Wish::Decline, NOW)).expect("Ann declines");
        let mut latest = NOW;
        for (at, wish) in steps {
            latest = latest.max(at);
            let command = of_pair(BOB, wish, at);
            let answers = (answer(&mut unanswered, command.clone()), answer(&mut declined, command));
            if latest < NOW.plus(ASK_AGAIN_AFTER) {
                prop_assert_eq!(&answers.0, &answers.1);
                prop_assert_eq!(declined.seen_by(ANN), Relation::None, "and Ann is not asked again");
            }
            prop_assert_eq!(answers.0.is_ok(), answers.1.is_ok());
            prop_assert_eq!(unanswered.seen_by(BOB), declined.seen_by(BOB));
        }
    }

    #[test]
    fn a_chat_replays_its_numbers_are_dense_and_its_times_never_fall(
        steps in with_times((person(), 0..10_u8, "[ a]{0,2}", prop::option::of(0..8_u64), any::<bool>()), 40)
    ) {
        let events = tell::<Chat, _>(steps, |_, (at, (author, what, text, reply_to, friends))| {
            let command = if what == 0 {
                ChatCommand::CreateDirect { chat: ChatId(Uuid::from_u128(0xc)), by: ANN, with: BOB, at }
            } else {
                let message_id = MessageId(Uuid::from_u128(u128::from(what)));
                let (attachments, forwarded_from) = (Vec::new(), None);
                ChatCommand::Send { author, message_id, text: Text(text), reply_to, attachments, forwarded_from, at }
            };
            (command, ChatFacts { friends: friends || what < 8, blocked: what == 9 && friends, in_a_group: false })
        }, |before, after| {
            assert!((before.last_number..=before.last_number + 1).contains(&after.last_number));
            assert!(after.last_sent_at >= before.last_sent_at);
        });
        leads_to_its_messages(&events);
    }

    #[test]
    fn a_number_leads_to_its_message_whatever_happens_between(messages in vec(any::<bool>(), 0..60)) {
        // Members and titles come between; here whatever is no message.
        let mut number = 0;
        let events: Vec<ChatEvent> = messages.iter().map(|message| {
            if *message {
                number += 1;
                sent(number)
            } else {
                ChatEvent::DirectChatCreated { chat: ChatId(Uuid::nil()), by: ANN, with: BOB, at: NOW }
            }
        }).collect();
        leads_to_its_messages(&events);
        let runs = messages.split(|message| !message).filter(|run| !run.is_empty()).count();
        prop_assert_eq!(replay::<Chat>(&events).runs.len(), runs, "one run, one entry");
    }

    #[test]
    fn a_read_marker_replays_and_never_goes_back(
        steps in with_times((0..12_u64, 0..12_u64, 0..5_u8), 40)
    ) {
        tell::<ReadMarker, _>(steps, |_, (at, (number, last_number, member))| {
            let wish = match member {
                1 => read_marker::Wish::Keep { muted_until: Some((number > 5).then_some(at)), pinned: None },
                2 => read_marker::Wish::Keep { muted_until: None, pinned: Some(number > 5) },
                _ => read_marker::Wish::Read(number),
            };
            let mark = ReadMarkerCommand { chat: ChatId(Uuid::from_u128(0xc)), person: ANN, wish, at };
            (mark, ReadFacts { may_read: member > 0, last_number, own_last: 0 })
        }, |before, after| assert!(after.number >= before.number));
    }

    #[test]
    fn a_group_replays_has_an_owner_while_it_lives_and_nobody_loses_what_they_could_read(
        steps in with_times((member(), member(), 0..16_u8, any::<bool>(), role()), 60)
    ) {
        let chat = ChatId(Uuid::from_u128(0xc));
        let invite = |n: u8| InviteId(Uuid::from_u128(u128::from(n)));
        let events = tell::<Chat, _>(steps, |_, (at, (by, person, what, other, role))| {
            let history = if other { History::All } else { History::Joining };
            let command = match what {
                0 => ChatCommand::CreateGroup {
                    chat, by, title: Title("t".into()), history, members: vec![person], at,
                },
                1 => ChatCommand::Rename { by, title: Title("u".into()), at },
                2 | 3 => ChatCommand::Add { by, person, at },
                4 => ChatCommand::Join { person, invite: invite(u8::from(other)), at },
                5 | 6 => ChatCommand::Leave { person, at },
                7 => ChatCommand::Remove { by, person, at },
                8 => ChatCommand::SetRole { by, person, role, at },
                9 => ChatCommand::CreateInvite {
                    by, invite: invite(u8::from(other)), expires_at: at.plus(Timestamp::DAY), uses: Some(2), at,
                },
                10 => ChatCommand::RevokeInvite { by, invite: invite(0), at },
                11 if other => ChatCommand::Dissolve { by, at },
                _ => ChatCommand::Send {
                    author: by,
                    message_id: MessageId(Uuid::from_u128(u128::from(what))),
                    text: Text("a".into()),
                    reply_to: None,
                    attachments: Vec::new(),
                    forwarded_from: None,
                    at,
                },
            };
            (command, ChatFacts { friends: true, blocked: false, in_a_group: false })
        }, |before, after| {
            let alive = after.is_group() && !after.dissolved;
            let owners = after.members.iter().filter(|member| member.role == Role::Owner).count();
            assert!(!alive || owners > 0, "{after:?}");
            for person in before.sees.keys() {
                for number in 1..=before.last_number {
                    assert!(!before.shows(*person, number) || after.shows(*person, number), "{person} lost {number}");
                }
                let told = before.has_member(*person);
                assert!(told || before.last_shown(*person) == after.last_shown(*person) || after.has_member(*person));
            }
        });
        leads_to_its_messages(&events);
    }

    #[test]
    fn a_message_replays_and_once_deleted_stays_so(
        steps in with_times((member(), 0..8_u8, any::<bool>(), any::<bool>()), 40)
    ) {
        tell::<Message, _>(steps, |_, (at, (by, what, may_write, moderates))| {
            let wish = match what {
                0 | 1 => message::Wish::Edit(Text("again".into())),
                2 => message::Wish::Delete,
                3 => message::Wish::Remove,
                4 => message::Wish::React(Some("👍".into())),
                5 => message::Wish::React(Some("🎉".into())),
                6 => message::Wish::React(None),
                _ => message::Wish::Report(ReportReason::Spam),
            };
            let facts = MessageFacts { author: Some(ANN), may_write, moderates, is_member: true, ..MessageFacts::default() };
            (MessageCommand { chat: ChatId(Uuid::from_u128(0xc)), number: 1, by, wish, at }, facts)
        }, |before, after| {
            assert!(!before.deleted || (after.deleted && before.edits == after.edits && after.reactions.is_empty()));
        });
    }

    #[test]
    fn a_chronicle_replays_and_keeps_its_first_id(ids in vec(any::<u128>(), 0..4)) {
        let first = ids.first().copied().map(Uuid::from_u128);
        let events = tell::<Chronicle, _>(
            ids,
            |_, id| (ChronicleCommand::Open { log_id: Uuid::from_u128(id), at: NOW }, ()),
            |before, after| assert!(before.log_id.is_none() || before == after),
        );
        prop_assert_eq!(replay::<Chronicle>(&events).log_id, first);
    }
}

fn sent(number: u64) -> ChatEvent {
    ChatEvent::MessageSent {
        chat: ChatId(Uuid::nil()),
        author: ANN,
        message_id: MessageId(Uuid::from_u128(u128::from(number))),
        number,
        text: Text("hello".into()).into(),
        sent_at: NOW,
        reply_to: None,
        attachments: Vec::new(),
        forwarded_from: None,
    }
}

/// Numbers are 1, 2, 3 …, each leads to its event, times do not fall, and no other number leads
/// anywhere.
fn leads_to_its_messages(events: &[ChatEvent]) {
    let chat = replay::<Chat>(events);
    let (mut last, mut latest) = (0, Timestamp(i64::MIN));
    for (sequence, event) in (1_u64..).zip(events) {
        if let ChatEvent::MessageSent { number, sent_at, .. } = event {
            assert_eq!(*number, last + 1);
            assert_eq!(chat.sequence_of(*number), Some(sequence));
            assert!(*sent_at >= latest);
            (last, latest) = (*number, *sent_at);
        }
    }
    assert_eq!(chat.last_number, last);
    assert_eq!((chat.sequence_of(0), chat.sequence_of(last + 1)), (None, None));
}
