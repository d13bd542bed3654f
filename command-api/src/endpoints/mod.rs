//! One endpoint one file.

use axum::extract::DefaultBodyLimit;
use stores::blobs::LARGEST_PICTURE;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::openapi::Document;
use crate::state::CommandState;

pub mod accept;
pub mod add;
pub mod authorize;
pub mod block;
pub mod change_photo;
pub mod create_chat;
pub mod create_user;
pub mod decline;
pub mod edit_info;
mod friendship;
pub mod mark_read;
pub mod refresh;
pub mod register;
pub mod remove;
pub mod remove_photo;
pub mod revoke;
pub mod send;
pub mod unblock;

pub(crate) fn router() -> OpenApiRouter<CommandState> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(register::register))
        .routes(routes!(authorize::authorize))
        .routes(routes!(refresh::refresh))
        .routes(routes!(revoke::revoke))
        .routes(routes!(create_user::create_user))
        .routes(routes!(edit_info::edit_info))
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
        .routes(routes!(send::send))
        .routes(routes!(mark_read::mark_read))
}

/// Collects what is wrong with the fields of a body.
#[derive(Debug, Default)]
pub(crate) struct Checks(Vec<domain::problem::FieldError>);

impl Checks {
    pub fn check(&mut self, result: Result<(), domain::problem::FieldError>) {
        self.0.extend(result.err());
    }

    /// # Errors
    /// `invalid` with everything that is wrong.
    pub fn done(self) -> Result<(), domain::Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(domain::Problem::fields(self.0)) }
    }
}
