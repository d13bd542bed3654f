//! Live: what changed, to whose screens. Begins at the log's head, since what was before is read
//! from the views, and keeps nothing.
//!
//! A notice goes out once its rows are shown, so that whoever gets it can read them at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chronicle::log::{Head, Log, LogError};
use domain::aggregate::{Event, Kind};
use domain::ids::{Pair, PersonId};
use domain::live::{Ids, What};
use domain::session::SessionEvent;
use domain::user::UserEvent;
use stores::directory::Directory;
use stores::live::{Live, Notice, Outlet};
use stores::{
    Asked, Batch, Checkpoint, Generation, Held, Lease, Port, Progress, ReadModel, Shelf, StoreError,
};
use uuid::Uuid;

use crate::Context;
use crate::audience::Audience;
use crate::projection::{Entry, Projection, ProjectionError};

/// For so long a notice waits for its rows. Longer, and the projection they come from is in
/// trouble of its own: the others' notices must not wait for that.
const PATIENCE: Duration = Duration::from_secs(5);
/// Farther behind the log's head than so many events, nobody publishes what was missed.
const NEAR: u64 = 1_000;
pub struct LiveProjection {
    progress: Progress,
    directory: Port<dyn Directory>,
    audience: Audience,
    /// Projections that were waited for in vain, and what they showed: as long as they show that,
    /// nobody waits for them again.
    stuck: Mutex<HashMap<&'static str, u64>>,
}

impl LiveProjection {
    pub fn new(context: &Context) -> Self {
        Self {
            progress: context.stores.progress.clone(),
            directory: context.stores.directory.clone(),
            audience: Audience::new(context.stores.timeline.clone()),
            stuck: Mutex::default(),
        }
    }

    /// Waits until the projections whose rows `batch` changes show them; answers whether all do.
    async fn rows_are_shown(&self, batch: &[Entry]) -> bool {
        let mut needed: HashMap<&'static str, u64> = HashMap::new();
        for entry in batch {
            let shows = match &entry.event {
                Event::Chat(_) | Event::Message(_) | Event::ReadMarker(_) => "timeline",
                Event::User(_) | Event::Friendship(_) => "directory",
                Event::Session(_) => "sessions",
                Event::Account(_) | Event::Chronicle(_) => continue,
            };
            needed.insert(shows, entry.position);
        }
        let mut all = true;
        for (projection, position) in needed {
            let stuck = self.stuck().get(projection).copied();
            let is_stuck = stuck == Some(self.progress.position(projection));
            let patience = if is_stuck { Duration::ZERO } else { PATIENCE };
            let shown = self.progress.wait(&[projection], position, patience).await;
            if shown >= position {
                self.stuck().remove(projection);
                continue;
            }
            all = false;
            if self.stuck().insert(projection, shown) != Some(shown) {
                tracing::warn!(projection, shown, position, "notices go out before their rows");
            }
        }
        all
    }

    fn stuck(&self) -> MutexGuard<'_, HashMap<&'static str, u64>> {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of the two who may notice what happened at `position`.
    async fn noticed(&self, entry: &Entry) -> Result<Vec<Notice>, ProjectionError> {
        let pair: Pair =
            entry.aggregate_id.parse().map_err(|why: String| ProjectionError::poison(entry, why))?;
        let [low, high] = pair.both();
        let mut notices = Vec::new();
        for (person, other) in [(low, high), (high, low)] {
            // A later change of the same link has a notice of its own.
            let seen = self.directory.serving().relations(person, &[other]).await?;
            if seen.first().is_some_and(|seen| seen.shown_position == entry.position) {
                let ids = Ids { user_id: Some(other), ..Ids::default() };
                notices.push(notice(entry, What::Person, ids, vec![person]));
            }
        }
        Ok(notices)
    }

    async fn user(&self, entry: &Entry, event: &UserEvent) -> Result<Vec<Notice>, ProjectionError> {
        let person = event.person();
        let ids = Ids { user_id: Some(person), ..Ids::default() };
        let mut notices = vec![notice(entry, What::Me, ids, vec![person])];
        let others = self.directory.serving().linked_with(person).await?;
        if !others.is_empty() {
            notices.push(notice(entry, What::Person, ids, others));
        }
        Ok(notices)
    }
}

pub(crate) fn notice(entry: &Entry, what: What, ids: Ids, to: Vec<PersonId>) -> Notice {
    Notice { position: entry.position, what, ids, to }
}

fn session(entry: &Entry, event: &SessionEvent) -> Option<Notice> {
    let (session, person) = match event {
        SessionEvent::SessionRefreshed { .. } => return None,
        SessionEvent::SessionStarted { session, person, .. }
        | SessionEvent::RefreshReuseDetected { session, person, .. }
        | SessionEvent::SessionRevoked { session, person, .. } => (*session, *person),
    };
    let ids = Ids { session_id: Some(session), ..Ids::default() };
    Some(notice(entry, What::Session, ids, vec![person]))
}

#[async_trait]
impl Projection for LiveProjection {
    type Model = Outlet;

    const NAME: &'static str = "live";
    const CODE_VERSION: u32 = 1;
    const READS: &'static [Kind] =
        &[Kind::Chat, Kind::Message, Kind::ReadMarker, Kind::Friendship, Kind::User, Kind::Session];

    async fn changes(&self, batch: &[Entry]) -> Result<Vec<Notice>, ProjectionError> {
        let shown = self.rows_are_shown(batch).await;
        let mut notices = Vec::new();
        for entry in batch {
            match &entry.event {
                Event::Chat(event) => notices.extend(self.audience.of_chat(entry, event, shown).await?),
                Event::Message(event) => notices.extend(self.audience.of_message(entry, event, shown).await?),
                Event::ReadMarker(event) => notices.push(self.audience.of_marker(entry, event, shown).await?),
                Event::Friendship(_) => notices.extend(self.noticed(entry).await?),
                Event::User(event) => notices.extend(self.user(entry, event).await?),
                Event::Session(event) => notices.extend(session(entry, event)),
                Event::Account(_) | Event::Chronicle(_) => {}
            }
        }
        Ok(notices)
    }
}

/// The port of what is published: one generation, without rows.
pub fn port(context: &Context) -> Port<Outlet> {
    let log = context.log.clone();
    match context.stores.live.outlet() {
        Some(port) => Port::new(NearTheHead { port, log }),
        None => Port::fixed(Arc::new(Publisher { live: context.stores.live.clone(), log }), NO_ROWS),
    }
}

const NO_ROWS: &str = "it keeps no rows, and tells what happens from now on";

async fn head_of(log: &dyn Log) -> Result<Head, StoreError> {
    log.head().await.map_err(|error| of_log(&error))
}

fn of_log(error: &LogError) -> StoreError {
    StoreError::Engine { engine: "live", message: error.to_string() }
}

/// Where one of several processes publishes: who takes over goes on from where the one before was,
/// if that is this log and close to its head. Else it begins at the head, and whoever listens is
/// told to read what was passed over from the feeds.
struct NearTheHead {
    port: Port<Outlet>,
    log: Arc<dyn Log>,
}

impl NearTheHead {
    async fn is_near(&self, held: &Checkpoint, fresh: &Checkpoint, head: &Head) -> Result<bool, StoreError> {
        let behind = head.position.checked_sub(held.position);
        if held.log_id != fresh.log_id
            || held.code_version != fresh.code_version
            || behind.is_none_or(|behind| behind > NEAR)
        {
            return Ok(false);
        }
        let Some(before) = held.position.checked_sub(1) else { return Ok(true) };
        let found = self.log.read(before, 1).await.map_err(|error| of_log(&error))?;
        Ok(found.first().is_some_and(|event| Some(event.event_id) == held.event_id))
    }
}

fn refused<T>() -> Result<T, StoreError> {
    Err(StoreError::Refused(format!("there is one generation alone: {NO_ROWS}")))
}

#[async_trait]
impl Shelf<Outlet> for NearTheHead {
    fn serving(&self) -> Arc<Outlet> {
        self.port.serving()
    }
    fn fixed(&self) -> Option<&'static str> {
        Some(NO_ROWS)
    }
    fn is_shared(&self) -> bool {
        true
    }
    async fn lease(&self) -> Result<Lease, StoreError> {
        self.port.shelf().lease().await
    }
    async fn beat(&self, epoch: u64) -> Result<(), StoreError> {
        self.port.shelf().beat(epoch).await
    }
    async fn let_go(&self, epoch: u64) -> Result<(), StoreError> {
        self.port.shelf().let_go(epoch).await
    }
    async fn take_over(&self, holder: Uuid, fresh: Checkpoint) -> Result<Held<Outlet>, StoreError> {
        let mut held = self.port.shelf().take_over(holder, fresh.clone()).await?;
        if let Ok(serving) = &mut held.serving {
            let head = head_of(&*self.log).await?;
            if !self.is_near(&serving.checkpoint, &fresh, &head).await? {
                let Checkpoint { generation, epoch, .. } = serving.checkpoint;
                let Head { position, event_id, .. } = head;
                let checkpoint = Checkpoint { generation, epoch, position, event_id, ..fresh };
                serving.model.write(Vec::new(), checkpoint.clone()).await?;
                serving.checkpoint = checkpoint;
            }
        }
        Ok(held)
    }
    async fn begin(&self, _: Checkpoint, _: u64, _: Asked) -> Result<Generation<Outlet>, StoreError> {
        refused()
    }
    async fn amend(&self, _: u64, _: u64, _: Asked) -> Result<(), StoreError> {
        refused()
    }
    async fn switch(&self, _: u64, _: u64) -> Result<(), StoreError> {
        refused()
    }
    async fn discard(&self, _: u64, _: u64) -> Result<(), StoreError> {
        refused()
    }
}

/// The live engine of one process as a read model without rows: it begins at the head, and writing
/// is publishing.
struct Publisher {
    live: Arc<dyn Live>,
    log: Arc<dyn Log>,
}

#[async_trait]
impl ReadModel for Publisher {
    type Change = Notice;

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(None)
    }

    async fn take_over(&self, fresh: Checkpoint) -> Result<Checkpoint, StoreError> {
        let head = head_of(&*self.log).await?;
        Ok(Checkpoint { position: head.position, event_id: head.event_id, ..fresh })
    }

    async fn put(&self, batch: Arc<Batch<Notice>>) -> Result<(), StoreError> {
        self.live.publish(batch.changes.clone()).await
    }
}
