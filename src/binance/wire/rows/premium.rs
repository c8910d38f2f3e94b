//! Mark, index and predicted rate of every contract now.

use serde::Deserialize;

use super::read;
use crate::update::MarkUpdate;
use crate::wire::WireError;
use crate::wire::scalar::Scalar;

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
    next_funding_time: Scalar<'a>,
    #[serde(borrow)]
    time: Scalar<'a>,
}

/// `/fapi/v1/premiumIndex` without a symbol. `lastFundingRate` is the running prediction; a contract without
/// a next settlement (delivery, or settled for good) says zero there and has none: NaN.
///
/// # Errors
/// When the body is not an array of such rows.
pub fn parse_premium_index(body: &[u8]) -> Result<Vec<MarkUpdate>, WireError> {
    const WHAT: &str = "premiumIndex row";
    let rows: Vec<RawPremium<'_>> = read(body, "premiumIndex response")?;
    let row = |raw: &RawPremium<'_>| {
        let next_funding_ts = raw.next_funding_time.time_if_any(WHAT, "nextFundingTime")?;
        let rate = raw.last_funding_rate.decimal_or_unknown(WHAT, "lastFundingRate")?;
        Ok(MarkUpdate {
            symbol: raw.symbol.symbol(WHAT, "symbol")?,
            mark: raw.mark_price.decimal(WHAT, "markPrice")?,
            index: raw.index_price.decimal(WHAT, "indexPrice")?,
            predicted_rate: if next_funding_ts.is_some() { rate } else { f64::NAN },
            next_funding_ts,
            event_ts: raw.time.time(WHAT, "time")?,
        })
    };
    rows.iter().map(row).collect()
}
