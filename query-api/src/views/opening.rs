//! Opening what lies sealed in rows.

use chronicle::keys::{OpenError, Place};
use domain::ids::ChatId;
use domain::personal::{PersonalType, Sealed, Title};
use domain::problem::Kind;

use crate::refusal::Refusal;
use crate::state::QueryState;

/// Where in the log a value was sealed, its event apart.
#[derive(Clone, Copy)]
pub struct At<'a> {
    pub aggregate_type: &'a str,
    pub aggregate_id: &'a str,
    /// The field's wire name.
    pub field: &'a str,
}

/// `None` where its key was destroyed: of whoever wrote it nothing is left.
///
/// # Errors
/// `internal` for damage, which no reader could be told as if it were so; `unavailable`.
pub fn open<T: PersonalType>(state: &QueryState, at: At<'_>, sealed: &Sealed) -> Result<Option<T>, Refusal> {
    let unreadable = || {
        tracing::error!(event_id = ?sealed.event_id, field = at.field, "a sealed value cannot be opened");
        Refusal::from(Kind::Internal)
    };
    let place = Place {
        log_id: state.keyring.log_id(),
        aggregate_type: at.aggregate_type,
        aggregate_id: at.aggregate_id,
        event_id: sealed.event_id.ok_or_else(unreadable)?,
        field: at.field,
    };
    match state.keyring.open_as::<T>(&place, sealed) {
        Ok(value) => Ok(Some(value)),
        Err(OpenError::Destroyed) => Ok(None),
        Err(OpenError::Unreadable) => Err(unreadable()),
        Err(OpenError::Store(error)) => {
            tracing::error!(%error, "a key cannot be read");
            Err(Kind::Unavailable.into())
        }
    }
}

/// A group's title; empty where whoever gave it was erased.
///
/// # Errors
/// As [`open`].
pub fn title(state: &QueryState, chat_id: ChatId, sealed: &Sealed) -> Result<String, Refusal> {
    let id = chat_id.to_string();
    let at = At { aggregate_type: "Chat", aggregate_id: &id, field: "title" };
    Ok(open::<Title>(state, at, sealed)?.map_or_else(String::new, |title| title.0))
}
