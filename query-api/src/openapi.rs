//! The OpenAPI document, made from the endpoints' own documentation.

use domain::Problem;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, ResponseBuilder};
use utoipa::{OpenApi as _, ToSchema};

/// What every query may be refused with.
const COMMON: &[(&str, &str)] = &[
    ("400", "malformed (credentials that came twice, an unknown or unreadable parameter) or position-ahead"),
    ("401", "unauthenticated or session-ended"),
    ("403", "cross-site"),
    ("405", "method-not-allowed"),
    ("429", "too-many-requests; see Retry-After"),
    ("500", "internal"),
    ("503", "unavailable; see Retry-After"),
];

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Letopis queries",
        description = "What is there to see. Every answer says by `position` how much of the log it shows; with the \
                       header `X-Letopis-Position` a query waits up to five seconds until it shows that much. Refusals \
                       are `application/problem+json`.",
    ),
    components(schemas(Problem, domain::ids::PhotoId, domain::ids::BlobId)),
    security(("bearer" = []), ("cookie" = [])),
)]
struct Frame;

/// The document without its paths.
pub fn frame() -> OpenApi {
    Frame::openapi()
}

/// Adds to every operation what all have in common.
pub fn complete(mut api: OpenApi) -> OpenApi {
    let problem = || {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
        ("application/problem+json", content)
    };
    for item in api.paths.paths.values_mut() {
        let Some(operation) = item.get.as_mut() else { continue };
        for (status, response) in &mut operation.responses.responses {
            // The endpoints' own refusals name their kind and nothing else.
            if let utoipa::openapi::RefOr::T(response) = response
                && !status.starts_with(['1', '2'])
            {
                let (content_type, content) = problem();
                response.content.insert(content_type.to_owned(), content.into());
            }
        }
        for (status, kinds) in COMMON {
            let (content_type, content) = problem();
            let response = ResponseBuilder::new().description(*kinds).content(content_type, content).build();
            operation.responses.responses.entry((*status).to_owned()).or_insert(response.into());
        }
    }
    let components = api.components.get_or_insert_default();
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::new(domain::caller::access_cookie(true)));
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    api
}
