//! What add, accept, decline, remove, block and unblock share: one wish about one other person.

use axum::Json;
use chronicle::Halt;
use domain::Problem;
use domain::friendship::{Friendship, FriendshipCommand, FriendshipFacts, Wish};
use domain::ids::Pair;
use domain::problem::{FieldError, Kind};
use domain::requests::{Done, Person};
use domain::user::User;

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
    let done = state
        .executor
        .execute(envelope, move |ledger| {
            if ledger.read::<User>(by)?.person.is_none() {
                return Err(Problem::new(Kind::NotPermitted).detail("create_user comes first").into());
            }
            let other_exists = ledger.read::<User>(other)?.person.is_some();
            let command = FriendshipCommand { by, other, wish, at };
            ledger.decide::<Friendship>(pair, command, &FriendshipFacts { other_exists })?;
            Ok::<(), Halt>(())
        })
        .await?;
    Ok(Json(Done { position: done.position }))
}
