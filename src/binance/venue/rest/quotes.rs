//! Best bid and ask, mark price and premium.

use std::fmt::Write;

use crate::venue::state::Venue;
use crate::venue::text::decimal;
use backtestd_lab::sim::intrabar::{along, fraction};
use backtestd_lab::sim::{Series, mark_at};

use super::error::ApiError;
use super::params::Params;
use super::{Answer, Request};

pub(super) fn premium_weight(params: &Params) -> u32 {
    if params.text("symbol").is_some() { 1 } else { 10 }
}

pub(super) fn futures_book_weight(params: &Params) -> u32 {
    if params.text("symbol").is_some() { 2 } else { 5 }
}

pub(super) fn spot_book_weight(params: &Params) -> u32 {
    if params.text("symbol").is_some() { 2 } else { 4 }
}

/// One object for a symbol, an array without one.
pub(super) fn one_or_all(
    request: &Request<'_>,
    all: &[usize],
    make: impl Fn(usize) -> Option<String>,
) -> Answer {
    match request.params.optional_symbol(request.venue)? {
        Some(symbol) if all.contains(&symbol) => make(symbol).ok_or(ApiError::InvalidSymbol),
        Some(_) => Err(ApiError::InvalidSymbol),
        None => {
            let rows: Vec<String> = all.iter().filter_map(|&symbol| make(symbol)).collect();
            Ok(format!("[{}]", rows.join(",")))
        }
    }
}

/// The contracts or pairs that trade now.
pub(super) fn listed(request: &Request<'_>, series: Series) -> Vec<usize> {
    let is_there = |symbol: &usize| series != Series::Spot || request.venue.has_spot(*symbol);
    request.venue.trading(request.now).filter(is_there).collect()
}

pub(super) fn premium_index(request: &Request<'_>) -> Answer {
    let (venue, now) = (request.venue, request.now);
    one_or_all(request, &listed(request, Series::Perp), |symbol| {
        let bar = venue.market.running(symbol, now)?;
        let at = fraction(&bar, now);
        let predicted = venue.market.predicted_rate(symbol, now);
        Some(format!(
            "{{\"symbol\":\"{}\",\"markPrice\":\"{:.8}\",\"indexPrice\":\"{:.8}\",\"estimatedSettlePrice\":\"{:.8}\",\
             \"lastFundingRate\":\"{predicted:.8}\",\"interestRate\":\"{:.8}\",\"nextFundingTime\":{},\"time\":{}}}",
            venue.name(symbol),
            mark_at(&bar, at),
            along(bar.index, at),
            along(bar.index, at),
            venue.market.scenario().interest_rate_8h,
            venue.next_funding(symbol, now).0,
            now.0,
        ))
    })
}

fn book_row(venue: &Venue, symbol: usize, series: Series, now: backtestd_core::market::Ts) -> Option<String> {
    let book = venue.market.book(symbol, series, now)?;
    let digits = venue.market.digits(symbol, series);
    let mut out = format!(
        "{{\"symbol\":\"{}\",\"bidPrice\":\"{}\",\"bidQty\":\"{}\",\"askPrice\":\"{}\",\"askQty\":\"{}\"",
        venue.name(symbol),
        decimal(book.bid, digits.price),
        decimal(book.bid_quantity, digits.volume),
        decimal(book.ask, digits.price),
        decimal(book.ask_quantity, digits.volume),
    );
    if series == Series::Perp {
        let _ = write!(out, ",\"time\":{},\"lastUpdateId\":{}", now.0, book.update_id);
    }
    out.push('}');
    Some(out)
}

pub(super) fn futures_book(request: &Request<'_>) -> Answer {
    let all = listed(request, Series::Perp);
    one_or_all(request, &all, |symbol| book_row(request.venue, symbol, Series::Perp, request.now))
}

pub(super) fn spot_book(request: &Request<'_>) -> Answer {
    let mut all = listed(request, Series::Spot);
    if let Some(list) = request.params.text("symbols") {
        let names: Vec<String> =
            serde_json::from_str(list).map_err(|_| ApiError::InvalidParameter("symbols"))?;
        let wanted: Option<Vec<usize>> = names.iter().map(|name| request.venue.symbol(name)).collect();
        let wanted = wanted.ok_or(ApiError::InvalidSymbol)?;
        all.retain(|symbol| wanted.contains(symbol));
    }
    one_or_all(request, &all, |symbol| book_row(request.venue, symbol, Series::Spot, request.now))
}
