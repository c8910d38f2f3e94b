//! Errors as RFC 9457 problem documents.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::daemon::shared::{AskError, Refusal};

/// A problem document on its way to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status of the answer.
    pub status: u16,
    /// What happened and what to do, for people.
    pub detail: String,
    /// Seconds after which asking again may help.
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// A problem of this status.
    #[must_use]
    pub const fn new(status: u16, detail: String) -> Self {
        Self { status, detail, retry_after_s: None }
    }

    /// A problem with status 400: the request is not acceptable.
    #[must_use]
    pub const fn bad_request(detail: String) -> Self {
        Self::new(400, detail)
    }

    /// A problem with status 404: what was asked for does not exist.
    #[must_use]
    pub const fn not_found(detail: String) -> Self {
        Self::new(404, detail)
    }

    /// 503 with `Retry-After`.
    #[must_use]
    pub const fn unavailable(detail: String) -> Self {
        Self { status: 503, detail, retry_after_s: Some(1) }
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Busy(_) | AskError::Stopping => Self::unavailable(error.to_string()),
            AskError::Failed(_) => Self::new(500, error.to_string()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotNow(detail) => Self::unavailable(detail),
            Refusal::Invalid(detail) => Self::new(422, detail),
            Refusal::Failed(detail) => Self::new(500, detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": self.detail,
        });
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
