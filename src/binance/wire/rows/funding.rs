//! Funding: settlements.

use serde::Deserialize;

use super::read;
use crate::wire::WireError;
use crate::wire::scalar::Scalar;
use backtestd_core::market::{Symbol, Ts};

/// Kind of a funding settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RateType {
    /// The row does not say (before 2026-07-23) or says Regular.
    Regular,
    /// An extraordinary settlement between the regular ones.
    Special,
}

/// One row of `/fapi/v1/fundingRate`.
#[derive(Clone, Debug, PartialEq)]
pub struct FundingRow {
    /// The contract that settled.
    pub symbol: Symbol,
    /// Settlement time as sent, with its jitter of some milliseconds.
    pub raw_ts: Ts,
    /// Realised rate, decimal per interval.
    pub rate: f64,
    /// Mark price at settlement; NaN on old rows.
    pub mark_price: f64,
    /// Regular or special.
    pub rate_type: RateType,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFunding<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    funding_time: Scalar<'a>,
    #[serde(borrow)]
    funding_rate: Scalar<'a>,
    #[serde(borrow, default)]
    mark_price: Option<Scalar<'a>>,
    #[serde(borrow, default)]
    rate_type: Option<Scalar<'a>>,
}

/// `/fapi/v1/fundingRate`.
///
/// # Errors
/// When the body is not an array of such rows.
pub fn parse_funding_rates(body: &[u8]) -> Result<Vec<FundingRow>, WireError> {
    const WHAT: &str = "fundingRate row";
    let rows: Vec<RawFunding<'_>> = read(body, "fundingRate response")?;
    rows.iter()
        .map(|row| {
            let rate_type = match &row.rate_type {
                None | Some(Scalar::Null) => RateType::Regular,
                Some(text) => match text.text(WHAT, "rateType")? {
                    "Special" => RateType::Special,
                    _ => RateType::Regular,
                },
            };
            Ok(FundingRow {
                symbol: row.symbol.symbol(WHAT, "symbol")?,
                raw_ts: row.funding_time.time(WHAT, "fundingTime")?,
                rate: row.funding_rate.decimal(WHAT, "fundingRate")?,
                mark_price: match &row.mark_price {
                    Some(price) => price.decimal_or_unknown(WHAT, "markPrice")?,
                    None => f64::NAN,
                },
                rate_type,
            })
        })
        .collect()
}
