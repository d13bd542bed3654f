//! Joining rows into what one person may see: profiles from the directory, texts opened with the
//! keyring. Rows are read in bulk, never one by one.

mod chats;
mod messages;
mod people;

pub use chats::chats;
pub use messages::messages;
pub use people::{People, linked};
