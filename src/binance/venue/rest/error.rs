//! The venue's way to say no.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    MissingParameter(&'static str),
    IllegalCharacters(&'static str),
    InvalidParameter(&'static str),
    InvalidSymbol,
    InvalidInterval,
    InvalidPeriod,
    StartAfterEnd,
    TooMany { limit: u32, wait: Duration },
    Banned { until_ms: i64, wait: Duration },
    NeedsKey,
    NotFound,
}

/// What the venue allows in a parameter.
fn legal(name: &str) -> &'static str {
    if matches!(name, "symbol" | "pair") { "^[\\w\\-._&&[^a-z]]{1,50}$" } else { "^[0-9]{1,20}$" }
}

impl ApiError {
    pub(crate) fn status(&self) -> StatusCode {
        self.parts().0
    }

    fn parts(&self) -> (StatusCode, i32, String) {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::MissingParameter(name) => (
                bad,
                -1102,
                format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."),
            ),
            Self::IllegalCharacters(name) => (
                bad,
                -1100,
                format!("Illegal characters found in parameter '{name}'; legal range is '{}'.", legal(name)),
            ),
            Self::InvalidParameter(name) => {
                (bad, -1130, format!("Data sent for parameter '{name}' is not valid."))
            }
            Self::InvalidSymbol => (bad, -1121, "Invalid symbol.".to_owned()),
            Self::InvalidInterval => (bad, -1120, "Invalid interval.".to_owned()),
            Self::InvalidPeriod => (bad, -1130, "parameter 'period' is invalid.".to_owned()),
            Self::StartAfterEnd => (bad, -1023, "Start time is greater than end time.".to_owned()),
            Self::TooMany { limit, .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                -1003,
                format!(
                    "Too many requests; current limit of IP(127.0.0.1) is {limit} requests per minute. \
                     Please use the websocket for live updates to avoid polling the API."
                ),
            ),
            Self::Banned { until_ms, .. } => (
                StatusCode::IM_A_TEAPOT,
                -1003,
                format!(
                    "Way too many requests; IP(127.0.0.1) banned until {until_ms}. \
                     Please use the websocket for live updates to avoid bans."
                ),
            ),
            Self::NeedsKey => (StatusCode::UNAUTHORIZED, -2014, "API-key format invalid.".to_owned()),
            Self::NotFound => (StatusCode::NOT_FOUND, -5000, "Path is not valid".to_owned()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, code, msg) = self.parts();
        let mut response =
            (status, axum::Json(serde_json::json!({ "code": code, "msg": msg }))).into_response();
        if let Self::TooMany { wait, .. } | Self::Banned { wait, .. } = self {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
