//! Best bids and asks.

use serde::Deserialize;

use super::one_or_many;
use crate::wire::WireError;
use crate::wire::scalar::Scalar;
use backtestd_core::market::{Symbol, Ts};

/// One row of `/ticker/bookTicker`.
#[derive(Clone, Debug, PartialEq)]
pub struct QuoteRow {
    /// The contract or pair.
    pub symbol: Symbol,
    /// Best bid; 0 when that side is empty.
    pub bid: f64,
    /// Quantity at the best bid.
    pub bid_quantity: f64,
    /// Best ask; 0 when that side is empty.
    pub ask: f64,
    /// Quantity at the best ask.
    pub ask_quantity: f64,
    /// Instant, futures only.
    pub ts: Option<Ts>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawQuote<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    bid_price: Scalar<'a>,
    #[serde(borrow)]
    bid_qty: Scalar<'a>,
    #[serde(borrow)]
    ask_price: Scalar<'a>,
    #[serde(borrow)]
    ask_qty: Scalar<'a>,
    #[serde(borrow, default)]
    time: Option<Scalar<'a>>,
}

/// `/fapi/v1/ticker/bookTicker` and `/api/v3/ticker/bookTicker`, for one symbol or several.
///
/// # Errors
/// When the body is neither such a row nor an array of them.
pub fn parse_book_tickers(body: &[u8]) -> Result<Vec<QuoteRow>, WireError> {
    const WHAT: &str = "bookTicker row";
    let rows: Vec<RawQuote<'_>> = one_or_many(body, "bookTicker response")?;
    rows.iter()
        .map(|row| {
            Ok(QuoteRow {
                symbol: row.symbol.symbol(WHAT, "symbol")?,
                bid: row.bid_price.amount(WHAT, "bidPrice")?,
                bid_quantity: row.bid_qty.amount(WHAT, "bidQty")?,
                ask: row.ask_price.amount(WHAT, "askPrice")?,
                ask_quantity: row.ask_qty.amount(WHAT, "askQty")?,
                ts: row.time.as_ref().map(|t| t.time(WHAT, "time")).transpose()?,
            })
        })
        .collect()
}
