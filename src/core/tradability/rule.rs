//! What goes into a simulation and what comes out.

use crate::market::{Bar, BarIndex, FundingPrint, Symbol, Ts};
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
    /// Symbol that the event is on.
    pub symbol: Symbol,
    /// Bar that decided the event.
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
    /// Open prices, one per bar.
    pub open: Vec<f64>,
    /// Highest prices, one per bar.
    pub high: Vec<f64>,
    /// Lowest prices, one per bar.
    pub low: Vec<f64>,
    /// Close prices, one per bar.
    pub close: Vec<f64>,
}

impl BarSeries {
    /// The bars on the grid of `[first, end)`; a slot without a bar is a gap, and a bar outside is left out.
    #[must_use]
    pub fn on_grid(first: BarIndex, end: BarIndex, bars: &[Bar]) -> Self {
        let rows = usize::try_from(end - first).unwrap_or(0);
        let mut columns = [const { Vec::new() }; 4];
        columns.iter_mut().for_each(|column| column.resize(rows, f64::NAN));
        for bar in bars {
            let Some(row) = usize::try_from(bar.bar - first).ok().filter(|row| *row < rows) else { continue };
            for (column, value) in columns.iter_mut().zip([bar.open, bar.high, bar.low, bar.close]) {
                column[row] = value;
            }
        }
        let [open, high, low, close] = columns;
        Self { first, open, high, low, close }
    }

    /// The bar after the last row.
    #[must_use]
    pub fn end(&self) -> BarIndex {
        self.first + i64::try_from(self.close.len()).unwrap_or(i64::MAX)
    }

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
    /// Prices of the symbol's bars.
    pub bars: BarSeries,
    /// Funding settlements in time order, rate per unit long; absent = not collected.
    pub funding: Option<Vec<(Ts, f64)>>,
    /// What the exchange takes as an order of it, as far as it has said so.
    pub orders: OrderRules,
}

/// What an exchange takes as an order of one symbol. What it has not said is absent, and binds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct OrderRules {
    /// Step of prices, quote currency.
    pub tick: Option<f64>,
    /// Step of quantities, base units.
    pub step: Option<f64>,
    /// Least value of an order, quote currency.
    pub min_notional: Option<f64>,
}

impl Market {
    /// The bars of `[first, end)` and the settlements; `None` where funding is not collected.
    #[must_use]
    pub fn on_grid(
        first: BarIndex,
        end: BarIndex,
        bars: &[Bar],
        funding: Option<impl IntoIterator<Item = FundingPrint>>,
    ) -> Self {
        let funding = funding.map(|prints| prints.into_iter().map(|p| (p.ts, p.rate)).collect());
        Self { bars: BarSeries::on_grid(first, end, bars), funding, orders: OrderRules::default() }
    }

    /// The part of it on the bars of `[first, end)`.
    #[must_use]
    pub fn between(&self, first: BarIndex, end: BarIndex) -> Self {
        let rows = (first.0..end.0).map(BarIndex);
        let mut bars = BarSeries { first, ..BarSeries::default() };
        for [open, high, low, close] in rows.map(|bar| self.bars.at(bar)) {
            bars.open.push(open);
            bars.high.push(high);
            bars.low.push(low);
            bars.close.push(close);
        }
        let inside = |(ts, _): &&(Ts, f64)| first.open() < *ts && *ts <= end.open();
        let funding = self.funding.as_ref().map(|prints| prints.iter().filter(inside).copied().collect());
        Self { bars, funding, orders: self.orders }
    }

    /// Rates settled strictly inside the window; NaN where funding is not collected.
    #[must_use]
    pub fn funding_between(&self, entry: Ts, exit: Ts) -> f64 {
        self.funding.as_ref().map_or(f64::NAN, |prints| {
            let inside = prints.partition_point(|(ts, _)| *ts <= entry);
            prints[inside..].iter().take_while(|(ts, _)| *ts < exit).map(|(_, rate)| rate).sum()
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
    /// Symbol that was traded.
    pub symbol: Symbol,
    /// Deciding bar of the event.
    pub event_bar: BarIndex,
    /// Side of the position.
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
    /// Trades that were made, in the order given above.
    pub trades: Vec<Trade>,
    /// Number of signals that the rule was given.
    pub signals: u64,
    /// Signals inside the cool-down of an earlier one.
    pub cooled_down: u64,
    /// Signals whose entry fell on a gap, and those whose exit was not yet there.
    pub dropped: u64,
}

impl Simulation {
    /// Adds what happened on other symbols.
    pub fn absorb(&mut self, other: Self) {
        self.trades.extend(other.trades);
        self.signals += other.signals;
        self.cooled_down += other.cooled_down;
        self.dropped += other.dropped;
    }

    /// Puts the trades in order.
    pub fn sort(&mut self) {
        self.trades
            .sort_by(|a, b| (a.exit_bar, &a.symbol, a.event_bar).cmp(&(b.exit_bar, &b.symbol, b.event_bar)));
    }
}
