//! What the exchange takes as an order: quantities in steps, prices in ticks, and nothing below a least
//! value.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::blueprints::Blueprint;
use crate::market::{BPS, Symbol};
use crate::spec::CompiledSpec;
use crate::spec::strategies::OrderFilters;
use crate::tradability::{ExitReason, OrderRules, Trade};

/// What orders are held to where the exchange has not said it, and whether they are held to anything at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    /// Whether steps, ticks and least values count.
    pub are_on: bool,
    /// Steps of prices by symbol where the exchange has not said them.
    pub ticks: BTreeMap<Symbol, f64>,
    /// Least value of an order where the exchange has not said it, quote currency.
    pub min_notional: f64,
}

/// Positions that came to nothing, by what stood in the way of their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unplaced {
    /// The rule's sizing knows no size: the volatility at the event is unknown.
    pub risk_unknown: u64,
    /// Caps or the throttle left nothing of it.
    pub no_room: u64,
    /// Less than one step of the quantity.
    pub below_step: u64,
    /// Whole steps, but together below the least value of an order.
    pub below_min_notional: u64,
}

/// Why an order is not placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unfit {
    /// The rule's sizing knows no size.
    RiskUnknown,
    /// Caps or the throttle left nothing of it.
    NoRoom,
    /// It is less than one step of the quantity.
    BelowStep,
    /// It is worth less than the least order.
    BelowMinNotional,
}

impl Unplaced {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.risk_unknown + self.no_room + self.below_step + self.below_min_notional
    }

    pub(super) const fn count(&mut self, why: Unfit) {
        match why {
            Unfit::RiskUnknown => self.risk_unknown += 1,
            Unfit::NoRoom => self.no_room += 1,
            Unfit::BelowStep => self.below_step += 1,
            Unfit::BelowMinNotional => self.below_min_notional += 1,
        }
    }
}

impl Filters {
    /// Those of a spec tree: `portfolio` of the strategies and the ticks of the global defaults.
    #[must_use]
    pub fn of(spec: &CompiledSpec) -> Self {
        let portfolio = &spec.strategies.portfolio;
        Self {
            are_on: portfolio.order_filters == OrderFilters::Exchange,
            ticks: spec.defaults.tick_sizes.clone(),
            min_notional: portfolio.min_notional,
        }
    }

    /// What orders of a symbol are held to: what the exchange has said, else what the specs say.
    #[must_use]
    pub fn rules(&self, symbol: &Symbol, listed: OrderRules) -> OrderRules {
        if !self.are_on {
            return OrderRules::default();
        }
        OrderRules {
            tick: listed.tick.or_else(|| self.ticks.get(symbol).copied()),
            step: listed.step,
            min_notional: listed.min_notional.or(Some(self.min_notional)),
        }
    }
}

impl OrderRules {
    /// The notional of the largest order that is worth at most `notional`.
    pub(super) fn fit(&self, notional: f64, price: f64) -> Result<f64, Unfit> {
        if notional <= 0.0 {
            return Err(Unfit::NoRoom);
        }
        let fitted = match self.step {
            // A hair above: a quantity that is a whole number of steps may lie just below it as a double.
            Some(step) => (notional / price / step + 1e-9).floor() * step * price,
            None => notional,
        };
        if fitted <= 0.0 {
            return Err(Unfit::BelowStep);
        }
        if self.min_notional.is_some_and(|least| fitted < least) {
            return Err(Unfit::BelowMinNotional);
        }
        Ok(fitted)
    }

    /// The price at which an order leaves. A stop or target is an order at a price, and lies on the tick at
    /// or beyond its level, away from the entry; every other fill is at a price that the exchange has shown.
    pub(super) fn exit_price(&self, blueprint: &Blueprint, trade: &Trade, entry: f64) -> f64 {
        let (sign, exits) = (trade.side.sign(), &blueprint.exit);
        let shown = entry * (1.0 + sign * trade.gross_bps / BPS);
        let away = match trade.reason {
            ExitReason::Time => None,
            ExitReason::Stop => exits.stop.map(|stop| -sign * stop.bps),
            ExitReason::Target => exits.target.map(|target| sign * target.bps),
        };
        let (Some(tick), Some(away)) = (self.tick, away) else { return shown };
        let level = entry * (1.0 + away / BPS);
        // A stop that the open has jumped over fills at the open.
        let is_at_level = (shown / level - 1.0).abs() < 1e-9;
        if is_at_level { on_tick(level, tick, away > 0.0) } else { shown }
    }
}

/// The multiple of a tick at or beyond a price, in one direction.
fn on_tick(price: f64, tick: f64, up: bool) -> f64 {
    let nearest = (price / tick).round();
    let candidate = decimal(nearest, tick);
    if up && candidate < price {
        decimal(nearest + 1.0, tick)
    } else if !up && candidate > price {
        decimal(nearest - 1.0, tick)
    } else {
        candidate
    }
}

/// So many ticks as the double that is nearest to the decimal number which is meant: 3 ticks of 0.1 are 0.3.
fn decimal(ticks: f64, tick: f64) -> f64 {
    let mut scale = 1.0;
    let is_whole = |x: f64| x > 0.5 && (x.round() / x - 1.0).abs() < 1e-9;
    while scale < 1e15 && !is_whole(tick * scale) {
        scale *= 10.0;
    }
    ticks * (tick * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blueprints::Barrier;
    use crate::market::{BarIndex, Side};

    fn symbol() -> Symbol {
        Symbol::new("BTCUSDT").unwrap()
    }

    #[test]
    fn a_quantity_is_cut_to_whole_steps_and_a_small_order_is_none() {
        let rules = OrderRules { step: Some(0.001), min_notional: Some(5.0), tick: None };
        // The prior system's pinned example: 1.2345 in steps of 0.001 is 1.234.
        assert!((rules.fit(1.2345 * 100.0, 100.0).unwrap() - 123.4).abs() < 1e-9);
        assert!((rules.fit(0.3 * 100.0, 100.0).unwrap() - 30.0).abs() < 1e-9, "0.3 is 300 whole steps");
        // And 0.05 at 50 is worth less than 5.
        assert_eq!(rules.fit(0.05 * 50.0, 50.0), Err(Unfit::BelowMinNotional));
        assert_eq!(
            rules.fit(0.0009 * 50_000.0, 50_000.0),
            Err(Unfit::BelowStep),
            "worth 45, and no whole step"
        );
        assert_eq!(rules.fit(0.0, 100.0), Err(Unfit::NoRoom));
        assert_eq!(OrderRules::default().fit(7.5, 3.0), Ok(7.5));
        // Exactly the least value is enough.
        assert!(rules.fit(5.0, 50.0).is_ok());
    }

    #[test]
    fn what_the_exchange_has_said_stands_before_what_the_specs_say_and_off_is_off() {
        let ticks = BTreeMap::from([(symbol(), 0.5)]);
        let on = Filters { are_on: true, ticks, min_notional: 5.0 };
        let listed = OrderRules { tick: Some(0.1), step: Some(0.001), min_notional: Some(100.0) };
        assert_eq!(on.rules(&symbol(), listed), listed);
        let unasked = OrderRules { tick: Some(0.5), step: None, min_notional: Some(5.0) };
        assert_eq!(on.rules(&symbol(), OrderRules::default()), unasked);
        let off = Filters { are_on: false, ..on };
        assert_eq!(off.rules(&symbol(), listed), OrderRules::default());
    }

    /// By hand: entry at 100, a stop of 33 bps and a target of 47 bps, ticks of 0.1.
    #[test]
    fn a_stop_and_a_target_fill_on_the_tick_away_from_the_entry_and_what_was_jumped_over_at_the_open() {
        let line = include_str!("../blueprints/example.jsonl").lines().next().unwrap();
        let mut blueprint: Blueprint = serde_json::from_str(line).unwrap();
        blueprint.exit.stop = Some(Barrier { bps: 33.0 });
        blueprint.exit.target = Some(Barrier { bps: 47.0 });
        let rules = OrderRules { tick: Some(0.1), ..OrderRules::default() };
        let trade = |side, reason, gross_bps| Trade {
            symbol: symbol(),
            event_bar: BarIndex(0),
            side,
            entry: BarIndex(1).close(),
            exit_bar: BarIndex(3),
            reason,
            gross_bps,
            cost_bps: 0.0,
            funding_bps: 0.0,
            scale: 1.0,
        };
        for (side, reason, gross_bps, wanted) in [
            (Side::Long, ExitReason::Stop, -33.0, 99.6),     // 99.67
            (Side::Long, ExitReason::Target, 47.0, 100.5),   // 100.47
            (Side::Short, ExitReason::Stop, -33.0, 100.4),   // 100.33
            (Side::Short, ExitReason::Target, 47.0, 99.5),   // 99.53
            (Side::Long, ExitReason::Stop, -80.0, 99.2),     // the open was at 99.20
            (Side::Short, ExitReason::Time, 12.34, 99.8766), // a close is what it is
        ] {
            let exit = rules.exit_price(&blueprint, &trade(side, reason, gross_bps), 100.0);
            assert!((exit - wanted).abs() < 1e-9, "{side:?} {reason:?} {gross_bps}: {exit}");
        }
        let exact =
            OrderRules::default().exit_price(&blueprint, &trade(Side::Long, ExitReason::Stop, -33.0), 100.0);
        assert!((exact - 99.67).abs() < 1e-9, "without a tick the level itself");
    }

    #[test]
    fn a_price_is_put_on_the_tick_beyond_it_and_one_that_is_on_a_tick_stays() {
        for (price, tick, down, up) in [
            (38_114.35, 0.1, 38_114.3, 38_114.4),
            (0.3, 0.1, 0.3, 0.3),
            (101.5, 0.05, 101.5, 101.5),
            (0.124_931_4, 0.00001, 0.12493, 0.12494),
            (1234.2, 0.5, 1234.0, 1234.5),
            (1234.2, 5.0, 1230.0, 1235.0),
            (0.123_456_78, 0.000_001, 0.123_456, 0.123_457),
            (0.000_012_345, 0.000_000_01, 0.000_012_34, 0.000_012_35),
        ] {
            assert_eq!(
                [on_tick(price, tick, false), on_tick(price, tick, true)],
                [down, up],
                "{price} {tick}"
            );
        }
        // One double above a tick is beyond it, as it is for whoever writes the price as a decimal.
        assert_eq!(on_tick(101.500_000_000_000_01, 0.1, true), 101.6);
    }
}
