//! `GET /v1/blueprints` and `.../explain`: the published version as its files hold it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::Problem;
use crate::daemon::shared::{EventQuery, Query, Shared};
use backtestd_core::market::Symbol;

/// Events shown in an explanation.
const EXPLAIN_EVENTS: usize = 10;

/// A version read from disk.
struct Published {
    manifest: Value,
    blueprints: Vec<Value>,
}

/// Reads `blueprints/current`. The link is resolved once, so that both files are of one version.
fn read_current(data_root: &std::path::Path) -> Result<Option<Published>, String> {
    let current = data_root.join("blueprints/current");
    let Ok(version) = std::fs::canonicalize(&current) else { return Ok(None) };
    let read = |name: &str| {
        let path = version.join(name);
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let manifest =
        serde_json::from_str(&read("manifest.json")?).map_err(|e| format!("manifest.json: {e}"))?;
    let blueprints = read("blueprints.jsonl")?
        .lines()
        .map(|line| serde_json::from_str(line).map_err(|e| format!("blueprints.jsonl: {e}")))
        .collect::<Result<_, _>>()?;
    Ok(Some(Published { manifest, blueprints }))
}

async fn current(shared: &Shared) -> Result<Option<Published>, Problem> {
    let root = shared.config.data_root.clone();
    tokio::task::spawn_blocking(move || read_current(&root))
        .await
        .map_err(|error| Problem::new(500, error.to_string()))?
        .map_err(|detail| Problem::new(500, detail))
}

pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<Value>, Problem> {
    let Some(published) = current(&shared).await? else {
        return Ok(Json(json!({ "version": null, "blueprints": [] })));
    };
    Ok(Json(json!({
        "version": published.manifest["version"],
        "published_at": published.manifest["published_at"],
        "blueprints": published.blueprints,
    })))
}

/// Walks back from a blueprint: the version and run that published it, the spec it was made from, the
/// evidence, and the newest events that trigger it.
pub(super) async fn explain(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let published = current(&shared).await?;
    let found = published.and_then(|p| {
        let blueprint = p.blueprints.iter().find(|b| b["id"] == id.as_str())?.clone();
        Some((p.manifest, blueprint))
    });
    let Some((manifest, blueprint)) = found else {
        return Err(Problem::not_found(format!(
            "no blueprint {id} in the current version; GET /v1/blueprints lists them"
        )));
    };
    let run_id = blueprint["lineage"]["run_id"].as_str().unwrap_or_default().to_owned();
    let event_type = blueprint["event_type"].as_str().unwrap_or_default().to_owned();
    let symbols = blueprint["symbol_scope"]["symbols"].as_array().cloned().unwrap_or_default();
    let only = match symbols.as_slice() {
        [one] => one.as_str().and_then(|s| Symbol::new(s).ok()),
        _ => None,
    };
    let wanted =
        EventQuery { since: None, symbol: only, event_type: Some(event_type.clone()), limit: EXPLAIN_EVENTS };
    let events = shared.query(|reply| Query::Events(wanted, reply)).await?;
    let runs = shared.query(|reply| Query::Runs { limit: 1000, reply }).await?;
    let run = runs.into_iter().find(|run| run["run_id"] == run_id.as_str()).unwrap_or(Value::Null);
    let in_force = shared.status().spec.hash;
    let root = &shared.config.data_root;
    Ok(Json(json!({
        "id": id,
        "blueprint": blueprint,
        "published_in": manifest["version"],
        "published_at": manifest["published_at"],
        "run": run,
        "spec": {
            "made_from": blueprint["lineage"]["ontology_spec_hash"],
            "in_force": in_force,
            "same": blueprint["lineage"]["ontology_spec_hash"] == in_force.as_str(),
        },
        "newest_events": events,
        "files": {
            "candidates": root.join("reports/phase2").join(&run_id).join(&event_type).join("phase2_candidates.parquet"),
            "run": root.join("reports/strategy_blueprints").join(&run_id),
            "version": root.join("blueprints").join(manifest["version"].as_str().unwrap_or("current")),
        },
    })))
}
