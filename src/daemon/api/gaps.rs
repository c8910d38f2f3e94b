//! `GET /v1/gaps`: what is complete, open, lost and repaired of each series.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Problem;
use super::events::params;
use crate::daemon::shared::{GapQuery, Query, Shared};
use backtestd_core::market::{Kind, Symbol};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GapParams {
    symbol: Option<String>,
    kind: Option<String>,
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    query: Result<UrlQuery<GapParams>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let given = params(query)?;
    let symbol = given.symbol.as_deref().map(Symbol::new).transpose();
    let kind = match given.kind.as_deref() {
        None => None,
        Some(name) => Some(Kind::from_name(name).ok_or_else(|| {
            let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            Problem::bad_request(format!("kind = {name} is none of {}", known.join(", ")))
        })?),
    };
    let wanted = GapQuery { symbol: symbol.map_err(|e| Problem::bad_request(e.to_string()))?, kind };
    let series = shared.query(|reply| Query::Gaps(wanted, reply)).await?;
    Ok(Json(json!({ "now": shared.clock.now().to_string(), "series": series })))
}
