//! Bodies, in JSON but for pictures and files; whatever is wrong with one is a problem.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use domain::Problem;
use domain::problem::{FieldError, Kind};
use domain::views::AttachmentKind;
use serde::de::DeserializeOwned;
use stores::blobs::{LARGEST_PICTURE, is_picture};
use tokio::sync::OwnedSemaphorePermit;

use crate::refusal::Refusal;
use crate::state::{CommandState, FILE, PICTURE};

const SMALL: &str = "a command takes at most 64 KiB";

/// A body of type `T`, sent as `application/json`.
#[derive(Debug)]
pub struct Body<T>(pub T);

/// As [`Body`], but a request without a body means `{}`.
#[derive(Debug)]
pub struct BodyOrNone<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;
    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let json = is_json(&request);
        let bytes = bytes(request, state, SMALL).await?;
        if !json {
            return Err(unsupported());
        }
        read(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for BodyOrNone<T> {
    type Rejection = Refusal;
    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let json = is_json(&request);
        let bytes = bytes(request, state, SMALL).await?;
        if bytes.is_empty() {
            return read(b"{}").map(Self);
        }
        if !json {
            return Err(unsupported());
        }
        read(&bytes).map(Self)
    }
}

/// A picture as it was sent, `image/*`. Whether it is one is for its decoder to say.
#[derive(Debug)]
pub struct Picture {
    pub bytes: Bytes,
    /// Held for as long as the bytes are: so many pictures lie in memory at once.
    pub place: OwnedSemaphorePermit,
}

impl FromRequest<CommandState> for Picture {
    type Rejection = Refusal;
    async fn from_request(request: Request, state: &CommandState) -> Result<Self, Refusal> {
        let kind = essence(&request).to_ascii_lowercase();
        if !kind.starts_with("image/") {
            return Err(Problem::new(Kind::UnsupportedType)
                .detail("send the picture itself, as image/…")
                .into());
        }
        let place = state.photos.place(PICTURE).await?;
        let bytes = bytes(request, state, SMALL_PICTURE).await?;
        Ok(Self { bytes, place })
    }
}

const SMALL_PICTURE: &str = "a picture takes at most 10 MiB";

/// Bytes of a file that comes.
pub const LARGEST_FILE: usize = 20 * 1024 * 1024;
/// Characters of a media type.
const LONGEST_TYPE: usize = 127;
/// Says what an upload is to be kept as.
const KIND: &str = "X-Letopis-Kind";

/// What a message is to carry, as it was sent.
#[derive(Debug)]
pub struct Upload {
    pub bytes: Bytes,
    pub kind: AttachmentKind,
    /// What its sender says of it.
    pub media_type: String,
    /// As of [`Picture`].
    pub place: OwnedSemaphorePermit,
}

impl FromRequest<CommandState> for Upload {
    type Rejection = Refusal;
    async fn from_request(request: Request, state: &CommandState) -> Result<Self, Refusal> {
        let media_type = media_type(&request);
        let kept = match request.headers().get(KIND).map(|value| value.as_bytes()) {
            None => false,
            Some(b"file") => true,
            Some(_) => {
                let problem = Problem::new(Kind::Malformed).detail("X-Letopis-Kind is `file`, or absent");
                return Err(Problem { errors: vec![FieldError::new(KIND, "unreadable")], ..problem }.into());
            }
        };
        let said = matches!(&*media_type, "image/jpeg" | "image/png" | "image/webp");
        let place = state.photos.place(if said && !kept { PICTURE } else { FILE }).await?;
        let bytes = bytes(request, state, "a file takes at most 20 MiB").await?;
        // By its content, too: what a picture tells beside its pixels is not to slip through under another type.
        let picture = !kept && (said || is_picture(&bytes));
        let kind = if picture { AttachmentKind::Image } else { AttachmentKind::File };
        if picture && bytes.len() > LARGEST_PICTURE {
            let why = format!("{SMALL_PICTURE}; with {KIND}: file it is kept as it is");
            return Err(Problem::new(Kind::TooLarge).detail(why).into());
        }
        Ok(Self { bytes, kind, media_type, place })
    }
}

/// In lower case and without parameters; of anything that is none, that nothing is known.
fn media_type(request: &Request) -> String {
    let said = essence(request).to_ascii_lowercase();
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let is_one = said.split_once('/').is_some_and(|(kind, detail)| is_name(kind) && is_name(detail));
    if is_one && said.len() <= LONGEST_TYPE { said } else { "application/octet-stream".to_owned() }
}

fn essence(request: &Request) -> &str {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

fn is_json(request: &Request) -> bool {
    essence(request).eq_ignore_ascii_case("application/json")
}

fn unsupported() -> Refusal {
    Problem::new(Kind::UnsupportedType).detail("send application/json").into()
}

async fn bytes<S: Send + Sync>(request: Request, state: &S, at_most: &str) -> Result<Bytes, Refusal> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::new(Kind::TooLarge).detail(at_most).into()
        } else {
            Problem::new(Kind::Malformed).detail("the body broke off").into()
        }
    })
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    // Serde would also take an array of the fields' values.
    if bytes.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
        return Err(Problem::new(Kind::Malformed).detail("the body must be a JSON object").into());
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let problem = match fault(bytes, &error) {
            Some(field) => Problem { errors: vec![field], ..Problem::new(Kind::Malformed) },
            None => Problem::new(Kind::Malformed),
        };
        problem.detail(format!("the body is not what this command takes: {error}")).into()
    })
}

/// Which field serde blames. All bodies are flat.
fn fault(bytes: &[u8], error: &serde_json::Error) -> Option<FieldError> {
    let words = error.to_string();
    let named = |before: &str| Some(pointer(words.strip_prefix(before)?.split_once('`')?.0));
    if let Some(pointer) = named("missing field `") {
        return Some(FieldError::new(pointer, "required"));
    }
    if let Some(pointer) = named("unknown field `") {
        return Some(FieldError::new(pointer, "unknown-field"));
    }
    let key = if error.is_data() { key_at(bytes, error) } else { None };
    key.map(|key| FieldError::new(pointer(&key), "unreadable"))
}

fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The key of the object that was being read where the error is: of the strings before it, the last
/// that is no value.
fn key_at(bytes: &[u8], error: &serde_json::Error) -> Option<String> {
    let before_line: usize = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let end = (before_line + error.column()).min(bytes.len());
    let (mut depth, mut key, mut of_key) = (0, None, false);
    let mut at = 0;
    while at < end {
        match bytes[at] {
            b'"' => {
                let start = at;
                at += 1;
                while at < bytes.len() && bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                if depth == 1 && of_key {
                    key = bytes.get(start..=at).and_then(|text| serde_json::from_slice(text).ok());
                }
            }
            b'{' | b'[' => {
                depth += 1;
                of_key = depth == 1;
            }
            b'}' | b']' => depth -= 1,
            b',' => of_key = depth == 1,
            b':' => of_key = false,
            _ => {}
        }
        at += 1;
    }
    key
}

#[cfg(test)]
mod tests {
    use domain::requests::Authorize;

    use super::*;

    fn refused(body: &str) -> Problem {
        read::<Authorize>(body.as_bytes()).expect_err("refused").0
    }

    #[test]
    fn a_field_that_is_missing_or_unknown_is_named() {
        let missing = refused(r#"{"email":"a@b"}"#);
        assert_eq!(
            (missing.errors[0].pointer.as_str(), missing.errors[0].code.as_str()),
            ("/password", "required")
        );
        let unknown = refused(r#"{"email":"a@b","password":"x","role~/x":1}"#);
        assert_eq!(unknown.errors[0].pointer, "/role~0~1x");
        assert_eq!(unknown.errors[0].code, "unknown-field");
        assert!(refused("{").errors.is_empty());
        assert!(refused("").errors.is_empty());
        assert!(refused(r#"{"email":7,"password":"x"}"#).is(Kind::Malformed));
    }

    #[test]
    fn a_field_of_another_type_is_named() {
        for (body, pointer) in [
            (r#"{"email":7,"password":"x"}"#, "/email"),
            ("{\"email\":\"a,\\\"b:{\",\n  \"password\":null}", "/password"),
            (r#"{"password":{"email":[1,{"x":"y"}]},"email":"a"}"#, "/password"),
            (r#"{"password":"x","email":"a","password":"y"}"#, "/password"),
        ] {
            let problem = refused(body);
            assert!(problem.is(Kind::Malformed));
            let named: Vec<_> =
                problem.errors.iter().map(|it| (it.pointer.as_str(), it.code.as_str())).collect();
            assert_eq!(named, [(pointer, "unreadable")], "{body}");
        }
    }

    #[test]
    fn a_body_is_an_object() {
        for body in [r#"["a@b","x"]"#, " [\"a@b\",\"x\"]", "null", "7"] {
            assert!(refused(body).is(Kind::Malformed), "{body}");
        }
    }
}
