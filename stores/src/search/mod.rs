//! Finding people. Engines match tokens that domain has folded and know no ranking: what they
//! find is ranked by `domain::rank`.

use async_trait::async_trait;
use domain::ids::PersonId;
use domain::rank::tokens;
use domain::text::fold;

use crate::ReadModel;
use crate::error::Result;

mod elastic;
mod tantivy;

pub(crate) use self::elastic::{Elastic, inspect as inspect_elastic};
pub use self::tantivy::TantivySearch;

/// The most that [`Search::candidates`] answers.
pub const CANDIDATES: usize = 500;

/// A person who can be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub user_id: PersonId,
    pub nickname: String,
    pub name: String,
    pub position: u64,
}

impl Document {
    /// Whether there is nothing to be found.
    pub fn is_tombstone(&self) -> bool {
        self.nickname.is_empty() && self.name.is_empty()
    }

    /// Nickname, folded.
    pub fn folded_nickname(&self) -> String {
        fold(&self.nickname)
    }

    /// What the ranking compares with: the words of nickname and name, and the whole nickname.
    pub fn tokens(&self) -> Vec<String> {
        let mut all = tokens(&self.nickname);
        all.extend(tokens(&self.name));
        all.push(self.folded_nickname());
        all.retain(|token| !token.is_empty());
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// What an event changes.
#[derive(Clone, Debug)]
pub enum Change {
    Put(Document),
    /// Leaves an empty tombstone, so that an older document does not come back.
    Remove {
        user_id: PersonId,
        position: u64,
    },
}

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub struct SearchQuery {
    /// Where the query is a person's id.
    pub user_id: Option<PersonId>,
    /// The whole query folded, as a nickname would be.
    pub folded: String,
    /// Its words, folded.
    pub tokens: Vec<String>,
}

impl SearchQuery {
    /// Reads a query as the ranking does.
    pub fn of(query: &str) -> Self {
        let query = query.trim();
        let query = query.strip_prefix('@').unwrap_or(query);
        Self { user_id: query.parse().ok(), folded: fold(query), tokens: tokens(query) }
    }
}

/// A person who may match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub user_id: PersonId,
    pub nickname: String,
    pub name: String,
}

/// The search engine.
#[async_trait]
pub trait Search: ReadModel<Change = Change> {
    /// Who has the id, whose nickname equals the query, or whose tokens match every token of the
    /// query, by prefix or within `domain::rank::typos_allowed` (a swap of neighbours is one). Not cut by score; where more than [`CANDIDATES`] match, exact ones
    /// come before prefixes and those before typos, then by nickname. In no order.
    async fn candidates(&self, query: SearchQuery) -> Result<Vec<Found>>;

    /// Documents as they are held (tombstones too, empty), for the projection to go on from.
    async fn documents(&self, ids: &[PersonId]) -> Result<Vec<Document>>;
}
