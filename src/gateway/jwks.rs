//! `/.well-known/jwks.json`: the public keys with which anybody can check an access token's
//! signature (RFC 7517). Whether its session still lives only Letopis can tell.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use serde_json::Value;

/// Serves `keys`, a JWK set.
pub fn routes(keys: &Value) -> Router {
    let body = keys.to_string();
    let headers =
        [(header::CONTENT_TYPE, "application/jwk-set+json"), (header::CACHE_CONTROL, "public, max-age=300")];
    Router::new().route("/.well-known/jwks.json", get(move || async move { (headers, body.clone()) }))
}
