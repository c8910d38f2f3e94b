//! The HTTP API: HTTP/1.1 over a Unix socket, the read-only part optionally on a loopback port.
//!
//! Handlers read [`Shared`], ask the storage thread, or hand a command to the main loop; none holds a rule of
//! the domain. Verbs that change something are for the daemon's own user and root, by peer credentials.
//! `openapi.json` beside this file describes every route, and a test says when it is stale.

mod blueprints;
mod commands;
mod conflicts;
mod connections;
mod events;
mod explain;
mod gaps;
mod guard;
mod peer;
mod problem;
mod quarantine;
mod serve;
mod signals;
mod snapshot;

pub use peer::Peer;
pub use problem::Problem;
pub use serve::{ApiError, listen_unix, serve_loopback, serve_unix};

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use super::metrics;
use super::shared::Shared;

/// The OpenAPI document.
pub const OPENAPI: &str = include_str!("openapi.json");
const PAGE: &str = include_str!("page.html");

/// The router with all routes of the API.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/metrics", get(metrics_text))
        .route("/v1/status", get(status))
        .route("/v1/events", get(events::list))
        .route("/v1/conflicts", get(conflicts::list))
        .route("/v1/signals", get(signals::stream))
        .route("/v1/blueprints", get(blueprints::list))
        .route("/v1/blueprints/{id}/explain", get(blueprints::explain))
        .route("/v1/explain/{name}", get(explain::explain))
        .route("/v1/gaps", get(gaps::list))
        .route("/v1/runs", get(events::runs))
        .route("/v1/quarantine", get(quarantine::list))
        .route("/v1/quarantine/release", post(quarantine::release))
        .route("/v1/recompute", post(commands::recompute))
        .route("/v1/reload", post(commands::reload))
        .route("/v1/snapshot", post(snapshot::take))
        .route("/v1/trials", post(snapshot::add_trials).layer(DefaultBodyLimit::max(snapshot::TRIAL_BYTES)))
        .route("/v1/openapi.json", get(openapi))
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(&shared), count))
        .with_state(shared)
}

async fn count(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    shared.metrics.http_requests.fetch_add(1, Ordering::Relaxed);
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let response = next.run(request).await;
    tracing::debug!(%method, path, status = response.status().as_u16(), "api request");
    response
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(shared.status())).into_response()
}

async fn metrics_text(State(shared): State<Arc<Shared>>) -> Response {
    let text = metrics::render(&shared.status(), &shared.metrics);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn page() -> Response {
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
    ([(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, policy)], PAGE).into_response()
}

async fn not_found(request: Request) -> Problem {
    Problem::not_found(format!("no such resource: {}; GET /v1/openapi.json lists them", request.uri().path()))
}

async fn wrong_method(request: Request) -> Problem {
    Problem::new(405, format!("{} is not allowed on {}", request.method(), request.uri().path()))
}

#[cfg(test)]
mod tests;
