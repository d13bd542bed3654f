//! The screens.

pub mod chats;
pub mod conversation;
pub mod invite;
pub mod new_group;
pub mod people;
pub mod photo;
pub mod privacy;
pub mod profile;
pub mod sessions;
pub mod settings;
pub mod shell;
pub mod sign_in;
pub mod sign_up;
