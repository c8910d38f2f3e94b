//! Open interest, now and before.

use serde::Deserialize;

use super::read;
use crate::wire::WireError;
use crate::wire::scalar::Scalar;
use backtestd_core::market::{BAR_MS, OpenInterest, Symbol, Ts};

/// Length of the history's grid (the 5-minute period is the only one asked for).
const OPEN_INTEREST_GRID_MS: i64 = BAR_MS;

/// One open-interest value.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenInterestRow {
    /// The contract.
    pub symbol: Symbol,
    /// The snapshot; zero contracts are a defect of the source and stand as NaN.
    pub value: OpenInterest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOpenInterest<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    open_interest: Scalar<'a>,
    #[serde(borrow)]
    time: Scalar<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOpenInterestHist<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    sum_open_interest: Scalar<'a>,
    #[serde(borrow)]
    sum_open_interest_value: Scalar<'a>,
    #[serde(borrow)]
    timestamp: Scalar<'a>,
}

fn unless_zero(x: f64) -> f64 {
    if x == 0.0 { f64::NAN } else { x }
}

/// `/fapi/v1/openInterest`: the current value; the quote value is not part of it.
///
/// # Errors
/// When the body is not such an object.
pub fn parse_open_interest(body: &[u8]) -> Result<OpenInterestRow, WireError> {
    const WHAT: &str = "openInterest response";
    let row: RawOpenInterest<'_> = read(body, WHAT)?;
    Ok(OpenInterestRow {
        symbol: row.symbol.symbol(WHAT, "symbol")?,
        value: OpenInterest {
            ts: row.time.time(WHAT, "time")?,
            contracts: unless_zero(row.open_interest.amount(WHAT, "openInterest")?),
            value: f64::NAN,
        },
    })
}

/// `/futures/data/openInterestHist` with period 5m; labels are floored to the grid.
///
/// # Errors
/// When the body is not an array of such rows.
pub fn parse_open_interest_hist(body: &[u8]) -> Result<Vec<OpenInterestRow>, WireError> {
    const WHAT: &str = "openInterestHist row";
    let rows: Vec<RawOpenInterestHist<'_>> = read(body, "openInterestHist response")?;
    rows.iter()
        .map(|row| {
            let ts = row.timestamp.time(WHAT, "timestamp")?;
            Ok(OpenInterestRow {
                symbol: row.symbol.symbol(WHAT, "symbol")?,
                value: OpenInterest {
                    ts: Ts(ts.0 - ts.0.rem_euclid(OPEN_INTEREST_GRID_MS)),
                    contracts: unless_zero(row.sum_open_interest.amount(WHAT, "sumOpenInterest")?),
                    value: unless_zero(row.sum_open_interest_value.amount(WHAT, "sumOpenInterestValue")?),
                },
            })
        })
        .collect()
}
