//! Metrics and gates of one candidate.

use std::collections::{BTreeMap, BTreeSet};

use super::equity::summarize;
use super::sample::{Sample, SampleError};
use crate::discovery::{BridgeColumns, Candidate, FailReason, PromotionTrack};
use crate::market::Symbol;
use crate::outcomes::{EntryPrice, Outcome};
use crate::spec::gates::BridgeGate;
use crate::spec::strategies::StrategiesSpec;
use crate::tradability::{Market, Rule, Simulation, Summary, Trade, mean, replay, simulate};

/// What the bridge judges by.
#[derive(Clone, Copy, Debug)]
pub struct BridgeInputs<'a> {
    /// `gate_v1_bridge`.
    pub gate: &'a BridgeGate,
    /// How rules are traded.
    pub strategies: &'a StrategiesSpec,
    /// Which price enters.
    pub price: EntryPrice,
    /// Bars and funding by symbol; without them, delays are unavailable and a rule with a stop or target cannot pass.
    pub markets: Option<&'a BTreeMap<Symbol, Market>>,
}

/// What the bridge found out about one candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct BridgeResult {
    /// The rule as simulated.
    pub rule: Rule,
    /// The columns of `phase2_candidates`.
    pub columns: BridgeColumns,
    /// The simulation in a few numbers.
    pub summary: Summary,
    /// Signals inside the cool-down of an earlier one.
    pub cooled_down: u64,
    /// Signals whose entry or exit fell on a gap.
    pub dropped: u64,
    /// Mean after multiples of the cost, bps.
    pub at_cost_multiples: Vec<(f64, Option<f64>)>,
    /// Mean after cost with later entries; `None` where there were no bars to tell from.
    pub delayed: Option<Vec<Delayed>>,
    /// Mean after cost of the first and the second half of the trades, bps.
    pub halves_bps: [Option<f64>; 2],
    /// By symbol.
    pub symbols: Vec<SymbolResult>,
    /// Whether every trade's funding was known and charged.
    pub funding_included: bool,
    /// Every gate that failed.
    pub fail_reasons: Vec<FailReason>,
}

/// A later entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delayed {
    /// Additional bars of lag.
    pub bars: u32,
    /// Mean after cost, bps; `None` without trades.
    pub after_cost_bps: Option<f64>,
}

/// One symbol's part.
#[derive(Clone, Debug, PartialEq)]
pub struct SymbolResult {
    /// Symbol.
    pub symbol: Symbol,
    /// Trades.
    pub trades: u64,
    /// Mean after cost, bps.
    pub after_cost_bps: f64,
}

/// The rule that a candidate would be published as.
#[must_use]
pub const fn rule_of(candidate: &Candidate, price: EntryPrice, strategies: &StrategiesSpec) -> Rule {
    Rule {
        entry_lag_bars: candidate.entry_lag_bars,
        price,
        time_stop_bars: candidate.horizon.bars,
        cooldown_bars: strategies.entry.cooldown.bars(candidate.horizon.bars),
        stop_bps: strategies.exit.stop_bps,
        target_bps: strategies.exit.target_bps,
        intrabar_path: strategies.exit.intrabar_path,
        stop_gap_fill: strategies.exit.stop_gap_fill,
        sizing: strategies.sizing,
    }
}

/// Whether the bridge looks at a candidate: a discovery, or one on a promotion track.
#[must_use]
pub fn is_evaluated(candidate: &Candidate) -> bool {
    candidate.is_discovery || candidate.promotion_track != PromotionTrack::None
}

/// Evaluates every candidate that is a discovery or on a promotion track, writes its `bridge` columns, and takes the
/// `standard` track from those that cannot be traded, with the reasons. Returns the results by candidate index.
///
/// # Errors
/// When a candidate's condition is no state of these specs.
pub fn apply<S: AsRef<str>>(
    candidates: &mut [Candidate],
    outcomes: &[Outcome],
    states: &[S],
    inputs: &BridgeInputs<'_>,
) -> Result<BTreeMap<usize, BridgeResult>, SampleError> {
    let mut results = BTreeMap::new();
    for (at, candidate) in candidates.iter_mut().enumerate() {
        if !is_evaluated(candidate) {
            continue;
        }
        let sample = Sample::of_candidate(candidate, outcomes, states)?;
        let result = evaluate(candidate, &sample, inputs);
        candidate.bridge = Some(result.columns.clone());
        if candidate.promotion_track == PromotionTrack::Standard && !result.columns.tradable {
            candidate.promotion_track = PromotionTrack::None;
        }
        candidate.fail_reasons.extend(result.fail_reasons.iter().cloned());
        results.insert(at, result);
    }
    Ok(results)
}

/// Measures and judges one candidate on its sample.
#[must_use]
pub fn evaluate(candidate: &Candidate, sample: &Sample, inputs: &BridgeInputs<'_>) -> BridgeResult {
    let BridgeInputs { gate, strategies, price, markets } = *inputs;
    let rule = rule_of(candidate, price, strategies);
    let simulation = match markets {
        Some(markets) => simulate(&rule, &sample.signals, markets),
        None if rule.has_barrier() => {
            Simulation { signals: sample.signals.len() as u64, ..Simulation::default() }
        }
        None => replay(&rule, &sample.signals, &sample.outcomes),
    };
    let summary = summarize(&simulation);
    let trades = &simulation.trades;
    let net_at = |multiple: f64| mean(trades.iter().map(|t| t.net_bps(multiple)));
    let robustness = &strategies.robustness;
    let delayed = markets.map(|markets| {
        let delay = |bars: &u32| {
            let later = Rule { entry_lag_bars: rule.entry_lag_bars + bars, ..rule };
            let after_cost_bps = summarize(&simulate(&later, &sample.signals, markets)).net_bps;
            Delayed { bars: *bars, after_cost_bps }
        };
        robustness.delay_bars.iter().map(delay).collect::<Vec<_>>()
    });
    let symbols = by_symbol(trades);

    let traded = trades.len() as f64;
    let mut columns = BridgeColumns {
        trades: trades.len() as u64,
        gross_bps: summary.gross_bps,
        after_cost_bps: summary.net_bps,
        stressed_bps: net_at(gate.stress_cost_multiplier),
        edge_cost_ratio: summary
            .gross_bps
            .zip(summary.cost_bps)
            .filter(|(_, c)| *c > 0.0)
            .map(|(g, c)| g / c),
        turnover: (simulation.signals > 0).then(|| traded / simulation.signals as f64),
        hit_rate: summary.hit_rate,
        max_drawdown_bps: summary.max_drawdown_bps,
        ..BridgeColumns::default()
    };
    let mut judge = Judge::default();
    columns.gate_has_trades =
        judge.at_least("BRIDGE_TRADES_GATE", "bridge_trades", Some(traded), f64::from(gate.min_trades));
    columns.gate_after_cost_positive = judge.above(
        "BRIDGE_AFTER_COST_GATE",
        "bridge_after_cost_bps",
        columns.after_cost_bps,
        gate.min_after_cost_bps,
    );
    columns.gate_stressed_positive = judge.above(
        "BRIDGE_STRESSED_GATE",
        "bridge_stressed_bps",
        columns.stressed_bps,
        gate.min_stressed_after_cost_bps,
    );
    // Where trading costs nothing every gain is large enough.
    let is_free = summary.cost_bps.is_some_and(|cost| cost <= 0.0);
    columns.gate_edge_cost_ratio = is_free
        || judge.at_least(
            "BRIDGE_EDGE_COST_RATIO_GATE",
            "bridge_edge_cost_ratio",
            columns.edge_cost_ratio,
            gate.min_edge_cost_ratio,
        );
    columns.gate_turnover =
        judge.at_most("BRIDGE_TURNOVER_GATE", "bridge_turnover", columns.turnover, gate.max_turnover);
    let gains = symbols.iter().filter(|s| s.after_cost_bps > 0.0).count();
    let share = (!symbols.is_empty()).then(|| gains as f64 / symbols.len() as f64);
    judge.at_least(
        "BRIDGE_SYMBOLS_GATE",
        "bridge_positive_symbol_share",
        share,
        robustness.min_positive_symbol_share,
    );
    if let Some(threshold) = robustness.min_delayed_after_cost_bps {
        let first = delayed.as_ref().and_then(|d| d.first()).and_then(|d| d.after_cost_bps);
        judge.above("BRIDGE_DELAY_GATE", "bridge_delayed_after_cost_bps", first, threshold);
    }
    columns.tradable = judge.failures.is_empty();

    BridgeResult {
        rule,
        columns,
        cooled_down: simulation.cooled_down,
        dropped: simulation.dropped,
        at_cost_multiples: robustness.cost_multiples.iter().map(|m| (*m, net_at(*m))).collect(),
        delayed,
        halves_bps: halves(trades),
        symbols,
        funding_included: !trades.is_empty() && trades.iter().all(|t| !t.funding_bps.is_nan()),
        fail_reasons: judge.failures,
        summary,
    }
}

fn by_symbol(trades: &[Trade]) -> Vec<SymbolResult> {
    let symbols: BTreeSet<&Symbol> = trades.iter().map(|t| &t.symbol).collect();
    symbols
        .into_iter()
        .filter_map(|symbol| {
            let own = || trades.iter().filter(|t| t.symbol == *symbol);
            let after_cost_bps = mean(own().map(|t| t.net_bps(1.0)))?;
            Some(SymbolResult { symbol: symbol.clone(), trades: own().count() as u64, after_cost_bps })
        })
        .collect()
}

/// Means of the earlier and the later half by entry time; an odd trade belongs to the later half.
fn halves(trades: &[Trade]) -> [Option<f64>; 2] {
    let mut ordered: Vec<&Trade> = trades.iter().collect();
    ordered.sort_by(|a, b| (a.event_bar, &a.symbol).cmp(&(b.event_bar, &b.symbol)));
    let (first, second) = ordered.split_at(ordered.len() / 2);
    [first, second].map(|half| mean(half.iter().map(|t| t.net_bps(1.0))))
}

/// Collects what failed. An undefined metric fails.
#[derive(Default)]
struct Judge {
    failures: Vec<FailReason>,
}

impl Judge {
    fn at_least(
        &mut self,
        gate: &'static str,
        metric: &'static str,
        value: Option<f64>,
        threshold: f64,
    ) -> bool {
        self.record(value.is_some_and(|v| v >= threshold), gate, metric, value, ">=", threshold)
    }

    fn above(
        &mut self,
        gate: &'static str,
        metric: &'static str,
        value: Option<f64>,
        threshold: f64,
    ) -> bool {
        self.record(value.is_some_and(|v| v > threshold), gate, metric, value, ">", threshold)
    }

    fn at_most(
        &mut self,
        gate: &'static str,
        metric: &'static str,
        value: Option<f64>,
        threshold: f64,
    ) -> bool {
        self.record(value.is_some_and(|v| v <= threshold), gate, metric, value, "<=", threshold)
    }

    fn record(
        &mut self,
        passed: bool,
        gate: &'static str,
        metric: &'static str,
        value: Option<f64>,
        relation: &'static str,
        threshold: f64,
    ) -> bool {
        if !passed {
            self.failures.push(FailReason { gate, metric, value, relation, threshold });
        }
        passed
    }
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
