//! What waits to be sent on one socket, bounded in bytes, and the task that sends it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Message;
use domain::live::{ByeReason, ServerFrame};
use futures::{Sink, SinkExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Bytes that may wait for a slow reader.
pub const QUEUE: usize = 1024 * 1024;
/// How long a reader may take to make room while it is brought up to date.
const CATCHING_UP: Duration = Duration::from_secs(30);
/// How long the last words may take.
const PARTING: Duration = Duration::from_secs(2);

/// Why nothing more can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocked {
    TooSlow,
    /// The socket is closed.
    Gone,
}

/// The writing side of a socket.
pub struct Outbox {
    queue: mpsc::UnboundedSender<(Message, OwnedSemaphorePermit)>,
    room: Arc<Semaphore>,
    /// Cancelled, the writer drops what waits.
    hurry: CancellationToken,
    writer: JoinHandle<()>,
}

impl Outbox {
    pub fn new<S>(sink: S) -> Self
    where
        S: Sink<Message> + Send + Unpin + 'static,
    {
        let (queue, waiting) = mpsc::unbounded_channel();
        let hurry = CancellationToken::new();
        let writer = tokio::spawn(write(sink, waiting, hurry.clone()));
        Self { queue, room: Arc::new(Semaphore::new(QUEUE)), hurry, writer }
    }

    /// Queues a frame at once.
    pub fn push(&self, frame: &ServerFrame) -> Result<(), Blocked> {
        self.queue(text(frame))
    }

    /// Queues a protocol ping, which the other side answers by itself.
    pub fn ping(&self) -> Result<(), Blocked> {
        self.queue(Message::Ping(Default::default()))
    }

    fn queue(&self, message: Message) -> Result<(), Blocked> {
        let room = self.room.clone().try_acquire_many_owned(size(&message)).map_err(|_| Blocked::TooSlow)?;
        self.queue.send((message, room)).map_err(|_| Blocked::Gone)
    }

    /// Queues a frame as soon as there is room: for many frames at once, which say nothing about
    /// how fast the reader is.
    pub async fn push_when_room(&self, frame: &ServerFrame) -> Result<(), Blocked> {
        let message = text(frame);
        let room = self.room.clone().acquire_many_owned(size(&message));
        match timeout(CATCHING_UP, room).await {
            Ok(Ok(room)) => self.queue.send((message, room)).map_err(|_| Blocked::Gone),
            _ => Err(Blocked::TooSlow),
        }
    }

    /// Sends what waits, says why, and closes.
    pub async fn bye(self, reason: ByeReason) {
        // The last words need no room.
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned();
        if let Ok(room) = room {
            let _ = self.queue.send((text(&ServerFrame::Bye { reason }), room));
        }
        self.close().await;
    }

    /// Drops what waits and closes, saying so if the socket takes it.
    pub async fn bye_at_once(self) {
        self.hurry.cancel();
        self.close().await;
    }

    /// Closes without a word.
    pub async fn close(self) {
        let Self { queue, mut writer, .. } = self;
        drop(queue);
        if timeout(PARTING * 2, &mut writer).await.is_err() {
            writer.abort();
        }
    }
}

fn text(frame: &ServerFrame) -> Message {
    // Frames hold nothing that fails to serialise.
    Message::Text(serde_json::to_string(frame).unwrap_or_default().into())
}

/// Bytes, and no more than all the room there is.
fn size(message: &Message) -> u32 {
    let bytes = match message {
        Message::Text(text) => text.len(),
        _ => 1,
    };
    u32::try_from(bytes.clamp(1, QUEUE)).unwrap_or(1)
}

async fn write<S>(
    mut sink: S,
    mut waiting: mpsc::UnboundedReceiver<(Message, OwnedSemaphorePermit)>,
    hurry: CancellationToken,
) where
    S: Sink<Message> + Send + Unpin + 'static,
{
    loop {
        let sent = async {
            let (message, room) = waiting.recv().await?;
            let sent = sink.send(message).await.is_ok();
            drop(room);
            Some(sent)
        };
        tokio::select! {
            biased;
            () = hurry.cancelled() => {
                let bye = text(&ServerFrame::Bye { reason: ByeReason::TooSlow });
                let _ = timeout(PARTING, sink.send(bye)).await;
                break;
            }
            sent = sent => match sent {
                Some(true) => {}
                Some(false) => return,
                None => break,
            }
        }
    }
    let _ = timeout(PARTING, sink.close()).await;
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use futures::channel::mpsc as channel;
    use serde_json::json;

    use super::*;

    fn big() -> ServerFrame {
        let item = Some(json!("x".repeat(10_000)));
        ServerFrame::Change { position: 1, what: domain::live::What::Message, ids: Default::default(), item }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_reads_nothing_is_too_slow_after_a_mebibyte() {
        // Takes one message and no more until it is read.
        let (sink, stream) = channel::channel(0);
        let outbox = Outbox::new(sink);
        let mut queued = 0;
        let blocked = loop {
            match outbox.push(&big()) {
                Ok(()) => queued += 1,
                Err(blocked) => break blocked,
            }
        };
        assert_eq!(blocked, Blocked::TooSlow);
        assert!((95..=105).contains(&queued), "{queued} frames of 10 kB are a mebibyte");
        outbox.bye_at_once().await;
        let last = stream.map(|message: Message| message).collect::<Vec<_>>().await.len();
        assert!(last < queued, "what waited was dropped");
    }

    #[tokio::test]
    async fn catching_up_waits_for_room() {
        let (sink, stream) = channel::channel(0);
        let outbox = Outbox::new(sink);
        let reading = tokio::spawn(stream.count());
        for _ in 0..500 {
            assert_eq!(outbox.push_when_room(&big()).await, Ok(()));
        }
        outbox.bye(ByeReason::Shutdown).await;
        assert_eq!(reading.await.expect("the reader ends"), 501, "all of it and the bye");
    }
}
