//! One endpoint, one file.

use axum::Json;

use crate::refusal::Refusal;

pub mod chat;
pub mod friends;
pub mod get;
pub mod get_chats;
pub mod live;
pub mod me;
pub mod photo;
pub mod search_user;
pub mod sessions;
pub mod user;

type Answer<T> = Result<Json<T>, Refusal>;
