//! What one person's subscribers in this process hear. Signals wait apart, so that no number of them
//! makes a subscriber lose a notice.

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::{BACKLOG, Received, SIGNALS};

/// The speaking end.
pub(super) struct Channel {
    told: broadcast::Sender<Received>,
    signals: broadcast::Sender<Received>,
}

/// One subscriber's end.
pub(super) struct Ear {
    told: broadcast::Receiver<Received>,
    signals: broadcast::Receiver<Received>,
}

impl Default for Channel {
    fn default() -> Self {
        Self { told: broadcast::Sender::new(BACKLOG), signals: broadcast::Sender::new(SIGNALS) }
    }
}

impl Channel {
    pub fn subscribe(&self) -> Ear {
        Ear { told: self.told.subscribe(), signals: self.signals.subscribe() }
    }

    /// False where nobody listens any more.
    pub fn send(&self, received: Received) -> bool {
        match received {
            Received::Signal { .. } => self.signals.send(received).is_ok(),
            _ => self.told.send(received).is_ok(),
        }
    }

    pub fn is_silent(&self) -> bool {
        self.told.receiver_count() == 0
    }
}

impl Ear {
    /// The next one, notices first; `None` once the channel is gone.
    pub async fn next(&mut self) -> Option<Received> {
        loop {
            tokio::select! {
                biased;
                told = self.told.recv() => return match told {
                    Ok(received) => Some(received),
                    Err(RecvError::Lagged(_)) => Some(Received::Lagged),
                    Err(RecvError::Closed) => None,
                },
                signal = self.signals.recv() => match signal {
                    Ok(received) => return Some(received),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }
}
