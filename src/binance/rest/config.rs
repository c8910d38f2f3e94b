//! Settings of the REST client.

use std::time::Duration;

use crate::limits::Limits;

/// Settings of the REST client.
#[derive(Clone, Debug)]
pub struct RestConfig {
    /// USD-M host, scheme included; also serves `/futures/data/*`.
    pub futures_url: String,
    /// Spot host, scheme included.
    pub spot_url: String,
    /// Request limits that the client keeps to.
    pub limits: Limits,
    /// Time to get a connection.
    pub connect_timeout: Duration,
    /// Time for a whole request, body included.
    pub request_timeout: Duration,
    /// Largest body that is read.
    pub response_cap_bytes: usize,
    /// Attempts per request, the first one included.
    pub max_attempts: u32,
    /// How long the client waits after failures and refusals.
    pub pauses: Pauses,
    /// The client's clock is the exchange's: which bars have closed is not asked for.
    pub trusts_clock: bool,
    /// Seed of the jitter.
    pub seed: u64,
}

/// Waiting times, all in real time.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// First wait after a failure; doubles from there.
    pub backoff_base: Duration,
    /// Longest wait between two attempts.
    pub backoff_cap: Duration,
    /// After 429, when the exchange does not say how long.
    pub rate_limited: Duration,
    /// After the first 418, when the exchange does not say how long; doubles with each further ban.
    pub banned: Duration,
    /// After 403: the firewall forgets in minutes, not in seconds.
    pub firewall: Duration,
    /// Longest wait inside one call. A longer one is the caller's business: it gets the error with the time.
    pub patience: Duration,
}

impl Default for RestConfig {
    fn default() -> Self {
        Self {
            futures_url: "https://fapi.binance.com".to_owned(),
            spot_url: "https://api.binance.com".to_owned(),
            limits: Limits::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            response_cap_bytes: 32 << 20,
            max_attempts: 5,
            pauses: Pauses::default(),
            trusts_clock: false,
            seed: 0,
        }
    }
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            backoff_base: Duration::from_millis(200),
            backoff_cap: Duration::from_secs(10),
            rate_limited: Duration::from_secs(60),
            banned: Duration::from_secs(120),
            firewall: Duration::from_secs(300),
            patience: Duration::from_secs(90),
        }
    }
}

impl RestConfig {
    /// Both markets at one base URL, without limits: the simulated exchange.
    #[must_use]
    pub fn simulated(base_url: &str) -> Self {
        Self {
            futures_url: base_url.to_owned(),
            spot_url: base_url.to_owned(),
            limits: Limits::unlimited(),
            ..Self::default()
        }
    }
}
