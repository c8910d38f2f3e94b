//! What can be seen of the market at an instant: klines of any served interval, finished or still open.

use backtestd_core::market::{BAR_MS, BarIndex, Ts};

use super::intrabar::{along, fraction, part, price_at};
use super::{Market, SeriesBar, SimBar};

/// Which price series a kline is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// Trades of the perpetual.
    Perp,
    /// Trades of the spot pair.
    Spot,
    /// The mark price.
    Mark,
    /// The index price.
    Index,
    /// The premium index, a fraction.
    Premium,
}

/// Served intervals: name and length in minutes. 3d, 1w and 1M exist on the venue and are not simulated.
const INTERVALS: [(&str, i64); 12] = [
    ("1m", 1),
    ("3m", 3),
    ("5m", 5),
    ("15m", 15),
    ("30m", 30),
    ("1h", 60),
    ("2h", 120),
    ("4h", 240),
    ("6h", 360),
    ("8h", 480),
    ("12h", 720),
    ("1d", 1440),
];

/// A kline interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// The name in requests, as in `5m`.
    pub name: &'static str,
    /// Length in milliseconds.
    pub ms: i64,
}

impl Interval {
    /// The served interval of this name; `None` for any other.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        INTERVALS
            .iter()
            .find(|(name, _)| *name == text)
            .map(|&(name, minutes)| Self { name, ms: minutes * 60_000 })
    }

    /// Open time of the interval that holds `at`.
    #[must_use]
    pub const fn open_of(self, at: Ts) -> Ts {
        Ts(at.0.div_euclid(self.ms) * self.ms)
    }
}

/// Digits that the venue prints.
#[derive(Clone, Copy, Debug)]
pub struct Digits {
    /// Decimals of prices.
    pub price: usize,
    /// Decimals of base volumes.
    pub volume: usize,
    /// Decimals of quote volumes.
    pub quote: usize,
}

/// One kline, finished or still open.
#[derive(Clone, Copy, Debug)]
pub struct Kline {
    /// First millisecond of the interval.
    pub open_time: Ts,
    /// Last millisecond of the interval.
    pub close_time: Ts,
    /// Prices and volumes.
    pub bar: SeriesBar,
    /// First and last trade id, -1 without trades.
    pub ids: (i64, i64),
    /// How the venue prints it.
    pub digits: Digits,
}

/// Which rows of a series a request wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range {
    /// First millisecond asked for.
    pub start: Option<i64>,
    /// Last millisecond asked for.
    pub end: Option<i64>,
    /// Rows at most.
    pub limit: usize,
}

impl Range {
    /// First and last step (multiples of `step_ms`) to answer with, `newest` being the last there is.
    /// A start counts up from it; without one the answer ends at the end.
    #[must_use]
    pub fn steps(self, oldest: i64, newest: i64, step_ms: i64) -> Option<(i64, i64)> {
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX / 4);
        let last = self.end.map_or(newest, |end| end.div_euclid(step_ms).min(newest));
        let (first, last) = match self.start {
            Some(start) => {
                let first = start.div_euclid(step_ms) + i64::from(start.rem_euclid(step_ms) != 0);
                let first = first.max(oldest);
                (first, last.min(first.saturating_add(limit - 1)))
            }
            None => ((last - limit + 1).max(oldest), last),
        };
        (first <= last).then_some((first, last))
    }
}

/// Trade ids are made of the bar number and the count within the bar.
pub(super) const IDS_PER_BAR: i64 = 1_000_000;

impl Market {
    /// Digits of a symbol's series.
    pub fn digits(&self, symbol: usize, series: Series) -> Digits {
        let listing = &self.scenario().symbols[symbol];
        match series {
            Series::Spot => Digits { price: 8, volume: 8, quote: 8 },
            Series::Perp => Digits {
                price: listing.price_decimals,
                volume: listing.lot_decimals,
                quote: listing.price_decimals + listing.lot_decimals,
            },
            Series::Mark | Series::Index | Series::Premium => Digits { price: 8, volume: 0, quote: 0 },
        }
    }

    /// Klines in ascending order, the last one still open if the range reaches `now`.
    pub fn klines(
        &self,
        symbol: usize,
        series: Series,
        interval: Interval,
        range: Range,
        now: Ts,
    ) -> Vec<Kline> {
        let oldest = self.genesis().open().0.div_euclid(interval.ms);
        let newest = now.0.div_euclid(interval.ms);
        let Some((first, last)) = range.steps(oldest, newest, interval.ms) else { return Vec::new() };
        let first_bar = Ts(first * interval.ms).bar();
        let last_bar = Ts(((last + 1) * interval.ms).min(now.0 + 1) - 1).bar();
        let count = usize::try_from(last_bar - first_bar + 1).unwrap_or(0);
        let bars = self.bars(symbol, first_bar, count);
        (first..=last)
            .filter_map(|step| {
                let open = Ts(step * interval.ms);
                let until = Ts((open.0 + interval.ms).min(now.0));
                self.kline_of(symbol, series, interval, open, until, &bars)
            })
            .collect()
    }

    /// The kline that opens at `open`, as it stands at `until`.
    pub fn kline(
        &self,
        symbol: usize,
        series: Series,
        interval: Interval,
        open: Ts,
        until: Ts,
    ) -> Option<Kline> {
        let count = usize::try_from((interval.ms + BAR_MS - 1) / BAR_MS + 1).unwrap_or(1);
        let bars = self.bars(symbol, open.bar(), count);
        self.kline_of(symbol, series, interval, open, until, &bars)
    }

    fn kline_of(
        &self,
        symbol: usize,
        series: Series,
        interval: Interval,
        open: Ts,
        until: Ts,
        bars: &[SimBar],
    ) -> Option<Kline> {
        let first_bar = bars.first()?.bar;
        let from = usize::try_from(open.bar().max(first_bar) - first_bar).ok()?;
        let mut whole: Option<SeriesBar> = None;
        let mut ids = (-1, -1);
        for bar in bars.get(from..)?.iter().take_while(|b| b.bar.open() < until) {
            let (start, end) = (fraction(bar, open), fraction(bar, until));
            let Some((piece, before)) = self.piece(symbol, series, bar, start, end) else { continue };
            if piece.trades > 0.0 && !matches!(series, Series::Mark | Series::Index | Series::Premium) {
                let id = bar.bar.0 * IDS_PER_BAR + before as i64;
                ids = (if ids.0 < 0 { id } else { ids.0 }, id + piece.trades as i64 - 1);
            }
            whole = Some(whole.map_or(piece, |sum| join(&sum, &piece)));
        }
        let bar = match whole {
            Some(bar) => bar,
            // Nothing traded yet: the kline stands at the last price.
            None => self.flat_at(symbol, series, bars.get(from)?)?,
        };
        let digits = self.digits(symbol, series);
        Some(Kline { open_time: open, close_time: Ts(open.0 + interval.ms - 1), bar, ids, digits })
    }

    /// A stretch of one bar of a series, and the trades in the bar before it.
    fn piece(
        &self,
        symbol: usize,
        series: Series,
        bar: &SimBar,
        from: f64,
        to: f64,
    ) -> Option<(SeriesBar, f64)> {
        let listing = &self.scenario().symbols[symbol];
        let line = |start: f64, end: f64| {
            let zero =
                SeriesBar { open: start, high: start.max(end), low: start.min(end), close: end, ..EMPTY };
            Some((SeriesBar { trades: ((to - from) * 300.0).round(), ..zero }, 0.0))
        };
        match series {
            Series::Perp => part(bar, &bar.perp, from, to, listing.tick_decimals, listing.lot_decimals),
            Series::Spot => {
                let spot = listing.spot?;
                part(bar, bar.spot.as_ref()?, from, to, spot.tick_decimals, spot.lot_decimals)
            }
            Series::Mark => line(mark_at(bar, from), mark_at(bar, to)),
            Series::Index => line(along(bar.index, from), along(bar.index, to)),
            Series::Premium => line(along(bar.premium, from), along(bar.premium, to)),
        }
    }

    fn flat_at(&self, symbol: usize, series: Series, bar: &SimBar) -> Option<SeriesBar> {
        let price = match series {
            Series::Perp => bar.perp.open,
            Series::Spot => {
                self.scenario().symbols[symbol].spot?;
                bar.spot?.open
            }
            Series::Mark => mark_at(bar, 0.0),
            Series::Index => bar.index.0,
            Series::Premium => bar.premium.0,
        };
        Some(SeriesBar { open: price, high: price, low: price, close: price, ..EMPTY })
    }

    /// Last trade price at an instant.
    pub fn last_price(&self, symbol: usize, series: Series, bar: &SimBar, at: Ts) -> Option<f64> {
        let listing = &self.scenario().symbols[symbol];
        match series {
            Series::Spot => {
                Some(price_at(bar, bar.spot.as_ref()?, fraction(bar, at), listing.spot?.tick_decimals))
            }
            _ => Some(price_at(bar, &bar.perp, fraction(bar, at), listing.tick_decimals)),
        }
    }

    /// The bar that is running at `at`.
    pub fn running(&self, symbol: usize, at: Ts) -> Option<SimBar> {
        self.bar(symbol, at.bar())
    }

    /// The running funding prediction: the one computed at the last finished bar.
    pub fn predicted_rate(&self, symbol: usize, at: Ts) -> f64 {
        self.finished(symbol, at).map_or(self.scenario().interest_rate_8h, |bar| bar.predicted_rate)
    }

    /// The bar that finished last before or at `at`.
    pub fn finished(&self, symbol: usize, at: Ts) -> Option<SimBar> {
        self.bar(symbol, BarIndex(at.bar().0 - 1))
    }
}

/// Mark price at a fraction of the bar: index times one plus the premium.
pub fn mark_at(bar: &SimBar, at: f64) -> f64 {
    along(bar.index, at) * (1.0 + along(bar.premium, at))
}

const EMPTY: SeriesBar = SeriesBar {
    open: 0.0,
    high: 0.0,
    low: 0.0,
    close: 0.0,
    volume: 0.0,
    quote_volume: 0.0,
    trades: 0.0,
    taker_buy_volume: 0.0,
    taker_buy_quote: 0.0,
};

fn join(a: &SeriesBar, b: &SeriesBar) -> SeriesBar {
    SeriesBar {
        open: a.open,
        high: a.high.max(b.high),
        low: a.low.min(b.low),
        close: b.close,
        volume: a.volume + b.volume,
        quote_volume: a.quote_volume + b.quote_volume,
        trades: a.trades + b.trades,
        taker_buy_volume: a.taker_buy_volume + b.taker_buy_volume,
        taker_buy_quote: a.taker_buy_quote + b.taker_buy_quote,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_counts_up_and_an_end_counts_down() {
        let range = |start, end, limit| Range { start, end, limit }.steps(10, 100, 5);
        assert_eq!(range(Some(100), None, 3), Some((20, 22)));
        assert_eq!(range(Some(101), Some(115), 9), Some((21, 23)));
        assert_eq!(range(None, Some(114), 2), Some((21, 22)));
        assert_eq!(range(None, None, 500), Some((10, 100)));
        assert_eq!(range(Some(0), None, 1), Some((10, 10)));
        assert_eq!(range(Some(506), None, 5), None);
    }
}
