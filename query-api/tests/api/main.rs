//! The queries against real read models on temporary folders; rows are written through the ports.

mod attachments;
mod changes;
mod chats;
mod frame;
mod groups;
mod invites;
mod lines;
mod live;
mod live_engine;
mod live_groups;
mod messages;
mod people;
mod photos;
mod settings;
mod signals;
mod touches;
mod world;
