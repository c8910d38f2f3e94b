//! The frames that a stream owes for a stretch of virtual time. A pure function of (market, stream, stretch):
//! two connections that listen at the same time get the same frames.

use crate::venue::falsify;
use crate::venue::state::Venue;
use crate::venue::text::{decimal, kline_object};
use backtestd_core::market::{BAR_MS, BarIndex, DAY_MS, Ts};
use backtestd_core::market::{Draws, derive};
use backtestd_lab::sim::intrabar::{along, fraction};
use backtestd_lab::sim::{FaultKind, ForcedOrder, Interval, Kline, Series, mark_at};

use super::faults::is_muted;
use super::news;
use super::stream::{Kind, Route, last_multiple, series};

/// A frame and the instant it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) at: Ts,
    pub(crate) json: String,
    /// Whom it is about, if one symbol.
    pub(crate) symbol: Option<usize>,
}

/// The closing frame of a kline comes within this time after the boundary, unless a fault delays it.
const CLOSE_DELAY_MS: (f64, f64) = (25.0, 220.0);
/// Forced orders are pushed a second after they are filled.
const FORCED_DELAY_MS: i64 = 1000;
/// How far back a stretch has to look for closes that faults delayed.
const LONGEST_DELAY_BARS: i64 = 12;
/// Bars between a bar and the false one that a fault sends beside it, where the rule does not say.
const FALSE_BAR_DISTANCE: i64 = 40;

/// The frames of `kind` with an instant in `(after, until]`. Periodic frames that a slow reader missed are
/// not made up for (the latest is enough); closes, trades and forced orders are.
pub(crate) fn due(
    venue: &Venue,
    route: Route,
    kind: Kind,
    period_ms: i64,
    after: Ts,
    until: Ts,
) -> Vec<Frame> {
    let all = || (0..venue.market.scenario().symbols.len()).filter(|&s| venue.is_trading(s, until));
    let last = last_multiple(after, until, period_ms);
    let one = |symbol: usize, make: &dyn Fn(Ts) -> Option<String>| -> Vec<Frame> {
        let at = last.filter(|at| venue.is_trading(symbol, *at));
        let frame = at.and_then(|at| Some(Frame { at, json: make(at)?, symbol: Some(symbol) }));
        frame.into_iter().collect()
    };
    match kind {
        Kind::Kline { symbol, interval } => {
            klines(venue, route, (symbol, interval, false), period_ms, after, until)
        }
        Kind::Continuous { symbol, interval } => {
            klines(venue, route, (symbol, interval, true), period_ms, after, until)
        }
        Kind::Mark { symbol, .. } => one(symbol, &|at| mark(venue, symbol, at)),
        Kind::AllMarks { .. } => last.map(|at| all_marks(venue, at)).unwrap_or_default(),
        Kind::Forced { symbol } => forced(venue, symbol, after, until),
        Kind::AllForced => all().flat_map(|symbol| forced(venue, symbol, after, until)).collect(),
        Kind::Book { symbol } => one(symbol, &|at| book(venue, route, symbol, at)),
        Kind::AllBooks => {
            all().flat_map(|symbol| one(symbol, &|at| book(venue, route, symbol, at))).collect()
        }
        Kind::Depth { symbol, levels } => {
            one(symbol, &|at| news::depth(venue, route, symbol, levels, period_ms, at))
        }
        Kind::Trades { symbol } => news::trades(venue, route, symbol, false, after, until),
        Kind::Singles { symbol } => news::trades(venue, route, symbol, true, after, until),
        Kind::Ticker { symbol, is_mini } => {
            one(symbol, &|at| news::ticker(venue, route, symbol, is_mini, at))
        }
        Kind::AllTickers { is_mini } => {
            let has = |symbol: &usize| route != Route::Spot || venue.has_spot(*symbol);
            let rows: Option<Vec<String>> = last.map(|at| {
                all().filter(has).filter_map(|s| news::ticker(venue, route, s, is_mini, at)).collect()
            });
            let frame =
                |rows: Vec<String>| Frame { at: until, json: format!("[{}]", rows.join(",")), symbol: None };
            rows.map(frame).into_iter().collect()
        }
        Kind::Contracts => news::contracts(venue, after, until),
    }
}

/// The next instant after `after` at which a stream may have something to say.
pub(crate) fn next_instant(venue: &Venue, route: Route, kind: Kind, period_ms: i64, after: Ts) -> Ts {
    let periodic = Ts((after.0.div_euclid(period_ms) + 1) * period_ms);
    match kind {
        Kind::Kline { symbol, interval } | Kind::Continuous { symbol, interval } => {
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
    let name = venue.key(symbol);
    let boundary = Ts(open.0 + interval.ms);
    let bar = BarIndex(boundary.bar().0 - 1);
    let rule = |kind| venue.kline_fault(kind, symbol, route.side(), bar.open());
    if rule(FaultKind::DropClose).is_some() {
        return None;
    }
    let key = derive(derive(venue.market.seed(), "close delay"), name.as_str());
    let mut draws = Draws::numbered(key, boundary.0 + i64::from(route == Route::Spot));
    let late = rule(FaultKind::LateClose).map_or(0, |fault| fault.seconds * 1000);
    Some(Ts(boundary.0 + draws.between(CLOSE_DELAY_MS.0, CLOSE_DELAY_MS.1) as i64 + late))
}

fn klines(
    venue: &Venue,
    route: Route,
    what: (usize, Interval, bool),
    period_ms: i64,
    after: Ts,
    until: Ts,
) -> Vec<Frame> {
    let (symbol, interval, _) = what;
    let mut frames = Vec::new();
    let oldest = interval.open_of(after).0 - LONGEST_DELAY_BARS * interval.ms;
    let mut open = Ts(oldest);
    while open.0 + interval.ms <= until.0 {
        let close = close_instant(venue, route, symbol, interval, open);
        if let Some(at) = close.filter(|at| after < *at && *at <= until) {
            frames.extend(closing(venue, route, what, open, at));
        }
        open = Ts(open.0 + interval.ms);
    }
    if let Some(at) = last_multiple(after, until, period_ms) {
        let open = interval.open_of(at);
        let is_quiet = venue.market.running(symbol, at).is_some_and(|bar| bar.is_halted);
        if at > open && !is_quiet && venue.is_trading(symbol, at) {
            let kline = venue.market.kline(symbol, series(route), interval, open, at);
            frames.extend(kline.map(|kline| kline_frame(venue, what, &kline, at, false)));
        }
    }
    frames
}

/// The frame that ends a bar, and what faults make of it or put beside it.
fn closing(venue: &Venue, route: Route, what: (usize, Interval, bool), open: Ts, at: Ts) -> Vec<Frame> {
    let (symbol, interval, _) = what;
    if !venue.is_trading(symbol, open) {
        return Vec::new();
    }
    let series = series(route);
    let finished = |open: Ts| venue.market.kline(symbol, series, interval, open, Ts(open.0 + interval.ms));
    let Some(mut kline) = finished(open) else { return Vec::new() };
    let bar = Ts(open.0 + interval.ms).bar();
    let rule = |kind| {
        let rule = venue.kline_fault(kind, symbol, route.side(), Ts(bar.open().0 - 1));
        if rule.is_some() {
            venue.tally.fault(kind);
        }
        rule
    };
    let is_first_version =
        interval.ms == BAR_MS && falsify::is_uncorrected(venue, symbol, series, &kline, at);
    if rule(FaultKind::WrongClose).is_some() || is_first_version {
        falsify::wrong(&mut kline);
    }
    let mut frames = vec![kline_frame(venue, what, &kline, at, true)];
    let mut beside = |kline: &Kline| frames.push(kline_frame(venue, what, kline, Ts(at.0 + 1), true));
    let reach = |seconds: i64| if seconds > 0 { seconds * 1000 } else { FALSE_BAR_DISTANCE * interval.ms };
    if let Some(fault) = rule(FaultKind::StaleClose)
        && let Some(mut old) = finished(interval.open_of(Ts(open.0 - reach(fault.seconds))))
    {
        falsify::scale(&mut old, 1.5);
        beside(&old);
    }
    if let Some(fault) = rule(FaultKind::FutureClose) {
        let open = interval.open_of(Ts(open.0 + reach(fault.seconds)));
        beside(&Kline { open_time: open, close_time: Ts(open.0 + interval.ms - 1), ..kline });
    }
    if rule(FaultKind::AbsurdClose).is_some() {
        let mut false_one = kline;
        falsify::absurd(&mut false_one);
        beside(&false_one);
    }
    frames
}

fn kline_frame(
    venue: &Venue,
    (symbol, interval, is_continuous): (usize, Interval, bool),
    kline: &Kline,
    at: Ts,
    is_closed: bool,
) -> Frame {
    let name = venue.name(symbol);
    let mut json = if is_continuous {
        format!("{{\"e\":\"continuous_kline\",\"E\":{},\"ps\":\"{name}\",\"ct\":\"PERPETUAL\",\"k\":", at.0)
    } else {
        format!("{{\"e\":\"kline\",\"E\":{},\"s\":\"{name}\",\"k\":", at.0)
    };
    kline_object(&mut json, kline, (!is_continuous).then_some(name), interval.name, is_closed);
    json.push('}');
    Frame { at, json, symbol: Some(symbol) }
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
        venue.next_funding(symbol, at).0,
    ))
}

/// The whole market in two messages, the second with a coin-margined contract that a USD-M client has to drop
/// (`st` 2).
fn all_marks(venue: &Venue, at: Ts) -> Vec<Frame> {
    let heard = venue.trading(at).filter(|&symbol| !is_muted(venue, symbol, "markPrice", at));
    let rows: Vec<String> = heard.filter_map(|symbol| mark(venue, symbol, at)).collect();
    let coin = format!(
        "[{{\"e\":\"markPriceUpdate\",\"E\":{},\"s\":\"BTCUSD_PERP\",\"p\":\"83732.50000000\",\"ap\":\"83732.50000000\",\
         \"P\":\"83805.72765516\",\"i\":\"83786.17543766\",\"r\":\"-0.00000573\",\"T\":{},\"st\":2}}]",
        at.0,
        (at.0.div_euclid(DAY_MS / 3) + 1) * (DAY_MS / 3)
    );
    let frame = |json| Frame { at, json, symbol: None };
    vec![frame(format!("[{}]", rows.join(","))), frame(coin)]
}

fn forced(venue: &Venue, symbol: usize, after: Ts, until: Ts) -> Vec<Frame> {
    let first = Ts(after.0 - FORCED_DELAY_MS).bar();
    let last = Ts(until.0 - FORCED_DELAY_MS).bar();
    let mut frames = Vec::new();
    let mut bar = first;
    while bar <= last {
        for order in venue.market.forced_orders(symbol, bar) {
            let at = Ts(order.at.0 + FORCED_DELAY_MS);
            if after < at && at <= until && venue.is_trading(symbol, order.at) {
                let json = forced_frame(venue, symbol, &order, at);
                frames.push(Frame { at, json, symbol: Some(symbol) });
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
