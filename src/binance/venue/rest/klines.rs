//! Klines of all kinds.

use crate::venue::falsify;
use crate::venue::text::kline_row;
use backtestd_core::market::{BAR_MS, Ts};
use backtestd_lab::sim::{Interval, Kline, Range, Series};

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
        Some("PERPETUAL" | "TRADIFI_PERPETUAL") => rows(request, symbol, Series::Perp, 1500, TooMany::Refuse),
        Some(_) => Err(ApiError::InvalidParameter("contractType")),
    }
}

/// Answers `/api/v3/klines` and `/api/v3/uiKlines`, the klines of the spot market.
pub(super) fn spot(request: &Request<'_>) -> Answer {
    let symbol = request.params.spot_symbol(request.venue)?;
    rows(request, symbol, Series::Spot, 1000, TooMany::Clamp)
}

fn rows(request: &Request<'_>, symbol: usize, series: Series, maximum: usize, too_many: TooMany) -> Answer {
    let interval = request.params.interval()?;
    let range = request.params.range(500, maximum, too_many)?;
    let mut klines = existing(request, symbol, series, interval, range);
    if interval.ms == BAR_MS && matches!(series, Series::Perp | Series::Spot) {
        for kline in &mut klines {
            if falsify::is_uncorrected(request.venue, symbol, series, kline, request.now) {
                falsify::wrong(kline);
            }
        }
    }
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

/// The klines of a range while the contract traded: what was delisted leaves a gap that rows after it make up
/// for.
fn existing(
    request: &Request<'_>,
    symbol: usize,
    series: Series,
    interval: Interval,
    range: Range,
) -> Vec<Kline> {
    let (market, now) = (&request.venue.market, request.now);
    let traded = request.venue.traded(symbol);
    let page = |from: i64, to: i64, limit: usize| {
        let within = Range { start: Some(from), end: Some(to - 1), limit };
        market.klines(symbol, series, interval, within, now)
    };
    let (start, end) = (range.start.unwrap_or(0), range.end.map_or(now.0, |end| end.min(now.0)) + 1);
    let stretches = traded.iter().map(|&(from, to)| (from.0.max(start), to.0.min(end))).filter(|s| s.0 < s.1);
    let mut found: Vec<Kline> = Vec::new();
    if range.start.is_some() {
        for (from, to) in stretches {
            found.extend(page(from, to, range.limit - found.len()));
            if found.len() >= range.limit {
                break;
            }
        }
        return found;
    }
    for (from, to) in stretches.rev() {
        let wanted = range.limit - found.len();
        let reach = interval.ms * i64::try_from(wanted).unwrap_or(1);
        let mut earlier = page(from.max(interval.open_of(Ts(to - 1)).0 + interval.ms - reach), to, wanted);
        earlier.append(&mut found);
        found = earlier;
        if found.len() >= range.limit {
            break;
        }
    }
    found
}
