//! The loss window. A server that is killed may lose what it has acknowledged in its last seconds:
//! its commit log is synced every 10 s (`commitlog_sync: periodic`). The checkpoint may outlive rows
//! that were written before it: they lie elsewhere, or were flushed at another time.
//!
//! So beside the checkpoint lies a *safe* one: what had been written [`LOSS`] before a moment at
//! which every server was still in the life that it was written in. A server's life is its gossip
//! generation, which changes whenever it starts; that it is still alive is seen by its heartbeat.
//! Rows whose servers live on are where they were left; once one has started anew, they are taken
//! to be at the safe checkpoint, and what follows is written again, which changes nothing that is
//! still there. This holds whoever was away, for however long, and costs nothing while nobody was:
//! no clock is asked but the writer's own, and that one only for how long something took.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use domain::ids::EventId;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Cassandra, unreadable};
use crate::error::Result;

/// The commit log's 10 s, as long again for its sync and for what gossip takes.
pub(super) const LOSS: Duration = Duration::from_secs(20);
/// Between two marks of which the older one is kept.
const APART: Duration = Duration::from_secs(1);

/// `status` is empty where no server is older than 4.0.
const SEEN: &str =
    "SELECT host_id, dc, status_with_port, status, generation, heartbeat FROM system_views.gossip_info";

/// In which of their lives the servers are, by host id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Nodes(BTreeMap<String, i32>);

/// The servers as one of them sees them now: life and heartbeat by host id.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(BTreeMap<String, (i32, i32)>);

impl Seen {
    pub async fn prepare(cassandra: &Cassandra) -> Result<PreparedStatement> {
        let mut statement = cassandra.prepare(SEEN).await?;
        // The table is the memory of whoever is asked.
        statement.set_consistency(Consistency::One);
        Ok(statement)
    }

    pub async fn ask(cassandra: &Cassandra, statement: &PreparedStatement) -> Result<Self> {
        type Word = Option<String>;
        type Server = (Word, Word, Word, Word, Option<i32>, Option<i32>);
        let mut seen = BTreeMap::new();
        for (host, dc, status, older, generation, heartbeat) in
            cassandra.rows::<Server>(statement, ()).await?
        {
            let ours = cassandra.place().datacenter.as_ref().is_none_or(|ours| Some(ours) == dc.as_ref());
            let status = status.or(older).unwrap_or_default();
            let left =
                ["LEFT", "LEAVING", "removed", "removing", "BOOT"].iter().any(|it| status.starts_with(it));
            if let (Some(host), true, false) = (host, ours, left) {
                seen.insert(host, (generation.unwrap_or_default(), heartbeat.unwrap_or_default()));
            }
        }
        if seen.is_empty() {
            return Err(unreadable("system_views.gossip_info names no server of the datacenter"));
        }
        Ok(Self(seen))
    }
}

impl Nodes {
    /// Whether a server has started since, or none of them is known: it is another cluster, then. A
    /// lower life is an old view.
    pub fn died(&self, seen: &Seen) -> bool {
        let mut common =
            self.0.iter().filter_map(|(host, life)| Some((life, &seen.0.get(host)?.0))).peekable();
        common.peek().is_none() || common.any(|(before, now)| now > before)
    }

    /// With those that are seen by now.
    pub fn and(&self, seen: &Seen) -> Self {
        let mut nodes = self.clone();
        for (host, (life, _)) in &seen.0 {
            let known = nodes.0.entry(host.clone()).or_insert(*life);
            *known = (*known).max(*life);
        }
        nodes
    }
}

/// What the rows show at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub position: u64,
    pub event_id: Option<EventId>,
    /// JSON.
    pub parked: String,
}

/// A writer's recent marks, until they are safe.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// When each had been written.
    marks: VecDeque<(Instant, Mark)>,
    /// The last heartbeat of each server, and when it was first seen.
    heard: HashMap<String, (i32, Option<Instant>)>,
}

impl Window {
    /// Begins anew: everything that was known to be on its way is forgotten.
    pub fn begin(&mut self, mark: Mark, now: Instant) {
        *self = Self::default();
        self.marks.push_back((now, mark));
    }

    pub fn put(&mut self, mark: Mark, now: Instant) {
        let mut newest = self.marks.iter().rev();
        if let (Some((last, _)), Some((before, _))) = (newest.next(), newest.next())
            && last.duration_since(*before) < APART
        {
            self.marks.pop_back();
        }
        self.marks.push_back((now, mark));
    }

    /// Notes who lives. All are in the lives that the rows were written in.
    pub fn hear(&mut self, seen: &Seen, now: Instant) {
        self.heard.retain(|host, _| seen.0.contains_key(host));
        for (host, (_, heartbeat)) in &seen.0 {
            match self.heard.get_mut(host) {
                Some((last, since)) if *last < *heartbeat => (*last, *since) = (*heartbeat, Some(now)),
                Some(_) => {}
                // It may be a dead one's last.
                None => drop(self.heard.insert(host.clone(), (*heartbeat, None))),
            }
        }
    }

    /// The latest mark that every server has outlived by [`LOSS`].
    pub fn safe(&mut self) -> Option<&Mark> {
        let heard = self.heard.values().map(|(_, since)| *since).min().flatten()?;
        let is_safe = |(written, _): &(Instant, Mark)| *written + LOSS <= heard;
        while self.marks.get(1).is_some_and(is_safe) {
            self.marks.pop_front();
        }
        self.marks.front().filter(|mark| is_safe(mark)).map(|(_, mark)| mark)
    }

    pub fn latest(&self) -> Option<&Mark> {
        self.marks.back().map(|(_, mark)| mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(servers: &[(&str, i32, i32)]) -> Seen {
        Seen(servers.iter().map(|(host, life, beat)| ((*host).to_owned(), (*life, *beat))).collect())
    }

    fn mark(position: u64) -> Mark {
        Mark { position, event_id: None, parked: "[]".to_owned() }
    }

    #[test]
    fn a_server_that_started_anew_may_have_lost_something() {
        let nodes = Nodes::default().and(&seen(&[("a", 10, 1), ("b", 20, 1)]));
        assert!(!nodes.died(&seen(&[("a", 10, 99), ("b", 20, 99)])));
        assert!(!nodes.died(&seen(&[("a", 10, 1), ("b", 20, 1), ("c", 30, 1)])), "one more");
        assert!(!nodes.died(&seen(&[("a", 10, 1)])), "one was taken away");
        assert!(!nodes.died(&seen(&[("a", 10, 1), ("b", 19, 1)])), "an old view");
        assert!(nodes.died(&seen(&[("a", 10, 1), ("b", 21, 1)])));
        assert!(nodes.died(&seen(&[("c", 10, 1)])), "another cluster");
        let nodes = nodes.and(&seen(&[("b", 21, 1)]));
        assert!(!nodes.died(&seen(&[("a", 10, 1), ("b", 21, 1)])));
    }

    #[test]
    fn a_mark_is_safe_once_every_server_has_outlived_it() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut window = Window::default();
        window.begin(mark(1), at(0));
        window.put(mark(2), at(2));
        window.put(mark(3), at(10));
        window.hear(&seen(&[("a", 1, 5), ("b", 1, 5)]), at(10));
        window.hear(&seen(&[("a", 1, 6), ("b", 1, 6)]), at(19));
        assert_eq!(window.safe(), None);
        window.hear(&seen(&[("a", 1, 7), ("b", 1, 7)]), at(20));
        assert_eq!(window.safe(), Some(&mark(1)));
        // b is silent from here on: it may have lost what came after 20 - 20 s.
        window.hear(&seen(&[("a", 1, 30), ("b", 1, 7)]), at(40));
        assert_eq!(window.safe(), Some(&mark(1)));
        window.hear(&seen(&[("a", 1, 31), ("b", 1, 8)]), at(41));
        assert_eq!(window.safe(), Some(&mark(3)));
        assert_eq!(window.latest(), Some(&mark(3)));
    }

    #[test]
    fn marks_are_few_and_the_last_is_among_them() {
        let begun = Instant::now();
        let mut window = Window::default();
        window.begin(mark(0), begun);
        for n in 1..=10_000 {
            window.put(mark(n), begun + Duration::from_millis(n));
        }
        assert!(window.marks.len() <= 12, "{}", window.marks.len());
        assert_eq!(window.latest(), Some(&mark(10_000)));
    }
}
