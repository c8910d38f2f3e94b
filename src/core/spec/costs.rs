//! `costs` of `spec/global_defaults.yaml`: what a round trip is made of.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::market::{Symbol, Ts, parse_time};
use crate::outcomes::{CostParts, ImpactRule, Known, RoundTripCost, TrailingDays};

/// Costs per side in bps of notional.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostModel {
    /// Taker fee per side, bps of notional.
    pub fee_bps_per_side: f64,
    /// What a fill that takes loses against the middle of the book, bps of notional: the half spread and what
    /// lies beyond.
    pub slippage_bps_per_side: f64,
    /// Maker fee per side, bps of notional, before the first entry of the schedule; absent = unknown. Below 0
    /// a maker is paid.
    #[serde(default)]
    pub maker_fee_bps_per_side: Option<f64>,
    /// Whether entry and exit take or make.
    #[serde(default)]
    pub fills: Fills,
    /// The fee tier of the account: entries of the schedule that name another are passed over. Absent = only
    /// those that name none count.
    #[serde(default)]
    pub tier: Option<String>,
    /// Fees by market and tier, by the instant they came into force, ascending within each. Before the first
    /// entry, and without any, the fees above hold. Symbols with a fee of their own do not follow it.
    #[serde(default)]
    pub fee_schedule: Vec<FeeChange>,
    /// How the half spread is measured. Absent = it is not, and all of `slippage_bps_per_side` is slippage.
    #[serde(default)]
    pub spread: Option<SpreadCost>,
    /// How impact is charged and capacity measured. Absent = neither.
    #[serde(default)]
    pub impact: Option<ImpactCost>,
    /// What a leg on the spot market costs. Absent = as much as the perpetual.
    #[serde(default)]
    pub spot: Option<SpotCosts>,
    /// Symbols with other costs.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, SymbolCosts>")]
    pub symbols: BTreeMap<Symbol, SymbolCosts>,
}

/// A change of the account's fees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeeChange {
    /// The first instant at which it holds, UTC.
    pub from: String,
    /// Taker fee, bps.
    pub taker_bps: f64,
    /// Maker fee, bps.
    pub maker_bps: f64,
    /// The tier that pays it; absent = every tier.
    #[serde(default)]
    pub tier: Option<String>,
    /// The market that it is paid on.
    #[serde(default)]
    pub market: FeeMarket,
}

/// A market with fees of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeeMarket {
    /// The market of perpetual contracts.
    #[default]
    Perp,
    /// The spot market.
    Spot,
}

/// Whether a fill takes what stands in the book or stands in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// It takes: taker fee, half spread, slippage and impact.
    #[default]
    Taker,
    /// It stands in the book: maker fee and nothing else. That it is filled at all is assumed.
    Maker,
}

/// How positions are opened and closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fills {
    /// The fill that opens a position.
    pub entry: Fill,
    /// The fill that closes it.
    pub exit: Fill,
}

/// The half spread: measured on past top-of-book quotes, else configured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpreadCost {
    /// The part of `slippage_bps_per_side` that is the half spread, bps; a measured one takes its place.
    pub half_bps: f64,
    /// Measured: the median over at most so many closed UTC days before the event's of each day's median half
    /// spread.
    pub days: u32,
    /// Bars with quotes that a day needs to count.
    pub min_bars: u32,
}

/// Square-root impact: `coefficient * sd of a day's return * sqrt(order / traded value of a day)` at each
/// fill that takes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImpactCost {
    /// Impact of an order as large as the day, in daily standard deviations.
    pub coefficient: f64,
    /// Value of the order whose impact is charged, quote currency; 0 = none is.
    pub order_notional: f64,
    /// Volume and volatility of a day are means over at most so many closed UTC days before the event's.
    pub days: u32,
    /// Bars that a day needs to count.
    pub min_bars: u32,
    /// Impact of a fill before any day has closed, bps.
    pub fallback_bps: f64,
}

/// What a leg on the spot market costs, bps of its notional.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SpotCosts {
    /// Taker fee per side before the first spot entry of the schedule.
    pub fee_bps_per_side: f64,
    /// What a fill loses against the middle of the book.
    pub slippage_bps_per_side: f64,
    /// Interest on coins that are borrowed to be sold, bps a day, by the hours held.
    pub borrow_bps_per_day: f64,
}

/// Costs of one symbol; absent values are the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SymbolCosts {
    /// Taker fee per side, bps of notional.
    #[serde(default)]
    pub fee_bps_per_side: Option<f64>,
    /// Half spread and slippage per side, bps of notional.
    #[serde(default)]
    pub slippage_bps_per_side: Option<f64>,
    /// The part of it that is the half spread, bps of notional.
    #[serde(default)]
    pub half_spread_bps: Option<f64>,
}

impl CostModel {
    /// Taker fee of one side, bps.
    #[must_use]
    pub fn fee_bps(&self, symbol: &Symbol) -> f64 {
        self.symbols.get(symbol).and_then(|s| s.fee_bps_per_side).unwrap_or(self.fee_bps_per_side)
    }

    /// Changes of the fees of one market that the account's tier follows: instant, taker and maker fee in
    /// bps.
    fn changes(&self, market: FeeMarket) -> impl Iterator<Item = (Ts, [f64; 2])> {
        let ours = self.fee_schedule.iter().filter(move |c| c.market == market);
        let ours = ours.filter(|c| c.tier.is_none() || c.tier == self.tier);
        // An instant that does not parse was refused when the specs were loaded.
        ours.filter_map(|c| Some((parse_time(&c.from).ok()?, [c.taker_bps, c.maker_bps])))
    }

    /// Changes of the fees that a symbol's perpetual follows: instant, taker and maker fee in bps.
    #[must_use]
    pub fn fee_steps(&self, symbol: &Symbol) -> Vec<(Ts, [f64; 2])> {
        let has_own = self.symbols.get(symbol).is_some_and(|s| s.fee_bps_per_side.is_some());
        if has_own { Vec::new() } else { self.changes(FeeMarket::Perp).collect() }
    }

    /// Taker fee of one side in force at an instant, bps.
    #[must_use]
    pub fn fee_bps_at(&self, symbol: &Symbol, at: Ts) -> f64 {
        let steps = self.fee_steps(symbol);
        steps
            .iter()
            .rev()
            .find(|(from, _)| *from <= at)
            .map_or(self.fee_bps(symbol), |(_, [taker, _])| *taker)
    }

    /// What entry and exit cost, by the instant from which fees hold.
    #[must_use]
    pub fn round_trips(&self, symbol: &Symbol) -> RoundTripCost {
        let half_spread_bps = self.half_spread_bps(symbol);
        let maker = self.maker_fee_bps_per_side.unwrap_or(f64::NAN);
        let steps = self.fee_steps(symbol).into_iter().map(|(at, fees)| (at, self.fees_of(fees)));
        RoundTripCost {
            fee_bps: self.fees_of([self.fee_bps(symbol), maker]),
            fee_steps: steps.collect(),
            takes: self.takes(),
            half_spread_bps,
            slippage_bps: self.slippage_bps(symbol) - half_spread_bps,
            spread: self.spread.map(|s| TrailingDays { days: s.days, min_bars: s.min_bars }),
            impact: self.impact.map(|i| ImpactRule {
                coefficient: i.coefficient,
                order_notional: i.order_notional,
                fallback_bps: i.fallback_bps,
            }),
            turnover: self.impact.map(|i| TrailingDays { days: i.days, min_bars: i.min_bars }),
        }
    }

    fn sides(&self) -> [Fill; 2] {
        [self.fills.entry, self.fills.exit]
    }

    fn takes(&self) -> f64 {
        self.sides().iter().filter(|fill| **fill == Fill::Taker).count() as f64
    }

    /// Fees of entry and exit, by what a taker and what a maker pays.
    fn fees_of(&self, [taker, maker]: [f64; 2]) -> f64 {
        let fee = |fill: &Fill| match fill {
            Fill::Taker => taker,
            Fill::Maker => maker,
        };
        self.sides().iter().map(fee).sum()
    }

    /// What a fill that takes loses against the middle of the book, bps: half spread and slippage.
    #[must_use]
    pub fn slippage_bps(&self, symbol: &Symbol) -> f64 {
        self.symbols.get(symbol).and_then(|s| s.slippage_bps_per_side).unwrap_or(self.slippage_bps_per_side)
    }

    /// The part of it that is the half spread where none was measured, bps. A symbol without one of its own
    /// has the default, or as much of it as its slippage leaves room for.
    #[must_use]
    pub fn half_spread_bps(&self, symbol: &Symbol) -> f64 {
        let own = self.symbols.get(symbol).and_then(|s| s.half_spread_bps);
        let default = self.spread.map_or(0.0, |s| s.half_bps.min(self.slippage_bps(symbol)));
        own.unwrap_or(default)
    }

    /// Fee of one side and what it loses against the middle of the book, bps, the mean of entry and exit,
    /// where nothing was measured.
    #[must_use]
    pub fn per_side(&self, symbol: &Symbol, at: Ts) -> [f64; 2] {
        let trip = self.round_trips(symbol).parts(at, Known::NOTHING);
        [trip.fee_bps / 2.0, (trip.total() - trip.fee_bps) / 2.0]
    }

    /// Fee and slippage of entry and exit before any change of fees, bps.
    #[must_use]
    pub fn round_trip_bps(&self, symbol: &Symbol) -> f64 {
        let terms = self.round_trips(symbol);
        RoundTripCost { fee_steps: Vec::new(), ..terms }.at(Ts(0))
    }

    /// What a leg on the spot market costs that is held for `days`, both fills taking; `None` where the specs
    /// say nothing of spot.
    #[must_use]
    pub fn spot_leg(&self, at: Ts, is_short: bool, days: f64) -> Option<CostParts> {
        let spot = self.spot?;
        let steps: Vec<(Ts, [f64; 2])> = self.changes(FeeMarket::Spot).collect();
        let step = steps.iter().rev().find(|(from, _)| *from <= at);
        Some(CostParts {
            fee_bps: 2.0 * step.map_or(spot.fee_bps_per_side, |(_, [taker, _])| *taker),
            slippage_bps: 2.0 * spot.slippage_bps_per_side,
            borrow_bps: if is_short { spot.borrow_bps_per_day * days } else { 0.0 },
            ..CostParts::default()
        })
    }
}

#[cfg(test)]
#[path = "costs_tests.rs"]
mod tests;
