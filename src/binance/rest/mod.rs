//! The REST client for public market data: history, repair of gaps, and what streams do not carry.
//!
//! Every request goes through the limiter, obeys the exchange's stop signs (429, 418, 403) for all requests of its
//! host, repeats what is worth repeating with capped, jittered waits, and reads at most a capped number of bytes.

mod config;
mod error;
mod funding;
mod http;
mod klines;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub use config::{Pauses, RestConfig};
pub use error::RestError;
pub use funding::FundingRecord;
pub use http::install_tls;
pub use klines::{Hole, KlineRange};

use super::wire::{self, ExchangeInfo};
use backtestd_core::clock::Clock;
use backtestd_core::market::{BAR_MS, Market, OpenInterest, Symbol, Ts};
use http::{Budget, Call, Http};

/// Rows per open-interest request.
const OPEN_INTEREST_PAGE_ROWS: i64 = 500;

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

    /// Contracts or pairs with their steps and status, and the limits in force, which the client takes over. Of spot pairs
    /// those of `only`, unless it is empty: all of them are megabytes. Contracts come all at once.
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

    /// 5-minute open interest labelled within `[from, to)`, ascending, each label once. The exchange keeps 30 days.
    ///
    /// Whether a label is the start or the end of its period changed in 2026 for the archive and is unknown here:
    /// a value must not be used before its label + 5 minutes.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn open_interest_hist(
        &self,
        symbol: &Symbol,
        from: Ts,
        to: Ts,
    ) -> Result<Vec<OpenInterest>, RestError> {
        let path = "/futures/data/openInterestHist";
        let mut values: Vec<OpenInterest> = Vec::new();
        // Windows that fit into one answer: which end of a longer range would come is not documented.
        let mut start = from.0;
        while start < to.0 {
            let end = to.0.min(start + OPEN_INTEREST_PAGE_ROWS * BAR_MS);
            let query = vec![
                ("symbol", symbol.to_string()),
                ("period", "5m".to_owned()),
                ("limit", OPEN_INTEREST_PAGE_ROWS.to_string()),
                ("startTime", start.to_string()),
                ("endTime", (end - 1).to_string()),
            ];
            let call = Call { market: Market::Perp, path, query, budget: Budget::FuturesData };
            let rows = self.http.get(&call, wire::parse_open_interest_hist).await?;
            values.extend(rows.into_iter().filter(|row| row.symbol == *symbol).map(|row| row.value));
            start = end;
        }
        values.retain(|value| value.ts >= from && value.ts < to);
        // A defective repeat of a label (unknown contracts) must not win over the good one.
        values.sort_by_key(|value| (value.ts, value.contracts.is_nan()));
        values.dedup_by_key(|value| value.ts);
        Ok(values)
    }
}
