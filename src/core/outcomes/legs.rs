//! What a holding window shows beside the symbol's own return: the change of a relative price, and variance.
//!
//! Over the window of an outcome, from instant `a` (entry) to instant `b` (exit), with the prices `P` that
//! the outcome itself enters and exits at:
//!
//! ```text
//! relative return   P_own(b)/P_own(a) - 1 - r (P_hedge(b)/P_hedge(a) - 1)      r known before the deciding bar
//! variance ratio    sum over the H bars of ln(P(t)/P(t-1))^2 / (H sigma_bar^2) - 1
//! ```
//!
//! A price that is not known where it is needed makes the measure unknown: nothing is filled.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EntryPrice, Outcome};
use crate::market::{BarIndex, Source, Symbol, SymbolColumns};

/// A price that a position can be in, or be held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// The symbol's perpetual.
    #[default]
    Perp,
    /// The symbol's spot pair.
    Spot,
    /// The symbol's multi-venue index.
    Index,
    /// The perpetual of the benchmark.
    Leader,
}

/// The relative price that an event is about: one leg less a multiple of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelativePrice {
    /// The leg that gains when the relative price rises.
    pub own: Leg,
    /// The leg it is held against.
    pub hedge: Leg,
    /// Feature that says how much of the hedge leg, one row before the deciding bar; `None` = 1.
    pub ratio: Option<Arc<str>>,
}

impl fmt::Display for Leg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Perp => "the perpetual",
            Self::Spot => "its spot pair",
            Self::Index => "its index",
            Self::Leader => "the benchmark's perpetual",
        })
    }
}

impl fmt::Display for RelativePrice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ratio {
            None => write!(f, "{} less {}", self.own, self.hedge),
            Some(ratio) => {
                write!(f, "{} less {ratio}, one row before the event, times {}", self.own, self.hedge)
            }
        }
    }
}

/// What one outcome's window shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Change of the relative price, decimal; NaN unknown.
    pub relative_return: f64,
    /// Units of the hedge leg; NaN unknown.
    pub hedge_ratio: f64,
    /// Realised over expected variance, minus 1; NaN unknown.
    pub variance_ratio: f64,
}

impl Measured {
    /// Nothing is known.
    pub const UNKNOWN: Self =
        Self { relative_return: f64::NAN, hedge_ratio: f64::NAN, variance_ratio: f64::NAN };
}

/// The prices of every leg over the longest holding window. Rows go in, matured outcomes are measured.
#[derive(Clone, Debug)]
pub struct LegBook {
    price: EntryPrice,
    /// Rows kept before the newest push.
    keep: usize,
    /// Bar of the first row.
    first: BarIndex,
    symbols: Vec<(Symbol, LegRows)>,
}

#[derive(Clone, Debug, Default)]
struct LegRows {
    perp: VecDeque<f64>,
    spot: VecDeque<f64>,
    index: VecDeque<f64>,
    /// Per ratio that is asked for.
    ratios: Vec<VecDeque<f64>>,
}

impl LegBook {
    /// An empty book. `keep` rows reach back from any outcome's exit to the row before its event; `ratios`
    /// features are handed to [`LegBook::push`].
    #[must_use]
    pub fn new(symbols: &[Symbol], price: EntryPrice, keep: usize, ratios: usize) -> Self {
        let rows = LegRows { ratios: vec![VecDeque::new(); ratios], ..LegRows::default() };
        let symbols = symbols.iter().map(|s| (s.clone(), rows.clone())).collect();
        Self { price, keep, first: BarIndex(0), symbols }
    }

    /// Takes the next rows, from `first` on: each symbol's columns, and its ratios in the order agreed on.
    pub fn push<'a>(
        &mut self,
        first: BarIndex,
        rows: usize,
        columns: impl Iterator<Item = (&'a SymbolColumns, Vec<&'a [f64]>)>,
    ) {
        if self.symbols.iter().all(|(_, kept)| kept.perp.is_empty()) {
            self.first = first;
        }
        let stale = self.symbols.first().map_or(0, |(_, kept)| kept.perp.len()).saturating_sub(self.keep);
        self.first = self.first + stale as i64;
        let [perp, spot] = match self.price {
            EntryPrice::Close => [Source::Close, Source::SpotClose],
            EntryPrice::Open => [Source::Open, Source::SpotOpen],
        };
        for ((_, kept), (columns, ratios)) in self.symbols.iter_mut().zip(columns) {
            let legs = [(&mut kept.perp, perp), (&mut kept.spot, spot), (&mut kept.index, Source::Index)];
            let legs = legs.into_iter().map(|(kept, source)| (kept, columns.get(source)));
            for (kept, column) in legs.chain(kept.ratios.iter_mut().zip(ratios.into_iter().map(Some))) {
                kept.drain(..stale);
                match column {
                    Some(column) => kept.extend(&column[..rows]),
                    None => kept.resize(kept.len() + rows, f64::NAN),
                }
            }
        }
    }

    /// Measures an outcome that matured on one of the rows pushed last. `ratio` is the number of its feature.
    #[must_use]
    pub fn measure(
        &self,
        outcome: &Outcome,
        relative: Option<(&RelativePrice, Option<usize>)>,
        leader: &Symbol,
    ) -> Measured {
        let of = |name: &Symbol| self.symbols.iter().find(|(s, _)| s == name).map(|(_, rows)| rows);
        let Some(own) = of(&outcome.event.symbol) else { return Measured::UNKNOWN };
        let entry = outcome.event.bar + i64::from(outcome.entry_lag_bars);
        let exit = entry + i64::from(outcome.horizon.bars);
        let variance_ratio = self.realised_variance(own, entry, exit)
            / (f64::from(outcome.horizon.bars) * outcome.event.sigma_bar * outcome.event.sigma_bar)
            - 1.0;
        let mut measured = Measured { variance_ratio: finite(variance_ratio), ..Measured::UNKNOWN };
        if let Some((relative, ratio)) = relative {
            measured.hedge_ratio = match (&relative.ratio, ratio) {
                (None, _) => 1.0,
                (Some(_), Some(ix)) => self.at(&own.ratios[ix], outcome.event.bar - 1),
                (Some(_), None) => f64::NAN,
            };
            let change = |leg: Leg| {
                let rows = if leg == Leg::Leader { of(leader) } else { Some(own) };
                rows.map_or(f64::NAN, |rows| self.level(rows, leg, exit) / self.level(rows, leg, entry) - 1.0)
            };
            measured.relative_return =
                finite(change(relative.own) - measured.hedge_ratio * change(relative.hedge));
        }
        measured
    }

    /// Sum of squared log returns of the perpetual over the bars after `from` up to `to`.
    fn realised_variance(&self, rows: &LegRows, from: BarIndex, to: BarIndex) -> f64 {
        let mut before = self.at(&rows.perp, from);
        let mut sum = 0.0;
        for bar in from.0 + 1..=to.0 {
            let now = self.at(&rows.perp, BarIndex(bar));
            let r = libm::log(now / before);
            sum += r * r;
            before = now;
        }
        sum
    }

    /// A leg's price at the instant at which positions of a bar are entered. An index has a value at closes
    /// only: at an open it is the one of the close before.
    fn level(&self, rows: &LegRows, leg: Leg, bar: BarIndex) -> f64 {
        match (leg, self.price) {
            (Leg::Perp | Leg::Leader, _) => self.at(&rows.perp, bar),
            (Leg::Spot, _) => self.at(&rows.spot, bar),
            (Leg::Index, EntryPrice::Close) => self.at(&rows.index, bar),
            (Leg::Index, EntryPrice::Open) => self.at(&rows.index, bar - 1),
        }
    }

    fn at(&self, column: &VecDeque<f64>, bar: BarIndex) -> f64 {
        usize::try_from(bar - self.first).ok().and_then(|ix| column.get(ix).copied()).unwrap_or(f64::NAN)
    }
}

const fn finite(x: f64) -> f64 {
    if x.is_finite() { x } else { f64::NAN }
}

#[cfg(test)]
#[path = "legs_tests.rs"]
mod tests;
