//! Every stream once more, through the repositories of cqrs-es as they come.

use std::collections::HashMap;

use cqrs_es::persist::{PersistedEventRepository, PersistenceError};
use domain::account::Account;
use domain::aggregate::{Any, Event, Kind, State, StreamId};
use domain::chat::{Chat, ChatEvent};
use domain::chronicle::Chronicle;
use domain::friendship::Friendship;
use domain::message::Message;
use domain::read_marker::ReadMarker;
use domain::session::Session;
use domain::user::User;
use futures::future::try_join_all;

use super::report::{Check, Faults};
use super::walk::{Seen, digest};
use super::{RESTORE, Source, Step};
use crate::format::Metadata;
use crate::log::LogError;

/// Streams longer than this are read event by event instead of at once.
const LONG: u64 = 10_000;
/// Streams that are read side by side.
const ABREAST: usize = 4;

/// What the stock repository reads of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    pub count: u64,
    pub digest: [u8; 16],
    /// Why it could not be read or replayed.
    pub fault: Option<String>,
}

/// Reads the events of `stream` up to sequence `last`, and replays them.
pub(super) async fn read<R: PersistedEventRepository>(
    repository: &R,
    stream: &StreamId,
    last: u64,
) -> Result<Stock, LogError> {
    let id = &stream.id;
    match stream.kind {
        Kind::Account => read_as::<R, Account>(repository, id, last).await,
        Kind::Session => read_as::<R, Session>(repository, id, last).await,
        Kind::User => read_as::<R, User>(repository, id, last).await,
        Kind::Friendship => read_as::<R, Friendship>(repository, id, last).await,
        Kind::Chat => read_as::<R, Chat>(repository, id, last).await,
        Kind::Message => read_as::<R, Message>(repository, id, last).await,
        Kind::ReadMarker => read_as::<R, ReadMarker>(repository, id, last).await,
        Kind::Chronicle => read_as::<R, Chronicle>(repository, id, last).await,
    }
}

/// A stream as it is replayed.
struct Replay {
    stock: Stock,
    state: State,
}

impl Replay {
    fn take(&mut self, event_type: &str, version: &str, event: &Event, metadata: &str) -> Result<(), String> {
        let payload = event.encode().map_err(|error| error.to_string())?;
        self.stock.count += 1;
        self.stock.digest = digest(self.stock.digest, event_type, version, &payload, metadata);
        // Where numbers do not follow each other, there is no state to come to.
        if let (State::Chat(chat), Event::Chat(ChatEvent::MessageSent { number, .. })) = (&self.state, event)
            && *number != chat.last_number + 1
        {
            return Err(format!("message {number} follows message {}", chat.last_number));
        }
        self.state.evolve(event);
        Ok(())
    }
}

async fn read_as<R: PersistedEventRepository, A: Any>(
    repository: &R,
    id: &str,
    last: u64,
) -> Result<Stock, LogError> {
    let mut replay = Replay { stock: Stock::default(), state: A::KIND.initial() };
    let taken = if last <= LONG {
        at_once::<R, A>(repository, id, last, &mut replay).await?
    } else {
        one_by_one::<R, A>(repository, id, last, &mut replay).await?
    };
    replay.stock.fault = taken.err();
    Ok(replay.stock)
}

async fn at_once<R: PersistedEventRepository, A: Any>(
    repository: &R,
    id: &str,
    last: u64,
    replay: &mut Replay,
) -> Result<Result<(), String>, LogError> {
    let events = match repository.get_events::<A>(id).await {
        Ok(events) => events,
        Err(PersistenceError::ConnectionError(error)) => {
            return Err(LogError::Unavailable(error.to_string()));
        }
        Err(error) => return Ok(Err(error.to_string())),
    };
    for event in events.into_iter().take_while(|event| event.sequence as u64 <= last) {
        let taken = serde_json::from_value::<A::Event>(event.payload)
            .map_err(|error| error.to_string())
            .and_then(|payload| {
                let metadata: Metadata =
                    serde_json::from_value(event.metadata).map_err(|error| error.to_string())?;
                replay.take(&event.event_type, &event.event_version, &A::event(payload), &metadata.encode())
            });
        if taken.is_err() {
            return Ok(taken);
        }
    }
    Ok(Ok(()))
}

async fn one_by_one<R: PersistedEventRepository, A: Any>(
    repository: &R,
    id: &str,
    last: u64,
    replay: &mut Replay,
) -> Result<Result<(), String>, LogError> {
    let unavailable = |error: PersistenceError| LogError::Unavailable(error.to_string());
    let mut events = repository.stream_events::<A>(id).await.map_err(unavailable)?;
    while let Some(event) = events.next::<A>(&[]).await {
        let event = match event {
            Ok(event) if event.sequence as u64 > last => break,
            Ok(event) => event,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let mut metadata = Metadata::default();
        for (name, value) in event.metadata {
            metadata.set(&name, Some(value));
        }
        let event = A::event(event.payload);
        let taken = replay.take(&event.event_type(), &event.event_version(), &event, &metadata.encode());
        if taken.is_err() {
            return Ok(taken);
        }
    }
    Ok(Ok(()))
}

/// Compares what the stock repository reads of each stream with what the log has.
pub(super) async fn compare(
    source: &dyn Source,
    streams: HashMap<StreamId, Seen>,
    told: &mut (dyn FnMut(Step) + Send),
) -> Result<Check, LogError> {
    let mut streams: Vec<(StreamId, Seen)> = streams.into_iter().collect();
    streams.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let (of, mut done) = (streams.len() as u64, 0);
    let mut faults = Faults::default();
    for some in streams.chunks(ABREAST) {
        let found = try_join_all(some.iter().map(|(stream, seen)| source.stock(stream, seen.last))).await?;
        for ((stream, seen), stock) in some.iter().zip(found) {
            if let Some(fault) = stock.fault {
                faults.add(format!("{stream}: {fault}"));
            } else if stock.count != seen.count {
                faults.add(format!("{stream}: it reads {} events of {}", stock.count, seen.count));
            } else if stock.digest != seen.digest && !seen.broken {
                faults.add(format!("{stream}: it reads other events than the log has by position"));
            }
        }
        done += some.len() as u64;
        told(Step::Streams { done, of });
    }
    Ok(faults.check("streams", format!("{of} read by the stock repository and replayed"), RESTORE))
}
