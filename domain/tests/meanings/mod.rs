//! What each golden file means.

use domain::Timestamp;
use domain::account::{AccountEvent, WhyChanged};
use domain::aggregate::Event;
use domain::chat::{Attachment, ChatEvent, Span};
use domain::chronicle::ChronicleEvent;
use domain::friendship::FriendshipEvent;
use domain::ids::PersonId;
use domain::message::MessageEvent;
use domain::personal::{Personal, Sealed};
use domain::read_marker::ReadMarkerEvent;
use domain::session::{Method, SessionEvent, WhyRevoked};
use domain::user::UserEvent;
use domain::views::{AttachmentKind, Audience, ReportReason, Role, Settings};
use serde_json::Value;

const ANN: &str = "01935470-5a00-7a3c-8f21-0c9d5e7b1a01";
const BOB: &str = "01935470-5a03-7d6f-9c54-3f2a8b0e4d04";
const SESSION: &str = "01935470-5a01-7b4d-9e32-1d0e6f8c2b02";
const KEY: &str = "01935470-5a02-7c5e-8d43-2e1f7a9d3c03";
const CHAT: &str = "01935470-5a04-7e70-8b65-403b9c1f5e05";
const FIRST_MESSAGE: &str = "01935470-5a05-7f81-9a76-514cad206f06";
const SECOND_MESSAGE: &str = "01935470-5a06-7092-8987-625dbe317a07";
const PHOTO: &str = "01935470-5a07-71a3-9098-7f6dec428b09";
const BLOB: &str = "3b1f0c6e5d7a94823b1f0c6e5d7a94823b1f0c6e5d7a94823b1f0c6e5d7a9482";
const EARLIER_BLOB: &str = "c0ffee0123456789c0ffee0123456789c0ffee0123456789c0ffee0123456789";
const THIRD_MESSAGE: &str = "01935470-5a08-72b4-9120-806fed539b0a";
const INVITE: &str = "01935470-5a09-73c5-9231-9170fe640c0b";
const GROUP: &str = "01935470-5a0a-74d6-9342-a281f0751d0c";
const EVE: &str = "01935470-5a0b-75e7-9453-b39201862e0d";
const LOG: &str = "01935470-59ff-7000-8a98-736ecf428b08";

fn id<T: From<uuid::Uuid>>(text: &str) -> T {
    text.parse::<uuid::Uuid>().expect("a UUID").into()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

/// A value sealed with Ann's key.
fn sealed<T>(rest: &str) -> Personal<T> {
    sealed_with('a', rest)
}

fn sealed_with<T>(key: char, rest: &str) -> Personal<T> {
    let token = format!("s1.k9Zt2LrYw8QmXe1{key}.{rest}");
    Personal::Sealed(Sealed { token, event_id: None })
}

/// Every golden file, without `.json`, and what it means.
pub fn golden() -> Vec<(&'static str, Event)> {
    let account = Event::Account;
    let session = Event::Session;
    let friendship = Event::Friendship;
    let chat = Event::Chat;
    let (ann, bob, eve) = (id::<PersonId>(ANN), id::<PersonId>(BOB), id::<PersonId>(EVE));
    vec![
        (
            "Account/AccountRegistered.v1",
            account(AccountEvent::AccountRegistered {
                person: ann,
                email: sealed("bm9uY2UtZW1haWw"),
                verifier: sealed("bm9uY2UtdmVyaWZpZXI"),
            }),
        ),
        (
            "Account/PasswordChanged.v1",
            account(AccountEvent::PasswordChanged {
                person: ann,
                verifier: sealed("bm9uY2UtbmV3"),
                why: WhyChanged::Chosen,
            }),
        ),
        (
            "Account/PasswordChanged.v1.rehashed",
            account(AccountEvent::PasswordChanged {
                person: ann,
                verifier: sealed("bm9uY2UtcmU"),
                why: WhyChanged::Rehashed,
            }),
        ),
        (
            "Session/SessionStarted.v1",
            session(SessionEvent::SessionStarted {
                session: id(SESSION),
                person: ann,
                method: Method::Password,
                device: sealed("bm9uY2UtZGV2aWNl"),
                address: sealed("bm9uY2UtYWRkcmVzcw"),
                at: at("2024-11-22T16:00:00.000007Z"),
            }),
        ),
        (
            "Session/SessionRefreshed.v1",
            session(SessionEvent::SessionRefreshed {
                session: id(SESSION),
                person: ann,
                generation: 2,
                key: id(KEY),
                at: at("2024-11-22T16:30:00Z"),
            }),
        ),
        (
            "Session/RefreshReuseDetected.v1",
            session(SessionEvent::RefreshReuseDetected {
                session: id(SESSION),
                person: ann,
                generation: 1,
                at: at("2024-11-22T16:30:10Z"),
            }),
        ),
        (
            "Session/SessionRevoked.v1",
            session(SessionEvent::SessionRevoked {
                session: id(SESSION),
                person: ann,
                why: WhyRevoked::SignedOut,
                at: at("2024-11-22T16:31:00Z"),
            }),
        ),
        (
            "Session/SessionRevoked.v1.elsewhere",
            session(SessionEvent::SessionRevoked {
                session: id(SESSION),
                person: ann,
                why: WhyRevoked::EndedElsewhere,
                at: at("2024-11-22T16:31:00Z"),
            }),
        ),
        (
            "User/UserCreated.v1",
            Event::User(UserEvent::UserCreated {
                person: ann,
                nickname: sealed("bm9uY2Utbmljaw"),
                name: sealed("bm9uY2UtbmFtZQ"),
            }),
        ),
        (
            "User/InfoEdited.v1",
            Event::User(UserEvent::InfoEdited { person: ann, nickname: None, name: None, about: None }),
        ),
        (
            "User/InfoEdited.v1.full",
            Event::User(UserEvent::InfoEdited {
                person: ann,
                nickname: Some(sealed("bm9uY2Utbmljaw")),
                name: Some(sealed("bm9uY2UtbmFtZQ")),
                about: Some(sealed("bm9uY2UtYWJvdXQ")),
            }),
        ),
        (
            "User/PhotoChanged.v1",
            Event::User(UserEvent::PhotoChanged {
                person: ann,
                photo_id: id(PHOTO),
                blob: BLOB.parse().expect("a name"),
                previous: None,
                at: at("2024-11-22T16:40:00Z"),
            }),
        ),
        (
            "User/PhotoChanged.v1.full",
            Event::User(UserEvent::PhotoChanged {
                person: ann,
                photo_id: id(PHOTO),
                blob: BLOB.parse().expect("a name"),
                previous: Some(EARLIER_BLOB.parse().expect("a name")),
                at: at("2024-11-22T16:40:00.000001Z"),
            }),
        ),
        (
            "User/PhotoRemoved.v1",
            Event::User(UserEvent::PhotoRemoved {
                person: ann,
                photo_id: id(PHOTO),
                previous: BLOB.parse().expect("a name"),
                at: at("2024-11-22T16:41:00Z"),
            }),
        ),
        (
            "Friendship/FriendRequested.v1",
            friendship(FriendshipEvent::FriendRequested {
                from: ann,
                to: bob,
                at: at("2024-11-22T17:00:00Z"),
            }),
        ),
        (
            "Friendship/FriendAccepted.v1",
            friendship(FriendshipEvent::FriendAccepted {
                by: bob,
                from: ann,
                at: at("2024-11-22T17:01:00Z"),
            }),
        ),
        (
            "Friendship/FriendDeclined.v1",
            friendship(FriendshipEvent::FriendDeclined {
                by: bob,
                from: ann,
                at: at("2024-11-22T17:01:00Z"),
            }),
        ),
        (
            "Friendship/FriendRemoved.v1",
            friendship(FriendshipEvent::FriendRemoved {
                by: ann,
                other: bob,
                at: at("2024-11-22T17:02:00Z"),
            }),
        ),
        (
            "Friendship/PersonBlocked.v1",
            friendship(FriendshipEvent::PersonBlocked {
                by: ann,
                other: bob,
                at: at("2024-11-22T17:03:00Z"),
            }),
        ),
        (
            "Friendship/PersonUnblocked.v1",
            friendship(FriendshipEvent::PersonUnblocked {
                by: ann,
                other: bob,
                at: at("2024-11-22T17:04:00Z"),
            }),
        ),
        (
            "Chat/DirectChatCreated.v1",
            chat(ChatEvent::DirectChatCreated {
                chat: id(CHAT),
                by: ann,
                with: bob,
                at: at("2024-11-22T17:05:00Z"),
            }),
        ),
        (
            "Chat/MessageSent.v1",
            chat(ChatEvent::MessageSent {
                chat: id(CHAT),
                author: ann,
                message_id: id(FIRST_MESSAGE),
                number: 1,
                text: sealed("bm9uY2UtdGV4dA"),
                sent_at: at("2024-11-22T17:06:00.123456Z"),
                reply_to: None,
                attachments: Vec::new(),
                forwarded_from: None,
            }),
        ),
        (
            "Chat/MessageSent.v1.full",
            chat(ChatEvent::MessageSent {
                chat: id(CHAT),
                author: bob,
                message_id: id(SECOND_MESSAGE),
                number: 2,
                text: sealed_with('b', "bm9uY2UtYW5zd2Vy"),
                sent_at: at("2024-11-22T17:06:00.123456Z"),
                reply_to: Some(1),
                attachments: Vec::new(),
                forwarded_from: None,
            }),
        ),
        ("Chat/GroupCreated.v1", group_created("joining", vec![bob, eve])),
        ("Chat/GroupCreated.v1.all", group_created("all", Vec::new())),
        (
            "Chat/GroupRenamed.v1",
            chat(ChatEvent::GroupRenamed {
                chat: id(GROUP),
                by: bob,
                title: sealed_with('b', "bm9uY2UtcmVuYW1l"),
                after_number: 7,
                at: at("2024-11-22T18:01:00Z"),
            }),
        ),
        (
            "Chat/MemberAdded.v1",
            chat(ChatEvent::MemberAdded {
                chat: id(GROUP),
                by: ann,
                person: eve,
                sees: vec![Span { first: 1, last: Some(4) }, Span { first: 8, last: None }],
                after_number: 7,
                at: at("2024-11-22T18:02:00Z"),
            }),
        ),
        (
            "Chat/MemberJoined.v1",
            chat(ChatEvent::MemberJoined {
                chat: id(GROUP),
                person: eve,
                invite: id(INVITE),
                sees: vec![Span { first: 8, last: None }],
                after_number: 7,
                at: at("2024-11-22T18:03:00Z"),
            }),
        ),
        (
            "Chat/MemberLeft.v1",
            chat(ChatEvent::MemberLeft {
                chat: id(GROUP),
                person: eve,
                sees: vec![Span { first: 8, last: Some(9) }],
                after_number: 9,
                at: at("2024-11-22T18:04:00Z"),
            }),
        ),
        (
            "Chat/MemberRemoved.v1",
            chat(ChatEvent::MemberRemoved {
                chat: id(GROUP),
                by: ann,
                person: eve,
                sees: Vec::new(),
                after_number: 9,
                at: at("2024-11-22T18:05:00Z"),
            }),
        ),
        ("Chat/RoleSet.v1", role_set(Role::Admin)),
        ("Chat/RoleSet.v1.owner", role_set(Role::Owner)),
        ("Chat/RoleSet.v1.member", role_set(Role::Member)),
        ("Chat/InviteCreated.v1", invite_created(None)),
        ("Chat/InviteCreated.v1.full", invite_created(Some(25))),
        (
            "Chat/InviteRevoked.v1",
            chat(ChatEvent::InviteRevoked {
                chat: id(GROUP),
                by: bob,
                invite: id(INVITE),
                at: at("2024-11-22T18:08:00Z"),
            }),
        ),
        (
            "Chat/ChatDissolved.v1",
            chat(ChatEvent::ChatDissolved {
                chat: id(GROUP),
                by: ann,
                after_number: 9,
                at: at("2024-11-22T18:09:00Z"),
            }),
        ),
        (
            "Chat/MessageSent.v2",
            chat(ChatEvent::MessageSent {
                chat: id(CHAT),
                author: ann,
                message_id: id(THIRD_MESSAGE),
                number: 3,
                text: sealed("bm9uY2UtdGhpcmQ"),
                sent_at: at("2024-11-22T18:10:00.123456Z"),
                reply_to: None,
                attachments: Vec::new(),
                forwarded_from: None,
            }),
        ),
        (
            "Chat/MessageSent.v2.full",
            chat(ChatEvent::MessageSent {
                chat: id(CHAT),
                author: bob,
                message_id: id(THIRD_MESSAGE),
                number: 3,
                text: sealed("bm9uY2UtdGhpcmQ"),
                sent_at: at("2024-11-22T18:10:00.123456Z"),
                reply_to: Some(1),
                attachments: vec![
                    Attachment {
                        blob: BLOB.parse().expect("a name"),
                        kind: AttachmentKind::Image,
                        media_type: "image/jpeg".to_owned(),
                        size: 48_211,
                        width: Some(640),
                        height: Some(480),
                        name: sealed("bm9uY2UtZmlsZQ"),
                    },
                    Attachment {
                        blob: EARLIER_BLOB.parse().expect("a name"),
                        kind: AttachmentKind::File,
                        media_type: "application/pdf".to_owned(),
                        size: 7,
                        width: None,
                        height: None,
                        name: sealed("bm9uY2UtcGRm"),
                    },
                ],
                forwarded_from: Some(ann),
            }),
        ),
        (
            "Message/MessageEdited.v1",
            Event::Message(MessageEvent::MessageEdited {
                chat: id(CHAT),
                number: 1,
                author: ann,
                text: sealed("bm9uY2UtZWRpdA"),
                at: at("2024-11-22T18:20:00Z"),
            }),
        ),
        (
            "Message/MessageDeleted.v1",
            Event::Message(MessageEvent::MessageDeleted {
                chat: id(CHAT),
                number: 1,
                by: ann,
                at: at("2024-11-22T18:21:00Z"),
            }),
        ),
        (
            "Message/MessageRemoved.v1",
            Event::Message(MessageEvent::MessageRemoved {
                chat: id(GROUP),
                number: 5,
                by: bob,
                at: at("2024-11-22T18:22:00Z"),
            }),
        ),
        ("Message/ReactionSet.v1", reaction_set(None)),
        ("Message/ReactionSet.v1.full", reaction_set(Some("👍"))),
        ("Message/MessageReported.v1", reported(ReportReason::Spam)),
        ("Message/MessageReported.v1.abuse", reported(ReportReason::Abuse)),
        ("Message/MessageReported.v1.illegal", reported(ReportReason::Illegal)),
        ("Message/MessageReported.v1.other", reported(ReportReason::Other)),
        (
            "ReadMarker/ChatPrefsSet.v1",
            Event::ReadMarker(ReadMarkerEvent::ChatPrefsSet {
                chat: id(CHAT),
                person: bob,
                muted_until: None,
                pinned: true,
                at: at("2024-11-22T18:30:00Z"),
            }),
        ),
        (
            "ReadMarker/ChatPrefsSet.v1.full",
            Event::ReadMarker(ReadMarkerEvent::ChatPrefsSet {
                chat: id(CHAT),
                person: bob,
                muted_until: Some(at("2024-11-23T18:30:00Z")),
                pinned: false,
                at: at("2024-11-22T18:30:00Z"),
            }),
        ),
        (
            "User/SettingsChanged.v1",
            Event::User(UserEvent::SettingsChanged {
                person: ann,
                settings: Settings {
                    discoverable: false,
                    photo: Audience::Friends,
                    about: Audience::Everyone,
                    presence: Audience::Friends,
                },
                at: at("2024-11-22T18:40:00Z"),
            }),
        ),
        (
            "ReadMarker/ReadUpTo.v1",
            Event::ReadMarker(ReadMarkerEvent::ReadUpTo {
                chat: id(CHAT),
                person: bob,
                number: 2,
                at: at("2024-11-22T17:07:00Z"),
            }),
        ),
        (
            "Chronicle/ChronicleOpened.v1",
            Event::Chronicle(ChronicleEvent::ChronicleOpened {
                log_id: id(LOG),
                format: 1,
                at: at("2024-11-22T15:59:59.999999Z"),
            }),
        ),
    ]
}

fn group_created(history: &str, members: Vec<PersonId>) -> Event {
    Event::Chat(ChatEvent::GroupCreated {
        chat: id(GROUP),
        by: id(ANN),
        title: sealed("bm9uY2UtdGl0bGU"),
        history: serde_json::from_value(Value::from(history)).expect("a word"),
        members,
        at: at("2024-11-22T18:00:00Z"),
    })
}

fn role_set(role: Role) -> Event {
    Event::Chat(ChatEvent::RoleSet {
        chat: id(GROUP),
        by: id(ANN),
        person: id(BOB),
        role,
        after_number: 9,
        at: at("2024-11-22T18:06:00Z"),
    })
}

fn invite_created(uses: Option<u32>) -> Event {
    Event::Chat(ChatEvent::InviteCreated {
        chat: id(GROUP),
        by: id(ANN),
        invite: id(INVITE),
        expires_at: at("2024-11-29T18:07:00Z"),
        uses,
        at: at("2024-11-22T18:07:00Z"),
    })
}

fn reaction_set(emoji: Option<&str>) -> Event {
    Event::Message(MessageEvent::ReactionSet {
        chat: id(CHAT),
        number: 2,
        person: id(ANN),
        emoji: emoji.map(str::to_owned),
        at: at("2024-11-22T18:23:00Z"),
    })
}

fn reported(reason: ReportReason) -> Event {
    Event::Message(MessageEvent::MessageReported {
        chat: id(GROUP),
        number: 5,
        by: id(EVE),
        reason,
        at: at("2024-11-22T18:24:00Z"),
    })
}
