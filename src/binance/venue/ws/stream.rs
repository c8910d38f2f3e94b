//! Stream names: what they mean, where they are served, when they have something to say.

use std::time::Duration;

use crate::venue::state::{Venue, period_ms};
use backtestd_core::market::{Market as Side, Ts};
use backtestd_lab::sim::{Interval, Series};

/// Which door a connection came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Futures `/public`: quotes, books, single trades.
    Public,
    /// Futures `/market`: klines, marks, aggregated trades, statistics, forced orders.
    Market,
    /// Futures `/private`: user data, of which there is none here.
    Private,
    /// Futures without a route, as before April 2026: accepts everything, sends what `/public` sends.
    Legacy,
    /// Spot: every stream of the spot market.
    Spot,
}

impl Route {
    /// Every door with the beginning of its path.
    pub(crate) const ALL: [(&'static str, Self); 5] = [
        ("/market", Self::Market),
        ("/public", Self::Public),
        ("/private", Self::Private),
        ("", Self::Legacy),
        ("/spot", Self::Spot),
    ];

    pub(crate) fn path(self) -> &'static str {
        Self::ALL.iter().find(|(_, route)| *route == self).map_or("", |(path, _)| path)
    }

    pub(crate) const fn side(self) -> Side {
        match self {
            Self::Spot => Side::Spot,
            _ => Side::Perp,
        }
    }
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Kline {
        symbol: usize,
        interval: Interval,
    },
    Continuous {
        symbol: usize,
        interval: Interval,
    },
    Mark {
        symbol: usize,
        period_ms: i64,
    },
    AllMarks {
        period_ms: i64,
    },
    Forced {
        symbol: usize,
    },
    AllForced,
    Book {
        symbol: usize,
    },
    AllBooks,
    /// The whole book's differences, or its best levels.
    Depth {
        symbol: usize,
        levels: Option<usize>,
    },
    Trades {
        symbol: usize,
    },
    Singles {
        symbol: usize,
    },
    Ticker {
        symbol: usize,
        is_mini: bool,
    },
    AllTickers {
        is_mini: bool,
    },
    Contracts,
}

impl Kind {
    /// What a name means on a route; `None` for names that the route acknowledges and never serves.
    pub(crate) fn parse(venue: &Venue, route: Route, name: &str) -> Option<Self> {
        let kind = Self::meaning(venue, name)?;
        let is_public =
            matches!(kind, Self::Book { .. } | Self::AllBooks | Self::Depth { .. } | Self::Singles { .. });
        let is_served = match route {
            Route::Public | Route::Legacy => is_public,
            Route::Market => !is_public,
            Route::Private => false,
            Route::Spot => match kind {
                Self::Kline { symbol, .. }
                | Self::Book { symbol }
                | Self::Depth { symbol, .. }
                | Self::Trades { symbol }
                | Self::Singles { symbol }
                | Self::Ticker { symbol, .. } => venue.has_spot(symbol),
                Self::AllTickers { .. } => true,
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
            "!ticker@arr" => return Some(Self::AllTickers { is_mini: false }),
            "!miniTicker@arr" => return Some(Self::AllTickers { is_mini: true }),
            "!contractInfo" => return Some(Self::Contracts),
            _ => {}
        }
        let (symbol, stream) = name.split_once('@')?;
        // Stream names are lower case; an upper-case symbol is acknowledged and silent, as on the venue.
        if symbol != symbol.to_lowercase() {
            return None;
        }
        if let Some(interval) = stream.strip_prefix("continuousKline_") {
            let (pair, contract) = symbol.split_once('_')?;
            let symbol = venue.symbol(&pair.to_uppercase())?;
            let interval = Interval::parse(interval)?;
            return contract.ends_with("perpetual").then_some(Self::Continuous { symbol, interval });
        }
        let symbol = venue.symbol(&symbol.to_uppercase())?;
        match stream {
            "markPrice" => Some(Self::Mark { symbol, period_ms: 3000 }),
            "markPrice@1s" => Some(Self::Mark { symbol, period_ms: 1000 }),
            "forceOrder" => Some(Self::Forced { symbol }),
            "bookTicker" => Some(Self::Book { symbol }),
            "aggTrade" => Some(Self::Trades { symbol }),
            "trade" => Some(Self::Singles { symbol }),
            "ticker" => Some(Self::Ticker { symbol, is_mini: false }),
            "miniTicker" => Some(Self::Ticker { symbol, is_mini: true }),
            _ => {
                if let Some(depth) = stream.strip_prefix("depth") {
                    let levels = depth.split('@').next().unwrap_or_default();
                    let levels = if levels.is_empty() { None } else { Some(levels.parse().ok()?) };
                    return Some(Self::Depth { symbol, levels });
                }
                let interval = Interval::parse(stream.strip_prefix("kline_")?)?;
                Some(Self::Kline { symbol, interval })
            }
        }
    }

    /// Virtual time between two periodic frames, see [`period_ms`].
    pub(crate) fn period_ms(self, route: Route, speed: f64, gap: Duration) -> i64 {
        let (natural, most) = match self {
            Self::Kline { .. } if route == Route::Spot => (2000, 150_000),
            Self::Kline { .. } | Self::Continuous { .. } => (250, 150_000),
            Self::Mark { period_ms, .. } | Self::AllMarks { period_ms } => (period_ms, 60_000),
            Self::Book { .. } | Self::Depth { .. } => (500, 60_000),
            Self::AllBooks => (5000, 60_000),
            Self::Trades { .. } | Self::Singles { .. } | Self::Ticker { .. } | Self::AllTickers { .. } => {
                (1000, 60_000)
            }
            Self::Forced { .. } | Self::AllForced | Self::Contracts => (1000, 1000),
        };
        period_ms(natural, most, speed, gap)
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
