//! `log verify`: reads a whole log, beside whoever writes it, and says which of its promises hold.
//!
//! [`walk`] takes every event by position; [`claims`] computes from them what the tables beside the
//! log must hold; [`stock`] reads every stream again through the stock cqrs-es repositories and
//! compares. [`Source`] is the port to an engine: it only reads, but for the one repair
//! ([`rebuild_claims`]). Memory grows with streams, people and chats, not with messages.
//!
//! What nothing here can find is an event altered by somebody who keeps every rule of the log in
//! doing so; only a proof that was given away earlier can.

use async_trait::async_trait;
use domain::aggregate::StreamId;

use crate::keys::Keyring;
use crate::log::{ClaimKey, Head, LogError, Recorded};

pub mod claims;
pub mod postgres;
mod report;
pub mod settings;
pub mod sqlite;
mod stock;
mod walk;

pub use claims::{Mended, rebuild_claims};
pub use report::{Check, Faults, Outcome, Report};
pub use stock::Stock;

/// Rows and events that are read at once.
const PAGE: usize = 2_000;

/// A row of `claims`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRow {
    pub claim: ClaimKey,
    pub owner: String,
    pub position: u64,
}

/// A row of `memberships`, as it stands there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MembershipRow {
    pub person: String,
    pub chat: String,
    pub position: u64,
}

/// What puts claims and memberships right: rows that are to be there, and rows that are not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub put_claims: Vec<ClaimRow>,
    pub drop_claims: Vec<ClaimKey>,
    pub put_memberships: Vec<MembershipRow>,
    pub drop_memberships: Vec<MembershipRow>,
}

/// A log on one engine, opened by somebody who does not append to it.
#[async_trait]
pub trait Source: Send + Sync {
    /// What the engine itself finds wrong with its files; `None` if it can't tell.
    async fn integrity(&mut self) -> Result<Option<Vec<String>>, LogError>;

    async fn head(&mut self) -> Result<Head, LogError>;

    /// At most `limit` events with a position above `after`, in order.
    async fn read(&mut self, after: u64, limit: usize) -> Result<Vec<Recorded>, LogError>;

    /// From here on everything is read as it is now.
    async fn freeze(&mut self) -> Result<(), LogError>;

    /// Takes the head's lock, so that nobody appends; everything is read as it is under it.
    async fn lock(&mut self) -> Result<(), LogError>;

    /// Writes `changes`, durably, and gives the lock back.
    async fn mend(&mut self, changes: &Changes) -> Result<(), LogError>;

    /// Ends what [`Self::freeze`] or [`Self::lock`] began; writes nothing.
    async fn let_go(&mut self) -> Result<(), LogError>;

    /// Event ids that stand more than once, at most a few.
    async fn doubled_ids(&mut self) -> Result<Vec<String>, LogError>;

    /// At most `limit` claims above `after`, ordered by kind and key.
    async fn claims(&mut self, after: Option<&ClaimKey>, limit: usize) -> Result<Vec<ClaimRow>, LogError>;

    /// At most `limit` memberships above `after`, ordered by person and chat.
    async fn memberships(
        &mut self,
        after: Option<&MembershipRow>,
        limit: usize,
    ) -> Result<Vec<MembershipRow>, LogError>;

    /// Reads the first `known` events of a stream through the stock repository and replays them.
    async fn stock(&self, stream: &StreamId, known: u64) -> Result<Stock, LogError>;
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Events read by position, of about how many.
    Events { done: u64, of: u64 },
    /// Streams read through the stock repository.
    Streams { done: u64, of: u64 },
}

/// Reads everything and checks it. Without keys, what lies sealed can't be opened nor claims be
/// computed; both are then unchecked.
///
/// # Errors
/// If the engine can't be read to the end; what is merely wrong is in the report.
pub async fn verify(
    source: &mut dyn Source,
    keys: Option<&Keyring>,
    told: &mut (dyn FnMut(Step) + Send),
) -> Result<Report, LogError> {
    let mut checks = Vec::new();
    if let Some(found) = source.integrity().await? {
        let mut faults = Faults::default();
        found.into_iter().for_each(|fault| faults.add(fault));
        checks.push(faults.check("engine", "the engine's own check of its file", RESTORE));
    }
    let mut walk = walk::Walk::new(keys);
    walk_to_the_end(source, &mut walk, told).await?;
    source.freeze().await?;
    walk_to_the_end(source, &mut walk, told).await?;
    let head = source.head().await?;
    let doubled = source.doubled_ids().await?;
    let (walked, mut expected) = walk.finish(head, &doubled);
    let (claims, _) = claims::compare_claims(source, &mut expected, keys, head.position).await?;
    let (memberships, _) = claims::compare_memberships(source, &mut expected).await?;
    source.let_go().await?;
    checks.extend(walked.checks);
    checks.push(stock::compare(source, walked.streams, told).await?);
    checks.extend([claims, memberships]);
    Ok(Report { log_id: walked.log_id, events: walked.events, checks })
}

/// What to do about a log that is not what was written.
const RESTORE: &str =
    "stop letopis, keep a copy of what there is, and restore the newest backup that verifies";

async fn walk_to_the_end(
    source: &mut dyn Source,
    walk: &mut walk::Walk<'_>,
    told: &mut (dyn FnMut(Step) + Send),
) -> Result<(), LogError> {
    let of = source.head().await?.position;
    loop {
        let page = source.read(walk.position(), PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        for event in &page {
            walk.take(event)?;
        }
        told(Step::Events { done: walk.position(), of: of.max(walk.position()) });
    }
}
