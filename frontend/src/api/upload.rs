//! A command whose body is a file. An XMLHttpRequest, because `fetch` does not say how much has gone.

use domain::requests::Uploaded;
use futures::channel::mpsc::unbounded;
use futures::future::{Either, select};
use futures::{StreamExt, pin_mut};
use js_sys::ArrayBuffer;
use uuid::Uuid;
use wasm_bindgen::prelude::*;
use web_sys::{File, ProgressEvent, XmlHttpRequest};

use super::transport::{outcome, read};
use super::{Answer, Failure, SignedIn};
use crate::browser::sleep;
use crate::picture::Picture;

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

/// What is sent.
enum Body<'a> {
    /// A picture that the server makes anew.
    Picture(&'a ArrayBuffer),
    /// A file that is kept as it is.
    File(&'a File),
}

/// What a message is to carry.
#[derive(Clone)]
pub enum Load {
    Picture(Picture),
    File(File),
}

impl SignedIn {
    /// Uploads what a message is to carry. `key` stays the same while the same is sent again; `on_progress` hears how
    /// much has gone, in percent.
    pub async fn upload(self, load: &Load, key: Uuid, on_progress: &dyn Fn(u32)) -> Answer<Uploaded> {
        let (body, kind) = match load {
            Load::Picture(picture) => (Body::Picture(&picture.bytes), picture.kind.to_owned()),
            Load::File(file) => (Body::File(file), media_type(&file.type_())),
        };
        // A small request first: credentials that have run out are found out before megabytes are on their way.
        self.me().await?;
        let sent = match send("upload", &body, &kind, key, on_progress).await {
            Err(failure) if failure.is_about_credentials() => {
                self.me().await?;
                send("upload", &body, &kind, key, on_progress).await
            }
            sent => sent,
        };
        read(&sent?)
    }
}

/// What the browser says a file is, if that is a content type at all.
fn media_type(said: &str) -> String {
    let plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    match said.split_once('/') {
        Some((kind, detail)) if plain(kind) && plain(detail) => said.to_owned(),
        _ => "application/octet-stream".to_owned(),
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
    send(name, &Body::Picture(file), kind, key, &on_progress).await
}

async fn send(
    name: &str,
    body: &Body<'_>,
    kind: &str,
    key: Uuid,
    on_progress: &dyn Fn(u32),
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
        match body {
            Body::Picture(bytes) => request.send_with_opt_buffer_source(Some(bytes)),
            Body::File(file) => {
                request.set_request_header("X-Letopis-Kind", "file")?;
                request.send_with_opt_blob(Some(file))
            }
        }
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

#[cfg(test)]
mod tests {
    use super::media_type;

    #[test]
    fn a_file_is_what_the_browser_says_or_bytes() {
        for good in ["application/pdf", "image/svg+xml", "application/vnd.ms-excel"] {
            assert_eq!(media_type(good), good);
        }
        for bad in ["", "pdf", "text/", "text/html; charset=x", "a/b/c", "тип/файл"] {
            assert_eq!(media_type(bad), "application/octet-stream", "{bad}");
        }
    }
}
