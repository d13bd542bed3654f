//! The queries against real read models on temporary folders; rows are written through the ports.

mod chats;
mod frame;
mod live;
mod messages;
mod people;
mod photos;
mod world;
