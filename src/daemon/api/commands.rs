//! `POST /v1/recompute` and `POST /v1/reload`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Problem;
use super::guard::body;
use super::peer::MayChange;
use crate::daemon::shared::{Control, Query, Shared};
use backtestd_store::load_specs;

/// The body; empty means all defaults.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RecomputeBody {
    wait: bool,
    reason: String,
}

/// Longest reason, characters: it is a line of the log.
const REASON_CHARS: usize = 300;

/// Reads the body; nothing at all means all defaults, anything but an object is refused.
fn recompute_body(bytes: &[u8]) -> Result<RecomputeBody, Problem> {
    let wrong = |what: String| {
        Problem::bad_request(format!("body: {what}; expected {{\"wait\": bool, \"reason\": str}}"))
    };
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(RecomputeBody::default());
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    // A list would be taken for the fields in their order.
    if !value.is_object() {
        return Err(wrong("not an object".to_owned()));
    }
    let body: RecomputeBody = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    if body.reason.chars().count() > REASON_CHARS || body.reason.contains(['\n', '\r']) {
        return Err(wrong(format!("reason has at most {REASON_CHARS} characters, on one line")));
    }
    Ok(body)
}

pub(super) async fn recompute(
    _: MayChange,
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    let body = recompute_body(&body(request).await?)?;
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

/// The body of a reload; empty means all defaults.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ReloadBody {
    dry_run: bool,
}

fn reload_body(bytes: &[u8]) -> Result<ReloadBody, Problem> {
    let wrong = |what: String| Problem::bad_request(format!("body: {what}; expected {{\"dry_run\": bool}}"));
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(ReloadBody::default());
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    if !value.is_object() {
        return Err(wrong("not an object".to_owned()));
    }
    serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
}

/// What a reload would do: the tree is read and compiled, and its hypotheses are held against the trial
/// ledger.
async fn rehearse(shared: &Arc<Shared>) -> Result<Response, Problem> {
    let dir = shared.config.spec.clone();
    let read = tokio::task::spawn_blocking(move || load_specs(&dir)).await;
    let spec = match read {
        Ok(Ok(spec)) => Arc::new(spec),
        Ok(Err(errors)) => return Err(Problem::new(422, errors.to_string())),
        Err(error) => return Err(Problem::new(500, format!("reading the spec failed: {error}"))),
    };
    let hash = spec.hash.clone();
    let opening = shared.query(|reply| Query::Opening(spec, reply)).await?;
    let changed = hash != shared.peek(|status| status.spec.hash.clone());
    let text = opening.to_string();
    Ok(Json(json!({ "hash": hash, "changed": changed, "trials": opening, "text": text })).into_response())
}

pub(super) async fn reload(
    _: MayChange,
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, Problem> {
    if reload_body(&body(request).await?)?.dry_run {
        return rehearse(&shared).await;
    }
    let reloaded = shared.command(|reply| Control::Reload { reply }).await??;
    Ok(Json(reloaded).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_is_a_command() {
        let check = |text: &str, is_fine: bool| {
            assert_eq!(recompute_body(text.as_bytes()).is_ok(), is_fine, "{text}");
        };
        check("", true);
        check(" \n", true);
        check("{}", true);
        check(r#"{"wait": true, "reason": "by hand"}"#, true);
        for refused in ["[]", "[true, \"x\"]", "null", "7", "{", r#"{"wait": 1}"#, r#"{"other": 1}"#] {
            check(refused, false);
        }
        check(&format!(r#"{{"reason": "{}"}}"#, "x".repeat(301)), false);
        check(r#"{"reason": "a\nb"}"#, false);
    }
}
