//! One endpoint one file.

use axum::extract::DefaultBodyLimit;
use chronicle::log::LogError;
use chronicle::{Halt, Ledger};
use domain::Problem;
use domain::ids::PersonId;
use domain::problem::{FieldError, Kind};
use domain::user::User;
use stores::blobs::LARGEST_PICTURE;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::body::LARGEST_FILE;
use crate::openapi::Document;
use crate::state::CommandState;

pub mod accept;
pub mod accept_invite;
pub mod add;
pub mod add_member;
mod attachments;
pub mod authorize;
pub mod block;
pub mod change_photo;
pub mod change_settings;
pub mod create_chat;
pub mod create_invite;
pub mod create_user;
pub mod decline;
pub mod delete_message;
pub mod dissolve_chat;
pub mod edit_info;
pub mod edit_message;
mod facts;
pub mod forward;
mod friendship;
mod group;
pub mod leave_chat;
pub mod mark_read;
mod message;
pub mod react;
pub mod refresh;
pub mod register;
pub mod remove;
pub mod remove_member;
pub mod remove_message;
pub mod remove_photo;
pub mod rename_chat;
pub mod report;
pub mod revoke;
pub mod revoke_invite;
pub mod send;
mod sending;
pub mod set_chat_prefs;
pub mod set_role;
pub mod unblock;
pub mod upload;

/// Claims of invitations' tokens: by chat and invitation.
const INVITE: &str = "invite/1";

pub(crate) fn router() -> OpenApiRouter<CommandState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(register::register))
        .routes(routes!(authorize::authorize))
        .routes(routes!(refresh::refresh))
        .routes(routes!(revoke::revoke))
        .routes(routes!(create_user::create_user))
        .routes(routes!(edit_info::edit_info))
        .routes(routes!(change_settings::change_settings))
        .merge(
            OpenApiRouter::new()
                .routes(routes!(change_photo::change_photo))
                .layer(DefaultBodyLimit::max(LARGEST_PICTURE)),
        )
        .routes(routes!(remove_photo::remove_photo))
        .routes(routes!(add::add))
        .routes(routes!(accept::accept))
        .routes(routes!(decline::decline))
        .routes(routes!(remove::remove))
        .routes(routes!(block::block))
        .routes(routes!(unblock::unblock))
        .routes(routes!(create_chat::create_chat))
        .routes(routes!(rename_chat::rename_chat))
        .routes(routes!(add_member::add_member))
        .routes(routes!(remove_member::remove_member))
        .routes(routes!(set_role::set_role))
        .routes(routes!(leave_chat::leave_chat))
        .routes(routes!(dissolve_chat::dissolve_chat))
        .routes(routes!(create_invite::create_invite))
        .routes(routes!(revoke_invite::revoke_invite))
        .routes(routes!(accept_invite::accept_invite))
        .routes(routes!(send::send))
        .routes(routes!(edit_message::edit_message))
        .routes(routes!(delete_message::delete_message))
        .routes(routes!(remove_message::remove_message))
        .routes(routes!(react::react))
        .routes(routes!(forward::forward))
        .routes(routes!(report::report))
        .routes(routes!(set_chat_prefs::set_chat_prefs))
        .routes(routes!(mark_read::mark_read))
        .merge(
            OpenApiRouter::new().routes(routes!(upload::upload)).layer(DefaultBodyLimit::max(LARGEST_FILE)),
        )
}

/// Asks at most so many `times` for as long as somebody else was faster.
async fn unless_faster<T, F: Future<Output = Result<T, domain::Problem>>>(
    times: usize,
    attempt: impl Fn() -> F,
) -> Result<T, domain::Problem> {
    let mut tried = 0;
    loop {
        tried += 1;
        match attempt().await {
            Err(problem) if problem.is(domain::problem::Kind::Conflict) && tried < times => {}
            done => return done,
        }
    }
}

/// Collects what is wrong with the fields of a body.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<FieldError>);

impl Checks {
    pub fn check(&mut self, result: Result<(), FieldError>) {
        self.0.extend(result.err());
    }

    /// # Errors
    /// `invalid` with everything that is wrong.
    pub fn done(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::fields(self.0)) }
    }
}

/// Whoever has an account alone makes a user first.
fn user_exists(ledger: &mut Ledger<'_, '_>, person: PersonId) -> Result<(), Halt> {
    if ledger.read::<User>(person)?.person.is_none() {
        return Err(Problem::new(Kind::NotPermitted).detail("create_user comes first").into());
    }
    Ok(())
}

fn unavailable(error: LogError) -> Problem {
    tracing::warn!(%error, "the log can't be read");
    Kind::Unavailable.into()
}
