//! The OpenAPI document of the commands.

use std::collections::BTreeMap;

use axum::http::header;
use axum::response::IntoResponse;
use domain::Problem;
use domain::problem::Kind;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};

/// What all endpoints share.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Letopis: commands",
        description = "Every command answers the position in the log that holds its effect. Errors are problems (RFC 9457)."
    ),
    components(schemas(Problem)),
    modifiers(&Credentials)
)]
pub struct Document;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new("__Host-letopis-access"));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    }
}

/// Every refusal that a command can meet, by status.
#[derive(Debug)]
pub struct Problems;

impl utoipa::IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut kinds: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for kind in Kind::ALL.iter().filter(|kind| !matches!(kind, Kind::PositionAhead)) {
            kinds.entry(kind.status()).or_default().push(kind.slug());
        }
        kinds
            .into_iter()
            .map(|(status, slugs)| {
                let schema = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
                let response = ResponseBuilder::new()
                    .description(format!("Problem: {}", slugs.join(", ")))
                    .content("application/problem+json", schema)
                    .build();
                (status.to_string(), RefOr::T(response))
            })
            .collect()
    }
}

/// The document as it is served.
pub fn served(document: utoipa::openapi::OpenApi) -> impl IntoResponse + Clone {
    let json = document.to_json().expect("a document made of strings");
    ([(header::CONTENT_TYPE, "application/json")], json)
}
