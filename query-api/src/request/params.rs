//! Parameters of a query: each known, at most once, and readable, or a problem names it.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use domain::Problem;
use domain::Timestamp;
use domain::problem::{FieldError, Kind};

use crate::refusal::Refusal;
use crate::state::QueryState;

/// How many items a page has at most, and if nothing is said.
const LIMIT_MAX: usize = 200;
const LIMIT_DEFAULT: usize = 50;

/// `malformed`, naming the parameter or header.
pub fn malformed(name: &str, code: &'static str) -> Refusal {
    Problem { errors: vec![FieldError::new(name, code)], ..Problem::new(Kind::Malformed) }.into()
}

/// The parameters as they came.
pub struct Params(Vec<(String, String)>);

impl FromRequestParts<QueryState> for Params {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &QueryState) -> Result<Self, Refusal> {
        let Query(pairs) = Query::try_from_uri(&parts.uri).map_err(|_| malformed("query", "unreadable"))?;
        Ok(Self(pairs))
    }
}

impl Params {
    /// Refuses every parameter that is not in `known`, and one that comes twice.
    pub fn only(self, known: &[&str]) -> Result<Self, Refusal> {
        for (index, (name, _)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(malformed(name, "unknown-field"));
            }
            if self.0[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(malformed(name, "unreadable"));
            }
        }
        Ok(self)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A number or another word with one reading.
    pub fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, Refusal> {
        self.text(name).map(|text| text.parse().map_err(|_| malformed(name, "unreadable"))).transpose()
    }

    /// RFC 3339. A `+` of the offset that was not escaped arrives as a space, and is meant.
    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        self.text(name)
            .map(|text| {
                Timestamp::parse(&text.replace(' ', "+")).ok_or_else(|| malformed(name, "unreadable"))
            })
            .transpose()
    }

    /// `limit`: 1 to 200, else 50.
    pub fn limit(&self) -> Result<usize, Refusal> {
        let Some(text) = self.text("limit") else { return Ok(LIMIT_DEFAULT) };
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(malformed("limit", "unreadable"));
        }
        let outside = |code| {
            let error = FieldError::new("limit", code).with("min", 1).with("max", LIMIT_MAX);
            Problem::field(error)
        };
        // Too many digits for a number are too large a number.
        match text.parse::<i64>() {
            Ok(1..=200) => Ok(digits.parse().unwrap_or(LIMIT_DEFAULT)),
            Ok(..=0) => Err(outside("too-small").into()),
            Err(_) if text.starts_with('-') => Err(outside("too-small").into()),
            _ => Err(outside("too-large").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        let uri = format!("/x?{query}").parse().expect("a uri");
        Params(Query::try_from_uri(&uri).expect("a query").0)
    }

    fn refused<T>(result: Result<T, Refusal>) -> (u16, String, String) {
        let problem = result.err().expect("a refusal").0;
        (problem.status, problem.errors[0].pointer.clone(), problem.errors[0].code.clone())
    }

    #[test]
    fn a_limit_lies_between_1_and_200() {
        assert_eq!(params("").limit().expect("the default"), 50);
        assert_eq!(params("limit=1").limit().expect("the least"), 1);
        assert_eq!(params("limit=200").limit().expect("the most"), 200);
        for (query, code) in [
            ("0", "too-small"),
            ("-7", "too-small"),
            ("201", "too-large"),
            ("99999999999999999999", "too-large"),
        ] {
            let limit = params(&format!("limit={query}")).limit();
            assert_eq!(refused(limit), (422, "limit".into(), code.into()), "{query}");
        }
        for query in ["", "x", "1.5", "-"] {
            let limit = params(&format!("limit={query}")).limit();
            assert_eq!(refused(limit), (400, "limit".into(), "unreadable".into()), "{query}");
        }
    }

    #[test]
    fn unknown_and_repeated_parameters_are_named() {
        assert_eq!(refused(params("a=1&b=2").only(&["a"])), (400, "b".into(), "unknown-field".into()));
        assert_eq!(refused(params("a=1&a=2").only(&["a"])), (400, "a".into(), "unreadable".into()));
        assert!(params("a=1&b=2").only(&["a", "b"]).is_ok());
    }

    #[test]
    fn times_are_rfc_3339() {
        let at = Timestamp(1_732_291_200_000_000);
        for text in ["2024-11-22T16:00:00Z", "2024-11-22T19:00:00%2B03:00", "2024-11-22T19:00:00+03:00"] {
            assert_eq!(params(&format!("from={text}")).time("from").expect("a time"), Some(at), "{text}");
        }
        assert_eq!(refused(params("from=yesterday").time("from")), (400, "from".into(), "unreadable".into()));
    }
}
