//! One request and its answer; renewing credentials; reading one's own writes.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::problem::{Kind, Problem};
use domain::requests::Refresh;
use js_sys::{Function, Promise, Reflect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web_sys::{AbortSignal, Headers, RequestInit, Response};

use super::{Answer, Failure};
use crate::browser::{new_key, storage, window};

/// How long an answer may take. Queries wait up to five seconds for their projections.
const PATIENCE: u32 = 20_000;
/// Kept until the renewal is answered: asked again under the same key, a lost answer is given again.
const RENEWAL_KEY: &str = "letopis:renewal";

/// The highest position that any answer has shown; queries show at least that much.
static POSITION: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static ON_END: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
}

/// Has `work` called whenever a request finds that the session is over.
pub fn on_end(work: impl Fn() + 'static) {
    ON_END.with(|cell| *cell.borrow_mut() = Some(Rc::new(work)));
}

fn ended() -> Failure {
    if let Some(work) = ON_END.with(|cell| cell.borrow().clone()) {
        work();
    }
    Failure::Ended
}

pub fn position() -> u64 {
    POSITION.load(Ordering::Relaxed)
}

pub fn saw_position(position: u64) {
    POSITION.fetch_max(position, Ordering::Relaxed);
}

/// A request as it goes out; sent again as it is, it means the same.
struct Request {
    path: String,
    /// Body and key of a command; a query has neither.
    command: Option<(String, Uuid)>,
    /// One more header, by its name.
    header: Option<(&'static str, String)>,
}

impl Request {
    fn query(path: &str) -> Self {
        Self { path: format!("/query/v1{path}"), command: None, header: None }
    }

    fn command(name: &str, body: String, key: Uuid) -> Self {
        Self { path: format!("/command/v1/{name}"), command: Some((body, key)), header: None }
    }

    fn start(&self) -> Result<Promise, JsValue> {
        let headers = Headers::new()?;
        let init = RequestInit::new();
        match &self.command {
            Some((body, key)) => {
                headers.set("Content-Type", "application/json")?;
                headers.set("Idempotency-Key", &key.to_string())?;
                init.set_method("POST");
                init.set_body(&JsValue::from_str(body));
            }
            None if position() > 0 => headers.set("X-Letopis-Position", &position().to_string())?,
            None => {}
        }
        if let Some((name, value)) = &self.header {
            headers.set(name, value)?;
        }
        init.set_headers(&headers);
        init.set_signal(Some(&AbortSignal::timeout_with_u32(PATIENCE)));
        Ok(window().fetch_with_str_and_init(&self.path, &init))
    }

    /// The text of a successful answer.
    async fn send(&self) -> Answer<String> {
        let fetched = match self.start() {
            Ok(promise) => JsFuture::from(promise).await,
            Err(error) => Err(error),
        };
        let response: Response = fetched.map_err(|_| Failure::Offline)?.unchecked_into();
        let text = match response.text() {
            Ok(promise) => JsFuture::from(promise).await.ok().and_then(|text| text.as_string()),
            Err(_) => None,
        };
        let text = text.ok_or(Failure::Offline)?;
        outcome(response.status(), text, response.headers().get("Retry-After").ok().flatten())
    }

    /// Sends within a session: when the credentials have run out, renews them once and sends again.
    async fn send_signed_in(self) -> Answer<String> {
        match self.send().await {
            Err(failure) if failure.is_about_credentials() => {}
            answer => return answer,
        }
        in_turn(async move {
            // Another tab may have renewed them while this one waited for its turn.
            match self.send().await {
                Err(failure) if failure.is_about_credentials() => {}
                answer => return answer,
            }
            renew().await?;
            match self.send().await {
                Err(failure) if failure.is_about_credentials() => Err(ended()),
                answer => answer,
            }
        })
        .await
    }
}

/// What an answer with this status means.
pub(super) fn outcome(status: u16, text: String, retry_after: Option<String>) -> Answer<String> {
    if (200..300).contains(&status) {
        return Ok(text);
    }
    let Ok(mut problem) = serde_json::from_str::<Problem>(&text) else {
        // A gateway in front of a server that is away answers in words of its own.
        return Err(if status >= 502 { Failure::Offline } else { Failure::Unreadable });
    };
    if problem.is(Kind::PositionAhead) {
        // The server has gone back to an older state of its log; what it has now is what there is.
        POSITION.store(0, Ordering::Relaxed);
    }
    problem.retry_after = retry_after.and_then(|seconds| seconds.parse().ok());
    Err(Failure::Refused(Box::new(problem)))
}

/// Asks for new credentials in place of those that ran out.
async fn renew() -> Answer<()> {
    let kept = storage::get(RENEWAL_KEY).and_then(|key| key.parse().ok());
    let key = kept.unwrap_or_else(new_key);
    storage::set(RENEWAL_KEY, &key.to_string());
    let body = to_json(&Refresh { refresh_token: None })?;
    let answer = Request::command("refresh", body, key).send().await;
    if !matches!(answer, Err(Failure::Offline)) {
        storage::remove(RENEWAL_KEY);
    }
    match answer {
        Ok(_) => Ok(()),
        Err(Failure::Refused(problem)) if problem.status < 500 && !problem.is(Kind::TooManyRequests) => {
            Err(ended())
        }
        Err(failure) => Err(failure),
    }
}

/// Does `work` while no other tab does the same, where the browser has Web Locks.
async fn in_turn<T: 'static>(work: impl Future<Output = Answer<T>> + 'static) -> Answer<T> {
    let locks = Reflect::get(&window().navigator(), &"locks".into()).unwrap_or_default();
    let Some(request) =
        Reflect::get(&locks, &"request".into()).ok().and_then(|it| it.dyn_into::<Function>().ok())
    else {
        return work.await;
    };
    let (give, result) = futures::channel::oneshot::channel();
    let held = Closure::once_into_js(move |_lock: JsValue| {
        future_to_promise(async move {
            let _ = give.send(work.await);
            Ok(JsValue::UNDEFINED)
        })
    });
    if let Ok(promise) = request.call2(&locks, &"letopis-refresh".into(), &held) {
        let _ = JsFuture::from(promise.unchecked_into::<Promise>()).await;
    }
    result.await.unwrap_or(Err(Failure::Offline))
}

fn to_json(body: &impl Serialize) -> Answer<String> {
    serde_json::to_string(body).map_err(|_| Failure::Unreadable)
}

pub(super) fn read<T: DeserializeOwned>(text: &str) -> Answer<T> {
    let answer = serde_json::from_str(text).map_err(|_| Failure::Unreadable)?;
    note_position(text);
    Ok(answer)
}

/// Every answer has a position, whatever else it has.
fn note_position(text: &str) {
    #[derive(serde::Deserialize)]
    struct Positioned {
        position: u64,
    }
    if let Ok(Positioned { position }) = serde_json::from_str(text) {
        saw_position(position);
    }
}

pub(super) async fn query<T: DeserializeOwned>(path: String) -> Answer<T> {
    read(&Request::query(&path).send_signed_in().await?)
}

/// A query with one more header.
pub(super) async fn query_with<T: DeserializeOwned>(path: String, header: (&'static str, &str)) -> Answer<T> {
    let header = Some((header.0, header.1.to_owned()));
    read(&Request { header, ..Request::query(&path) }.send_signed_in().await?)
}

/// A query that takes 401 for an answer and renews nothing.
pub(super) async fn query_as_is<T: DeserializeOwned>(path: &str) -> Answer<T> {
    read(&Request::query(path).send().await?)
}

pub(super) async fn command<T: DeserializeOwned>(name: &str, body: &impl Serialize, key: Uuid) -> Answer<T> {
    read(&Request::command(name, to_json(body)?, key).send_signed_in().await?)
}

pub(super) async fn command_signed_out<T: DeserializeOwned>(
    name: &str,
    body: &impl Serialize,
    key: Uuid,
) -> Answer<T> {
    read(&Request::command(name, to_json(body)?, key).send().await?)
}
