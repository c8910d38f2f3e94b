//! Funding: settlements, intervals, the running prediction.

use serde::Deserialize;

use super::{one_or_many, read};
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
    /// The contract.
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

/// One row of `/fapi/v1/fundingInfo`. Contracts without a row settle every 8 hours.
#[derive(Clone, Debug, PartialEq)]
pub struct FundingInfo {
    /// The contract.
    pub symbol: Symbol,
    /// Hours between settlements now; it changes over time.
    pub interval_hours: f64,
    /// Highest rate, decimal per interval.
    pub cap: f64,
    /// Lowest rate, decimal per interval.
    pub floor: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFundingInfo<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    adjusted_funding_rate_cap: Scalar<'a>,
    #[serde(borrow)]
    adjusted_funding_rate_floor: Scalar<'a>,
    #[serde(borrow)]
    funding_interval_hours: Scalar<'a>,
}

/// `/fapi/v1/fundingInfo`.
///
/// # Errors
/// When the body is not an array of such rows.
pub fn parse_funding_info(body: &[u8]) -> Result<Vec<FundingInfo>, WireError> {
    const WHAT: &str = "fundingInfo row";
    let rows: Vec<RawFundingInfo<'_>> = read(body, "fundingInfo response")?;
    rows.iter()
        .map(|row| {
            Ok(FundingInfo {
                symbol: row.symbol.symbol(WHAT, "symbol")?,
                interval_hours: row.funding_interval_hours.amount(WHAT, "fundingIntervalHours")?,
                cap: row.adjusted_funding_rate_cap.decimal_or_unknown(WHAT, "adjustedFundingRateCap")?,
                floor: row
                    .adjusted_funding_rate_floor
                    .decimal_or_unknown(WHAT, "adjustedFundingRateFloor")?,
            })
        })
        .collect()
}

/// One row of `/fapi/v1/premiumIndex`.
#[derive(Clone, Debug, PartialEq)]
pub struct PremiumIndex {
    /// The contract.
    pub symbol: Symbol,
    /// Mark price, quote currency.
    pub mark: f64,
    /// Index price, quote currency.
    pub index: f64,
    /// Prediction for the running interval (the wire calls it `lastFundingRate`), decimal per interval.
    pub predicted_rate: f64,
    /// Interest rate term, decimal per interval.
    pub interest_rate: f64,
    /// End of the running interval; `None` for delivery contracts.
    pub next_funding_ts: Option<Ts>,
    /// Instant of the values.
    pub ts: Ts,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPremium<'a> {
    #[serde(borrow)]
    symbol: Scalar<'a>,
    #[serde(borrow)]
    mark_price: Scalar<'a>,
    #[serde(borrow)]
    index_price: Scalar<'a>,
    #[serde(borrow)]
    last_funding_rate: Scalar<'a>,
    #[serde(borrow)]
    interest_rate: Scalar<'a>,
    #[serde(borrow)]
    next_funding_time: Scalar<'a>,
    #[serde(borrow)]
    time: Scalar<'a>,
}

/// `/fapi/v1/premiumIndex`, for one contract or all.
///
/// # Errors
/// When the body is neither such a row nor an array of them.
pub fn parse_premium_index(body: &[u8]) -> Result<Vec<PremiumIndex>, WireError> {
    const WHAT: &str = "premiumIndex row";
    let rows: Vec<RawPremium<'_>> = one_or_many(body, "premiumIndex response")?;
    rows.iter()
        .map(|row| {
            Ok(PremiumIndex {
                symbol: row.symbol.symbol(WHAT, "symbol")?,
                mark: row.mark_price.amount(WHAT, "markPrice")?,
                index: row.index_price.amount(WHAT, "indexPrice")?,
                predicted_rate: row.last_funding_rate.decimal_or_unknown(WHAT, "lastFundingRate")?,
                interest_rate: row.interest_rate.decimal_or_unknown(WHAT, "interestRate")?,
                next_funding_ts: row.next_funding_time.time_if_any(WHAT, "nextFundingTime")?,
                ts: row.time.time(WHAT, "time")?,
            })
        })
        .collect()
}
