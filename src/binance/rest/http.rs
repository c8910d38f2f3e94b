//! One GET with everything around it: limits, the gate, retries, caps, and the reading of failures.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Response, StatusCode};
use tokio::sync::{Mutex, Semaphore};

use super::RestError;
use super::config::RestConfig;
use super::health::{RestHealth, Tally};
use crate::backoff::Backoff;
use crate::limits::{Gate, Pool};
use crate::wire::{WireError, parse_refusal};
use backtestd_core::clock::Clock;
use backtestd_core::market::{Market, Ts};

/// The longest ban the exchange documents.
const LONGEST_BAN: Duration = Duration::from_secs(3 * 86_400);
/// Requests that may be on their way at once.
const ON_THEIR_WAY: usize = 8;
/// Longest error text repeated in a message, characters.
const MESSAGE_CHARS: usize = 200;

/// Installs the process-wide TLS implementation (ring), once. Later calls do nothing.
pub fn install_tls() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // An error means that the process has installed one already, which serves as well.
        drop(rustls::crypto::ring::default_provider().install_default());
    });
}

/// Which budget a request spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Budget {
    /// Request weight of the host.
    Weight(u32),
    /// `/futures/data/*`: one request.
    FuturesData,
    /// fundingRate and fundingInfo: one request.
    Funding,
}

/// One GET request with the budget it draws on.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub market: Market,
    pub path: &'static str,
    pub query: Vec<(&'static str, String)>,
    pub budget: Budget,
}

/// One host of the exchange.
#[derive(Debug)]
struct Host {
    base_url: String,
    weight: Pool,
    gate: Gate,
    /// Bans in a row, each longer than the last.
    bans: AtomicU32,
    /// The `Date` of its last answer, ms; 0 where that had none.
    dated: AtomicI64,
}

impl Host {
    fn new(base_url: &str, weight_per_minute: u32) -> Self {
        Self {
            base_url: base_url.trim_end_matches('/').to_owned(),
            weight: Pool::new(weight_per_minute, Duration::from_secs(60)),
            gate: Gate::default(),
            bans: AtomicU32::new(0),
            dated: AtomicI64::new(0),
        }
    }
}

/// The transport that all methods of the client share.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    config: RestConfig,
    clock: Arc<dyn Clock>,
    futures: Host,
    spot: Host,
    futures_data: Pool,
    funding: Pool,
    /// What became of the requests. Each draws its own jitter by its number.
    tally: Tally,
    /// Requests on their way: so many would meet a ban that begins now.
    on_their_way: Semaphore,
    /// The exchange said stop, and nobody knows yet whether it has forgotten: one request goes ahead of the
    /// others.
    is_doubtful: AtomicBool,
    scout: Mutex<()>,
}

impl Http {
    pub(super) fn new(config: RestConfig, clock: Arc<dyn Clock>) -> Result<Self, RestError> {
        install_tls();
        let client = Client::builder()
            .connect_timeout(config.connect_timeout)
            .timeout(config.request_timeout)
            .user_agent(concat!("backtestd/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| RestError::Setup { detail: chain(&e) })?;
        let five_minutes = Duration::from_secs(300);
        Ok(Self {
            client,
            clock,
            futures: Host::new(&config.futures_url, config.limits.futures_weight_per_minute),
            spot: Host::new(&config.spot_url, config.limits.spot_weight_per_minute),
            futures_data: Pool::new(config.limits.futures_data_per_5_minutes, five_minutes),
            funding: Pool::new(config.limits.funding_per_5_minutes, five_minutes),
            tally: Tally::default(),
            on_their_way: Semaphore::new(ON_THEIR_WAY),
            is_doubtful: AtomicBool::new(false),
            scout: Mutex::new(()),
            config,
        })
    }

    /// The clock, where it is the exchange's own.
    pub(super) fn trusted_clock(&self) -> Option<&Arc<dyn Clock>> {
        self.config.trusts_clock.then_some(&self.clock)
    }

    /// The `Date` of the host's last answer.
    pub(super) fn dated(&self, market: Market) -> Option<Ts> {
        Some(Ts(self.host(market).dated.load(Ordering::Relaxed))).filter(|at| at.0 > 0)
    }

    /// How the exchange answers.
    pub(super) fn health(&self) -> RestHealth {
        self.tally.health([self.futures.gate.remaining(), self.spot.gate.remaining()])
    }

    /// Takes over the weight limit that the exchange reports, if so configured.
    pub(super) fn follow_limit(&self, market: Market, weight_per_minute: u32) {
        if self.config.limits.follows_exchange {
            self.host(market).weight.set_limit(weight_per_minute);
        }
    }

    /// Sends the request and reads its body with `parse`, repeating what is worth repeating.
    pub(super) async fn get<T>(
        &self,
        call: &Call,
        parse: impl Fn(&[u8]) -> Result<T, WireError>,
    ) -> Result<T, RestError> {
        let drawn = self.tally.requests.load(Ordering::Relaxed);
        let seed = self.config.seed ^ drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut backoff = Backoff::new(self.config.pauses.backoff_base, self.config.pauses.backoff_cap, seed);
        let mut attempt = 1;
        loop {
            let outcome = match self.attempt(call).await {
                Ok(body) => parse(&body).map_err(|source| RestError::Wire { endpoint: call.path, source }),
                Err(error) => Err(error),
            };
            let error = match outcome {
                Ok(parsed) => {
                    self.tally.succeeded();
                    return Ok(parsed);
                }
                Err(error) => error,
            };
            self.tally.failed(&error);
            let wait = error.retry_after().unwrap_or_else(|| backoff.next_wait());
            if !error.is_retryable()
                || attempt >= self.config.max_attempts
                || wait > self.config.pauses.patience
            {
                return Err(error);
            }
            tracing::warn!(endpoint = call.path, attempt, wait_ms = wait.as_millis() as u64, %error, "request failed, trying again");
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Vec<u8>, RestError> {
        let host = self.host(call.market);
        self.pass_gate(host, call.path).await?;
        match call.budget {
            Budget::Weight(weight) => host.weight.take(weight).await,
            Budget::FuturesData => self.futures_data.take(1).await,
            Budget::Funding => self.funding.take(1).await,
        }
        let _way = self.on_their_way.acquire().await;
        let _scout =
            if self.is_doubtful.load(Ordering::Relaxed) { Some(self.scout.lock().await) } else { None };
        // The exchange may have said stop to somebody else while this request waited for its turn.
        self.pass_gate(host, call.path).await?;
        self.tally.requests.fetch_add(1, Ordering::Relaxed);
        let transport = |e: reqwest::Error| RestError::Transport { endpoint: call.path, detail: chain(&e) };
        let url = format!("{}{}", host.base_url, call.path);
        let response = self.client.get(url).query(&call.query).send().await.map_err(transport)?;
        let status = response.status();
        let dated = text(response.headers(), "date").and_then(http_date);
        host.dated.store(dated.map_or(0, |at| at.0), Ordering::Relaxed);
        self.heed_used_weight(host, response.headers(), call.path);
        let headers = response.headers().clone();
        let body = self.read_capped(response, call.path).await?;
        if status.is_success() {
            host.bans.store(0, Ordering::Relaxed);
            self.is_doubtful.store(false, Ordering::Relaxed);
            return Ok(body);
        }
        Err(self.failure(host, call.path, status, &headers, &body))
    }

    /// Waits while the host is shut, unless that takes longer than the caller should be held.
    async fn pass_gate(&self, host: &Host, endpoint: &'static str) -> Result<(), RestError> {
        loop {
            let wait = host.gate.remaining();
            if wait.is_zero() {
                return Ok(());
            }
            if wait > self.config.pauses.patience {
                let message = "still within an earlier stop".to_owned();
                return Err(RestError::Stopped { endpoint, status: 429, message, wait });
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// The header exists in several spellings; `HeaderMap` compares names without case.
    fn heed_used_weight(&self, host: &Host, headers: &HeaderMap, endpoint: &'static str) {
        let Some(used) = text(headers, "x-mbx-used-weight-1m").and_then(|v| v.trim().parse::<u32>().ok())
        else {
            return;
        };
        if std::ptr::eq(host, &self.futures) {
            self.tally.used_weight.store(used, Ordering::Relaxed);
        }
        if host.weight.is_nearly_spent(used) {
            let pause = rest_of_minute(text(headers, "date"));
            tracing::warn!(
                endpoint,
                used,
                limit = host.weight.limit(),
                pause_s = pause.as_secs(),
                "request weight nearly spent, waiting for the next minute"
            );
            host.gate.shut_for(pause);
        }
    }

    async fn read_capped(
        &self,
        mut response: Response,
        endpoint: &'static str,
    ) -> Result<Vec<u8>, RestError> {
        let cap_bytes = self.config.response_cap_bytes;
        let too_large = || RestError::TooLarge { endpoint, cap_bytes };
        let announced = response.content_length().unwrap_or(0);
        if announced > cap_bytes as u64 {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(announced as usize);
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|e| RestError::Transport { endpoint, detail: chain(&e) })?;
            let Some(chunk) = chunk else { return Ok(body) };
            if body.len() + chunk.len() > cap_bytes {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
    }

    fn failure(
        &self,
        host: &Host,
        endpoint: &'static str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> RestError {
        let refusal = parse_refusal(body);
        let code = refusal.as_ref().map_or(0, |(code, _)| *code);
        let message = match refusal {
            Some((_, message)) => message,
            None => excerpt(body),
        };
        let pauses = &self.config.pauses;
        let stop = |wait: Duration| {
            host.gate.shut_for(wait);
            self.is_doubtful.store(true, Ordering::Relaxed);
            if status.as_u16() == 418 {
                // It is the address that is banned, whichever host says so.
                self.futures.gate.shut_for(wait);
                self.spot.gate.shut_for(wait);
            }
            RestError::Stopped { endpoint, status: status.as_u16(), message: message.clone(), wait }
        };
        match status.as_u16() {
            429 => stop(self.stated_wait(headers, &message).unwrap_or(pauses.rate_limited)),
            418 => {
                let bans = host.bans.fetch_add(1, Ordering::Relaxed);
                let doubled = pauses.banned.saturating_mul(1 << bans.min(12)).min(LONGEST_BAN);
                stop(self.stated_wait(headers, &message).unwrap_or(doubled))
            }
            403 => stop(self.stated_wait(headers, &message).unwrap_or(pauses.firewall)),
            451 => RestError::Location { endpoint },
            // -1003 sometimes comes with another status.
            _ if code == -1003 => stop(self.stated_wait(headers, &message).unwrap_or(pauses.rate_limited)),
            408 | 500..=599 => RestError::Server { endpoint, status: status.as_u16(), message },
            status => RestError::Refused { endpoint, status, code, message },
        }
    }

    /// `Retry-After` in seconds, or the ban's end in the text.
    fn stated_wait(&self, headers: &HeaderMap, message: &str) -> Option<Duration> {
        let header =
            text(headers, "retry-after").and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
        let wait = header.or_else(|| Some(self.clock.wall_until(banned_until(message)?)))?;
        Some(wait.min(LONGEST_BAN))
    }

    const fn host(&self, market: Market) -> &Host {
        match market {
            Market::Perp => &self.futures,
            Market::Spot => &self.spot,
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The instant in "… banned until 1615183669840. …".
fn banned_until(message: &str) -> Option<Ts> {
    let (_, after) = message.split_once("banned until ")?;
    let digits: &str = after.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(Ts)
}

/// The instant of a `Date` header ("Wed, 15 Jul 2026 06:51:58 GMT").
fn http_date(text: &str) -> Option<Ts> {
    let at = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(Ts(at.timestamp().as_millisecond()))
}

/// Time until the exchange's minute is over, from its `Date` header ("Wed, 15 Jul 2026 06:51:58 GMT"); a
/// whole minute when there is none. One second more, because the header has no fractions.
fn rest_of_minute(date: Option<&str>) -> Duration {
    let seconds = date
        .and_then(|d| d.trim().strip_suffix(" GMT"))
        .and_then(|d| d.rsplit(':').next())
        .and_then(|s| s.parse::<u64>().ok())
        .filter(|s| *s < 60)
        .unwrap_or(0);
    Duration::from_secs(61 - seconds)
}

/// The beginning of a body that is no error object (HTML of a firewall, nothing at all).
fn excerpt(body: &[u8]) -> String {
    let head = String::from_utf8_lossy(&body[..body.len().min(4 * MESSAGE_CHARS)]);
    let line = head.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "empty body".to_owned() } else { line.chars().take(MESSAGE_CHARS).collect() }
}

/// The error with its causes: the outermost one of the HTTP client says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_ban_is_read_from_the_real_text() {
        let text = "Way too many requests; IP(1.2.3.4) banned until 1615183669840. Please use the websocket \
                    for live updates to avoid bans.";
        assert_eq!(banned_until(text), Some(Ts(1_615_183_669_840)));
        assert_eq!(banned_until("Too many requests; current limit is 2400 requests per minute."), None);
    }

    #[test]
    fn a_date_header_is_an_instant() {
        assert_eq!(http_date("Wed, 15 Jul 2026 06:51:58 GMT"), Some(Ts(1_784_098_318_000)));
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn the_rest_of_the_minute_comes_from_the_date_header() {
        assert_eq!(rest_of_minute(Some("Wed, 15 Jul 2026 06:51:58 GMT")), Duration::from_secs(3));
        assert_eq!(rest_of_minute(None), Duration::from_secs(61));
        assert_eq!(rest_of_minute(Some("soon")), Duration::from_secs(61));
    }

    #[test]
    fn a_firewall_page_is_quoted_in_one_line() {
        assert_eq!(excerpt(b"<html>\n <h1>403</h1>\n</html>"), "<html> <h1>403</h1> </html>");
        assert_eq!(excerpt(b""), "empty body");
    }
}
