//! What the scenario does to answers: refusals, lies, late and broken bodies.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;

use backtestd_core::market::{Draws, Market as Side, Ts};
use backtestd_lab::sim::{Fault, FaultKind};

use crate::venue::state::Venue;

use super::error::ApiError;

/// What a gateway in front of the venue says instead of it.
const GATEWAY_PAGE: &str = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad \
     Gateway</h1></center>\r\n</body>\r\n</html>\r\n";

/// One request that the scenario may interfere with.
pub(super) struct Trouble<'a> {
    venue: &'a Venue,
    path: &'a str,
    now: Ts,
    draws: Draws,
}

impl<'a> Trouble<'a> {
    pub(super) fn new(venue: &'a Venue, path: &'a str, now: Ts) -> Self {
        Self { venue, path, now, draws: venue.draws() }
    }

    /// The rule of a kind that hits this request, with the end of its window.
    fn rule(&mut self, kind: FaultKind) -> Option<(&'a Fault, Ts)> {
        let side = if self.path.starts_with("/api/") { Side::Spot } else { Side::Perp };
        let mut rules = self.venue.market.scenario().faults_at(kind, self.now);
        // The archive is another host: what is said of everything is said of REST.
        let is_meant = |fault: &&Fault| !fault.paths.is_empty() || !self.path.starts_with("/data/");
        let rule =
            rules.find(|fault| is_meant(fault) && fault.hits_path(self.path) && fault.hits_market(side))?;
        let until = rule.window(self.now)?.1;
        // Rows are drawn one by one, requests here.
        let is_hit = kind == FaultKind::MissingRows || self.draws.uniform() < rule.share;
        is_hit.then(|| {
            self.venue.tally.fault(kind);
            (rule, until)
        })
    }

    /// Real time that the answer is held back.
    pub(super) fn pause(&mut self) -> Option<Duration> {
        let (rule, _) = self.rule(FaultKind::SlowAnswer)?;
        Some(Duration::from_secs_f64(rule.seconds.max(0) as f64 / self.venue.clock.speed()))
    }

    /// What is answered instead of the truth, if anything.
    pub(super) fn refusal(&mut self) -> Option<Response> {
        for kind in [FaultKind::TooManyRequests, FaultKind::Banned] {
            let Some((rule, until)) = self.rule(kind) else { continue };
            let left_s = (until.0 - self.now.0) as f64 / 1000.0 / self.venue.clock.speed();
            let wait = Duration::from_secs_f64(if rule.seconds > 0 { rule.seconds as f64 } else { left_s });
            let mut response = match kind {
                FaultKind::Banned => ApiError::Banned { until_ms: until.0, wait }.into_response(),
                _ => ApiError::TooMany { limit: 2400, wait }.into_response(),
            };
            if rule.seconds < 0 {
                response.headers_mut().remove(header::RETRY_AFTER);
            }
            return Some(response);
        }
        if self.rule(FaultKind::ServerError).is_some() {
            let text =
                r#"{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}"#;
            return Some((StatusCode::INTERNAL_SERVER_ERROR, json(text.to_owned())).into_response());
        }
        if self.rule(FaultKind::Unavailable).is_some() {
            let text = r#"{"code":-1008,"msg":"Server is currently overloaded with other requests. Please try again in a few minutes."}"#;
            return Some((StatusCode::SERVICE_UNAVAILABLE, json(text.to_owned())).into_response());
        }
        if self.rule(FaultKind::HtmlAnswer).is_some() {
            return Some(([(header::CONTENT_TYPE, "text/html")], GATEWAY_PAGE).into_response());
        }
        self.rule(FaultKind::EmptyAnswer).map(|_| json("[]".to_owned()).into_response())
    }

    /// The answer as the client gets it.
    pub(super) fn spoil(&mut self, text: String) -> Response {
        let mut text = text;
        if let Some((rule, _)) = self.rule(FaultKind::MissingRows) {
            text = self.rows(text, |draws, rows| rows.retain(|_| draws.uniform() >= rule.share));
        }
        if self.rule(FaultKind::ExtraColumn).is_some() {
            text = self.rows(text, |_, rows| {
                for row in rows.iter_mut().filter_map(Value::as_array_mut) {
                    row.push(Value::from("13"));
                }
            });
        }
        if self.path.ends_with("/time")
            && let Some((rule, _)) = self.rule(FaultKind::WrongClock)
        {
            text = format!("{{\"serverTime\":{}}}", self.now.0 + rule.seconds * 1000);
        }
        if self.rule(FaultKind::TruncatedAnswer).is_some() {
            let mut half = self.half(text.into());
            let json = HeaderValue::from_static("application/json");
            half.headers_mut().insert(header::CONTENT_TYPE, json);
            return half;
        }
        json(text).into_response()
    }

    /// A file of the archive as the client gets it.
    pub(super) fn spoil_file(&mut self, bytes: Vec<u8>) -> Response {
        match self.rule(FaultKind::TruncatedAnswer) {
            Some(_) => self.half(bytes.into()),
            None => bytes.into_response(),
        }
    }

    fn rows(&mut self, text: String, change: impl FnOnce(&mut Draws, &mut Vec<Value>)) -> String {
        let Ok(Value::Array(mut rows)) = serde_json::from_str(&text) else { return text };
        change(&mut self.draws, &mut rows);
        Value::Array(rows).to_string()
    }

    /// Half an answer: with the right length, or ended by a cut connection.
    fn half(&mut self, mut bytes: Bytes) -> Response {
        bytes.truncate(bytes.len() / 2);
        if self.draws.uniform() < 0.5 {
            return bytes.into_response();
        }
        let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        Body::from_stream(stream::iter([Ok(bytes), Err(cut)])).into_response()
    }
}

/// A JSON body of the venue.
pub(super) fn json(text: String) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text)
}
