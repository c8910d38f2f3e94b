//! What goes into a simulation and what comes out.

use crate::market::{BarIndex, Symbol, Ts};
use crate::market::{IntrabarPath, Side, Sizing, StopGapFill};
use crate::outcomes::EntryPrice;

/// A rule to simulate: what a blueprint will say.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Bars from the deciding bar to the entry bar, at least 1.
    pub entry_lag_bars: u32,
    /// Which price enters, and leaves at the time exit.
    pub price: EntryPrice,
    /// Bars from the entry bar to the exit bar.
    pub time_stop_bars: u32,
    /// Fewest bars between the deciding bars of two entries on one symbol.
    pub cooldown_bars: u32,
    /// Loss at which a position is closed, bps.
    pub stop_bps: Option<f64>,
    /// Gain at which it is closed, bps.
    pub target_bps: Option<f64>,
    /// Order in which a bar visits its extremes.
    pub intrabar_path: IntrabarPath,
    /// Fill of a stop that the open has jumped over.
    pub stop_gap_fill: StopGapFill,
    /// How large positions are.
    pub sizing: Sizing,
}

impl Rule {
    /// Whether a position may end before its time: then outcomes alone cannot replay it.
    #[must_use]
    pub const fn has_barrier(&self) -> bool {
        self.stop_bps.is_some() || self.target_bps.is_some()
    }

    /// The instant at which this rule's price of a bar is struck.
    #[must_use]
    pub const fn instant(&self, bar: BarIndex) -> Ts {
        match self.price {
            EntryPrice::Close => bar.close(),
            EntryPrice::Open => bar.open(),
        }
    }
}

/// An event that a rule may trade.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Symbol.
    pub symbol: Symbol,
    /// Deciding bar.
    pub bar: BarIndex,
    /// Side that the rule takes.
    pub side: Side,
    /// sd of one bar's return known at the event; NaN unknown.
    pub sigma_bar: f64,
    /// Round-trip cost known at the event, bps.
    pub cost_bps: f64,
}

/// Prices on the full grid from `first` on; NaN = gap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BarSeries {
    /// Bar of the first row.
    pub first: BarIndex,
    /// Opens.
    pub open: Vec<f64>,
    /// Highs.
    pub high: Vec<f64>,
    /// Lows.
    pub low: Vec<f64>,
    /// Closes.
    pub close: Vec<f64>,
}

impl BarSeries {
    /// Open, high, low, close of a bar; NaN outside the series.
    #[must_use]
    pub fn at(&self, bar: BarIndex) -> [f64; 4] {
        let row = usize::try_from(bar - self.first).ok();
        let value = |column: &[f64]| row.and_then(|r| column.get(r)).copied().unwrap_or(f64::NAN);
        [value(&self.open), value(&self.high), value(&self.low), value(&self.close)]
    }
}

/// What one symbol's positions meet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Market {
    /// Its bars.
    pub bars: BarSeries,
    /// Funding settlements in time order, rate per unit long; absent = not collected.
    pub funding: Option<Vec<(Ts, f64)>>,
}

impl Market {
    /// Rates settled strictly inside the window; NaN where funding is not collected.
    #[must_use]
    pub fn funding_between(&self, entry: Ts, exit: Ts) -> f64 {
        self.funding.as_ref().map_or(f64::NAN, |prints| {
            prints.iter().filter(|(ts, _)| entry < *ts && *ts < exit).map(|(_, rate)| rate).sum()
        })
    }
}

/// Why a position was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitReason {
    /// Its time was over.
    Time,
    /// The loss limit.
    Stop,
    /// The gain limit.
    Target,
}

/// One simulated trade.
#[derive(Clone, Debug, PartialEq)]
pub struct Trade {
    /// Symbol.
    pub symbol: Symbol,
    /// Deciding bar of the event.
    pub event_bar: BarIndex,
    /// Side.
    pub side: Side,
    /// Instant of the entry.
    pub entry: Ts,
    /// Bar on which it was closed.
    pub exit_bar: BarIndex,
    /// Why it was closed.
    pub reason: ExitReason,
    /// Return in the traded direction before costs, bps of notional.
    pub gross_bps: f64,
    /// Round-trip cost, bps.
    pub cost_bps: f64,
    /// Funding paid (negative: received), bps; NaN where funding is not collected.
    pub funding_bps: f64,
    /// Notional over equity.
    pub scale: f64,
}

impl Trade {
    /// Return after `multiple` times the cost and after funding where it is known, bps of notional.
    #[must_use]
    pub fn net_bps(&self, multiple: f64) -> f64 {
        let funding = if self.funding_bps.is_nan() { 0.0 } else { self.funding_bps };
        self.gross_bps - multiple * self.cost_bps - funding
    }
}

/// All trades of a rule, in (exit bar, symbol, event bar) order, and what was not traded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Simulation {
    /// The trades.
    pub trades: Vec<Trade>,
    /// Signals given.
    pub signals: u64,
    /// Signals inside the cool-down of an earlier one.
    pub cooled_down: u64,
    /// Signals whose entry or exit fell on a gap.
    pub dropped: u64,
}
