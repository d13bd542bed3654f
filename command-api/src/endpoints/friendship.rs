//! What add, accept, decline, remove, block and unblock share: one wish about one other person.
//!
//! How many requests somebody has pending is no fact of any one stream. It is kept as a row of its
//! own beside the claims, written with the events that change it, and can be counted again from the
//! log as they can. Counted is what the asker sees as outgoing, declined or not, so that the limit
//! tells nothing of what is hidden from them.

use axum::Json;
use chronicle::{Halt, Ledger};
use domain::Problem;
use domain::friendship::{Friendship, FriendshipCommand, FriendshipFacts, Wish, most_pending};
use domain::ids::{Pair, PersonId};
use domain::problem::FieldError;
use domain::requests::{Done, Person};
use domain::user::User;
use domain::views::Relation;

use super::user_exists;
use crate::asking::{Key, Signed};
use crate::refusal::Refusal;
use crate::state::CommandState;

pub(super) async fn decide(
    state: &CommandState,
    operation: &'static str,
    wish: Wish,
    who: &Signed,
    Key(key): Key,
    request: &Person,
) -> Result<Json<Done>, Refusal> {
    let (by, other) = (who.person, request.user_id);
    let pair = Pair::of(by, other).ok_or_else(|| Problem::field(FieldError::new("/user_id", "oneself")))?;
    let envelope = state.by(who, operation, key, request);
    let at = envelope.at;
    let limited = state.throttle.is_on();
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            user_exists(ledger, by)?;
            let other_exists = ledger.read::<User>(other)?.person.is_some();
            let command = FriendshipCommand { by, other, wish, at };
            let before = ledger.read::<Friendship>(pair)?.clone();
            ledger.decide::<Friendship>(pair, command, &FriendshipFacts { other_exists })?;
            let after = ledger.read::<Friendship>(pair)?.clone();
            for asker in [by, other] {
                let change = (before.seen_by(asker), after.seen_by(asker));
                let limit = limited.then(|| most_pending(asker, at));
                count_pending(ledger, asker, change, limit)?;
            }
            Ok::<(), Halt>(())
        })
        .await?;
    Ok(Json(Done { position: done.position }))
}

/// Keeps the number of `asker`'s pending requests, which had one relation of the pair and now has
/// another.
fn count_pending(
    ledger: &mut Ledger<'_, '_>,
    asker: PersonId,
    change: (Relation, Relation),
    limit: Option<u64>,
) -> Result<(), Halt> {
    const KIND: &str = "pending/1";
    let more = match change {
        (Relation::Outgoing, Relation::Outgoing) => return Ok(()),
        (_, Relation::Outgoing) => true,
        (Relation::Outgoing, _) => false,
        _ => return Ok(()),
    };
    let asker = asker.to_string();
    let pending: u64 = ledger.claim(KIND, &asker)?.and_then(|count| count.parse().ok()).unwrap_or(0);
    if let Some(limit) = limit.filter(|limit| more && pending >= *limit) {
        return Err(Problem::field(FieldError::new("/user_id", "too-many-pending").with("max", limit)).into());
    }
    let pending = if more { pending + 1 } else { pending.saturating_sub(1) };
    ledger.set_claim(KIND, &asker, (pending > 0).then(|| pending.to_string()))
}
