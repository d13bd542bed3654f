//! The live connection: one WebSocket that comes back by itself and goes on where it stopped.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use domain::live::{ByeReason, ClientFrame};
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::future::{Either, select};
use futures::{StreamExt, pin_mut};
use leptos::prelude::{GetUntracked, Set, Update};
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use web_sys::{CloseEvent, Event, MessageEvent, WebSocket};

use crate::api::Failure;
use crate::browser::{is_offline, jitter, on_window, sleep, window};
use crate::frame::Frame;
use crate::state::{Link, Store};

/// Milliseconds of silence after which the other side is asked for a sign of life.
const QUIET: u32 = 25_000;
/// And after which it is given up.
const PATIENCE: u32 = 10_000;
/// Reconnects begin here and double up to the longest.
const FIRST_PAUSE: f64 = 400.0;
const LONGEST_PAUSE: f64 = 20_000.0;
/// Losses that heal sooner than this are nobody's business.
const GRACE: u32 = 2_500;

enum Heard {
    Frame(Frame),
    Closed,
}

thread_local! {
    /// The connection that is open now.
    static SOCKET: RefCell<Option<WebSocket>> = const { RefCell::new(None) };
}

/// Tells the server something passing; without a connection it is not told.
pub fn say(frame: &ClientFrame) {
    let text = serde_json::to_string(frame).unwrap_or_default();
    SOCKET.with_borrow(|socket| {
        if let Some(socket) = socket.as_ref().filter(|socket| socket.ready_state() == WebSocket::OPEN) {
            let _ = socket.send_with_str(&text);
        }
    });
}

/// Keeps `store` up to date for as long as the page lives. `after` is the position that the store shows.
pub fn keep(store: Store, after: u64) {
    let wake = Rc::new(RefCell::new(None::<UnboundedSender<()>>));
    let ring = Rc::clone(&wake);
    on_window("online", move |_| {
        // A socket that outlived the loss may be dead without knowing it.
        SOCKET.with_borrow(|socket| {
            if let Some(socket) = socket {
                let _ = socket.close();
            }
        });
        if let Some(bell) = &*ring.borrow() {
            let _ = bell.unbounded_send(());
        }
    });
    on_window("offline", move |_| store.link.set(Link::Lost));
    spawn_local(async move {
        let after = Cell::new(after);
        let mut failures = 0_u32;
        loop {
            let greeted = converse(store, &after).await;
            match greeted {
                Ended::ForGood => return,
                Ended::Greeted => failures = 0,
                Ended::Unheard => failures += 1,
            }
            soon_admit_loss(store, if failures > 1 { 0 } else { GRACE });
            let (bell, mut rung) = unbounded();
            *wake.borrow_mut() = Some(bell);
            let pause = (FIRST_PAUSE * 2_f64.powi(failures.min(10).cast_signed())).min(LONGEST_PAUSE);
            let nap = sleep((pause * (0.5 + jitter() / 2.0)) as u32);
            pin_mut!(nap);
            let _ = select(nap, rung.next()).await;
            // A refused upgrade says nothing of why; an ordinary request does, and renews credentials.
            loop {
                match store.api.me().await {
                    Err(Failure::Ended) => return,
                    // Whose frames these would be is not who is on the screen.
                    Ok(me) if me.user_id != store.my_id => {
                        let _ = window().location().reload();
                        sleep(LONGEST_PAUSE as u32).await;
                    }
                    _ => break,
                }
            }
        }
    });
}

/// Says that the connection is lost, unless it is back by then.
fn soon_admit_loss(store: Store, grace: u32) {
    if store.link.get_untracked() == Link::Live {
        store.link.set(Link::Connecting);
    }
    if grace == 0 || is_offline() {
        store.link.set(Link::Lost);
        return;
    }
    spawn_local(async move {
        sleep(grace).await;
        if store.link.get_untracked() == Link::Connecting {
            store.link.set(Link::Lost);
        }
    });
}

enum Ended {
    /// The session is over.
    ForGood,
    /// After it was up.
    Greeted,
    /// Before the first frame.
    Unheard,
}

/// One connection, from its opening to its end.
async fn converse(store: Store, after: &Cell<u64>) -> Ended {
    let Some((socket, mut frames)) = open(after.get()) else { return Ended::Unheard };
    SOCKET.set(Some(socket.clone()));
    let mut greeted = false;
    let mut asked = false;
    loop {
        let quiet = sleep(if asked { PATIENCE } else { QUIET });
        pin_mut!(quiet);
        let heard = match select(frames.next(), quiet).await {
            Either::Left((heard, _)) => heard,
            Either::Right(_) if !asked && greeted => {
                asked = true;
                say(&ClientFrame::Ping {});
                continue;
            }
            Either::Right(_) => None,
        };
        asked = false;
        let Some(Heard::Frame(frame)) = heard else { break };
        match frame {
            Frame::Hello => {
                greeted = true;
                store.link.set(Link::Live);
                store.photos_round.update(|count| *count += 1);
                store.retry_unheard();
                // What became of them meanwhile is not told again.
                store.sessions_changed.update(|count| *count += 1);
            }
            Frame::Change { position, what, ids, item } => {
                after.set(after.get().max(position));
                store.apply(position, what, ids, item.as_deref());
            }
            Frame::Signal(signal, ids) => store.hear_signal(signal, ids),
            Frame::Gap(position) => {
                after.set(position);
                spawn_local(store.refetch());
            }
            Frame::Other => {}
            Frame::Bye(ByeReason::SessionEnded) => {
                // Ends the session here too, by way of the credentials that no longer hold.
                let _ = store.api.me().await;
                return Ended::ForGood;
            }
            Frame::Bye(ByeReason::Shutdown) => break,
            // Coming straight back would only be thrown out again.
            Frame::Bye(_) => greeted = false,
        }
    }
    let _ = socket.close();
    if greeted { Ended::Greeted } else { Ended::Unheard }
}

fn open(after: u64) -> Option<(WebSocket, UnboundedReceiver<Heard>)> {
    let location = window().location();
    let scheme = if location.protocol().ok()? == "https:" { "wss" } else { "ws" };
    let url = format!("{scheme}://{}/query/v1/live?after={after}", location.host().ok()?);
    let socket = WebSocket::new(&url).ok()?;
    let (say, heard) = unbounded();
    let closed = say.clone();
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let text = event.data().as_string().unwrap_or_default();
        let _ = say.unbounded_send(Heard::Frame(Frame::read(&text)));
    });
    let on_close = Closure::<dyn FnMut(CloseEvent)>::new(move |_| {
        let _ = closed.unbounded_send(Heard::Closed);
    });
    let on_error = Closure::<dyn FnMut(Event)>::new(|_| {});
    socket.set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
    socket.set_onclose(Some(on_close.into_js_value().unchecked_ref()));
    socket.set_onerror(Some(on_error.into_js_value().unchecked_ref()));
    Some((socket, heard))
}
