//! `GET /users`: finding people.

use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use domain::Problem;
use domain::ids::PersonId;
use domain::problem::FieldError;
use domain::rank::{Candidate, QUERY_MIN, rank, tokens};
use domain::text::fold;
use domain::views::{List, Person, PersonState};
use serde::{Deserialize, Serialize};
use stores::search::SearchQuery;

use super::Answer;
use crate::refusal::{Refusal, of_store};
use crate::request::{Asker, Cursor, Cursors, Direction, Params, Wanted};
use crate::state::{DIRECTORY, QueryState, SEARCH};
use crate::views::People;

/// The longest query, in scalar values: a nickname and a name with room to spare.
const QUERY_MAX: usize = 128;

/// The item where a page ended, with what it was ranked by: its place is found again even when it
/// can no more be found itself.
#[derive(Serialize, Deserialize)]
struct Key {
    user_id: PersonId,
    nickname: String,
    name: String,
}

/// People by id, nickname or name; nobody who has unfriended or blocked the signed-in person, and not oneself. Whoever
/// is not discoverable is found by the exact nickname alone.
#[utoipa::path(
    get,
    path = "/users",
    operation_id = "search_user",
    params(
        ("q" = String, Query, description = "At least 2 characters of a nickname or name, or a whole user_id"),
        ("limit" = Option<u64>, Query, description = "1 to 200, else 50"),
        ("cursor" = Option<String>, Query, description = "`next` or `prev` of an earlier answer"),
        ("X-Letopis-Position" = Option<u64>, Header, description = "Show at least this position"),
    ),
    responses((status = 200, body = List<Person>), (status = 422, description = "invalid")),
)]
pub async fn search_user(
    Asker(caller): Asker,
    Wanted(wanted): Wanted,
    params: Params,
    State(state): State<QueryState>,
) -> Answer<List<Person>> {
    let params = params.only(&["q", "limit", "cursor"])?;
    let q = query(&params)?;
    let limit = params.limit()?;
    let cursors = Cursors::new(&state.keyring, caller.person, &("search_user", q));
    let cursor = cursors.read::<Key>(&params)?;

    let position = state.shown(&[SEARCH, DIRECTORY], wanted).await?;
    let folded = fold(q);
    let search = SearchQuery { user_id: q.parse().ok(), folded: folded.clone(), tokens: tokens(q) };
    let found = state.stores.search.serving().candidates(search).await.map_err(of_store)?;
    let people = People::read(&state, caller.person, found.iter().map(|found| found.user_id)).await?;
    let candidates: Vec<Candidate> = found
        .iter()
        .filter_map(|found| people.user(found.user_id))
        .filter(|user| user.user_id != caller.person)
        .filter(|user| matches!(user.state, PersonState::Active | PersonState::Imported))
        .filter(|user| !people.relation(user.user_id).parted_me)
        .filter(|user| user.settings.discoverable || fold(&user.nickname) == folded)
        .map(|user| Candidate {
            user_id: user.user_id,
            nickname: user.nickname.clone(),
            name: user.name.clone(),
        })
        .collect();
    let (page, more_before, more_after) = cut(q, candidates, cursor, limit);

    let key = |user_id: &PersonId| {
        let user = people.user(*user_id)?;
        Some(Key { user_id: *user_id, nickname: user.nickname.clone(), name: user.name.clone() })
    };
    let next =
        page.last().filter(|_| more_after).and_then(key).map(|key| cursors.write(Direction::Next, key));
    let prev =
        page.first().filter(|_| more_before).and_then(key).map(|key| cursors.write(Direction::Prev, key));
    let items = page.iter().filter_map(|user_id| people.person(*user_id)).collect();
    Ok(Json(List { items, next, prev, position }))
}

/// What is looked for, without blanks around it and the `@` that one may write before a nickname.
fn query(params: &Params) -> Result<&str, Refusal> {
    let q = params.text("q").ok_or_else(|| Problem::field(FieldError::new("q", "required")))?.trim();
    let q = q.strip_prefix('@').unwrap_or(q);
    match q.chars().count() {
        ..QUERY_MIN => Err(Problem::field(FieldError::new("q", "too-short").with("min", QUERY_MIN)).into()),
        QUERY_MIN..=QUERY_MAX => Ok(q),
        _ => Err(Problem::field(FieldError::new("q", "too-long").with("max", QUERY_MAX)).into()),
    }
}

/// Ranks the candidates and takes the page; says whether there is more before and after it.
fn cut(
    q: &str,
    mut candidates: Vec<Candidate>,
    cursor: Option<Cursor<Key>>,
    limit: usize,
) -> (Vec<PersonId>, bool, bool) {
    let real: HashSet<PersonId> = candidates.iter().map(|candidate| candidate.user_id).collect();
    let mark = cursor.as_ref().map(|cursor| cursor.key.user_id);
    if let Some(Cursor { key: Key { user_id, nickname, name }, .. }) = &cursor {
        // Ranked by what it was, so that the page goes on where the last one ended.
        candidates.retain(|candidate| candidate.user_id != *user_id);
        candidates.push(Candidate { user_id: *user_id, nickname: nickname.clone(), name: name.clone() });
    }
    let ranked = rank(q, candidates);
    let places: HashMap<PersonId, usize> =
        ranked.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let at = mark.and_then(|mark| places.get(&mark).copied());
    let range = match (cursor.map(|cursor| cursor.direction), at) {
        (Some(Direction::Next), Some(at)) => at + 1..ranked.len().min(at + 1 + limit),
        (Some(Direction::Prev), Some(at)) => at.saturating_sub(limit)..at,
        _ => 0..ranked.len().min(limit),
    };
    let (before, after) = (range.start, range.end);
    let page: Vec<PersonId> = ranked[range].to_vec();
    let is_real = |id: &PersonId| real.contains(id);
    (page, ranked[..before].iter().any(is_real), ranked[after..].iter().any(is_real))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(number: u128) -> PersonId {
        PersonId(uuid::Uuid::from_u128(number))
    }

    fn candidates(numbers: &[u128]) -> Vec<Candidate> {
        let named = |number: &u128| Candidate {
            user_id: person(*number),
            nickname: format!("ann{number}"),
            name: "Ann".into(),
        };
        numbers.iter().map(named).collect()
    }

    fn after(number: u128, direction: Direction) -> Option<Cursor<Key>> {
        let key = Key { user_id: person(number), nickname: format!("ann{number}"), name: "Ann".into() };
        Some(Cursor { direction, key })
    }

    #[test]
    fn pages_meet_without_gap_or_overlap() {
        let all = || candidates(&[1, 2, 3, 4, 5]);
        let ids = |numbers: &[u128]| numbers.iter().map(|number| person(*number)).collect::<Vec<_>>();
        assert_eq!(cut("ann", all(), None, 2), (ids(&[1, 2]), false, true));
        assert_eq!(cut("ann", all(), after(2, Direction::Next), 2), (ids(&[3, 4]), true, true));
        assert_eq!(cut("ann", all(), after(4, Direction::Next), 2), (ids(&[5]), true, false));
        assert_eq!(cut("ann", all(), after(5, Direction::Prev), 2), (ids(&[3, 4]), true, true));
        assert_eq!(cut("ann", all(), after(3, Direction::Prev), 2), (ids(&[1, 2]), false, true));
    }

    #[test]
    fn a_page_goes_on_though_its_mark_has_gone() {
        let without = candidates(&[1, 3, 4]);
        assert_eq!(cut("ann", without, after(2, Direction::Next), 5).0, vec![person(3), person(4)]);
    }
}
