//! `GET /v1/quarantine` and `POST /v1/quarantine/release`: records that are not taken for true.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Problem;
use super::peer::MayChange;
use crate::daemon::shared::{Query, Shared};

/// What is released, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReleaseBody {
    ids: Vec<String>,
    reason: String,
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    let records = shared.query(|reply| Query::Quarantine { reply }).await?;
    Ok(Json(json!({ "quarantine": records })))
}

pub(super) async fn release(
    _: MayChange,
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let body: ReleaseBody = serde_json::from_slice(&body).map_err(|error| {
        Problem::bad_request(format!("body: {error}; expected {{\"ids\": [str], \"reason\": str}}"))
    })?;
    if body.reason.trim().is_empty() {
        return Err(Problem::bad_request("reason: say why these records are true".to_owned()));
    }
    let ReleaseBody { ids, reason } = body;
    let released = shared.query(|reply| Query::Release { ids, reason, reply }).await?;
    Ok(Json(json!({ "released": released.map_err(Problem::not_found)? })))
}
