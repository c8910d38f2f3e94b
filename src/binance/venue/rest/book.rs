//! Order books and day statistics.

use crate::venue::depth::{LEVELS, depth as depth_at, levels};
use crate::venue::state::Venue;
use crate::venue::ticker::{Day, day as day_of};
use backtestd_lab::sim::Series;

use super::error::ApiError;
use super::params::{Params, TooMany};
use super::quotes::{listed, one_or_all};
use super::{Answer, Request};

pub(super) fn depth_weight(params: &Params) -> u32 {
    match params.text("limit").and_then(|text| text.parse::<u32>().ok()).unwrap_or(500) {
        0..100 => 2,
        100..500 => 5,
        500..1000 => 10,
        _ => 20,
    }
}

pub(super) fn day_weight(params: &Params) -> u32 {
    if params.text("symbol").is_some() { 1 } else { 40 }
}

pub(super) fn price_weight(params: &Params) -> u32 {
    if params.text("symbol").is_some() { 1 } else { 2 }
}

/// The best levels, at most as many as the book has.
pub(super) fn depth(request: &Request<'_>, series: Series) -> Answer {
    let venue = request.venue;
    let symbol = request.params.symbol_of(venue, series)?;
    let limit = request.params.range(500, 5000, TooMany::Clamp)?.limit.min(LEVELS);
    let book =
        depth_at(venue, symbol, series, request.now, venue.depth_step_ms()).ok_or(ApiError::InvalidSymbol)?;
    let times = match series {
        Series::Spot => String::new(),
        _ => format!("\"E\":{},\"T\":{},", request.now.0, request.now.0),
    };
    Ok(format!(
        "{{\"lastUpdateId\":{},{times}\"bids\":{},\"asks\":{}}}",
        book.update_id,
        levels(&book.bids[..limit.min(book.bids.len())]),
        levels(&book.asks[..limit.min(book.asks.len())]),
    ))
}

/// The last day in numbers.
pub(super) fn day(request: &Request<'_>, series: Series) -> Answer {
    one_or_all(request, &listed(request, series), |symbol| {
        day_of(request.venue, symbol, series, request.now)
            .map(|day| day_row(request.venue, symbol, series, &day))
    })
}

fn day_row(venue: &Venue, symbol: usize, series: Series, day: &Day) -> String {
    let digits = venue.market.digits(symbol, series);
    let (p, v) = (digits.price, digits.volume);
    let quote = if series == Series::Spot {
        format!(
            "\"prevClosePrice\":\"{:.p$}\",\"bidPrice\":\"{:.p$}\",\"bidQty\":\"{:.v$}\",\"askPrice\":\"{:.p$}\",\"askQty\":\"{:.v$}\",",
            day.open, day.book.bid, day.book.bid_quantity, day.book.ask, day.book.ask_quantity
        )
    } else {
        String::new()
    };
    format!(
        "{{\"symbol\":\"{}\",\"priceChange\":\"{:.p$}\",\"priceChangePercent\":\"{:.3}\",\"weightedAvgPrice\":\"{:.p$}\",{quote}\
         \"lastPrice\":\"{:.p$}\",\"lastQty\":\"{:.v$}\",\"openPrice\":\"{:.p$}\",\"highPrice\":\"{:.p$}\",\"lowPrice\":\"{:.p$}\",\
         \"volume\":\"{:.v$}\",\"quoteVolume\":\"{:.2}\",\"openTime\":{},\"closeTime\":{},\"firstId\":{},\"lastId\":{},\"count\":{}}}",
        venue.name(symbol),
        day.close - day.open,
        (day.close / day.open - 1.0) * 100.0,
        day.average(),
        day.close,
        day.book.bid_quantity,
        day.open,
        day.high,
        day.low,
        day.volume,
        day.quote_volume,
        day.from.0,
        day.until.0,
        day.ids.0,
        day.ids.1,
        day.trades,
    )
}

/// The last price.
pub(super) fn price(request: &Request<'_>, series: Series) -> Answer {
    one_or_all(request, &listed(request, series), |symbol| {
        let (venue, now) = (request.venue, request.now);
        let bar = venue.market.running(symbol, now)?;
        let price = venue.market.last_price(symbol, series, &bar, now)?;
        let digits = venue.market.digits(symbol, series).price;
        let time = if series == Series::Spot { String::new() } else { format!(",\"time\":{}", now.0) };
        Some(format!("{{\"symbol\":\"{}\",\"price\":\"{price:.digits$}\"{time}}}", venue.name(symbol)))
    })
}

/// Mean price of the last five minutes.
pub(super) fn average(request: &Request<'_>) -> Answer {
    const MINUTES: i64 = 5;
    let (venue, now) = (request.venue, request.now);
    let symbol = request.params.spot_symbol(venue)?;
    let bar = venue.market.finished(symbol, now).and_then(|bar| bar.spot).ok_or(ApiError::InvalidSymbol)?;
    let mean = if bar.volume > 0.0 { bar.quote_volume / bar.volume } else { bar.close };
    Ok(format!("{{\"mins\":{MINUTES},\"price\":\"{mean:.8}\",\"closeTime\":{}}}", now.0))
}
