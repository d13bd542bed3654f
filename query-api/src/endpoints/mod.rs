//! One endpoint, one file.

use axum::Json;

use crate::refusal::Refusal;

pub mod blob;
pub mod chat;
pub mod friends;
pub mod get;
pub mod get_chats;
pub mod invite;
pub mod invites;
pub mod live;
pub mod me;
pub mod members;
pub mod photo;
pub mod search_user;
pub mod sessions;
pub mod user;
pub mod versions;

mod bytes;

type Answer<T> = Result<Json<T>, Refusal>;
