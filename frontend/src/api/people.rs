//! Other people: finding them, and the links with them.

use domain::ids::PersonId;
use domain::requests::{Done, Person as PersonBody};
use domain::views::{List, Person};
use js_sys::encode_uri_component;

use super::transport::{command, query};
use super::{Answer, SignedIn};
use crate::browser::new_key;

/// What one can do about a person; each is a command of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Add,
    Accept,
    Decline,
    Remove,
    Block,
    Unblock,
}

impl Act {
    fn command(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Accept => "accept",
            Self::Decline => "decline",
            Self::Remove => "remove",
            Self::Block => "block",
            Self::Unblock => "unblock",
        }
    }
}

/// Which of the own people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circle {
    Accepted,
    Incoming,
    Outgoing,
    Blocked,
}

impl Circle {
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Incoming, Self::Outgoing, Self::Blocked];

    fn state(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Incoming => "incoming",
            Self::Outgoing => "outgoing",
            Self::Blocked => "blocked",
        }
    }
}

impl SignedIn {
    /// A page of what is found, or the one that `cursor` leads to.
    pub async fn search_people(self, words: &str, cursor: Option<&str>) -> Answer<List<Person>> {
        let words = String::from(encode_uri_component(words));
        let cursor = cursor.map(|it| format!("&cursor={}", String::from(encode_uri_component(it))));
        query(format!("/users?q={words}&limit=30{}", cursor.unwrap_or_default())).await
    }

    /// The answer is a `PersonAnswer`, whose position is noted on the way.
    pub async fn person(self, person: PersonId) -> Answer<Person> {
        query(format!("/users/{person}")).await
    }

    /// All of one circle, page by page.
    pub async fn circle(self, circle: Circle) -> Answer<Vec<Person>> {
        let mut people = Vec::new();
        let mut cursor = String::new();
        loop {
            let page: List<Person> =
                query(format!("/friends?state={}&limit=200{cursor}", circle.state())).await?;
            people.extend(page.items);
            match page.next {
                Some(next) => cursor = format!("&cursor={}", String::from(encode_uri_component(&next))),
                None => return Ok(people),
            }
        }
    }

    pub async fn act(self, act: Act, person: PersonId) -> Answer<Done> {
        command(act.command(), &PersonBody { user_id: person }, new_key()).await
    }
}
