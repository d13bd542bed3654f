//! The clock, passed in by the composition root.

use domain::Timestamp;

/// Tells the time. It may jump; nothing that is stored relies on its going forward.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}
