//! Sessions: who is signed in.

use async_trait::async_trait;
use chronicle::tokens::ACCESS_SECONDS;
use domain::Timestamp;
use domain::aggregate::{Event, Kind};
use domain::session::{LONGEST, LONGEST_IDLE, Method, SessionEvent};
use stores::sessions::{Change, SessionRow, Sessions};

use crate::projection::{Entry, Projection, ProjectionError, sealed};

/// For so long after its end an access token of a session may still pass its own checks; the
/// margin is for clocks that differ.
const TOKENS_RUN: i64 = (ACCESS_SECONDS as i64 + 60) * Timestamp::SECOND;
pub struct SessionsProjection;

#[async_trait]
impl Projection for SessionsProjection {
    type Model = dyn Sessions;

    const NAME: &'static str = "sessions";
    const CODE_VERSION: u32 = 1;
    const READS: &'static [Kind] = &[Kind::Session];

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Change>, ProjectionError> {
        let mut changes = Vec::new();
        let mut last = None;
        for entry in batch {
            if let Event::Session(event) = &entry.event {
                changes.push(change(entry, event)?);
                last = Some(entry.recorded_at);
            }
        }
        // By the time of the last event: so the rows at a position do not depend on how the events
        // before it came in batches.
        changes.extend(last.map(|now| Change::Forget {
            now,
            started_before: now.plus(-LONGEST),
            refreshed_before: now.plus(-LONGEST_IDLE),
        }));
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
