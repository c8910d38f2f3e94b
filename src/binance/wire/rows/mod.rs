//! REST bodies.

mod day;
mod funding;
mod info;
mod klines;
mod premium;
mod statistics;

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use day::{DayRow, parse_days};
pub use funding::{FundingRow, RateType, parse_funding_rates};
pub use info::{ExchangeInfo, RateLimit, SymbolInfo, parse_exchange_info};
pub use klines::{KlineRow, Prices, parse_klines};
pub use premium::parse_premium_index;
pub use statistics::{StatisticsRow, parse_statistics};

use super::WireError;
use super::scalar::Scalar;
use backtestd_core::market::Ts;

/// Reads a body that borrows from it.
fn read<'de, T: Deserialize<'de>>(body: &'de [u8], what: &'static str) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|e| WireError::shape(what, &e, body))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawServerTime<'a> {
    #[serde(borrow)]
    server_time: Scalar<'a>,
}

/// `/fapi/v1/time`, `/api/v3/time`.
///
/// # Errors
/// When the body is not such an object.
pub fn parse_server_time(body: &[u8]) -> Result<Ts, WireError> {
    let raw: RawServerTime<'_> = read(body, "time response")?;
    raw.server_time.time("time response", "serverTime")
}

#[derive(Deserialize)]
struct RawRefusal {
    code: i64,
    #[serde(default)]
    msg: String,
}

/// The error body `{"code":-1121,"msg":"Invalid symbol."}`; `None` for anything else (a firewall answers in
/// HTML).
#[must_use]
pub fn parse_refusal(body: &[u8]) -> Option<(i64, String)> {
    owned::<RawRefusal>(body).map(|raw| (raw.code, raw.msg))
}

fn owned<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}
