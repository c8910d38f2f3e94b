//! `POST /v1/snapshot` and `POST /v1/trials`: the store for processes that cannot open it because the daemon
//! has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Problem;
use super::peer::MayChange;
use crate::daemon::shared::{Query, Shared};
use crate::daemon::storage::SNAPSHOTS;
use backtestd_store::trial_from_text;

/// Most bytes of trials in one request: a ledger of a hundred thousand.
pub(super) const TRIAL_BYTES: usize = 64 << 20;

/// Copies the store as it is now into a folder of the state directory. Whoever asked removes it; the next
/// start removes what was left behind.
pub(super) async fn take(_: MayChange, State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    let Ok(_permit) = shared.copying.try_acquire() else {
        return Err(Problem::unavailable(
            "another copy of the store is being made; ask again shortly".to_owned(),
        ));
    };
    let frozen = shared.query(Query::Freeze).await?;
    let taken_at = shared.clock.now();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let dir = shared.config.state.join(SNAPSHOTS).join(format!("{}-{number}", taken_at.compact_seconds()));
    let path = std::path::absolute(&dir).unwrap_or(dir);
    let target = path.clone();
    let copied = tokio::task::spawn_blocking(move || {
        let copied = frozen.write_to(&target);
        if copied.is_err() {
            let _ = std::fs::remove_dir_all(&target);
        }
        copied
    });
    let copied = copied.await.map_err(|e| Problem::new(500, e.to_string()))?;
    copied.map_err(|e| Problem::new(500, e.to_string()))?;
    Ok(Json(json!({ "path": path, "taken_at": taken_at.to_string() })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trials {
    trials: Vec<String>,
}

/// Trials enter the ledger before the process that has a snapshot looks at them.
pub(super) async fn add_trials(
    _: MayChange,
    State(shared): State<Arc<Shared>>,
    body: Result<Json<Trials>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(body) = body.map_err(|error| Problem::bad_request(error.body_text()))?;
    let trials = body.trials.iter().map(|text| trial_from_text(text)).collect::<Result<Vec<_>, _>>();
    let trials = trials.map_err(|error| Problem::bad_request(error.to_string()))?;
    let count = trials.len();
    match shared.query(|reply| Query::AddTrials(trials, reply)).await? {
        Ok(()) => Ok(Json(json!({ "added": count }))),
        Err(why) => Err(Problem::new(409, why)),
    }
}
