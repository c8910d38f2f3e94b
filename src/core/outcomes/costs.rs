//! What a round trip costs, part by part, by what was known on the day of its event.
//!
//! Fees follow a dated table. The half spread is measured on past quotes where there are any and configured
//! where there are none. Impact follows the square root of participation. Nothing here reads the day of the
//! event itself.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::market::{BPS, BarIndex, Ts};

/// A round trip's cost in its parts, bps of notional: of one trip, or the mean of several.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostParts {
    /// Fees of entry and exit.
    pub fee_bps: f64,
    /// Half the spread, at the entry and at the exit.
    pub spread_bps: f64,
    /// What fills lose beyond the best price of the book.
    pub slippage_bps: f64,
    /// What the orders themselves move the price.
    pub impact_bps: f64,
    /// Interest on coins that were borrowed to be sold. Perpetuals pay none.
    pub borrow_bps: f64,
    /// Share of the trips whose half spread was measured; the others have the configured one.
    pub measured_share: f64,
    /// Impact of a round trip of one unit of quote currency, which grows with the root of the order, bps; NaN
    /// unknown.
    pub impact_per_root: f64,
}

impl Default for CostParts {
    /// Of a trip that costs nothing.
    fn default() -> Self {
        Self::whole(0.0)
    }
}

impl CostParts {
    /// Names of [`CostParts::values`] in files, behind `cost_`.
    pub const NAMES: [&str; 6] =
        ["fee_bps", "spread_bps", "slippage_bps", "impact_bps", "borrow_bps", "spread_measured"];

    /// The parts, and the share of measured half spreads.
    #[must_use]
    pub const fn values(&self) -> [f64; 6] {
        [
            self.fee_bps,
            self.spread_bps,
            self.slippage_bps,
            self.impact_bps,
            self.borrow_bps,
            self.measured_share,
        ]
    }

    /// A total whose parts nobody knows: all of it counts as slippage.
    #[must_use]
    pub const fn whole(bps: f64) -> Self {
        Self {
            fee_bps: 0.0,
            spread_bps: 0.0,
            slippage_bps: bps,
            impact_bps: 0.0,
            borrow_bps: 0.0,
            measured_share: 0.0,
            impact_per_root: f64::NAN,
        }
    }

    /// The sum of the parts, bps: what evidence and gates charge.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.fee_bps + self.spread_bps + self.slippage_bps + self.impact_bps + self.borrow_bps
    }

    /// The mean of several trips; `None` of none.
    #[must_use]
    pub fn mean<'a>(trips: impl Iterator<Item = &'a Self>) -> Option<Self> {
        let mut sum = CostSum::default();
        trips.for_each(|trip| sum.add(trip));
        sum.mean()
    }
}

/// A running sum of trips.
#[derive(Clone, Copy, Debug, Default)]
pub struct CostSum {
    /// One sum for each of [`CostParts::values`].
    sums: [f64; 6],
    n: u64,
    per_root: f64,
    n_per_root: u64,
}

impl CostSum {
    /// Counts one more trip.
    pub fn add(&mut self, trip: &CostParts) {
        self.n += 1;
        for (sum, value) in self.sums.iter_mut().zip(trip.values()) {
            *sum += value;
        }
        if trip.impact_per_root.is_finite() {
            self.per_root += trip.impact_per_root;
            self.n_per_root += 1;
        }
    }

    /// The mean of the trips; `None` of none.
    #[must_use]
    pub fn mean(&self) -> Option<CostParts> {
        let [fee_bps, spread_bps, slippage_bps, impact_bps, borrow_bps, measured_share] =
            self.sums.map(|sum| sum / self.n as f64);
        (self.n > 0).then_some(CostParts {
            fee_bps,
            spread_bps,
            slippage_bps,
            impact_bps,
            borrow_bps,
            measured_share,
            impact_per_root: self.per_root / self.n_per_root as f64,
        })
    }
}

/// Whose days a measured half spread or a traded volume is the median or the mean of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrailingDays {
    /// Closed UTC days before the event's own, at most.
    pub days: u32,
    /// Known bars that a day needs to count.
    pub min_bars: u32,
}

/// The square root law: `coefficient * sd of a day * sqrt(order / volume of a day)`, at each fill that takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImpactRule {
    /// Impact of an order as large as the day, in daily standard deviations.
    pub coefficient: f64,
    /// Value of the order, quote currency; 0 = impact is not charged.
    pub order_notional: f64,
    /// Impact of a fill before volume and volatility are known, bps.
    pub fallback_bps: f64,
}

impl ImpactRule {
    /// Impact of one fill of one unit of quote currency, bps, which grows with the root of the order; NaN
    /// where volume or volatility is unknown.
    #[must_use]
    pub fn per_root(&self, known: Known) -> f64 {
        self.coefficient * known.day_sigma_bps / known.day_volume.sqrt()
    }
}

/// What a symbol's round trips cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoundTripCost {
    /// Fees of entry and exit before the first step, bps.
    pub fee_bps: f64,
    /// Instants, ascending, and the fees of entry and exit from then on, bps.
    pub fee_steps: Vec<(Ts, f64)>,
    /// How many of the two fills take: the others pay no spread, slippage and impact.
    pub takes: f64,
    /// The half spread where none was measured, bps.
    pub half_spread_bps: f64,
    /// What a fill that takes loses beyond the best price, bps.
    pub slippage_bps: f64,
    /// How the half spread is measured; `None` = it is not.
    pub spread: Option<TrailingDays>,
    /// How impact is charged; `None` = it is not.
    pub impact: Option<ImpactRule>,
    /// Days that the volume and the volatility of a day are means of; `None` = nobody asks.
    pub turnover: Option<TrailingDays>,
}

impl RoundTripCost {
    /// The same at all times, without parts.
    #[must_use]
    pub fn constant(bps: f64) -> Self {
        Self { takes: 2.0, slippage_bps: bps / 2.0, ..Self::default() }
    }

    /// The cost of an event at an instant, by what was known of its symbol before its day.
    #[must_use]
    pub fn parts(&self, at: Ts, known: Known) -> CostParts {
        let fee = self.fee_steps.iter().rev().find(|(from, _)| *from <= at);
        let is_measured = self.spread.is_some() && !known.half_spread_bps.is_nan();
        let half_spread = if is_measured { known.half_spread_bps } else { self.half_spread_bps };
        let per_root = self.impact.map_or(f64::NAN, |rule| rule.per_root(known));
        let impact = self.impact.filter(|rule| rule.order_notional > 0.0).map_or(0.0, |rule| {
            let bps = per_root * rule.order_notional.sqrt();
            if bps.is_finite() { bps } else { rule.fallback_bps }
        });
        CostParts {
            fee_bps: fee.map_or(self.fee_bps, |(_, bps)| *bps),
            spread_bps: self.takes * half_spread,
            slippage_bps: self.takes * self.slippage_bps,
            impact_bps: self.takes * impact,
            borrow_bps: 0.0,
            measured_share: if is_measured { 1.0 } else { 0.0 },
            impact_per_root: self.takes * per_root,
        }
    }

    /// The configured cost at an instant, bps: what is charged where nothing was measured.
    #[must_use]
    pub fn at(&self, at: Ts) -> f64 {
        self.parts(at, Known::NOTHING).total()
    }
}

/// What the closed days before an event say of its symbol's book and turnover.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// Median over the days of each day's median half spread, bps; NaN unknown.
    pub half_spread_bps: f64,
    /// Mean traded value of a day, quote currency; NaN unknown.
    pub day_volume: f64,
    /// Root of the mean sum of squared returns of a day's bars, bps; NaN unknown.
    pub day_sigma_bps: f64,
}

impl Known {
    /// Nothing is known.
    pub const NOTHING: Self =
        Self { half_spread_bps: f64::NAN, day_volume: f64::NAN, day_sigma_bps: f64::NAN };
}

/// One row of what the book of a symbol reads besides prices; NaN unknown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted {
    pub close: f64,
    pub spread_bps: f64,
    pub quote_volume: f64,
}

/// The running days of one symbol: quotes and turnover, day by day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct TrailingBook {
    day: i64,
    /// Half spreads of the running day, bps.
    quotes: Vec<f64>,
    volume: f64,
    squares: f64,
    /// Rows of the running day with a volume.
    bars: u32,
    /// The last known close; 0 before the first.
    close: f64,
    /// Medians of closed days.
    half_spreads: VecDeque<f64>,
    /// Traded values and sums of squared returns of closed days.
    turnovers: VecDeque<(f64, f64)>,
}

impl TrailingBook {
    /// Takes one row.
    pub(super) fn push(&mut self, bar: BarIndex, row: Quoted, terms: &RoundTripCost) {
        let day = bar.open().day();
        if day != self.day {
            self.close_day(terms);
            self.day = day;
        }
        if terms.spread.is_some() && row.spread_bps >= 0.0 {
            self.quotes.push(row.spread_bps / 2.0);
        }
        if terms.turnover.is_some() && row.quote_volume >= 0.0 {
            self.volume += row.quote_volume;
            self.bars += 1;
        }
        if row.close > 0.0 {
            let change = if self.close > 0.0 { row.close / self.close - 1.0 } else { 0.0 };
            self.squares += change * change;
            self.close = row.close;
        }
    }

    fn close_day(&mut self, terms: &RoundTripCost) {
        if let Some(rule) = terms.spread
            && self.quotes.len() as u64 >= u64::from(rule.min_bars)
            && let Some(median) = median(&mut self.quotes)
        {
            keep(&mut self.half_spreads, median, rule.days);
        }
        if let Some(rule) = terms.turnover
            && self.bars >= rule.min_bars
        {
            keep(&mut self.turnovers, (self.volume, self.squares), rule.days);
        }
        self.quotes.clear();
        (self.volume, self.squares, self.bars) = (0.0, 0.0, 0);
    }

    /// What was known when the running day began.
    pub(super) fn known(&self) -> Known {
        let mut medians: Vec<f64> = self.half_spreads.iter().copied().collect();
        let n = self.turnovers.len() as f64;
        let positive = |x: f64| if x > 0.0 { x } else { f64::NAN };
        Known {
            half_spread_bps: median(&mut medians).unwrap_or(f64::NAN),
            day_volume: positive(self.turnovers.iter().map(|(volume, _)| volume).sum::<f64>() / n),
            day_sigma_bps: positive(
                (self.turnovers.iter().map(|(_, squares)| squares).sum::<f64>() / n).sqrt(),
            ) * BPS,
        }
    }
}

fn keep<T>(days: &mut VecDeque<T>, value: T, most: u32) {
    days.push_back(value);
    while days.len() as u64 > u64::from(most) {
        days.pop_front();
    }
}

/// The median, of an even number the mean of both in the middle; the values are sorted.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) { (values[middle - 1] + upper) / 2.0 } else { upper })
}

#[cfg(test)]
#[path = "costs_tests.rs"]
mod tests;
