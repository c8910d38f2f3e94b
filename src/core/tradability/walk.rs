//! Walking signals forward: over bars, or over outcomes that were booked already.

use crate::market::BPS;
use std::collections::BTreeMap;

use super::rule::{BarSeries, ExitReason, Market, Rule, Signal, Simulation, Trade};
use crate::market::{BarIndex, Symbol};
use crate::market::{IntrabarPath, Side, StopGapFill};
use crate::outcomes::EntryPrice;

/// Simulates `rule` on one symbol's `signals` (any order) over its bars.
#[must_use]
pub fn simulate(rule: &Rule, signals: &[Signal], market: &Market) -> Simulation {
    debug_assert!(signals.iter().all(|s| s.symbol == signals[0].symbol), "signals of one symbol");
    walk(rule, signals, |at| {
        let signal = &signals[at];
        let entry_bar = signal.bar + i64::from(rule.entry_lag_bars);
        let entry = struck(rule.price, &market.bars, entry_bar);
        let (exit_bar, exit, reason) = leave(rule, &market.bars, entry_bar, entry, signal.side)?;
        // A barrier fills somewhere inside its bar; the settlement on the bar's own boundaries is not met
        // either way.
        let left_at = if reason == ExitReason::Time { rule.instant(exit_bar) } else { exit_bar.close() };
        let funding = market.funding_between(rule.instant(entry_bar), left_at);
        Some((exit_bar, reason, exit / entry - 1.0, funding))
    })
}

/// Replays a rule without barriers from booked outcomes: `outcomes[i]` is the unsigned forward return and the
/// funding paid per unit long of `signals[i]`; NaN returns are dropped. The same trades as [`simulate`] makes
/// from the bars of each symbol, but for those that leave late because their exit falls on a gap: outcomes do
/// not know them.
#[must_use]
pub(super) fn replay(rule: &Rule, signals: &[Signal], outcomes: &[(f64, f64)]) -> Simulation {
    walk(rule, signals, |at| {
        let (forward_return, funding) = *outcomes.get(at)?;
        let exit_bar = signals[at].bar + i64::from(rule.entry_lag_bars) + i64::from(rule.time_stop_bars);
        (!forward_return.is_nan()).then_some((exit_bar, ExitReason::Time, forward_return, funding))
    })
}

/// Applies the cool-down per symbol in time order and collects what `fill` makes of each taken signal: exit
/// bar, reason, unsigned return, funding per unit long.
fn walk(
    rule: &Rule,
    signals: &[Signal],
    fill: impl Fn(usize) -> Option<(BarIndex, ExitReason, f64, f64)>,
) -> Simulation {
    let mut order: Vec<usize> = (0..signals.len()).collect();
    order.sort_by(|a, b| (signals[*a].bar, &signals[*a].symbol).cmp(&(signals[*b].bar, &signals[*b].symbol)));
    let mut out = Simulation { signals: signals.len() as u64, ..Simulation::default() };
    let mut free_from: BTreeMap<&Symbol, BarIndex> = BTreeMap::new();
    for at in order {
        let signal = &signals[at];
        if free_from.get(&signal.symbol).is_some_and(|bar| signal.bar < *bar) {
            out.cooled_down += 1;
            continue;
        }
        free_from.insert(&signal.symbol, signal.bar + i64::from(rule.cooldown_bars));
        let Some((exit_bar, reason, unsigned, funding)) = fill(at) else {
            out.dropped += 1;
            continue;
        };
        out.trades.push(Trade {
            symbol: signal.symbol.clone(),
            event_bar: signal.bar,
            side: signal.side,
            entry: rule.instant(signal.bar + i64::from(rule.entry_lag_bars)),
            exit_bar,
            reason,
            gross_bps: signal.side.sign() * unsigned * BPS,
            cost_bps: signal.cost_bps,
            funding_bps: signal.side.sign() * funding * BPS,
            scale: rule.sizing.scale(signal.sigma_bar, rule.time_stop_bars),
        });
    }
    out.sort();
    out
}

fn struck(price: EntryPrice, bars: &BarSeries, bar: BarIndex) -> f64 {
    let [open, _, _, close] = bars.at(bar);
    match price {
        EntryPrice::Close => close,
        EntryPrice::Open => open,
    }
}

/// Exit bar, price and reason; `None` where the entry falls on a gap or there is no exit yet. The fill
/// convention of blueprints: no bar at the entry, no trade; no bar at the exit, the next bar that there is.
fn leave(
    rule: &Rule,
    bars: &BarSeries,
    entry_bar: BarIndex,
    entry: f64,
    side: Side,
) -> Option<(BarIndex, f64, ExitReason)> {
    if entry.is_nan() {
        return None;
    }
    let due = entry_bar + i64::from(rule.time_stop_bars);
    let first = if rule.has_barrier() { entry_bar + 1 } else { due };
    for bar in (first.0..bars.end().0).map(BarIndex) {
        let at_time = Some(struck(rule.price, bars, bar)).filter(|price| bar >= due && !price.is_nan());
        let at_time = at_time.map(|price| (bar, price, ExitReason::Time));
        // At an open time exit the position is gone before its bar trades.
        if at_time.is_some() && rule.price == EntryPrice::Open {
            return at_time;
        }
        if let Some((price, reason)) = barrier_hit(rule, bars.at(bar), entry, side) {
            return Some((bar, price, reason));
        }
        if at_time.is_some() {
            return at_time;
        }
    }
    None
}

/// The first barrier that a bar's path meets, with its fill. Comparisons with NaN are false, so a gap meets
/// none.
fn barrier_hit(
    rule: &Rule,
    [open, high, low, _]: [f64; 4],
    entry: f64,
    side: Side,
) -> Option<(f64, ExitReason)> {
    let sign = side.sign();
    let stop = rule.stop_bps.map(|bps| entry * (1.0 - sign * bps / BPS));
    let target = rule.target_bps.map(|bps| entry * (1.0 + sign * bps / BPS));
    let beyond_stop = |price: f64| stop.filter(|s| sign * (price - s) <= 0.0);
    let beyond_target = |price: f64| target.filter(|t| sign * (price - t) >= 0.0);

    if let Some(trigger) = beyond_stop(open) {
        let fill = match rule.stop_gap_fill {
            StopGapFill::Open => open,
            StopGapFill::Trigger => trigger,
        };
        return Some((fill, ExitReason::Stop));
    }
    if let Some(limit) = beyond_target(open) {
        return Some((limit, ExitReason::Target));
    }
    let high_first = match rule.intrabar_path {
        IntrabarPath::Ohlc => true,
        IntrabarPath::Adaptive => high - open < open - low,
    };
    let path = if high_first { [high, low] } else { [low, high] };
    path.into_iter().find_map(|price| {
        let stopped = beyond_stop(price).map(|trigger| (trigger, ExitReason::Stop));
        stopped.or_else(|| beyond_target(price).map(|limit| (limit, ExitReason::Target)))
    })
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
