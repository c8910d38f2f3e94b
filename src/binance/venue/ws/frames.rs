//! The frames that a stream owes for a stretch of virtual time. A pure function of (market, stream, stretch): two
//! connections that listen at the same time get the same frames.

use crate::venue::state::Venue;
use crate::venue::text::{decimal, kline_object};
use backtestd_core::market::{BAR_MS, BarIndex, Ts};
use backtestd_core::market::{Draws, derive};
use backtestd_lab::sim::FaultKind;
use backtestd_lab::sim::ForcedOrder;
use backtestd_lab::sim::intrabar::{along, fraction, part};
use backtestd_lab::sim::{Interval, Series, mark_at};

use super::stream::{Kind, Route, last_multiple, series};

/// A frame and the instant it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) at: Ts,
    pub(crate) json: String,
}

/// The closing frame of a kline comes within this time after the boundary, unless a fault delays it.
const CLOSE_DELAY_MS: (f64, f64) = (25.0, 220.0);
/// Forced orders are pushed a second after they are filled.
const FORCED_DELAY_MS: i64 = 1000;
/// How far back a stretch has to look for closes that faults delayed.
const LONGEST_DELAY_BARS: i64 = 12;

/// The frames of `kind` with an instant in `(after, until]`. Periodic frames that a slow reader missed are not made up
/// for (the latest is enough); closes, trades and forced orders are.
pub(crate) fn due(
    venue: &Venue,
    route: Route,
    kind: Kind,
    period_ms: i64,
    after: Ts,
    until: Ts,
) -> Vec<Frame> {
    match kind {
        Kind::Kline { symbol, interval } => klines(venue, route, symbol, interval, period_ms, after, until),
        Kind::Mark { symbol, .. } => last_multiple(after, until, period_ms)
            .and_then(|at| Some(Frame { at, json: mark(venue, symbol, at)? }))
            .into_iter()
            .collect(),
        Kind::AllMarks { .. } => {
            last_multiple(after, until, period_ms).map(|at| all_marks(venue, at)).unwrap_or_default()
        }
        Kind::Forced { symbol } => forced(venue, symbol, after, until),
        Kind::AllForced => (0..venue.market.scenario().symbols.len())
            .flat_map(|symbol| forced(venue, symbol, after, until))
            .collect(),
        Kind::Book { symbol } => last_multiple(after, until, period_ms)
            .and_then(|at| Some(Frame { at, json: book(venue, route, symbol, at)? }))
            .into_iter()
            .collect(),
        Kind::AllBooks => last_multiple(after, until, period_ms).map_or_else(Vec::new, |at| {
            (0..venue.market.scenario().symbols.len())
                .filter_map(|symbol| Some(Frame { at, json: book(venue, route, symbol, at)? }))
                .collect()
        }),
        Kind::Trades { symbol } => trades(venue, route, symbol, period_ms, after, until),
    }
}

/// The next instant after `after` at which a stream may have something to say.
pub(crate) fn next_instant(venue: &Venue, route: Route, kind: Kind, period_ms: i64, after: Ts) -> Ts {
    let periodic = Ts((after.0.div_euclid(period_ms) + 1) * period_ms);
    match kind {
        Kind::Kline { symbol, interval } => {
            let mut next = periodic;
            let newest = interval.open_of(after);
            for back in 0..=LONGEST_DELAY_BARS {
                let open = Ts(newest.0 - back * interval.ms);
                if let Some(at) = close_instant(venue, route, symbol, interval, open)
                    && at > after
                {
                    next = next.min(at);
                }
            }
            next
        }
        _ => periodic,
    }
}

/// When the closing frame of the kline that opened at `open` is sent; `None` if a fault drops it.
fn close_instant(venue: &Venue, route: Route, symbol: usize, interval: Interval, open: Ts) -> Option<Ts> {
    let scenario = venue.market.scenario();
    let name = &scenario.symbols[symbol].name;
    let boundary = Ts(open.0 + interval.ms);
    let bar = BarIndex(boundary.bar().0 - 1);
    if scenario.fault(FaultKind::DropClose, bar, Some(name)).is_some() {
        return None;
    }
    let key = derive(derive(venue.market.seed(), "close delay"), name.as_str());
    let mut draws = Draws::numbered(key, boundary.0 + i64::from(route == Route::Spot));
    let late = scenario.fault(FaultKind::LateClose, bar, Some(name)).map_or(0, |fault| fault.seconds * 1000);
    Some(Ts(boundary.0 + draws.between(CLOSE_DELAY_MS.0, CLOSE_DELAY_MS.1) as i64 + late))
}

fn klines(
    venue: &Venue,
    route: Route,
    symbol: usize,
    interval: Interval,
    period_ms: i64,
    after: Ts,
    until: Ts,
) -> Vec<Frame> {
    let mut frames = Vec::new();
    let oldest = interval.open_of(after).0 - LONGEST_DELAY_BARS * interval.ms;
    let mut open = Ts(oldest);
    while open.0 + interval.ms <= until.0 {
        let close = close_instant(venue, route, symbol, interval, open);
        if let Some(at) = close.filter(|at| after < *at && *at <= until) {
            let boundary = Ts(open.0 + interval.ms);
            frames.extend(kline(venue, route, symbol, interval, open, boundary, at, true));
        }
        open = Ts(open.0 + interval.ms);
    }
    if let Some(at) = last_multiple(after, until, period_ms) {
        let open = interval.open_of(at);
        let is_quiet = venue.market.running(symbol, at).is_some_and(|bar| bar.is_halted);
        if at > open && !is_quiet {
            frames.extend(kline(venue, route, symbol, interval, open, at, at, false));
        }
    }
    frames
}

#[expect(clippy::too_many_arguments, reason = "the coordinates of one frame")]
fn kline(
    venue: &Venue,
    route: Route,
    symbol: usize,
    interval: Interval,
    open: Ts,
    until: Ts,
    at: Ts,
    is_closed: bool,
) -> Option<Frame> {
    let kline = venue.market.kline(symbol, series(route), interval, open, until)?;
    let name = venue.name(symbol);
    let mut json = format!("{{\"e\":\"kline\",\"E\":{},\"s\":\"{name}\",\"k\":", at.0);
    kline_object(&mut json, &kline, name, interval.name, is_closed);
    json.push('}');
    Some(Frame { at, json })
}

fn mark(venue: &Venue, symbol: usize, at: Ts) -> Option<String> {
    let bar = venue.market.running(symbol, at)?;
    let part = fraction(&bar, at);
    let price = mark_at(&bar, part);
    let index = along(bar.index, part);
    Some(format!(
        "{{\"e\":\"markPriceUpdate\",\"E\":{},\"s\":\"{}\",\"p\":\"{price:.8}\",\"ap\":\"{price:.8}\",\"P\":\"{index:.8}\",\
         \"i\":\"{index:.8}\",\"r\":\"{:.8}\",\"T\":{},\"st\":1}}",
        at.0,
        venue.name(symbol),
        venue.market.predicted_rate(symbol, at),
        Venue::next_funding(at).0,
    ))
}

/// The whole market in two messages, the second with a coin-margined contract that a USD-M client has to drop (`st` 2).
fn all_marks(venue: &Venue, at: Ts) -> Vec<Frame> {
    let rows: Vec<String> =
        (0..venue.market.scenario().symbols.len()).filter_map(|symbol| mark(venue, symbol, at)).collect();
    let coin = format!(
        "[{{\"e\":\"markPriceUpdate\",\"E\":{},\"s\":\"BTCUSD_PERP\",\"p\":\"83732.50000000\",\"ap\":\"83732.50000000\",\
         \"P\":\"83805.72765516\",\"i\":\"83786.17543766\",\"r\":\"-0.00000573\",\"T\":{},\"st\":2}}]",
        at.0,
        Venue::next_funding(at).0
    );
    vec![Frame { at, json: format!("[{}]", rows.join(",")) }, Frame { at, json: coin }]
}

fn forced(venue: &Venue, symbol: usize, after: Ts, until: Ts) -> Vec<Frame> {
    let first = Ts(after.0 - FORCED_DELAY_MS).bar();
    let last = Ts(until.0 - FORCED_DELAY_MS).bar();
    let mut frames = Vec::new();
    let mut bar = first;
    while bar <= last {
        for order in venue.market.forced_orders(symbol, bar) {
            let at = Ts(order.at.0 + FORCED_DELAY_MS);
            if after < at && at <= until {
                frames.push(Frame { at, json: forced_frame(venue, symbol, &order, at) });
            }
        }
        bar = bar.next();
    }
    frames
}

fn forced_frame(venue: &Venue, symbol: usize, order: &ForcedOrder, at: Ts) -> String {
    let digits = venue.market.digits(symbol, Series::Perp);
    let name = venue.name(symbol);
    let quantity = decimal(order.quantity, digits.volume);
    format!(
        "{{\"e\":\"forceOrder\",\"E\":{},\"o\":{{\"s\":\"{name}\",\"S\":\"{}\",\"o\":\"LIMIT\",\"f\":\"IOC\",\"q\":\"{quantity}\",\
         \"p\":\"{}\",\"ap\":\"{}\",\"X\":\"FILLED\",\"l\":\"{quantity}\",\"z\":\"{quantity}\",\"T\":{},\"ps\":\"{name}\",\"st\":1}}}}",
        at.0,
        if order.is_sell { "SELL" } else { "BUY" },
        decimal(order.price, digits.price),
        decimal(order.average, digits.price),
        order.at.0,
    )
}

fn book(venue: &Venue, route: Route, symbol: usize, at: Ts) -> Option<String> {
    let series = series(route);
    let book = venue.market.book(symbol, series, at)?;
    let digits = venue.market.digits(symbol, series);
    let name = venue.name(symbol);
    let quotes = format!(
        "\"b\":\"{}\",\"B\":\"{}\",\"a\":\"{}\",\"A\":\"{}\"",
        decimal(book.bid, digits.price),
        decimal(book.bid_quantity, digits.volume),
        decimal(book.ask, digits.price),
        decimal(book.ask_quantity, digits.volume),
    );
    Some(match route {
        // Spot quotes carry neither event type nor time.
        Route::Spot => format!("{{\"u\":{},\"s\":\"{name}\",{quotes}}}", book.update_id),
        _ => format!(
            "{{\"e\":\"bookTicker\",\"u\":{},\"s\":\"{name}\",\"ps\":\"{name}\",{quotes},\"T\":{},\"E\":{},\"st\":1}}",
            book.update_id, at.0, at.0
        ),
    })
}

/// Aggregated trades, coarse: per period one that buys and one that sells, which add up to the bar's volume.
fn trades(venue: &Venue, route: Route, symbol: usize, period_ms: i64, after: Ts, until: Ts) -> Vec<Frame> {
    let mut frames = Vec::new();
    let series = series(route);
    let digits = venue.market.digits(symbol, series);
    let listing = &venue.market.scenario().symbols[symbol];
    // At most a bar of trades is made up for.
    let mut at = (after.0.max(until.0 - BAR_MS).div_euclid(period_ms) + 1) * period_ms;
    while at <= until.0 {
        let (from, to) = (Ts(at - period_ms), Ts(at));
        let piece = venue.market.running(symbol, from).and_then(|bar| {
            let (trades, tick, lot) = match series {
                Series::Spot => (bar.spot?, listing.spot?.tick_decimals, listing.spot?.lot_decimals),
                _ => (bar.perp, listing.tick_decimals, listing.lot_decimals),
            };
            part(&bar, &trades, fraction(&bar, from), fraction(&bar, to), tick, lot)
        });
        if let Some((piece, _)) = piece {
            let sold = piece.volume - piece.taker_buy_volume;
            for (side, (quantity, is_maker)) in
                [(piece.taker_buy_volume, false), (sold, true)].into_iter().enumerate()
            {
                if quantity <= 0.0 {
                    continue;
                }
                let id = at / period_ms * 2 + side as i64;
                let price = decimal(piece.close, digits.price);
                let quantity = decimal(quantity, digits.volume);
                let head = format!(
                    "{{\"e\":\"aggTrade\",\"E\":{at},\"a\":{id},\"s\":\"{}\",\"p\":\"{price}\",\"q\":\"{quantity}\"",
                    venue.name(symbol)
                );
                let time = at - 1;
                let json = match route {
                    Route::Spot => {
                        format!("{head},\"f\":{id},\"l\":{id},\"T\":{time},\"m\":{is_maker},\"M\":true}}")
                    }
                    _ => format!(
                        "{head},\"nq\":\"{quantity}\",\"f\":{id},\"l\":{id},\"T\":{time},\"m\":{is_maker},\"st\":1}}"
                    ),
                };
                frames.push(Frame { at: Ts(at), json });
            }
        }
        at += period_ms;
    }
    frames
}
