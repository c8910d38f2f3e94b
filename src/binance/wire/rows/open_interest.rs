//! Open interest now; its history has the shape of all statistics.

use serde::Deserialize;

use super::read;
use super::statistics::unless_zero;
use crate::wire::WireError;
use crate::wire::scalar::Scalar;
use backtestd_core::market::{OpenInterest, Symbol};

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
