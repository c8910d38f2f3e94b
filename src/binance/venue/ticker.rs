//! The last twenty-four hours of a contract or pair.

use backtestd_core::market::{BARS_PER_DAY, BarIndex, DAY_MS, Ts};
use backtestd_lab::sim::{Book, Interval, Range, Series};

use super::state::Venue;

/// Trades of a day, and the best quotes at its end.
pub(crate) struct Day {
    pub(crate) from: Ts,
    pub(crate) until: Ts,
    pub(crate) open: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
    pub(crate) close: f64,
    pub(crate) volume: f64,
    pub(crate) quote_volume: f64,
    pub(crate) trades: i64,
    pub(crate) ids: (i64, i64),
    pub(crate) book: Book,
}

impl Day {
    /// Value over volume.
    pub(crate) fn average(&self) -> f64 {
        if self.volume > 0.0 { self.quote_volume / self.volume } else { self.close }
    }
}

/// The day that ends at `now`; `None` before the market began.
pub(crate) fn day(venue: &Venue, symbol: usize, series: Series, now: Ts) -> Option<Day> {
    let market = &venue.market;
    let first = BarIndex(now.bar().0 + 1 - BARS_PER_DAY);
    let limit = usize::try_from(BARS_PER_DAY).ok()?;
    let range = Range { start: Some(first.open().0), end: Some(now.0), limit };
    let klines = market.klines(symbol, series, Interval::parse("5m")?, range, now);
    let (start, end) = (klines.first()?, klines.last()?);
    let bars = || klines.iter().map(|kline| kline.bar);
    Some(Day {
        from: Ts(now.0 - DAY_MS),
        until: now,
        open: start.bar.open,
        close: end.bar.close,
        high: bars().map(|bar| bar.high).fold(0.0, f64::max),
        low: bars().map(|bar| bar.low).fold(f64::INFINITY, f64::min),
        volume: bars().map(|bar| bar.volume).sum(),
        quote_volume: bars().map(|bar| bar.quote_volume).sum(),
        trades: bars().map(|bar| bar.trades).sum::<f64>() as i64,
        ids: (start.ids.0, end.ids.1.max(start.ids.0)),
        book: market.book(symbol, series, now)?,
    })
}
