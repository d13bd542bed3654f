//! The order of search results: a pure function, so that every engine gives the same answer.

use crate::ids::PersonId;
use crate::text::fold;

/// Fewest characters of a query.
pub const QUERY_MIN: usize = 2;

/// A person that an engine holds possible. `nickname` and `name` are as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub user_id: PersonId,
    pub nickname: String,
    pub name: String,
}

/// The folded words of a text, as engines index and are asked for them.
pub fn tokens(text: &str) -> Vec<String> {
    words(&fold(text))
}

fn words(folded: &str) -> Vec<String> {
    folded
        .split(|c: char| !(c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c)))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A longer token is found as it is, or by its beginning: what an engine builds to forgive errors in one grows with its
/// length, to hundreds of megabytes.
const FORGIVEN: usize = 24;

/// How far a token of so many characters may be from what it finds.
pub fn typos_allowed(characters: usize) -> usize {
    match characters {
        0..3 => 0,
        3..8 => 1,
        8..=FORGIVEN => 2,
        _ => 0,
    }
}

/// How well a candidate fits; less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Id,
    Nickname,
    Prefix,
    Typos(usize),
}

/// Orders `candidates` by exact id, exact nickname, prefix (of the nickname, or of a word of the
/// name for each word of the query), distance in typing errors, then nickname by code point, then
/// id. Whoever is further away than [`typos_allowed`] is left out.
pub fn rank(query: &str, candidates: Vec<Candidate>) -> Vec<PersonId> {
    let query = query.trim();
    let query = query.strip_prefix('@').unwrap_or(query);
    let id = query.parse::<PersonId>().ok();
    let folded = fold(query);
    let asked = words(&folded);
    let mut found: Vec<(Fit, Candidate)> = candidates
        .into_iter()
        .filter_map(|candidate| Some((fit(id, &folded, &asked, &candidate)?, candidate)))
        .collect();
    found.sort_by(|(fit_a, a), (fit_b, b)| {
        fit_a.cmp(fit_b).then_with(|| a.nickname.cmp(&b.nickname)).then_with(|| a.user_id.cmp(&b.user_id))
    });
    found.dedup_by_key(|(_, candidate)| candidate.user_id);
    found.into_iter().map(|(_, candidate)| candidate.user_id).collect()
}

fn fit(id: Option<PersonId>, query: &str, asked: &[String], candidate: &Candidate) -> Option<Fit> {
    if id == Some(candidate.user_id) {
        return Some(Fit::Id);
    }
    if asked.is_empty() {
        return None;
    }
    let nickname = fold(&candidate.nickname);
    if nickname == query {
        return Some(Fit::Nickname);
    }
    let mut have = words(&nickname);
    have.extend(words(&fold(&candidate.name)));
    have.push(nickname);
    if asked.iter().all(|word| have.iter().any(|had| had.starts_with(word))) {
        return Some(Fit::Prefix);
    }
    let mut typos = 0;
    for word in asked {
        let letters: Vec<char> = word.chars().collect();
        let allowed = typos_allowed(letters.len());
        typos += have
            .iter()
            .map(|had| if had.starts_with(word) { 0 } else { distance(&letters, had) })
            .filter(|typos| *typos <= allowed)
            .min()?;
    }
    Some(Fit::Typos(typos))
}

/// Damerau's distance in its optimal string alignment form, which is what the automata of search
/// engines accept: insertion, deletion, substitution and the swap of two neighbours count 1, and
/// no substring is edited twice.
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i);
        for j in 1..=b.len() {
            let same = a[i - 1] == b[j - 1];
            let mut cost = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + usize::from(!same));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before[j - 2] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn person(id: u128, nickname: &str, name: &str) -> Candidate {
        Candidate { user_id: PersonId(Uuid::from_u128(id)), nickname: nickname.into(), name: name.into() }
    }

    fn ranked(query: &str, people: &[Candidate]) -> Vec<u128> {
        rank(query, people.to_vec()).into_iter().map(|id| id.0.as_u128()).collect()
    }

    fn far(a: &str, b: &str) -> usize {
        distance(&a.chars().collect::<Vec<_>>(), b)
    }

    #[test]
    fn nearer_comes_first() {
        let people = [
            person(1, "zed", "Maria Petrova"),
            person(2, "marla", "Someone"),
            person(3, "maria2", "Other"),
            person(4, "maria", "Third"),
            person(5, "bob", "Bob"),
        ];
        // Exact nickname, prefixes by nickname, one typing error; Bob is out.
        assert_eq!(ranked("Maria", &people), [4, 3, 1, 2]);
    }

    #[test]
    fn an_id_finds_its_person() {
        let people = [person(7, "ann", "Ann"), person(8, "bob", "Bob")];
        assert_eq!(ranked(&Uuid::from_u128(8).to_string(), &people), [8]);
        assert_eq!(ranked(&Uuid::from_u128(8).to_string().to_uppercase(), &people), [8]);
    }

    #[test]
    fn typing_errors_are_forgiven_by_length() {
        assert!(ranked("an", &[person(1, "on", "")]).is_empty());
        assert_eq!(ranked("nan", &[person(1, "ann", "")]), [1], "a swap is one");
        assert!(ranked("xnnx", &[person(1, "anna", "")]).is_empty(), "four characters: one");
        assert_eq!(ranked("aleksander", &[person(1, "alexander", "")]), [1]);
        assert!(ranked("alxnder", &[person(1, "alexander", "")]).is_empty(), "seven characters: one");
    }

    #[test]
    fn the_limits_of_forgiveness_are_at_three_and_eight_characters() {
        assert_eq!([2, 3, 7, 8, 24, 25].map(typos_allowed), [0, 1, 1, 2, 2, 0]);
        assert_eq!(ranked("amn", &[person(1, "ann", "")]), [1], "three: one");
        assert!(ranked("amm", &[person(1, "ann", "")]).is_empty(), "three: not two");
        assert_eq!(ranked("catharyn", &[person(1, "katharin", "")]), [1], "eight: two");
        assert!(ranked("catxaryn", &[person(1, "katharin", "")]).is_empty(), "eight: not three");
    }

    #[test]
    fn fewer_typing_errors_come_first() {
        let people = [person(1, "alexander", ""), person(2, "aleksandar", "")];
        assert_eq!(ranked("aleksander", &people), [2, 1]);
    }

    #[test]
    fn an_exact_id_comes_before_a_nickname_that_is_spelled_like_it() {
        let id = Uuid::from_u128(0x0193_5470_5a00_7a3c_8f21_0c9d_5e7b_1a01);
        let spelled = id.simple().to_string();
        let people = [person(1, &spelled, ""), person(id.as_u128(), "zed", "")];
        assert_eq!(ranked(&spelled, &people), [id.as_u128(), 1]);
    }

    #[test]
    fn nobody_is_found_twice() {
        let people = [person(1, "ann", "Ann"), person(2, "anna", ""), person(1, "ann", "Ann")];
        assert_eq!(ranked("ann", &people), [1, 2]);
    }

    #[test]
    fn every_word_of_the_query_must_be_found() {
        let people = [person(1, "mp", "Maria Petrova"), person(2, "mi", "Maria Ivanova")];
        assert_eq!(ranked("petr mar", &people), [1]);
        assert_eq!(ranked("petorva maria", &people), [1]);
    }

    #[test]
    fn accents_case_and_the_at_sign_do_not_matter() {
        assert_eq!(ranked("@JOSE", &[person(1, "josé", "")]), [1]);
        assert_eq!(tokens("José-Łukasz  O'Neill"), ["jose", "lukasz", "o", "neill"]);
        assert!(ranked("!!", &[person(1, "ann", "Ann")]).is_empty());
    }

    #[test]
    fn equal_fits_go_by_nickname_then_id() {
        let people = [person(3, "annb", ""), person(2, "anna", ""), person(1, "anna", "")];
        assert_eq!(ranked("ann", &people), [1, 2, 3]);
    }

    #[test]
    fn a_distance_is_counted_as_damerau_did() {
        for (a, b, d) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("abcd", "acbd", 1),
            ("kitten", "sitting", 3),
            ("ca", "abc", 3),
        ] {
            assert_eq!(far(a, b), d, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn distance_is_symmetric_and_bounded(a in "[abc]{0,7}", b in "[abc]{0,7}") {
            prop_assert_eq!(far(&a, &b), far(&b, &a));
            prop_assert!(far(&a, &b) <= a.len().max(b.len()));
            prop_assert_eq!(far(&a, &b) == 0, a == b);
        }

        #[test]
        fn the_order_of_candidates_does_not_matter(names in prop::collection::vec("[ab]{2,4}", 1..8), query in "[ab]{2,4}") {
            let people: Vec<Candidate> =
                names.iter().enumerate().map(|(n, name)| person(n as u128, name, name)).collect();
            let mut turned = people.clone();
            turned.reverse();
            prop_assert_eq!(ranked(&query, &people), ranked(&query, &turned));
        }
    }
}
