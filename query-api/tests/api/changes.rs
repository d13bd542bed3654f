//! What happens in groups and to messages, as the timeline's projection writes it.

use domain::chat::Span;
use domain::ids::{ChatId, PersonId};
use domain::personal::{Text, Title};
use domain::views::{ChatKind, Deleted, History, LineKind, Role, Settings};
use stores::directory;
use stores::timeline::{Change, LineRow};
use uuid::Uuid;

use crate::world::{World, at};

pub fn from(first: u64) -> Span {
    Span { first, last: None }
}

pub fn span(first: u64, last: u64) -> Span {
    Span { first, last: Some(last) }
}

impl World {
    fn line(&self, chat_id: ChatId, after_number: u64, kind: LineKind, position: u64) -> LineRow {
        LineRow {
            chat_id,
            ordinal: self.ordinal(chat_id),
            after_number,
            kind,
            by: None,
            person: None,
            title: None,
            role: None,
            count: None,
            at: at(position),
            position,
        }
    }

    /// A group with its owner and members from the beginning.
    pub async fn group(
        &self,
        number: u128,
        owner: PersonId,
        members: &[PersonId],
        title: &str,
        history: History,
    ) -> ChatId {
        let (chat_id, position) = (ChatId(Uuid::from_u128(number)), self.next());
        let title = self.seal("Chat", &chat_id.to_string(), "title", owner, position, &Title(title.into()));
        let joined = |person, role| Change::Joined {
            chat_id,
            person,
            role,
            joined_number: 0,
            sees: vec![from(1)],
            position,
        };
        let mut changes = vec![
            Change::Created {
                chat_id,
                kind: ChatKind::Group,
                created_by: owner,
                created_at: at(position),
                title: Some(title.clone()),
                history: Some(history),
                position,
            },
            joined(owner, Role::Owner),
        ];
        changes.extend(members.iter().map(|person| joined(*person, Role::Member)));
        changes.push(Change::Line(LineRow {
            by: Some(owner),
            title: Some(title),
            count: Some(members.len() as u64),
            ..self.line(chat_id, 0, LineKind::Created, position)
        }));
        self.timeline(changes, position).await;
        chat_id
    }

    pub async fn renamed(&self, chat_id: ChatId, by: PersonId, title: &str, after_number: u64) -> u64 {
        let position = self.next();
        let title = self.seal("Chat", &chat_id.to_string(), "title", by, position, &Title(title.into()));
        let line = LineRow {
            by: Some(by),
            title: Some(title.clone()),
            ..self.line(chat_id, after_number, LineKind::Renamed, position)
        };
        self.timeline(vec![Change::Renamed { chat_id, title, position }, Change::Line(line)], position).await;
        position
    }

    /// `by` brings somebody in after message `after_number`; `sees` is all that they may read from now on.
    pub async fn added(
        &self,
        chat_id: ChatId,
        by: PersonId,
        person: PersonId,
        after_number: u64,
        sees: &[Span],
    ) -> u64 {
        let position = self.next();
        let joined = Change::Joined {
            chat_id,
            person,
            role: Role::Member,
            joined_number: after_number,
            sees: sees.to_vec(),
            position,
        };
        let line = self.line(chat_id, after_number, LineKind::Added, position);
        let line = LineRow { by: Some(by), person: Some(person), ..line };
        self.timeline(vec![joined, Change::Line(line)], position).await;
        position
    }

    /// Somebody goes after message `after_number`, or is put out by somebody.
    pub async fn parted(
        &self,
        chat_id: ChatId,
        by: Option<PersonId>,
        person: PersonId,
        after_number: u64,
        sees: &[Span],
    ) -> u64 {
        let position = self.next();
        let kind = if by.is_some() { LineKind::Removed } else { LineKind::Left };
        let line = LineRow { by, person: Some(person), ..self.line(chat_id, after_number, kind, position) };
        let parted = Change::Parted { chat_id, person, sees: sees.to_vec(), position };
        self.timeline(vec![parted, Change::Line(line)], position).await;
        position
    }

    pub async fn role_set(
        &self,
        chat_id: ChatId,
        by: PersonId,
        person: PersonId,
        role: Role,
        after: u64,
    ) -> u64 {
        let position = self.next();
        let line = LineRow {
            by: Some(by),
            person: Some(person),
            role: Some(role),
            ..self.line(chat_id, after, LineKind::RoleSet, position)
        };
        self.timeline(
            vec![Change::RoleSet { chat_id, person, role, position }, Change::Line(line)],
            position,
        )
        .await;
        position
    }

    pub async fn dissolved(&self, chat_id: ChatId, by: PersonId, after_number: u64) -> u64 {
        let position = self.next();
        let line = self.line(chat_id, after_number, LineKind::Dissolved, position);
        let line = Change::Line(LineRow { by: Some(by), ..line });
        self.timeline(vec![Change::Dissolved { chat_id, position }, line], position).await;
        position
    }

    pub async fn edited(&self, chat_id: ChatId, author: PersonId, number: u64, text: &str) -> u64 {
        let position = self.next();
        let stream = format!("{chat_id}~{number}");
        let text = self.seal("Message", &stream, "text", author, position, &Text(text.into()));
        let edited = Change::Edited { chat_id, number, text, at: at(position), position };
        self.timeline(vec![edited], position).await;
        position
    }

    pub async fn deleted(&self, chat_id: ChatId, number: u64, how: Deleted) -> u64 {
        let position = self.next();
        self.timeline(vec![Change::Deleted { chat_id, number, how, position }], position).await;
        position
    }

    pub async fn reacted(&self, chat_id: ChatId, number: u64, person: PersonId, emoji: Option<&str>) -> u64 {
        let position = self.next();
        let emoji = emoji.map(str::to_owned);
        self.timeline(vec![Change::Reacted { chat_id, number, person, emoji, position }], position).await;
        position
    }

    pub async fn kept(&self, chat_id: ChatId, person: PersonId, pinned: bool) -> u64 {
        let position = self.next();
        let muted_until = pinned.then(|| at(5_000));
        self.timeline(vec![Change::Kept { chat_id, person, muted_until, pinned, position }], position).await;
        position
    }

    pub async fn set(&self, user_id: PersonId, settings: Settings) -> u64 {
        let position = self.next();
        self.directory(vec![directory::Change::Settings { user_id, settings, position }], position).await;
        self.show();
        position
    }

    /// Ann (1), bob (2), cy (3), registered.
    pub async fn three(&self) -> [PersonId; 3] {
        [
            self.registered(1, "ann", "Ann").await,
            self.registered(2, "bob", "Bob").await,
            self.registered(3, "cy", "Cy").await,
        ]
    }

    /// Sends messages `numbers` of `author`, each `text <number>`.
    pub async fn says(&self, chat_id: ChatId, author: PersonId, numbers: std::ops::RangeInclusive<u64>) {
        for number in numbers {
            self.sent(chat_id, author, number, &format!("text {number}"), None).await;
        }
    }
}
