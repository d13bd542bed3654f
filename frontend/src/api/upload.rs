//! A command whose body is a file. An XMLHttpRequest, because `fetch` does not say how much has gone.

use futures::channel::mpsc::unbounded;
use futures::future::{Either, select};
use futures::{StreamExt, pin_mut};
use js_sys::ArrayBuffer;
use uuid::Uuid;
use wasm_bindgen::prelude::*;
use web_sys::{ProgressEvent, XmlHttpRequest};

use super::transport::outcome;
use super::{Answer, Failure};
use crate::browser::sleep;

/// Milliseconds without any progress after which the server is given up. It takes its time for a picture.
const SILENCE: u32 = 30_000;

enum Heard {
    /// How much of the file has gone, in percent.
    Progress(u32),
    Answered,
    Lost,
}

/// Ends with the request: whoever drops it takes the request back.
struct Sending {
    request: XmlHttpRequest,
    progress: Closure<dyn FnMut(ProgressEvent)>,
    answered: Closure<dyn FnMut()>,
    lost: Closure<dyn FnMut()>,
}

impl Drop for Sending {
    fn drop(&mut self) {
        // What is called after this would find no closure.
        self.listen(false);
        let _ = self.request.abort();
    }
}

impl Sending {
    fn listen(&self, on: bool) {
        if let Ok(upload) = self.request.upload() {
            upload.set_onprogress(on.then(|| self.progress.as_ref().unchecked_ref()));
        }
        self.request.set_onload(on.then(|| self.answered.as_ref().unchecked_ref()));
        self.request.set_onerror(on.then(|| self.lost.as_ref().unchecked_ref()));
    }
}

/// Sends `file`, of the content type `kind`, as the body of the command `name`, and gives the text of a successful answer.
pub(super) async fn send_file(
    name: &str,
    file: &ArrayBuffer,
    kind: &str,
    key: Uuid,
    on_progress: impl Fn(u32),
) -> Answer<String> {
    let (say, mut heard) = unbounded();
    let (done, failed) = (say.clone(), say.clone());
    let sending = Sending {
        request: XmlHttpRequest::new().map_err(|_| Failure::Offline)?,
        progress: Closure::new(move |event: ProgressEvent| {
            let percent = event.loaded() * 100.0 / event.total().max(1.0);
            let _ = say.unbounded_send(Heard::Progress(percent as u32));
        }),
        answered: Closure::new(move || {
            let _ = done.unbounded_send(Heard::Answered);
        }),
        lost: Closure::new(move || {
            let _ = failed.unbounded_send(Heard::Lost);
        }),
    };
    let request = &sending.request;
    let start = || {
        request.open("POST", &format!("/command/v1/{name}"))?;
        request.set_request_header("Content-Type", kind)?;
        request.set_request_header("Idempotency-Key", &key.to_string())?;
        sending.listen(true);
        request.send_with_opt_buffer_source(Some(file))
    };
    start().map_err(|_: JsValue| Failure::Offline)?;
    loop {
        let silence = sleep(SILENCE);
        pin_mut!(silence);
        match select(heard.next(), silence).await {
            Either::Left((Some(Heard::Progress(percent)), _)) => on_progress(percent),
            Either::Left((Some(Heard::Answered), _)) => break,
            _ => return Err(Failure::Offline),
        }
    }
    let text = request.response_text().ok().flatten().ok_or(Failure::Offline)?;
    let retry_after = request.get_response_header("Retry-After").ok().flatten();
    outcome(request.status().map_err(|_| Failure::Offline)?, text, retry_after)
}
