//! The last twenty-four hours of every contract.

use serde::Deserialize;

use super::read;
use crate::wire::WireError;
use crate::wire::scalar::Scalar;
use backtestd_core::market::Symbol;

/// What was traded of a contract within a day.
#[derive(Clone, Debug, PartialEq)]
pub struct DayRow {
    /// Name of the contract.
    pub symbol: Symbol,
    /// Value of the trades, quote currency.
    pub quote_volume: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDay<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    quote_volume: Scalar<'a>,
}

/// `/fapi/v1/ticker/24hr` without a symbol.
///
/// # Errors
/// When the body is not an array of such rows.
pub fn parse_days(body: &[u8]) -> Result<Vec<DayRow>, WireError> {
    const WHAT: &str = "ticker/24hr row";
    let rows: Vec<RawDay<'_>> = read(body, WHAT)?;
    let row = |raw: &RawDay<'_>| {
        Ok(DayRow {
            symbol: raw.symbol.symbol(WHAT, "symbol")?,
            quote_volume: raw.quote_volume.amount(WHAT, "quoteVolume")?,
        })
    };
    rows.iter().map(row).collect()
}
