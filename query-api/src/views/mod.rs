//! Joining rows into what one person may see: profiles from the directory, texts opened with the
//! keyring. Rows are read in bulk, never one by one.

mod chats;
mod history;
mod messages;
mod opening;
mod parting;
mod people;

pub mod lines;

pub use chats::{active_at, can_send, chats};
pub use history::history;
pub use messages::{Memberships, Mine, edited_text, messages, sent_text};
pub use opening::{At, open, title};
pub use people::{People, linked};
