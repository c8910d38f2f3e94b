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

use super::wire::{self, ExchangeInfo, PremiumIndex, QuoteRow};
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

    /// Contracts or pairs with their steps and status, and the limits in force, which the client adopts.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn exchange_info(&self, market: Market) -> Result<ExchangeInfo, RestError> {
        let (path, weight) = match market {
            Market::Perp => ("/fapi/v1/exchangeInfo", 1),
            Market::Spot => ("/api/v3/exchangeInfo", 20),
        };
        let call = Call { market, path, query: Vec::new(), budget: Budget::Weight(weight) };
        let info = self.http.get(&call, |body| wire::parse_exchange_info(body, market)).await?;
        if let Some(limit) = info.weight_per_minute() {
            self.http.follow_limit(market, limit);
        }
        Ok(info)
    }

    /// Mark price, index price and predicted funding, for one contract or all.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn premium_index(&self, symbol: Option<&Symbol>) -> Result<Vec<PremiumIndex>, RestError> {
        let (query, weight) = match symbol {
            Some(symbol) => (vec![("symbol", symbol.to_string())], 1),
            None => (Vec::new(), 10),
        };
        let path = "/fapi/v1/premiumIndex";
        let call = Call { market: Market::Perp, path, query, budget: Budget::Weight(weight) };
        self.http.get(&call, wire::parse_premium_index).await
    }

    /// Open interest now (it may lag by seconds: `ts` says its instant). The quote value is NaN.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn open_interest(&self, symbol: &Symbol) -> Result<OpenInterest, RestError> {
        let path = "/fapi/v1/openInterest";
        let query = vec![("symbol", symbol.to_string())];
        let call = Call { market: Market::Perp, path, query, budget: Budget::Weight(1) };
        Ok(self.http.get(&call, wire::parse_open_interest).await?.value)
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

    /// Best bid and ask of all contracts or pairs.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn book_tickers(&self, market: Market) -> Result<Vec<QuoteRow>, RestError> {
        let (path, weight) = match market {
            Market::Perp => ("/fapi/v1/ticker/bookTicker", 5),
            Market::Spot => ("/api/v3/ticker/bookTicker", 2),
        };
        let call = Call { market, path, query: Vec::new(), budget: Budget::Weight(weight) };
        self.http.get(&call, wire::parse_book_tickers).await
    }
}
