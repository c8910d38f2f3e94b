//! The REST client for public market data: history, repair of gaps, and what streams do not carry.
//!
//! Every request goes through the limiter, obeys the exchange's stop signs (429, 418, 403) for all requests
//! of its host, repeats what is worth repeating with capped, jittered waits, and reads at most a capped
//! number of bytes.

mod config;
mod error;
mod funding;
mod health;
mod history;
mod http;
mod klines;
mod statistics;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub use config::{Pauses, RestConfig};
pub use error::RestError;
pub use funding::{FundingRecord, interval_hours};
pub use health::RestHealth;
pub use history::HistoryPage;
pub use http::install_tls;
pub use klines::{Hole, KlineRange, MarkRange};

use super::update::MarkUpdate;
use super::wire::{self, DayRow, ExchangeInfo};
use backtestd_core::clock::Clock;
use backtestd_core::market::{Market, Symbol, Ts};
use http::{Budget, Call, Http};

/// Weight of the day statistics of all contracts.
const ALL_DAYS_WEIGHT: u32 = 40;
/// Weight of the marks of all contracts.
const ALL_MARKS_WEIGHT: u32 = 10;

/// The client. Cheap to clone: clones share connections and limits.
#[derive(Clone, Debug)]
pub struct Rest {
    http: Arc<Http>,
    /// Latest time each market's server has shown, by `Market as usize`.
    server_times: Arc<[AtomicI64; 2]>,
}

impl Rest {
    /// A client for the hosts of `config`. The clock reads the end of a ban; limits run on real time.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(config: RestConfig, clock: Arc<dyn Clock>) -> Result<Self, RestError> {
        let http = Arc::new(Http::new(config, clock)?);
        Ok(Self { http, server_times: Arc::new([AtomicI64::new(0), AtomicI64::new(0)]) })
    }

    /// How the exchange answers, and whether it wants us to wait.
    #[must_use]
    pub fn health(&self) -> RestHealth {
        self.http.health()
    }

    /// The exchange's clock.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn server_time(&self, market: Market) -> Result<Ts, RestError> {
        let path = match market {
            Market::Perp => "/fapi/v1/time",
            Market::Spot => "/api/v3/time",
        };
        let call = Call { market, path, query: Vec::new(), budget: Budget::Weight(1) };
        let now = self.http.get(&call, wire::parse_server_time).await?;
        self.server_times[market as usize].fetch_max(now.0, Ordering::Relaxed);
        Ok(now)
    }

    /// The `Date` of the host's last answer, where it had one: another clock than that of `/time`, to the
    /// second.
    #[must_use]
    pub fn dated(&self, market: Market) -> Option<Ts> {
        self.http.dated(market)
    }

    /// Contracts or pairs with their steps and status, and the limits in force, which the client takes over.
    /// Of spot pairs those of `only`, unless it is empty: all of them are megabytes. Contracts come all at
    /// once.
    ///
    /// # Errors
    /// See [`RestError`]. For one unknown pair of `only` the exchange refuses the whole request
    /// ([`RestError::is_unknown_symbol`]).
    pub async fn exchange_info(&self, market: Market, only: &[Symbol]) -> Result<ExchangeInfo, RestError> {
        let (path, weight) = match market {
            Market::Perp => ("/fapi/v1/exchangeInfo", 1),
            Market::Spot => ("/api/v3/exchangeInfo", 20),
        };
        let mut query = Vec::new();
        if market == Market::Spot && !only.is_empty() {
            let names: Vec<String> = only.iter().map(|symbol| format!("\"{symbol}\"")).collect();
            query.push(("symbols", format!("[{}]", names.join(","))));
        }
        let call = Call { market, path, query, budget: Budget::Weight(weight) };
        let info = self.http.get(&call, wire::parse_exchange_info).await?;
        if let Some(limit) = info.weight_per_minute() {
            self.http.follow_limit(market, limit);
        }
        Ok(info)
    }

    /// What was traded of every contract within the last day, in one request.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn days(&self) -> Result<Vec<DayRow>, RestError> {
        let path = "/fapi/v1/ticker/24hr";
        let call =
            Call { market: Market::Perp, path, query: Vec::new(), budget: Budget::Weight(ALL_DAYS_WEIGHT) };
        self.http.get(&call, wire::parse_days).await
    }

    /// Mark, index and predicted rate of every contract now, in one request.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn marks(&self) -> Result<Vec<MarkUpdate>, RestError> {
        let path = "/fapi/v1/premiumIndex";
        let call =
            Call { market: Market::Perp, path, query: Vec::new(), budget: Budget::Weight(ALL_MARKS_WEIGHT) };
        self.http.get(&call, wire::parse_premium_index).await
    }
}
