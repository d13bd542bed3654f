//! Sessions: who is signed in.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use chronicle::tokens::ACCESS_SECONDS;
use domain::Timestamp;
use domain::aggregate::Event;
use domain::session::{LONGEST, LONGEST_IDLE, Method, SessionEvent};
use stores::sessions::{Change, SessionRow, Sessions};

use crate::Context;
use crate::projection::{Entry, Projection, ProjectionError, sealed};

/// For so long after its end an access token of a session may still pass its own checks; the
/// margin is for clocks that differ.
const TOKENS_RUN: i64 = (ACCESS_SECONDS as i64 + 60) * Timestamp::SECOND;
/// What ran out is looked for once in so much of the log's time.
const FORGET_EVERY: i64 = 3_600 * Timestamp::SECOND;

pub struct SessionsProjection {
    sessions: Arc<dyn Sessions>,
    forgot_at: AtomicI64,
}

impl SessionsProjection {
    pub fn new(context: &Context) -> Self {
        Self { sessions: context.stores.sessions.serving(), forgot_at: AtomicI64::new(0) }
    }

    fn forget(&self, now: Timestamp) -> Option<Change> {
        let due = now.0 - self.forgot_at.load(Ordering::Relaxed) >= FORGET_EVERY;
        due.then(|| {
            self.forgot_at.store(now.0, Ordering::Relaxed);
            Change::Forget {
                now,
                started_before: now.plus(-LONGEST),
                refreshed_before: now.plus(-LONGEST_IDLE),
            }
        })
    }
}

#[async_trait]
impl Projection for SessionsProjection {
    type Model = dyn Sessions;

    fn name(&self) -> &'static str {
        "sessions"
    }
    fn code_version(&self) -> u32 {
        1
    }
    fn model(&self) -> &Self::Model {
        &*self.sessions
    }

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        let mut changes = Vec::new();
        for entry in batch {
            if let Event::Session(event) = &entry.event {
                changes.push(change(entry, event)?);
                changes.extend(self.forget(entry.recorded_at));
            }
        }
        Ok(changes)
    }
}

fn change(entry: &Entry, event: &SessionEvent) -> Result<Change, ProjectionError> {
    let position = entry.position;
    Ok(match event {
        SessionEvent::SessionStarted { session, person, method, device, address, at } => {
            Change::Started(SessionRow {
                session_id: *session,
                person: *person,
                method: match method {
                    Method::Password => "password".to_owned(),
                },
                device: sealed(entry, device)?.clone(),
                address: sealed(entry, address)?.clone(),
                started_at: *at,
                refreshed_at: *at,
                generation: 1,
                position,
            })
        }
        SessionEvent::SessionRefreshed { session, generation, at, .. } => {
            Change::Refreshed { session_id: *session, generation: *generation, at: *at, position }
        }
        SessionEvent::RefreshReuseDetected { session, person, at, .. }
        | SessionEvent::SessionRevoked { session, person, at, .. } => {
            Change::Ended { session_id: *session, person: *person, until: at.plus(TOKENS_RUN), position }
        }
    })
}
