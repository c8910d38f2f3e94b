//! Settings of the websocket client.

use std::sync::Arc;
use std::time::Duration;

use super::liveness::Silence;
use crate::routes::Route;
use crate::update::Update;

/// Updates between the sockets and the daemon. At the highest rates seen on a few hundred symbols (some
/// 20,000 a second) it holds a quarter of a second; beyond that quotes merge and sockets wait.
pub(super) const QUEUE_UPDATES: usize = 8192;

/// Judges updates before they are handed over.
pub trait Sieve: std::fmt::Debug + Send + Sync {
    /// Why an update cannot be true; none if it can.
    fn doubt(&self, update: &Update) -> Option<String>;
}

/// Settings of the websocket client.
#[derive(Clone, Debug)]
pub struct WsConfig {
    /// USD-M stream host, scheme included, without a path.
    pub futures_url: String,
    /// Spot stream host, scheme included, without a path.
    pub spot_url: String,
    /// Streams per socket; the exchange allows 1024.
    pub streams_per_connection: usize,
    /// Age at which a socket is replaced, market time. The exchange drops it at 24 h.
    pub lifetime_ms: i64,
    /// Least real age at which a socket is replaced, whatever the clock's speed.
    pub lifetime_floor: Duration,
    /// How long the old socket stays beside the new one, real time. Both deliver; every consumer tolerates
    /// repeats.
    pub overlap: Duration,
    /// Time to connect and have every subscription acknowledged, real time.
    pub setup_timeout: Duration,
    /// First wait after a failure, real time; doubles from there.
    pub backoff_base: Duration,
    /// Longest wait between attempts, real time.
    pub backoff_cap: Duration,
    /// Longest normal pauses per kind.
    pub silence: Silence,
    /// Who says what cannot be true. None: everything that can be read is believed.
    pub sieve: Option<Arc<dyn Sieve>>,
    /// Seed of the jitter.
    pub seed: u64,
}

impl Default for WsConfig {
    fn default() -> Self {
        Self {
            futures_url: "wss://fstream.binance.com".to_owned(),
            spot_url: "wss://stream.binance.com:9443".to_owned(),
            streams_per_connection: 200,
            lifetime_ms: 23 * 3_600_000,
            lifetime_floor: Duration::from_secs(10),
            overlap: Duration::from_secs(5),
            setup_timeout: Duration::from_secs(30),
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(60),
            silence: Silence::default(),
            sieve: None,
            seed: 0,
        }
    }
}

impl WsConfig {
    /// The simulated exchange at one base URL (`ws://127.0.0.1:PORT`; spot below `/spot`), with short waits.
    #[must_use]
    pub fn simulated(base_url: &str) -> Self {
        Self {
            futures_url: base_url.to_owned(),
            spot_url: format!("{}/spot", base_url.trim_end_matches('/')),
            lifetime_floor: Duration::from_secs(1),
            overlap: Duration::from_millis(500),
            backoff_base: Duration::from_millis(50),
            backoff_cap: Duration::from_secs(2),
            ..Self::default()
        }
    }

    pub(super) fn url(&self, route: Route) -> String {
        let base = match route {
            Route::FuturesPublic | Route::FuturesMarket => &self.futures_url,
            Route::Spot => &self.spot_url,
        };
        format!("{}{}", base.trim_end_matches('/'), route.path())
    }
}
