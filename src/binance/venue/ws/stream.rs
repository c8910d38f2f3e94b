//! Stream names: what they mean, where they are served, when they have something to say.

use std::time::Duration;

use crate::venue::state::Venue;
use backtestd_core::market::Ts;
use backtestd_lab::sim::{Interval, Series};

/// Which door a connection came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Futures `/public`: quotes.
    Public,
    /// Futures `/market`: klines, marks, trades, forced orders.
    Market,
    /// Futures without a route, as before April 2026: accepts everything, sends quotes only.
    Legacy,
    /// Spot: every stream of the spot market.
    Spot,
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Kline { symbol: usize, interval: Interval },
    Mark { symbol: usize, period_ms: i64 },
    AllMarks { period_ms: i64 },
    Forced { symbol: usize },
    AllForced,
    Book { symbol: usize },
    AllBooks,
    Trades { symbol: usize },
}

impl Kind {
    /// What a name means on a route; `None` for names that the route acknowledges and never serves.
    pub(crate) fn parse(venue: &Venue, route: Route, name: &str) -> Option<Self> {
        let kind = Self::meaning(venue, name)?;
        let is_quote = matches!(kind, Self::Book { .. } | Self::AllBooks);
        let is_served = match route {
            Route::Public | Route::Legacy => is_quote,
            Route::Market => !is_quote,
            Route::Spot => match kind {
                Self::Kline { symbol, .. } | Self::Book { symbol } | Self::Trades { symbol } => {
                    venue.has_spot(symbol)
                }
                _ => false,
            },
        };
        is_served.then_some(kind)
    }

    fn meaning(venue: &Venue, name: &str) -> Option<Self> {
        match name {
            "!markPrice@arr" => return Some(Self::AllMarks { period_ms: 3000 }),
            "!markPrice@arr@1s" => return Some(Self::AllMarks { period_ms: 1000 }),
            "!forceOrder@arr" => return Some(Self::AllForced),
            "!bookTicker" => return Some(Self::AllBooks),
            _ => {}
        }
        let (symbol, stream) = name.split_once('@')?;
        // Stream names are lower case; an upper-case symbol is acknowledged and silent, as on the venue.
        if symbol != symbol.to_lowercase() {
            return None;
        }
        let symbol = venue.symbol(&symbol.to_uppercase())?;
        match stream {
            "markPrice" => Some(Self::Mark { symbol, period_ms: 3000 }),
            "markPrice@1s" => Some(Self::Mark { symbol, period_ms: 1000 }),
            "forceOrder" => Some(Self::Forced { symbol }),
            "bookTicker" => Some(Self::Book { symbol }),
            "aggTrade" => Some(Self::Trades { symbol }),
            _ => {
                let interval = Interval::parse(stream.strip_prefix("kline_")?)?;
                Some(Self::Kline { symbol, interval })
            }
        }
    }

    /// Virtual time between two periodic frames. In real time the venue's own; when the clock runs fast, stretched so
    /// that a stream sends about one frame per `gap` of real time, but never beyond a bound that keeps several frames
    /// in each bar (the last minute of a bar always has a mark and a quote).
    pub(crate) fn period_ms(self, route: Route, speed: f64, gap: Duration) -> i64 {
        let (natural, most) = match self {
            Self::Kline { .. } if route == Route::Spot => (2000, 150_000),
            Self::Kline { .. } => (250, 150_000),
            Self::Mark { period_ms, .. } | Self::AllMarks { period_ms } => (period_ms, 60_000),
            Self::Book { .. } => (500, 60_000),
            Self::AllBooks => (5000, 60_000),
            Self::Trades { .. } => (1000, 60_000),
            Self::Forced { .. } | Self::AllForced => (1000, 1000),
        };
        let stretched = if speed > 1.0 { (gap.as_secs_f64() * 1000.0 * speed) as i64 } else { 0 };
        let wanted = stretched.clamp(natural, most.max(natural));
        // Periods divide the bar, so that frames fall on the same seconds of every bar.
        const DIVISORS_MS: [i64; 13] =
            [250, 500, 1000, 2000, 3000, 5000, 10_000, 15_000, 20_000, 30_000, 60_000, 100_000, 150_000];
        DIVISORS_MS.iter().copied().find(|&p| p >= wanted).unwrap_or(most)
    }
}

/// The series behind a route.
pub(crate) const fn series(route: Route) -> Series {
    match route {
        Route::Spot => Series::Spot,
        _ => Series::Perp,
    }
}

/// The last multiple of `period_ms` in `(after, until]`.
pub(crate) fn last_multiple(after: Ts, until: Ts, period_ms: i64) -> Option<Ts> {
    let last = until.0.div_euclid(period_ms) * period_ms;
    (last > after.0).then_some(Ts(last))
}
