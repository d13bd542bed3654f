//! The pieces that screens are made of.

pub mod avatar;
pub mod chat_row;
pub mod composer;
pub mod field;
pub mod icon;
pub mod message;
pub mod message_text;
pub mod palette;
pub mod panel;
pub mod person_panel;
pub mod person_row;
pub mod status;
pub mod timeline;
