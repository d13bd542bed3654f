//! Problems: what a refused request is told, as `application/problem+json` (RFC 9457).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $status:literal, $title:literal;)*) => {
        /// Every kind of problem. Its slug is the end of its type, `/docs/problems/<slug>`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($(#[$doc])* $name),* }

        impl Kind {
            /// All kinds, in the order of their statuses.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];

            pub fn slug(self) -> &'static str {
                match self { $(Kind::$name => $slug),* }
            }
            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Kind::$name => $status),* }
            }
            pub fn title(self) -> &'static str {
                match self { $(Kind::$name => $title),* }
            }
        }
    };
}

kinds! {
    /// The request cannot be read: bad JSON, a bad parameter, a missing header.
    Malformed = "malformed", 400, "The request cannot be read";
    /// `X-Letopis-Position` lies beyond the head of the log.
    PositionAhead = "position-ahead", 400, "That position does not exist yet";
    /// No credentials, or credentials that do not hold.
    Unauthenticated = "unauthenticated", 401, "Sign in first";
    /// Email and password do not belong together, or no such account: the same answer for both.
    BadCredentials = "bad-credentials", 401, "Email or password is wrong";
    /// The session has ended.
    SessionEnded = "session-ended", 401, "This session has ended";
    NotPermitted = "not-permitted", 403, "That is not permitted";
    /// The request did not come from the app's own pages.
    CrossSite = "cross-site", 403, "The request came from another site";
    NotFound = "not-found", 404, "There is nothing here";
    MethodNotAllowed = "method-not-allowed", 405, "This method is not known here";
    Conflict = "conflict", 409, "Somebody else was faster";
    EmailTaken = "email-taken", 409, "This email address has an account";
    NicknameTaken = "nickname-taken", 409, "This nickname is taken";
    UserExists = "user-exists", 409, "This account has a user already";
    /// The message was deleted, and takes neither edits nor reactions.
    MessageDeleted = "message-deleted", 409, "This message was deleted";
    NoSuchRequest = "no-such-request", 409, "There is no such request";
    TooLarge = "too-large", 413, "The request is too large";
    UnsupportedType = "unsupported-type", 415, "The body has the wrong content type";
    /// A rule is broken; `errors` says where.
    Invalid = "invalid", 422, "A rule is broken";
    /// The same Idempotency-Key came with another body before.
    KeyReused = "key-reused", 422, "This Idempotency-Key was used for another request";
    TooManyRequests = "too-many-requests", 429, "Too many requests";
    Internal = "internal", 500, "Something went wrong here";
    Unavailable = "unavailable", 503, "Not available right now";
}

impl Kind {
    /// The relative URI that names this kind.
    pub fn uri(self) -> String {
        format!("/docs/problems/{}", self.slug())
    }
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or the name of a parameter or header.
    pub pointer: String,
    /// Stable name of the rule, one of [`CODES`].
    pub code: String,
    /// Numbers of the rule, as `min` and `max`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub params: BTreeMap<String, Value>,
}

/// Every code of a [`FieldError`]; the app has words for each in every language.
pub const CODES: &[&str] = &[
    "required",
    "unreadable",
    "unknown-field",
    "too-short",
    "too-long",
    "too-small",
    "too-large",
    "common-password",
    "bad-email",
    "bad-nickname",
    "bad-character",
    "oneself",
    "no-such-message",
    "no-such-person",
    "too-many-pending",
    "too-many-pixels",
    "broken-picture",
    "twice",
    "last-owner",
    "too-many-members",
    "too-many-invites",
    "bad-emoji",
    "too-many-emoji",
    "too-many-edits",
    "no-such-blob",
    "used-blob",
];

impl FieldError {
    pub fn new(pointer: impl Into<String>, code: &'static str) -> Self {
        debug_assert!(CODES.contains(&code), "{code} is not in CODES");
        Self { pointer: pointer.into(), code: code.to_owned(), params: BTreeMap::new() }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.params.insert(name.to_owned(), value.into());
        self
    }
}

/// A refused request, in the words of RFC 9457.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Relative URI of the kind: `/docs/problems/<slug>`, served.
    pub r#type: String,
    pub title: String,
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The request's id, as in the logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Seconds for the Retry-After header.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

impl Problem {
    pub fn new(kind: Kind) -> Self {
        Self {
            r#type: kind.uri(),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: None,
            instance: None,
            errors: Vec::new(),
            retry_after: matches!(kind, Kind::Unavailable).then_some(1),
        }
    }

    /// `invalid` with one error.
    pub fn field(error: FieldError) -> Self {
        Self::fields(vec![error])
    }

    /// `invalid` with all its errors.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::new(Kind::Invalid) }
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// The end of the type, `not-found` of `/docs/problems/not-found`.
    pub fn slug(&self) -> &str {
        self.r#type.rsplit('/').next().unwrap_or(&self.r#type)
    }

    pub fn is(&self, kind: Kind) -> bool {
        self.slug() == kind.slug()
    }
}

impl From<Kind> for Problem {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.slug())?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}
