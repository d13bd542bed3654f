//! The live WebSocket: what changed, as one person may see it, at once.
//!
//! Nothing is lost between connecting and being told: the socket subscribes first, then reads the
//! feeds of the read models up to what they show by then ([`feed`]), and from there on passes on
//! notices ([`socket`]). Every change is rendered for this reader when it is sent ([`render`]), so
//! that what one may no more see is not sent.

mod feed;
mod outbox;
mod render;
mod signals;
mod socket;
mod sockets;

pub use socket::serve;
pub use sockets::Sockets;
