//! One open socket, from hello to bye.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message, WebSocket};
use domain::caller::Caller;
use domain::ids::PersonId;
use domain::live::{ByeReason, ClientFrame, Ids, ServerFrame, Signal, What};
use domain::problem::Kind;
use futures::stream::SplitStream;
use futures::{Stream, StreamExt};
use stores::live::{Notice, Received, Subscription};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tracing::Instrument;

use super::feed;
use super::outbox::{Blocked, Outbox};
use super::render::{Changed, render};
use super::signals::{self, Signs};
use crate::refusal::{Refusal, of_store};
use crate::state::{DIRECTORY, LIVE, QueryState, SESSIONS, TIMELINE};

/// How often the other side is pinged, the session looked at, notices apart, and it is told that somebody
/// is here.
const HEARTBEAT: Duration = Duration::from_secs(20);
/// A socket that was silent for this long, pongs included, is dead.
const SILENCE: Duration = Duration::from_secs(70);
/// How long the other side may take to close once we have.
const PARTING: Duration = Duration::from_secs(1);
/// Changes that are rendered at a time while catching up.
const AT_A_TIME: usize = 100;

/// What the views of a change are made of.
const VIEWS: &[&str] = &[TIMELINE, DIRECTORY];

/// Why a socket ends.
enum End {
    Bye(ByeReason),
    TooSlow,
    /// The other side went, or a read model is away: no last words; the client comes back.
    Gone,
}

impl From<Blocked> for End {
    fn from(blocked: Blocked) -> Self {
        match blocked {
            Blocked::TooSlow => Self::TooSlow,
            Blocked::Gone => Self::Gone,
        }
    }
}

impl From<Refusal> for End {
    /// The reason is in the log already.
    fn from(_: Refusal) -> Self {
        Self::Gone
    }
}

struct Socket {
    state: QueryState,
    caller: Caller,
    outbox: Outbox,
    /// Changes up to here were sent from the feeds, or the client was told to fetch them.
    skip_to: u64,
    /// Changes up to here were sent.
    sent_to: u64,
    /// Changes up to here are told as soon as their rows are shown: the client was sent to fetch what there was, while
    /// a read model stood still. 0: none.
    owed: u64,
    heard: Instant,
    signs: Signs,
}

/// Serves a socket until it ends. `after` is not beyond the log's head.
pub async fn serve(state: QueryState, caller: Caller, after: Option<u64>, socket: WebSocket) {
    let seat = state.sockets.sit(caller.person);
    let (sink, mut incoming) = socket.split();
    let outbox = Outbox::new(sink);
    let mut socket = Socket {
        state,
        caller,
        outbox,
        skip_to: 0,
        sent_to: 0,
        owed: 0,
        heard: Instant::now(),
        signs: Signs::default(),
    };
    let end = match seat {
        None => End::Bye(ByeReason::TooManySockets),
        Some(_) => socket.run(after, &mut incoming).await,
    };
    match end {
        End::Bye(reason) => socket.outbox.bye(reason).await,
        End::TooSlow => socket.outbox.bye_at_once().await,
        End::Gone => socket.outbox.close().await,
    }
    // Closing with unread bytes would take our last words back.
    let _ = timeout(PARTING, drain(&mut incoming)).await;
}

async fn drain(incoming: &mut SplitStream<WebSocket>) {
    while let Some(Ok(_)) = incoming.next().await {}
}

impl Socket {
    async fn run(
        &mut self,
        after: Option<u64>,
        incoming: &mut (impl Stream<Item = Result<Message, axum::Error>> + Unpin),
    ) -> End {
        let shutdown = self.state.shutdown.clone();
        let begun = tokio::select! {
            () = shutdown.cancelled() => return End::Bye(ByeReason::Shutdown),
            begun = self.begin(after) => begun,
        };
        let mut subscription = match begun {
            Ok(subscription) => subscription,
            Err(end) => return end,
        };
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let owed = rows_are_shown(self.state.clone(), self.owed);
            let step = tokio::select! {
                biased;
                () = shutdown.cancelled() => Err(End::Bye(ByeReason::Shutdown)),
                received = subscription.next() => self.received(received).await,
                message = incoming.next() => self.heard(message).await,
                _ = heartbeat.tick() => self.heartbeat().await,
                () = owed => self.pay().await,
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Subscribes, says hello, and brings the client up to date. What the live projection had passed
    /// when we looked is in the feeds; what it passes later is published to us.
    async fn begin(&mut self, after: Option<u64>) -> Result<Box<dyn Subscription>, End> {
        let subscription = self.state.stores.live.subscribe(self.caller.person).await.map_err(of_store)?;
        self.check_session().await?;
        // It begins at the head; so it must have begun, or what it skips would never be told.
        let head = self.state.log_head().await?;
        if self.state.wait(&[LIVE], head).await < head {
            return Err(End::Gone);
        }
        let progress = &self.state.stores.progress;
        let shown = progress.position(LIVE).max(after.unwrap_or(0));
        if self.state.wait(VIEWS, shown).await < shown {
            return Err(End::Gone);
        }
        // A client that comes back is told no more than it has until it has been sent the rest.
        self.outbox.push(&ServerFrame::Hello { position: after.unwrap_or(shown) })?;
        if let Some(after) = after {
            self.catch_up(after, shown).await?;
        }
        (self.skip_to, self.sent_to) = (shown, shown);
        self.say_here().await;
        Ok(subscription)
    }

    /// Sends what changed after `after` and up to `shown`, from the feeds.
    async fn catch_up(&mut self, after: u64, shown: u64) -> Result<(), End> {
        match feed::changes(&self.state, self.caller.person, after, shown).await? {
            None => self.outbox.push(&ServerFrame::Gap { position: shown })?,
            Some(changes) => {
                for some in changes.chunks(AT_A_TIME) {
                    for frame in render(&self.state, self.caller.person, some).await? {
                        self.outbox.push_when_room(&frame).await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The live engine was away: what it would have said is read from the feeds.
    async fn resume(&mut self) -> Result<(), End> {
        self.check_session().await?;
        let head = self.state.log_head().await?;
        let live = self.state.wait(&[LIVE], head).await;
        let shown = live.max(self.sent_to);
        if live < head || self.state.wait(VIEWS, shown).await < shown {
            return Err(End::Gone);
        }
        self.tell_up_to(shown).await
    }

    /// Rows that stood still are shown now: what they say is read from the feeds.
    async fn pay(&mut self) -> Result<(), End> {
        self.check_session().await?;
        let shown = self.state.wait(VIEWS, self.owed).await.max(self.sent_to);
        self.tell_up_to(shown).await
    }

    /// Tells from the feeds what was not told. The last position that was sent is read again, since more than one notice
    /// may have it.
    async fn tell_up_to(&mut self, shown: u64) -> Result<(), End> {
        self.catch_up(self.sent_to.saturating_sub(1), shown).await?;
        // Sessions leave no feed.
        let (what, ids) = (What::Session, Ids::default());
        self.outbox.push(&ServerFrame::Change { position: shown, what, ids, item: None })?;
        (self.skip_to, self.sent_to, self.owed) = (shown, shown, 0);
        Ok(())
    }

    async fn received(&mut self, received: Option<Received>) -> Result<(), End> {
        match received {
            Some(Received::Notice(notice)) => self.notice(notice).await,
            Some(Received::Signal { signal, ids }) => {
                match signals::heard(&self.state, self.caller.person, signal, ids).await {
                    Ok(Some(frame)) => Ok(self.outbox.push(&frame)?),
                    // What could not be looked up is not told: it would have passed anyway.
                    Ok(None) | Err(_) => Ok(()),
                }
            }
            Some(Received::Lagged) => {
                self.check_session().await?;
                // What was dropped happened before this, and may not be shown yet.
                self.owed = self.owed.max(self.state.log_head().await?);
                self.gap(self.state.wait(VIEWS, 0).await)
            }
            Some(Received::Resumed) => self.resume().await,
            None => Err(End::Gone),
        }
    }

    async fn notice(&mut self, notice: Arc<Notice>) -> Result<(), End> {
        let position = notice.position;
        if notice.what == What::Session {
            self.state.wait(&[SESSIONS], position).await;
            if notice.ids.session_id == Some(self.caller.session) {
                self.check_session().await?;
            }
        }
        if position <= self.skip_to {
            return Ok(());
        }
        if self.owed > 0 {
            // It is told with the others.
            self.owed = self.owed.max(position);
            return Ok(());
        }
        let shown = self.state.wait(VIEWS, position).await;
        if shown < position {
            // A read model is stuck; what it does show the client can fetch.
            self.owed = position;
            return self.gap(shown);
        }
        for frame in render(&self.state, self.caller.person, &[Changed::from(&*notice)]).await? {
            self.outbox.push(&frame)?;
        }
        self.sent_to = self.sent_to.max(position);
        Ok(())
    }

    fn gap(&mut self, position: u64) -> Result<(), End> {
        let position = position.max(self.sent_to);
        self.outbox.push(&ServerFrame::Gap { position })?;
        self.skip_to = position;
        self.sent_to = position;
        if self.owed <= position {
            self.owed = 0;
        }
        Ok(())
    }

    async fn heard(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        self.heard = Instant::now();
        let text = match message {
            None | Some(Ok(Message::Close(_))) => return Err(End::Gone),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Text(text))) => text,
            // Too large, broken, or binary; where the other side is just gone, nobody hears it.
            Some(Ok(Message::Binary(_)) | Err(_)) => return Err(End::Bye(ByeReason::BadFrame)),
        };
        match serde_json::from_str(&text) {
            Ok(ClientFrame::Ping {}) => {
                Ok(self.outbox.push(&ServerFrame::Pong { position: self.sent_to })?)
            }
            Ok(ClientFrame::Typing { chat_id }) => {
                let person = self.caller.person;
                // What can't be looked up is not told, so with presence: it passes anyway.
                if let Ok(to) = self.signs.typing(&self.state, person, chat_id).await {
                    let ids = Ids { chat_id: Some(chat_id), user_id: Some(person), ..Ids::default() };
                    tell(&self.state, Signal::Typing, ids, to);
                }
                Ok(())
            }
            Err(_) => Err(End::Bye(ByeReason::BadFrame)),
        }
    }

    async fn heartbeat(&mut self) -> Result<(), End> {
        if self.heard.elapsed() > SILENCE {
            return Err(End::Gone);
        }
        self.outbox.ping()?;
        self.check_session().await?;
        self.say_here().await;
        Ok(())
    }

    async fn say_here(&mut self) {
        let person = self.caller.person;
        if let Ok(to) = self.signs.presence(&self.state, person).await {
            let ids = Ids { user_id: Some(person), ..Ids::default() };
            tell(&self.state, Signal::Presence, ids, to.to_vec());
        }
    }

    async fn check_session(&self) -> Result<(), End> {
        match self.state.standing.check(&self.caller).await {
            Ok(()) => Ok(()),
            // Nothing is known of the session; it is asked again at the next heartbeat.
            Err(problem) if problem.is(Kind::Unavailable) => Ok(()),
            Err(_ended) => Err(End::Bye(ByeReason::SessionEnded)),
        }
    }
}

/// Ends when the views show this position; never, if it is 0.
async fn rows_are_shown(state: QueryState, position: u64) {
    if position == 0 {
        std::future::pending().await
    }
    while state.wait(VIEWS, position).await < position {}
}

/// Lets a signal go: an engine that is slow or away holds up nobody.
fn tell(state: &QueryState, signal: Signal, ids: Ids, to: Vec<PersonId>) {
    if to.is_empty() {
        return;
    }
    let live = state.stores.live.clone();
    let telling = async move {
        if let Err(error) = live.signal(signal, ids, &to).await {
            tracing::debug!(%error, "a sign of life is lost");
        }
    };
    tokio::spawn(telling.in_current_span());
}
