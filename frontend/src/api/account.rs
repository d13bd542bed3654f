//! Signing up, in and out; the own profile and the own sessions.

use domain::ids::SessionId;
use domain::requests::{Authorize, Done, EditInfo, Register, Revoke, SignedIn as Tokens};
use domain::views::{List, Me, Session, SettingsChanges};
use uuid::Uuid;

use super::transport::{command, command_signed_out, query, query_as_is};
use super::{Answer, SignedIn, SignedOut};
use crate::browser::new_key;

impl SignedOut {
    /// `key` stays the same while the same form is sent again.
    pub async fn register(self, body: &Register, key: Uuid) -> Answer<Tokens> {
        command_signed_out("register", body, key).await
    }

    pub async fn authorize(self, body: &Authorize) -> Answer<Tokens> {
        command_signed_out("authorize", body, new_key()).await
    }

    /// Goes on with the session that the cookies hold, renewed if need be.
    pub async fn resume(self) -> Answer<(SignedIn, Me)> {
        Ok((SignedIn(()), query("/me".to_owned()).await?))
    }

    /// [`resume`](Self::resume), but without renewing: for a browser that has no trace of a session.
    pub async fn resume_as_is(self) -> Answer<(SignedIn, Me)> {
        Ok((SignedIn(()), query_as_is("/me").await?))
    }
}

impl SignedIn {
    pub async fn me(self) -> Answer<Me> {
        query("/me".to_owned()).await
    }

    pub async fn edit_info(self, body: &EditInfo, key: Uuid) -> Answer<Done> {
        command("edit_info", body, key).await
    }

    pub async fn change_settings(self, changes: &SettingsChanges) -> Answer<Done> {
        command("change_settings", changes, new_key()).await
    }

    pub async fn sessions(self) -> Answer<List<Session>> {
        query("/sessions".to_owned()).await
    }

    /// Ends this session.
    pub async fn sign_out(self) -> Answer<Done> {
        command("revoke", &Revoke { session_id: None, others: None }, new_key()).await
    }

    pub async fn end_session(self, session: SessionId) -> Answer<Done> {
        command("revoke", &Revoke { session_id: Some(session), others: None }, new_key()).await
    }

    pub async fn end_other_sessions(self) -> Answer<Done> {
        command("revoke", &Revoke { session_id: None, others: Some(true) }, new_key()).await
    }
}
