//! What is read from a request.

mod asker;
mod cursor;
mod params;

pub use asker::{Asker, Id, Wanted};
pub use cursor::{Cursor, Cursors, Direction};
pub use params::{Params, malformed};
