//! `GET /v1/conflicts`: records of which two deliveries said different things.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, State};
use serde::Deserialize;
use serde_json::Value;

use super::Problem;
use super::events::{limit, params};
use crate::daemon::shared::{Query, Shared};
use crate::verify::ConflictQuery;
use backtestd_core::market::{Kind, Symbol, parse_time};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConflictParams {
    since: Option<String>,
    symbol: Option<String>,
    kind: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    query: Result<UrlQuery<ConflictParams>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let given = params(query)?;
    let bad = |error: &dyn std::fmt::Display| Problem::bad_request(error.to_string());
    let kind = |name: &str| {
        Kind::from_name(name)
            .ok_or_else(|| Problem::bad_request(format!("kind = {name} is no kind of record")))
    };
    let wanted = ConflictQuery {
        since: given.since.as_deref().map(parse_time).transpose().map_err(|e| bad(&e))?,
        symbol: given.symbol.as_deref().map(Symbol::new).transpose().map_err(|e| bad(&e))?,
        kind: given.kind.as_deref().map(kind).transpose()?,
        limit: limit(given.limit)?,
    };
    Ok(Json(shared.query(|reply| Query::Conflicts(wanted, reply)).await?))
}
