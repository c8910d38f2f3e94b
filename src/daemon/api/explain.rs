//! `GET /v1/explain/{name}`: why a name has its value on a bar, or how often an event fires, under the specs
//! in force.
//!
//! The storage thread only reads stretches of the raw log; the replay runs beside it, a few at a time.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query as UrlQuery, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Problem;
use super::events::params;
use crate::daemon::shared::{Query, Shared};
use backtestd_core::explain::{Census, ExplainError, History, Stretch, Tracer};
use backtestd_core::market::{RawBlock, Symbol, Ts, parse_time};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainParams {
    symbol: Option<String>,
    at: Option<String>,
    #[serde(default)]
    brief: bool,
}

pub(super) async fn explain(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    query: Result<UrlQuery<ExplainParams>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let given = params(query)?;
    let Ok(_permit) = shared.explaining.try_acquire() else {
        return Err(Problem::unavailable(
            "other explanations are being computed; ask again shortly".to_owned(),
        ));
    };
    let history = shared.query(|reply| Query::History { reply }).await?;
    let Some(at) = given.at else {
        if given.symbol.is_some() {
            return Err(Problem::bad_request("a symbol needs a time: add at=TIME".to_owned()));
        }
        return census(&shared, &history, &name).await.map(Json);
    };
    let bad = |error: &dyn std::fmt::Display| Problem::bad_request(error.to_string());
    let at = parse_time(&at).map_err(|e| bad(&e))?;
    let Some(symbol) = given.symbol else {
        return Err(Problem::bad_request("a time needs a symbol: add symbol=SYMBOL".to_owned()));
    };
    let symbol = Symbol::new(&symbol).map_err(|e| bad(&e))?;
    trace(&shared, &history, &name, &symbol, at, given.brief).await.map(Json)
}

async fn trace(
    shared: &Shared,
    history: &History,
    name: &str,
    symbol: &Symbol,
    at: Ts,
    brief: bool,
) -> Result<Value, Problem> {
    let mut tracer = Tracer::new(history, name, symbol, at.bar())?;
    while let Some(stretch) = tracer.wants() {
        let raw = raw(shared, stretch).await?;
        tracer = beside(move || tracer.push(&raw).map(|()| tracer)).await?;
    }
    let trace = tracer.finish();
    let mut json = trace.json();
    json["text"] = json!(trace.text(brief));
    Ok(json)
}

async fn census(shared: &Shared, history: &History, name: &str) -> Result<Value, Problem> {
    if history.spec.event(name).is_none() {
        let what = format!("'{name}' is not an event in force: only events are counted; ");
        return Err(Problem::not_found(what + "add symbol=SYMBOL and at=TIME for the value of another name"));
    }
    let mut census = Census::new(history, name)?;
    while let Some(stretch) = census.wants() {
        let raw = raw(shared, stretch).await?;
        census = beside(move || census.push(&raw).map(|()| census)).await?;
    }
    let counts = census.finish();
    Ok(json!({
        "name": name,
        "kind": "event",
        "ontology_spec_hash": history.spec.hash,
        "prevalence": counts,
        "text": counts.text(),
    }))
}

async fn raw(shared: &Shared, stretch: Stretch) -> Result<RawBlock, Problem> {
    Ok(shared.query(|reply| Query::Raw { stretch, reply }).await?)
}

/// Off the thread that serves requests.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ExplainError> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| Problem::new(500, e.to_string()))?;
    Ok(done?)
}

impl From<ExplainError> for Problem {
    fn from(error: ExplainError) -> Self {
        match error {
            ExplainError::UnknownName(_) | ExplainError::UnknownSymbol { .. } => {
                Self::not_found(error.to_string())
            }
            ExplainError::NoValue { .. } | ExplainError::Outside { .. } => Self::new(422, error.to_string()),
            ExplainError::Clean(_) | ExplainError::Engine(_) => Self::new(500, error.to_string()),
        }
    }
}
