//! Klines of all kinds.

use crate::venue::text::kline_row;
use backtestd_lab::sim::Series;

use super::error::ApiError;
use super::params::{Params, TooMany};
use super::{Answer, Request};

/// Weight by limit.
pub(super) fn weight(params: &Params) -> u32 {
    match params.text("limit").and_then(|text| text.parse::<u32>().ok()).unwrap_or(500) {
        0..100 => 1,
        100..500 => 2,
        500..=1000 => 5,
        _ => 10,
    }
}

/// Futures klines, mark, index (by `pair`) and premium index.
pub(super) fn futures(request: &Request<'_>, series: Series) -> Answer {
    let name = if series == Series::Index { "pair" } else { "symbol" };
    let symbol = request.params.symbol(request.venue, name)?;
    rows(request, symbol, series, 1500, TooMany::Refuse)
}

/// Klines by pair and contract type; only perpetuals are listed.
pub(super) fn continuous(request: &Request<'_>) -> Answer {
    let symbol = request.params.symbol(request.venue, "pair")?;
    match request.params.text("contractType") {
        None => Err(ApiError::MissingParameter("contractType")),
        Some("PERPETUAL") => rows(request, symbol, Series::Perp, 1500, TooMany::Refuse),
        Some(_) => Err(ApiError::InvalidParameter("contractType")),
    }
}

/// Answers `/api/v3/klines`, the klines of the spot market.
pub(super) fn spot(request: &Request<'_>) -> Answer {
    let symbol = request.params.symbol(request.venue, "symbol")?;
    if !request.venue.has_spot(symbol) {
        return Err(ApiError::InvalidSymbol);
    }
    rows(request, symbol, Series::Spot, 1000, TooMany::Clamp)
}

fn rows(request: &Request<'_>, symbol: usize, series: Series, maximum: usize, too_many: TooMany) -> Answer {
    let interval = request.params.interval()?;
    let range = request.params.range(500, maximum, too_many)?;
    let klines = request.venue.market.klines(symbol, series, interval, range, request.now);
    let mut out = String::with_capacity(16 + klines.len() * 150);
    out.push('[');
    for (i, kline) in klines.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        kline_row(&mut out, kline);
    }
    out.push(']');
    Ok(out)
}
