//! What is asked for: candidates in three stages, without the engine's scores.

use domain::rank::typos_allowed;
use serde_json::{Value, json};

use crate::search::{CANDIDATES, SearchQuery};

/// Edits that the engine's automata go up to.
const MOST_TYPOS: usize = 2;

/// The search; `None` where nothing can be found.
///
/// A document has the constant of the nearest stage that it matches, 4 for exact ones, 2 for
/// prefixes, 1 for typing errors, and is sorted by it, then by nickname.
pub(super) fn body(query: &SearchQuery) -> Option<Value> {
    let mut exact = Vec::new();
    let mut stages = Vec::new();
    if let Some(user_id) = query.user_id {
        exact.push(json!({ "term": { "user_id": user_id } }));
    }
    if !query.tokens.is_empty() {
        exact.push(json!({ "term": { "folded": query.folded } }));
        let prefixes: Vec<Value> = query.tokens.iter().map(|token| prefix(token)).collect();
        stages.push(stage(2, json!({ "bool": { "filter": prefixes } })));
        // Short words are forgiven nothing.
        if query.tokens.iter().any(|token| typos(token) > 0) {
            let near: Vec<Value> = query.tokens.iter().map(|token| near(token)).collect();
            stages.push(stage(1, json!({ "bool": { "filter": near } })));
        }
    }
    if exact.is_empty() {
        return None;
    }
    stages.push(stage(4, json!({ "bool": { "should": exact } })));
    Some(json!({
        "query": { "dis_max": { "queries": stages } },
        "sort": ["_score", { "nickname": "asc" }, { "user_id": "asc" }],
        "size": CANDIDATES,
        "track_total_hits": false,
        "_source": ["user_id", "nickname", "name", "position"],
    }))
}

fn stage(constant: u8, filter: Value) -> Value {
    json!({ "constant_score": { "filter": filter, "boost": constant } })
}

fn typos(token: &str) -> usize {
    typos_allowed(token.chars().count()).min(MOST_TYPOS)
}

fn prefix(token: &str) -> Value {
    json!({ "prefix": { "token": token } })
}

fn near(token: &str) -> Value {
    let typos = typos(token);
    if typos == 0 {
        return prefix(token);
    }
    let fuzzy = json!({ "fuzzy": { "token": {
        "value": token,
        "fuzziness": typos,
        "transpositions": true,
        "prefix_length": 0,
        // However many words are near: other ways stop at the first of them.
        "rewrite": "constant_score",
    } } });
    json!({ "bool": { "should": [prefix(token), fuzzy] } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_without_words_looks_for_an_id_or_nothing() {
        assert_eq!(body(&SearchQuery::of("?!")), None);
        let id = "00000000-0000-0000-0000-00000000b001";
        let asked = body(&SearchQuery { tokens: Vec::new(), ..SearchQuery::of(id) }).expect("a search");
        let stages = asked["query"]["dis_max"]["queries"].as_array().expect("stages");
        assert_eq!(stages.len(), 1);
    }

    #[test]
    fn short_words_are_forgiven_nothing() {
        let stages = |query: &str| {
            let asked = body(&SearchQuery::of(query)).expect("a search");
            asked["query"]["dis_max"]["queries"].as_array().expect("stages").len()
        };
        assert_eq!((stages("an"), stages("ann"), stages("an petrova")), (2, 3, 3));
    }
}
