//! What is read from a request.

mod asker;
mod cursor;
mod params;

pub use asker::{Asker, Id, Ids, Wanted};
pub use cursor::{Cursor, Cursors, Direction, window};
pub use params::{Params, malformed};
