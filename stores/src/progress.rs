//! How far each projection *shows*, in this process: what reading one's own writes waits for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// A shared board of positions, one a projection. Cheap to clone.
#[derive(Clone, Default)]
pub struct Progress {
    shown: Arc<Mutex<HashMap<String, watch::Sender<u64>>>>,
}

impl Progress {
    /// Says that `projection` now shows everything up to `position`; may go back (a rebuild).
    pub fn show(&self, projection: &str, position: u64) {
        self.with(projection, |shown| {
            shown.send_replace(position);
        });
    }

    /// What `projection` shows; 0 before it has said so.
    pub fn position(&self, projection: &str) -> u64 {
        self.with(projection, |shown| *shown.borrow())
    }

    /// Every projection and what it shows, by name.
    pub fn all(&self) -> Vec<(String, u64)> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = shown.iter().map(|(n, p)| (n.clone(), *p.borrow())).collect();
        all.sort();
        all
    }

    /// The changing position of `projection`.
    pub fn watch(&self, projection: &str) -> watch::Receiver<u64> {
        self.with(projection, |shown| shown.subscribe())
    }

    /// Waits until all of `projections` show `position`, at most `patience`. Answers the lowest
    /// position that they show then, whether or not it was reached.
    pub async fn wait(&self, projections: &[&str], position: u64, patience: Duration) -> u64 {
        let deadline = Instant::now() + patience;
        for name in projections {
            let mut shown = self.watch(name);
            // Running out of patience is an answer too: the caller sees it in the position.
            let _ = timeout_at(deadline, shown.wait_for(|shown| *shown >= position)).await;
        }
        projections.iter().map(|name| self.position(name)).min().unwrap_or(position)
    }

    fn with<T>(&self, projection: &str, act: impl FnOnce(&watch::Sender<u64>) -> T) -> T {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = shown.get(projection) {
            return act(sender);
        }
        act(shown.entry(projection.to_owned()).or_insert_with(|| watch::Sender::new(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_the_slowest() {
        let progress = Progress::default();
        progress.show("timeline", 7);
        let waiting = tokio::spawn({
            let progress = progress.clone();
            async move { progress.wait(&["timeline", "directory"], 7, Duration::from_secs(20)).await }
        });
        progress.show("directory", 3);
        progress.show("directory", 9);
        assert_eq!(waiting.await.expect("the task ends"), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_how_far_it_is_when_patience_ends() {
        let progress = Progress::default();
        progress.show("timeline", 7);
        assert_eq!(progress.wait(&["timeline"], 8, Duration::from_secs(5)).await, 7);
        assert_eq!(progress.wait(&["search", "timeline"], 7, Duration::from_secs(5)).await, 0);
    }
}
