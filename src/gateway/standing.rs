//! Whether a session still lives, asked at every request.
//!
//! The sessions engine answers. Where it is away, knows nothing of the session, has gone back, or
//! has lagged the log's head for more than a second, the log decides. Nothing is allowed by
//! default.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::caller::Caller;
use domain::ids::{PersonId, SessionId};
use domain::problem::Kind;
use domain::session::Session;
use domain::{Problem, Timestamp};
use tokio::time::{Instant, timeout};

/// The longest that the sessions engine may stay behind the log and still be asked.
const LAG: Duration = Duration::from_secs(1);
/// The longest that its answer is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Heads closer together than this share one mark.
const GRAIN: Duration = Duration::from_millis(50);

/// The one asked did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Away;

/// What the sessions engine knows of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    Live { person: PersonId, started_at: Timestamp, refreshed_at: Timestamp },
    Ended,
    Unknown,
}

/// Port: the sessions engine.
#[async_trait]
pub trait Rows: Send + Sync {
    async fn session(&self, session: SessionId) -> Result<Row, Away>;
    /// The position that its rows show.
    fn shown(&self) -> u64;
}

/// Port: a session's state from the log itself; an empty one where there is no such stream.
#[async_trait]
pub trait Log: Send + Sync {
    async fn session(&self, session: SessionId) -> Result<Session, Away>;
}

/// When the log's head came to be where it is.
#[derive(Default)]
pub struct Lag(Mutex<Marks>);

#[derive(Default)]
struct Marks {
    /// Heads not yet shown and when each was first seen, in order.
    heads: VecDeque<(u64, Instant)>,
    last: u64,
    /// The highest position ever shown.
    shown: u64,
}

impl Lag {
    /// Says that the head is at `position` now. To be told of every move at once.
    pub fn head(&self, position: u64, now: Instant) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if position <= marks.last {
            return;
        }
        marks.last = position;
        match marks.heads.back_mut() {
            // The mark keeps its earlier time: a lag may be found early, never late.
            Some((head, since)) if now.duration_since(*since) < GRAIN => *head = position,
            _ => marks.heads.push_back((position, now)),
        }
    }

    /// Whether rows that show `shown` may be believed.
    fn keeps_up(&self, shown: u64, now: Instant) -> bool {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shown < marks.shown {
            return false;
        }
        marks.shown = shown;
        while marks.heads.front().is_some_and(|(head, _)| *head <= shown) {
            marks.heads.pop_front();
        }
        marks.heads.front().is_none_or(|(_, since)| now.duration_since(*since) <= LAG)
    }
}

/// Decides whether a caller's session lives.
pub struct Standing {
    rows: Box<dyn Rows>,
    log: Box<dyn Log>,
    pub lag: Lag,
}

impl Standing {
    pub fn new(rows: impl Rows + 'static, log: impl Log + 'static) -> Self {
        Self { rows: Box::new(rows), log: Box::new(log), lag: Lag::default() }
    }

    /// # Errors
    /// `session-ended`; `unauthenticated` where there never was such a session of that person;
    /// `unavailable` where neither engine nor log answers.
    pub async fn check(&self, caller: &Caller, now: Timestamp) -> Result<(), Problem> {
        let row = if self.lag.keeps_up(self.rows.shown(), Instant::now()) {
            timeout(PATIENCE, self.rows.session(caller.session)).await.unwrap_or(Err(Away))
        } else {
            Err(Away)
        };
        let session = match row {
            Ok(Row::Live { person, started_at, refreshed_at }) => {
                Session { person: Some(person), started_at, refreshed_at, ..Session::default() }
            }
            Ok(Row::Ended) => return Err(Kind::SessionEnded.into()),
            Ok(Row::Unknown) | Err(Away) => {
                self.log.session(caller.session).await.map_err(|Away| Kind::Unavailable)?
            }
        };
        match session.person {
            Some(person) if person == caller.person => {}
            _ => return Err(Kind::Unauthenticated.into()),
        }
        if session.is_live(now) { Ok(()) } else { Err(Kind::SessionEnded.into()) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const ANN: PersonId = PersonId(uuid::Uuid::from_u128(1));
    const BOB: PersonId = PersonId(uuid::Uuid::from_u128(2));
    const NOW: Timestamp = Timestamp(1_000_000);

    /// Both ports; the position that the rows show is settable.
    #[derive(Clone)]
    struct Engines {
        row: Result<Row, Away>,
        log: Result<Session, Away>,
        shown: Arc<Mutex<u64>>,
    }

    #[async_trait]
    impl Rows for Engines {
        async fn session(&self, _: SessionId) -> Result<Row, Away> {
            self.row
        }
        fn shown(&self) -> u64 {
            *self.shown.lock().expect("not poisoned")
        }
    }
    #[async_trait]
    impl Log for Engines {
        async fn session(&self, _: SessionId) -> Result<Session, Away> {
            self.log.clone()
        }
    }

    fn live() -> Row {
        Row::Live { person: ANN, started_at: NOW, refreshed_at: NOW }
    }
    fn live_in_log() -> Session {
        Session { person: Some(ANN), started_at: NOW, refreshed_at: NOW, ..Session::default() }
    }
    fn ended_in_log() -> Session {
        Session { ended: true, ..live_in_log() }
    }

    async fn verdict(standing: &Standing, person: PersonId, now: Timestamp) -> String {
        let caller = Caller { person, session: uuid::Uuid::from_u128(9).into(), by_cookie: false };
        standing
            .check(&caller, now)
            .await
            .map_or_else(|problem| problem.slug().to_owned(), |()| "ok".to_owned())
    }

    async fn decided(row: Result<Row, Away>, log: Result<Session, Away>) -> String {
        let engines = Engines { row, log, shown: Arc::default() };
        verdict(&Standing::new(engines.clone(), engines), ANN, NOW).await
    }

    #[tokio::test]
    async fn the_sessions_engine_decides() {
        assert_eq!(decided(Ok(live()), Ok(ended_in_log())).await, "ok");
        assert_eq!(decided(Ok(Row::Ended), Ok(live_in_log())).await, "session-ended");
    }

    #[tokio::test]
    async fn the_log_decides_what_the_engine_cannot() {
        for unsure in [Ok(Row::Unknown), Err(Away)] {
            assert_eq!(decided(unsure, Ok(live_in_log())).await, "ok");
            assert_eq!(decided(unsure, Ok(ended_in_log())).await, "session-ended");
            assert_eq!(decided(unsure, Ok(Session::default())).await, "unauthenticated");
            assert_eq!(decided(unsure, Err(Away)).await, "unavailable");
        }
    }

    #[tokio::test]
    async fn a_session_is_its_persons_alone_and_ends_by_age() {
        let engines = Engines { row: Ok(live()), log: Ok(live_in_log()), shown: Arc::default() };
        let standing = Standing::new(engines.clone(), engines);
        assert_eq!(verdict(&standing, BOB, NOW).await, "unauthenticated");
        assert_eq!(verdict(&standing, ANN, NOW.plus(domain::session::LONGEST_IDLE)).await, "session-ended");
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_lags_for_a_second_is_not_believed() {
        let engines = Engines { row: Ok(live()), log: Ok(ended_in_log()), shown: Arc::new(Mutex::new(5)) };
        let shown = engines.shown.clone();
        let standing = Standing::new(engines.clone(), engines);
        standing.lag.head(5, Instant::now());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(verdict(&standing, ANN, NOW).await, "ok", "a quiet log is no lag");
        standing.lag.head(6, Instant::now());
        tokio::time::advance(Duration::from_millis(900)).await;
        assert_eq!(verdict(&standing, ANN, NOW).await, "ok");
        tokio::time::advance(Duration::from_millis(200)).await;
        assert_eq!(verdict(&standing, ANN, NOW).await, "session-ended");
        *shown.lock().expect("not poisoned") = 6;
        assert_eq!(verdict(&standing, ANN, NOW).await, "ok", "it has caught up");
    }

    #[tokio::test(start_paused = true)]
    async fn each_head_has_a_second_of_its_own() {
        let engines = Engines { row: Ok(live()), log: Ok(ended_in_log()), shown: Arc::default() };
        let shown = engines.shown.clone();
        let standing = Standing::new(engines.clone(), engines);
        for position in 1..=10 {
            standing.lag.head(position, Instant::now());
            tokio::time::advance(Duration::from_millis(500)).await;
            *shown.lock().expect("not poisoned") = position - 1;
            assert_eq!(verdict(&standing, ANN, NOW).await, "ok", "at {position}");
        }
    }

    #[tokio::test]
    async fn an_engine_that_went_back_is_not_believed() {
        let engines = Engines { row: Ok(live()), log: Ok(ended_in_log()), shown: Arc::new(Mutex::new(5)) };
        let shown = engines.shown.clone();
        let standing = Standing::new(engines.clone(), engines);
        assert_eq!(verdict(&standing, ANN, NOW).await, "ok");
        *shown.lock().expect("not poisoned") = 4;
        assert_eq!(verdict(&standing, ANN, NOW).await, "session-ended");
    }
}
