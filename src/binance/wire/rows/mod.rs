//! REST bodies.

mod funding;
mod info;
mod klines;
mod open_interest;
mod quotes;

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use funding::{
    FundingInfo, FundingRow, PremiumIndex, RateType, parse_funding_info, parse_funding_rates,
    parse_premium_index,
};
pub use info::{ExchangeInfo, RateLimit, SymbolInfo, parse_exchange_info};
pub use klines::{KlineRow, Prices, parse_klines};
pub use open_interest::{OpenInterestRow, parse_open_interest, parse_open_interest_hist};
pub use quotes::{QuoteRow, parse_book_tickers};

use super::WireError;
use super::scalar::Scalar;
use backtestd_core::market::Ts;

/// Reads a body that borrows from it.
fn read<'de, T: Deserialize<'de>>(body: &'de [u8], what: &'static str) -> Result<T, WireError> {
    serde_json::from_slice(body).map_err(|e| WireError::shape(what, &e, body))
}

/// A body that is one object or an array of them, told apart by its first character.
fn one_or_many<'de, T: Deserialize<'de>>(body: &'de [u8], what: &'static str) -> Result<Vec<T>, WireError> {
    match body.iter().find(|b| !b.is_ascii_whitespace()) {
        Some(b'{') => Ok(vec![read(body, what)?]),
        _ => read(body, what),
    }
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

/// The error body `{"code":-1121,"msg":"Invalid symbol."}`; `None` for anything else (a firewall answers in HTML).
#[must_use]
pub fn parse_refusal(body: &[u8]) -> Option<(i64, String)> {
    owned::<RawRefusal>(body).map(|raw| (raw.code, raw.msg))
}

fn owned<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}
