//! The open sockets of this process, counted a person.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use domain::ids::PersonId;
use tokio::sync::watch;

/// One person's most.
pub const MOST: usize = 10;

/// Cheap to clone.
#[derive(Clone)]
pub struct Sockets(Arc<Inner>);

struct Inner {
    of: Mutex<HashMap<PersonId, usize>>,
    open: watch::Sender<usize>,
}

impl Default for Sockets {
    fn default() -> Self {
        Self(Arc::new(Inner { of: Mutex::default(), open: watch::Sender::new(0) }))
    }
}

/// A counted socket; given back when dropped.
pub struct Seat {
    sockets: Sockets,
    person: PersonId,
}

impl Sockets {
    /// `None` where the person has [`MOST`] already.
    pub fn sit(&self, person: PersonId) -> Option<Seat> {
        let mut of = self.0.of.lock().unwrap_or_else(PoisonError::into_inner);
        let count = of.entry(person).or_default();
        if *count >= MOST {
            return None;
        }
        *count += 1;
        self.0.open.send_modify(|open| *open += 1);
        Some(Seat { sockets: self.clone(), person })
    }

    /// How many sockets are open.
    pub fn count(&self) -> usize {
        *self.0.open.borrow()
    }

    /// Waits until no socket is open.
    pub async fn closed(&self) {
        // The sender lives in self, so waiting can only end well.
        let _ = self.0.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let inner = &self.sockets.0;
        let mut of = inner.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = of.entry(self.person) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        inner.open.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_ten_sockets_and_gets_back_what_is_closed() {
        let (ann, bob) = (uuid::Uuid::from_u128(1).into(), uuid::Uuid::from_u128(2).into());
        let sockets = Sockets::default();
        let mut seats: Vec<Seat> = (0..MOST).filter_map(|_| sockets.sit(ann)).collect();
        assert_eq!(seats.len(), MOST);
        assert!(sockets.sit(ann).is_none());
        assert!(sockets.sit(bob).is_some());
        seats.pop();
        assert!(sockets.sit(ann).is_some());
    }
}
