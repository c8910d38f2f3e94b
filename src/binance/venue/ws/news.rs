//! Frames of trades, books, day statistics and listings.

use backtestd_core::market::{BAR_MS, Ts};
use backtestd_lab::sim::{Contract, FaultKind, Listing, Print, Series};

use crate::venue::depth::{changes, depth as depth_at, levels as written};
use crate::venue::state::Venue;
use crate::venue::text::decimal;
use crate::venue::ticker::{Day, day};

use super::frames::Frame;
use super::stream::{Route, series};

/// Trades of a stretch, aggregated or (as many as there are prints) single.
pub(super) fn trades(
    venue: &Venue,
    route: Route,
    symbol: usize,
    is_single: bool,
    after: Ts,
    until: Ts,
) -> Vec<Frame> {
    let mut frames = Vec::new();
    // At most a bar of trades is made up for.
    let after = Ts(after.0.max(until.0 - BAR_MS));
    let mut bar = after.bar();
    while bar <= until.bar() {
        for print in venue.market.prints(symbol, series(route), bar, venue.print_step_ms()) {
            if after < print.at && print.at <= until && venue.is_trading(symbol, print.at) {
                let json = if is_single {
                    single(venue, route, symbol, &print)
                } else {
                    aggregated(venue, route, symbol, &print)
                };
                frames.push(Frame { at: print.at, json, symbol: Some(symbol) });
            }
        }
        bar = bar.next();
    }
    frames
}

fn aggregated(venue: &Venue, route: Route, symbol: usize, print: &Print) -> String {
    let digits = venue.market.digits(symbol, series(route));
    let (price, quantity) = (decimal(print.price, digits.price), decimal(print.quantity, digits.volume));
    let tail = match route {
        Route::Spot => "\"M\":true".to_owned(),
        _ => format!("\"nq\":\"{quantity}\",\"st\":1"),
    };
    format!(
        "{{\"e\":\"aggTrade\",\"E\":{at},\"a\":{},\"s\":\"{}\",\"p\":\"{price}\",\"q\":\"{quantity}\",\"f\":{},\"l\":{},\"T\":{at},\
         \"m\":{},{tail}}}",
        print.id,
        venue.name(symbol),
        print.ids.0,
        print.ids.1,
        print.is_buyer_maker,
        at = print.at.0,
    )
}

fn single(venue: &Venue, route: Route, symbol: usize, print: &Print) -> String {
    let digits = venue.market.digits(symbol, series(route));
    let tail = if route == Route::Spot { "\"M\":true" } else { "\"X\":\"MARKET\",\"st\":1" };
    format!(
        "{{\"e\":\"trade\",\"E\":{at},\"T\":{at},\"s\":\"{}\",\"t\":{},\"p\":\"{}\",\"q\":\"{}\",\"m\":{},{tail}}}",
        venue.name(symbol),
        print.ids.1,
        decimal(print.price, digits.price),
        decimal(print.quantity, digits.volume),
        print.is_buyer_maker,
        at = print.at.0,
    )
}

/// A book's differences since the step before, or its best levels.
pub(super) fn depth(
    venue: &Venue,
    route: Route,
    symbol: usize,
    levels: Option<usize>,
    period_ms: i64,
    at: Ts,
) -> Option<String> {
    let book = depth_at(venue, symbol, series(route), at, period_ms)?;
    let before = depth_at(venue, symbol, series(route), Ts(at.0 - period_ms), period_ms)?;
    let (bids, asks) = match levels {
        Some(n) => {
            (book.bids[..n.min(book.bids.len())].to_vec(), book.asks[..n.min(book.asks.len())].to_vec())
        }
        None => (changes(&before.bids, &book.bids), changes(&before.asks, &book.asks)),
    };
    let (bids, asks) = (written(&bids), written(&asks));
    let name = venue.name(symbol);
    let (first, last, previous) = (before.update_id + 1, book.update_id, before.update_id);
    Some(match (route, levels) {
        (Route::Spot, Some(_)) => format!("{{\"lastUpdateId\":{last},\"bids\":{bids},\"asks\":{asks}}}"),
        (Route::Spot, None) => format!(
            "{{\"e\":\"depthUpdate\",\"E\":{},\"s\":\"{name}\",\"U\":{first},\"u\":{last},\"b\":{bids},\"a\":{asks}}}",
            at.0
        ),
        _ => format!(
            "{{\"e\":\"depthUpdate\",\"E\":{at},\"T\":{at},\"s\":\"{name}\",\"ps\":\"{name}\",\"U\":{first},\"u\":{last},\
             \"pu\":{previous},\"b\":{bids},\"a\":{asks},\"st\":1}}",
            at = at.0
        ),
    })
}

/// The last day in a frame.
pub(super) fn ticker(venue: &Venue, route: Route, symbol: usize, is_mini: bool, at: Ts) -> Option<String> {
    let day = day(venue, symbol, series(route), at)?;
    Some(ticker_text(venue, route, symbol, is_mini, &day))
}

fn ticker_text(venue: &Venue, route: Route, symbol: usize, is_mini: bool, day: &Day) -> String {
    let digits = venue.market.digits(symbol, series(route));
    let (p, v) = (digits.price, digits.volume);
    let head = format!(
        "\"E\":{},\"s\":\"{}\",\"c\":\"{:.p$}\",\"o\":\"{:.p$}\",\"h\":\"{:.p$}\",\"l\":\"{:.p$}\",\"v\":\"{:.v$}\",\"q\":\"{:.2}\"",
        day.until.0,
        venue.name(symbol),
        day.close,
        day.open,
        day.high,
        day.low,
        day.volume,
        day.quote_volume,
    );
    if is_mini {
        return format!("{{\"e\":\"24hrMiniTicker\",{head}}}");
    }
    let quote = match series(route) {
        Series::Spot => format!(
            ",\"x\":\"{:.p$}\",\"b\":\"{:.p$}\",\"B\":\"{:.v$}\",\"a\":\"{:.p$}\",\"A\":\"{:.v$}\"",
            day.open, day.book.bid, day.book.bid_quantity, day.book.ask, day.book.ask_quantity
        ),
        _ => ",\"st\":1".to_owned(),
    };
    format!(
        "{{\"e\":\"24hrTicker\",{head},\"p\":\"{:.p$}\",\"P\":\"{:.3}\",\"w\":\"{:.p$}\",\"Q\":\"{:.v$}\",\"O\":{},\"C\":{},\
         \"F\":{},\"L\":{},\"n\":{}{quote}}}",
        day.close - day.open,
        (day.close / day.open - 1.0) * 100.0,
        day.average(),
        day.book.bid_quantity,
        day.from.0,
        day.until.0,
        day.ids.0,
        day.ids.1,
        day.trades,
    )
}

/// Listings and settlements that take effect in `(after, until]`.
pub(super) fn contracts(venue: &Venue, after: Ts, until: Ts) -> Vec<Frame> {
    let mut frames = Vec::new();
    let faults = venue.market.scenario().faults.iter();
    let moves =
        faults.filter(|f| f.every_bars == 0 && matches!(f.kind, FaultKind::Listing | FaultKind::Delisting));
    for fault in moves {
        let begin = fault.begins().open();
        let end = fault.window(begin).map_or(begin, |window| window.1);
        for at in [begin, end].into_iter().filter(|at| after < *at && *at <= until) {
            let hit = (0..venue.names.len()).filter(|&symbol| fault.hits(Some(venue.key(symbol))));
            frames.extend(hit.map(|symbol| contract(venue, symbol, at)));
        }
    }
    frames
}

fn contract(venue: &Venue, symbol: usize, at: Ts) -> Frame {
    const NO_DELIVERY_MS: i64 = 4_133_404_800_000;
    let listing = &venue.market.scenario().symbols[symbol];
    let (status, delivery) = match venue.listing(symbol, at) {
        Listing::Settled(since) => ("SETTLING", since.0),
        _ => ("TRADING", NO_DELIVERY_MS),
    };
    let kind = if listing.contract == Contract::Tradifi { "TRADIFI_PERPETUAL" } else { "PERPETUAL" };
    let onboard = venue.traded(symbol).iter().map(|s| s.0).rfind(|from| *from <= at).unwrap_or(at);
    let name = venue.name(symbol);
    let json = format!(
        "{{\"e\":\"contractInfo\",\"E\":{},\"s\":\"{name}\",\"ps\":\"{name}\",\"ct\":\"{kind}\",\"dt\":{delivery},\"ot\":{},\
         \"cs\":\"{status}\",\"st\":1}}",
        at.0, onboard.0,
    );
    Frame { at, json, symbol: Some(symbol) }
}
