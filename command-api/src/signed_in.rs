//! Handing over tokens: in cookies to a browser, in the body to anybody else, never in both.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chronicle::tokens::ACCESS_SECONDS;
use domain::Timestamp;
use domain::caller::{Client, REFRESH_PATH, access_cookie, refresh_cookie};
use domain::ids::{PersonId, SessionId};
use domain::requests::SignedIn;
use domain::session::LONGEST;

use crate::known_device;
use crate::state::CommandState;

/// A session's pair of tokens, as its events tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    pub person: PersonId,
    pub session: SessionId,
    pub generation: u64,
    /// When this generation began.
    pub at: Timestamp,
    pub position: u64,
}

impl Grant {
    /// The answer to `client`, who has proved to have the password of `account` (the keyed hash of
    /// its email address): a browser is known from now on.
    pub fn answer_to_known(self, state: &CommandState, client: &Client, account: &str) -> Response {
        let device = state.new_id(self.at);
        let mut answer = self.answer(state, client);
        if client.browser {
            let cookie = known_device::remember(state.keyring(), account, device, client.secure);
            answer.headers_mut().append(header::SET_COOKIE, cookie);
        }
        answer
    }

    /// The answer to `client`.
    pub fn answer(self, state: &CommandState, client: &Client) -> Response {
        let Self { person, session, generation, at, position } = self;
        let access = state.tokens.issue(person, session, at);
        let refresh = state.keyring().refresh_token(session, generation);
        let mut answer = SignedIn {
            position,
            user_id: person,
            session_id: session,
            access_token: None,
            refresh_token: None,
            expires_in: ACCESS_SECONDS,
        };
        if !client.browser {
            answer.access_token = Some(access);
            answer.refresh_token = Some(refresh);
            return Json(answer).into_response();
        }
        let secure = client.secure;
        let access_age = ACCESS_SECONDS;
        let refresh_age = LONGEST.unsigned_abs() / Timestamp::SECOND.unsigned_abs();
        let mut headers = HeaderMap::new();
        headers.append(header::SET_COOKIE, cookie(access_cookie(secure), &access, "/", secure, access_age));
        headers.append(
            header::SET_COOKIE,
            cookie(refresh_cookie(secure), &refresh, REFRESH_PATH, secure, refresh_age),
        );
        (headers, Json(answer)).into_response()
    }
}

/// The headers that make a browser forget its tokens.
pub fn forget(secure: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.append(header::SET_COOKIE, cookie(access_cookie(secure), "", "/", secure, 0));
    headers.append(header::SET_COOKIE, cookie(refresh_cookie(secure), "", REFRESH_PATH, secure, 0));
    headers
}

fn cookie(name: &str, value: &str, path: &str, secure: bool, max_age: u64) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path={path}; Max-Age={max_age}; HttpOnly; SameSite=Strict{secure}");
    HeaderValue::try_from(cookie).expect("tokens are base64url, dots and hyphens")
}
