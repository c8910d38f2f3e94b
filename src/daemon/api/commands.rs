//! `POST /v1/recompute` and `POST /v1/reload`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::Problem;
use super::peer::MayChange;
use crate::daemon::shared::{Control, Shared};

/// The body; empty means all defaults.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RecomputeBody {
    wait: bool,
    reason: String,
}

pub(super) async fn recompute(
    _: MayChange,
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Response, Problem> {
    let body: RecomputeBody = if body.iter().all(u8::is_ascii_whitespace) {
        RecomputeBody::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            Problem::bad_request(format!("body: {error}; expected {{\"wait\": bool, \"reason\": str}}"))
        })?
    };
    let reason = if body.reason.is_empty() { "on command".to_owned() } else { body.reason };
    let ticket = shared.command(|reply| Control::Recompute { reason, reply }).await??;
    if !body.wait {
        let location = [("location", "/v1/runs")];
        return Ok((StatusCode::ACCEPTED, location, Json(json!({ "run_id": ticket.run_id }))).into_response());
    }
    match ticket.done.await {
        Ok(Ok(report)) => Ok(Json(report).into_response()),
        Ok(Err(reason)) => Err(Problem::new(500, format!("run {} failed: {reason}", ticket.run_id))),
        Err(_) => Err(Problem::unavailable("the daemon is stopping".to_owned())),
    }
}

pub(super) async fn reload(_: MayChange, State(shared): State<Arc<Shared>>) -> Result<Response, Problem> {
    let reloaded = shared.command(|reply| Control::Reload { reply }).await??;
    Ok(Json(reloaded).into_response())
}
