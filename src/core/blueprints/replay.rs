//! A published rule over history: the trades that a consumer who follows the file would have made. The
//! bridge's own walk, from the line instead of the candidate.

use std::collections::BTreeMap;

use super::record::Blueprint;
use crate::discovery::ConditionTest;
use crate::market::{IntrabarPath, StopGapFill, Symbol};
use crate::outcomes::Event;
use crate::tradability::{Market, Rule, Signal, Simulation, simulate};

/// The rule that a line says.
fn rule_of(blueprint: &Blueprint) -> Rule {
    Rule {
        entry_lag_bars: blueprint.entry.entry_lag_bars,
        price: blueprint.entry.price,
        time_stop_bars: blueprint.exit.time_stop_bars,
        cooldown_bars: blueprint.entry.cooldown_bars,
        stop_bps: blueprint.exit.stop.map(|b| b.bps),
        target_bps: blueprint.exit.target.map(|b| b.bps),
        intrabar_path: blueprint.exit.intrabar_path.unwrap_or(IntrabarPath::Ohlc),
        stop_gap_fill: blueprint.exit.stop_gap_fill.unwrap_or(StopGapFill::Open),
        sizing: blueprint.sizing,
    }
}

/// Events that trigger a blueprint, as signals of its rule. `states` are the graph's state ids in order; a
/// condition that they do not know never holds. Whether the evidence has seen an event does not matter here.
fn signals_of<S: AsRef<str>>(blueprint: &Blueprint, events: &[Event], states: &[S]) -> Vec<Signal> {
    let Some(condition) = ConditionTest::resolve(&blueprint.entry.conditions, states) else {
        return Vec::new();
    };
    let signal = |event: &Event| {
        let is_ours = *event.event_type == *blueprint.event_type
            && blueprint.symbol_scope.symbols.contains(&event.symbol)
            && condition.holds(event);
        let side = blueprint.direction_rule.side(event.direction).filter(|_| is_ours)?;
        Some(Signal {
            symbol: event.symbol.clone(),
            bar: event.bar,
            side,
            sigma_bar: event.sigma_bar,
            cost_bps: blueprint.costs.round_trip_bps,
        })
    };
    events.iter().filter_map(signal).collect()
}

/// The trades of a blueprint on these events. Symbols without a market are left out.
#[must_use]
pub fn trades_of<S: AsRef<str>>(
    blueprint: &Blueprint,
    events: &[Event],
    states: &[S],
    markets: &BTreeMap<Symbol, Market>,
) -> Simulation {
    let rule = rule_of(blueprint);
    let mut of_symbol: BTreeMap<Symbol, Vec<Signal>> = BTreeMap::new();
    for signal in signals_of(blueprint, events, states) {
        of_symbol.entry(signal.symbol.clone()).or_default().push(signal);
    }
    let mut out = Simulation::default();
    for (symbol, signals) in of_symbol {
        if let Some(market) = markets.get(&symbol) {
            out.absorb(simulate(&rule, &signals, market));
        }
    }
    out.sort();
    out
}
