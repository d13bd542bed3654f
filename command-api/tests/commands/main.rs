//! The commands against a real log, key store and executor in a temporary folder. The gateway is
//! not here: a small stand-in hands over who asks.

mod attachments;
mod chats;
mod groups;
mod invites;
mod messages;
mod people;
mod photos;
mod protocol;
mod sign_in;
mod stack;
