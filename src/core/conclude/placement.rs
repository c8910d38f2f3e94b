//! Null twins of real data. Placement: every day's events move, as they are, to another day of the same
//! weekday and volatility, and what followed *there* is booked. Sign flips: every day's returns, all symbols
//! together, keep or change their sign.
//!
//! A moved event keeps its symbol, type, direction, states and time of day; only `sigma_bar` and
//! `sigma_event` are the new bar's, as it would have been. Every hypothesis therefore keeps its number of
//! events, its active days and its bursts, and events that came together still do; what is broken is the link
//! between an event and the market after it. A drift of the market remains in both real data and placement;
//! the flips remove it too.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::market::{
    BARS_PER_DAY, BarIndex, FundingPrint, RawBlock, RawSymbol, Source, Symbol, SymbolColumns, TickBlock, Ts,
};
use crate::market::{Draws, derive};
use crate::outcomes::Event;
use crate::outcomes::{BookConfig, Outcome, OutcomeBook};
use crate::tradability::{BarSeries, Market, MarketError, Markets};

/// What the outcome book reads, plus the scale at every bar: one symbol, one value a bar.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SymbolHistory {
    /// Open, high, low, close, and what costs are measured on: spread and traded value. NaN on a gap.
    pub prices: [Vec<f64>; 6],
    /// Funding settlements of the symbol, in time order.
    pub funding: Vec<FundingPrint>,
    /// Whether settlements are collected at all.
    pub has_funding: bool,
    /// The feature `sigma_bar`.
    pub sigma_bar: Vec<f64>,
    /// The feature `sigma_event`.
    pub sigma_event: Vec<f64>,
}

/// The history that events can be moved in.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// Names, in order.
    pub symbols: Vec<Symbol>,
    /// First bar of the history.
    pub first: BarIndex,
    /// Number of bars in the history.
    pub rows: usize,
    /// One history per symbol, in the order of `symbols`.
    pub columns: Vec<SymbolHistory>,
}

/// The columns of [`SymbolHistory::prices`].
pub const PRICES: [Source; 6] =
    [Source::Open, Source::High, Source::Low, Source::Close, Source::SpreadBpsMean, Source::QuoteVolume];

/// Which day's events go where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayMap {
    moves: BTreeMap<i64, i64>,
}

impl History {
    /// An empty history that begins at `first`.
    #[must_use]
    pub fn new(symbols: Vec<Symbol>, first: BarIndex) -> Self {
        let columns = vec![SymbolHistory::default(); symbols.len()];
        Self { symbols, first, rows: 0, columns }
    }

    /// Draws a map: within every group of one weekday and similar volatility, one random cycle through all of
    /// its days, so that no day stays where it is (Sattolo 1986). `groups` is the number of volatility groups
    /// a weekday is cut into.
    #[must_use]
    pub fn shuffle(&self, seed: u64, draw: usize, groups: usize) -> DayMap {
        let mut draws = Draws::numbered(derive(seed, "placement"), draw as i64);
        let mut moves = BTreeMap::new();
        for mut days in self.strata(groups) {
            let from = days.clone();
            for i in (1..days.len()).rev() {
                let j = (draws.uniform() * i as f64) as usize;
                days.swap(i, j);
            }
            moves.extend(from.into_iter().zip(days));
        }
        DayMap { moves }
    }

    /// Whole days by weekday and volatility, at least two in each group.
    fn strata(&self, groups: usize) -> Vec<Vec<i64>> {
        let whole = |day: i64| {
            let from = day * BARS_PER_DAY - self.first.0;
            from >= 0 && from + BARS_PER_DAY <= self.rows as i64
        };
        let first = self.first.open().day();
        let last = (self.first + self.rows as i64).open().day();
        let mut by_weekday: BTreeMap<i64, Vec<(f64, i64)>> = BTreeMap::new();
        for day in (first..=last).filter(|d| whole(*d)) {
            by_weekday.entry(day.rem_euclid(7)).or_default().push((self.variance(day), day));
        }
        let mut out = Vec::new();
        for mut days in by_weekday.into_values() {
            days.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let parts = groups.min(days.len() / 2);
            let cut = |k: usize| k * days.len() / parts;
            out.extend((0..parts).map(|k| days[cut(k)..cut(k + 1)].iter().map(|(_, d)| *d).collect()));
        }
        out
    }

    /// Sum of squared close-to-close returns of a day, over all symbols, each against its own level.
    fn variance(&self, day: i64) -> f64 {
        let from = (day * BARS_PER_DAY - self.first.0) as usize;
        let rows = from..from + BARS_PER_DAY as usize;
        self.columns
            .iter()
            .map(|c| {
                let square = |a: f64, b: f64| (b / a - 1.0) * (b / a - 1.0);
                let total = |close: &[f64]| {
                    let moves = close.windows(2).map(|w| square(w[0], w[1]));
                    moves.filter(|x| x.is_finite()).sum::<f64>()
                };
                total(&c.prices[3][rows.clone()]) / total(&c.prices[3]).max(f64::MIN_POSITIVE)
            })
            .sum()
    }

    /// The events on their new days, in the order of a detector: by bar, then as they were. Events of days
    /// that cannot move (partial, or alone in their group) are left out.
    #[must_use]
    pub fn place<'a>(&self, events: impl IntoIterator<Item = &'a Event>, map: &DayMap) -> Vec<Event> {
        let mut out: Vec<Event> = events
            .into_iter()
            .filter_map(|event| {
                let day = event.bar.open().day();
                let bar = event.bar + (map.moves.get(&day)? - day) * BARS_PER_DAY;
                let symbol = self.symbols.iter().position(|s| *s == event.symbol)?;
                let at = (bar - self.first) as usize;
                let [sigma_bar, sigma_event] =
                    [&self.columns[symbol].sigma_bar, &self.columns[symbol].sigma_event]
                        .map(|column| column.get(at).copied().unwrap_or(f64::NAN));
                Some(Event { bar, sigma_bar, sigma_event, ..event.clone() })
            })
            .collect();
        out.sort_by_key(|e| e.bar);
        out
    }

    /// Books the outcomes of placed events: real prices, real settlements, the production book. Positions
    /// that are open at the end follow, as far as they were marked.
    #[must_use]
    pub fn book(&self, config: BookConfig, events: &[Event]) -> Vec<Outcome> {
        let mut block = TickBlock { first: self.first, rows: self.rows, symbols: Vec::new() };
        let mut raw = RawBlock::empty(self.first, self.rows, 0);
        for column in &self.columns {
            let mut columns = SymbolColumns::new();
            for (source, values) in PRICES.into_iter().zip(&column.prices) {
                columns.set(source, values.clone());
            }
            if column.has_funding {
                // Only its presence is read: the settlements themselves are in the raw block.
                columns.set(Source::FundingRate, Vec::new());
            }
            block.symbols.push(columns);
            raw.symbols.push(RawSymbol { funding: column.funding.clone(), ..RawSymbol::default() });
        }
        let mut book = OutcomeBook::new(config);
        let mut booked = book.push(&raw, &block, events);
        booked.extend(book.marked());
        booked
    }
}

/// What the positions of a null twin meet: the bars of the history, with the returns of some days turned.
#[derive(Clone, Copy, Debug)]
pub struct TwinMarkets<'a> {
    history: &'a History,
    signs: Option<DaySigns>,
}

impl<'a> TwinMarkets<'a> {
    /// Where placed events trade: the bars as they are.
    #[must_use]
    pub const fn placed(history: &'a History) -> Self {
        Self { history, signs: None }
    }

    /// Where the outcomes of [`flip_days`] of the same seed and draw come from.
    #[must_use]
    pub fn flipped(history: &'a History, seed: u64, draw: usize) -> Self {
        Self { history, signs: Some(DaySigns::of(seed, draw)) }
    }
}

impl Markets for TwinMarkets<'_> {
    fn market(
        &mut self,
        symbol: &Symbol,
        first: BarIndex,
        end: BarIndex,
    ) -> Result<Option<Market>, MarketError> {
        let Some(at) = self.history.symbols.iter().position(|s| s == symbol) else { return Ok(None) };
        let column = &self.history.columns[at];
        let row = |bar: BarIndex| (bar - self.history.first).clamp(0, self.history.rows as i64) as usize;
        let rows = row(first)..row(end).max(row(first));
        let [open, high, low, close] = [0, 1, 2, 3].map(|at| column.prices[at][rows.clone()].to_vec());
        let bars = BarSeries { first: self.history.first + rows.start as i64, open, high, low, close };
        let settled = column.funding.iter().filter(|p| first.open() < p.ts && p.ts <= end.open());
        let funding = column.has_funding.then(|| settled.map(|p| (p.ts, p.rate)).collect());
        Ok(Some(Market { bars, funding, ..Market::default() }))
    }

    fn is_turned(&self, day: i64) -> bool {
        self.signs.is_some_and(|signs| signs.is_turned(day))
    }
}

/// Which UTC days are turned in a draw.
#[derive(Clone, Copy, Debug)]
struct DaySigns {
    key: u64,
}

impl DaySigns {
    fn of(seed: u64, draw: usize) -> Self {
        Self { key: derive(derive(seed, "signs"), &draw.to_string()) }
    }

    fn is_turned(self, day: i64) -> bool {
        Draws::numbered(self.key, day).sign() < 0.0
    }
}

/// The outcomes with every UTC day's returns kept or turned, all symbols and event types of a day together.
#[must_use]
pub(super) fn flip_days(outcomes: &[Outcome], seed: u64, draw: usize) -> Vec<Outcome> {
    let signs = DaySigns::of(seed, draw);
    outcomes
        .iter()
        .map(|outcome| {
            let mut outcome = outcome.clone();
            if signs.is_turned(outcome.event.bar.open().day()) {
                outcome.forward_return = -outcome.forward_return;
                outcome.midnight_return = -outcome.midnight_return;
                outcome.funding_paid = -outcome.funding_paid;
                (outcome.mfe_bps, outcome.mae_bps) = (-outcome.mae_bps, -outcome.mfe_bps);
            }
            outcome
        })
        .collect()
}

/// The detections behind outcomes, each once, in the order of their bars.
#[must_use]
pub(super) fn events_of(outcomes: &[Outcome]) -> Vec<Arc<Event>> {
    let mut seen: BTreeMap<(Ts, &str, &str), &Arc<Event>> = BTreeMap::new();
    for o in outcomes {
        seen.insert((o.event.bar.open(), o.event.symbol.as_str(), &o.event.event_type), &o.event);
    }
    seen.into_values().cloned().collect()
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;
