//! The two APIs as the app calls them. One file a group of calls.
//!
//! [`SignedOut`] has what one can ask without a session and [`SignedIn`] the rest; a `SignedIn` comes only out of
//! a `/me` that was answered, so the compiler knows who may call what. Credentials live in cookies that no script
//! can read: nothing here ever sees a token.

mod account;
mod chats;
mod groups;
mod messages;
mod people;
mod photos;
mod transport;
mod upload;

use domain::problem::{Kind, Problem};

pub use messages::{PAGE, PREVIEW, Page, blob_path};
pub use people::{Act, Circle};
pub use photos::photo_path;
pub use transport::{on_end, saw_position};
pub use upload::Load;

use crate::browser::sleep;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The server could not be reached, or did not answer in time.
    Offline,
    /// It answered something that this app does not understand.
    Unreadable,
    /// The session is over, and renewing it did not help.
    Ended,
    /// The server refused, and said why.
    Refused(Box<Problem>),
}

impl Failure {
    pub fn is(&self, kind: Kind) -> bool {
        matches!(self, Self::Refused(problem) if problem.is(kind))
    }

    /// For how long to wait before it is worth asking again, in milliseconds: the server is busy, or has had enough for now.
    pub fn pause(&self) -> Option<u32> {
        match self {
            Self::Refused(problem) if problem.is(Kind::TooManyRequests) || problem.is(Kind::Unavailable) => {
                Some(problem.retry_after.unwrap_or(2).clamp(1, 60) as u32 * 1_000)
            }
            _ => None,
        }
    }

    /// Whether the credentials are what is wrong, and renewing them may help.
    pub fn is_about_credentials(&self) -> bool {
        self.is(Kind::Unauthenticated) || self.is(Kind::SessionEnded)
    }
}

pub type Answer<T> = Result<T, Failure>;

/// Between two tries where the server has not said how long to wait, in milliseconds.
pub const AGAIN: u32 = 5_000;

/// Asks, and up to `tries` times again, after as many milliseconds as `pause` says of what went wrong.
pub async fn persist<T>(
    tries: u32,
    pause: impl Fn(&Failure) -> Option<u32>,
    ask: impl AsyncFn() -> Answer<T>,
) -> Answer<T> {
    let mut answer = ask().await;
    for _ in 0..tries {
        let Some(pause) = answer.as_ref().err().and_then(&pause) else { break };
        sleep(pause).await;
        answer = ask().await;
    }
    answer
}

/// What can be asked without a session.
#[derive(Clone, Copy, Debug)]
pub struct SignedOut;

/// What can be asked within a session. All calls renew its credentials when these have run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedIn(());
