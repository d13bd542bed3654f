//! The pieces that screens are made of.

pub mod acts;
pub mod attachment;
pub mod avatar;
pub mod chat_menu;
pub mod chat_row;
pub mod composer;
pub mod field;
pub mod friend_picker;
pub mod group_invites;
pub mod group_members;
pub mod group_panel;
pub mod icon;
pub mod line;
pub mod loads;
pub mod mention;
pub mod menu;
pub mod message;
pub mod message_text;
pub mod palette;
pub mod panel;
pub mod person_panel;
pub mod person_row;
pub mod question;
pub mod rows;
pub mod status;
pub mod timeline;
