//! `GET /v1/events` and `GET /v1/runs`: the registry and the runs, read from the store.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Problem;
use crate::daemon::shared::{EventQuery, Query, Shared};
use backtestd_core::graph::nearest;
use backtestd_core::market::{Symbol, parse_time};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 10_000;
/// Names that contain what was asked for and are offered instead.
const NEAR: usize = 5;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventParams {
    since: Option<String>,
    symbol: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunParams {
    limit: Option<usize>,
}

pub(super) fn limit(given: Option<usize>) -> Result<usize, Problem> {
    match given {
        None => Ok(DEFAULT_LIMIT),
        Some(n) if (1..=MAX_LIMIT).contains(&n) => Ok(n),
        Some(n) => Err(Problem::bad_request(format!("limit = {n} is not between 1 and {MAX_LIMIT}"))),
    }
}

pub(super) fn params<T>(query: Result<UrlQuery<T>, QueryRejection>) -> Result<T, Problem> {
    query.map(|q| q.0).map_err(|error| Problem::bad_request(error.body_text()))
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    query: Result<UrlQuery<EventParams>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let given = params(query)?;
    let bad = |error: &dyn std::fmt::Display| Problem::bad_request(error.to_string());
    let wanted = EventQuery {
        since: given.since.as_deref().map(parse_time).transpose().map_err(|e| bad(&e))?,
        symbol: given.symbol.as_deref().map(Symbol::new).transpose().map_err(|e| bad(&e))?,
        event_type: given.event_type,
        limit: limit(given.limit)?,
    };
    if let Some(name) = &wanted.event_type {
        is_an_event(&shared, name).await?;
    }
    let events = shared.query(|reply| Query::Events(wanted, reply)).await?;
    Ok(Json(json!({ "events": events })))
}

/// A type that the specs in force do not have is a misspelt one: no answer, where silence would look like
/// one.
async fn is_an_event(shared: &Shared, name: &str) -> Result<(), Problem> {
    let history = shared.query(|reply| Query::History { reply }).await?;
    let known: Vec<&str> = history.spec.events.iter().map(|event| event.event_type.as_str()).collect();
    if known.contains(&name) {
        return Ok(());
    }
    let upper = name.to_ascii_uppercase();
    let mut near: Vec<&str> =
        known.iter().copied().filter(|known| known.contains(&upper)).take(NEAR).collect();
    near.extend(nearest(name, known.iter().copied()).filter(|one| !near.contains(one)));
    let hint = if near.is_empty() { String::new() } else { format!(" (did you mean {}?)", near.join(", ")) };
    Err(Problem::bad_request(format!(
        "type = {name}: the specs have no such event{hint}; they have {} of them, listed in spec/events",
        known.len()
    )))
}

pub(super) async fn runs(
    State(shared): State<Arc<Shared>>,
    query: Result<UrlQuery<RunParams>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let limit = limit(params(query)?.limit)?;
    let runs = shared.query(|reply| Query::Runs { limit, reply }).await?;
    Ok(Json(json!({ "runs": runs })))
}
