//! Metrics and gates of one candidate.

use std::collections::{BTreeMap, BTreeSet};

use super::equity::{Summary, mean, summarize};
use super::judge::Judge;
use super::markets::{MarketError, Markets};
use super::robustness::Robustness;
use super::rule::{Rule, Trade};
use super::sample::SampleError;
use super::thresholds;
use super::trading::{Delayed, Trading, trade};
use crate::discovery::{BridgeColumns, Candidate, Check, FailReason, PromotionTrack};
use crate::market::{BarIndex, Symbol};
use crate::outcomes::{CostParts, EntryPrice, Outcome};
use crate::spec::gates::BridgeGate;
use crate::spec::strategies::StrategiesSpec;

/// What the bridge judges by.
#[derive(Clone, Copy, Debug)]
pub struct BridgeInputs<'a> {
    /// Limits of the bridge: `gate_v1_bridge`.
    pub gate: &'a BridgeGate,
    /// How rules are traded.
    pub strategies: &'a StrategiesSpec,
    /// Which price enters.
    pub price: EntryPrice,
    /// The first bar that is not looked at.
    pub end: BarIndex,
}

/// Why candidates cannot be traded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    /// A candidate's events cannot be found.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The bars cannot be read.
    #[error(transparent)]
    Market(#[from] MarketError),
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
    /// Mean cost of the trades in its parts, funding apart; `None` without trades.
    pub costs: Option<CostParts>,
    /// Signals inside the cool-down of an earlier one.
    pub cooled_down: u64,
    /// Signals whose entry fell on a gap.
    pub dropped: u64,
    /// Signals by symbol: the events of the evidence that have a side.
    pub signals_by_symbol: BTreeMap<Symbol, u64>,
    /// Every trade, in the order of the exits.
    pub trades: Vec<Trade>,
    /// Mean after multiples of the cost, bps.
    pub at_cost_multiples: Vec<(f64, Option<f64>)>,
    /// Mean after cost with later entries; `None` where there were no bars to tell from.
    pub delayed: Option<Vec<Delayed>>,
    /// Mean after cost of the first and the second half of the trades, bps.
    pub halves_bps: [Option<f64>; 2],
    /// Results by symbol, in name order; symbols without trades are left out.
    pub symbols: Vec<SymbolResult>,
    /// Whether every trade's funding was known and charged.
    pub funding_included: bool,
    /// How much of it rests on single things.
    pub robustness: Robustness,
    /// Every gate that was asked, in order, with its number and its threshold.
    pub gates: Vec<Check>,
    /// Every gate that failed.
    pub fail_reasons: Vec<FailReason>,
}

/// One symbol's part.
#[derive(Clone, Debug, PartialEq)]
pub struct SymbolResult {
    /// Symbol that was traded.
    pub symbol: Symbol,
    /// Number of trades on the symbol.
    pub trades: u64,
    /// Mean after cost, bps.
    pub after_cost_bps: f64,
}

/// Whether the bridge looks at a candidate: a discovery, or one on a promotion track.
#[must_use]
pub fn is_evaluated(candidate: &Candidate) -> bool {
    candidate.judgement.is_discovery || candidate.judgement.promotion_track != PromotionTrack::None
}

/// Evaluates every candidate that is a discovery or on a promotion track, writes its `bridge` columns, and
/// takes the `standard` track from those that cannot be traded, with the reasons. Returns the results by
/// candidate index.
///
/// # Errors
/// When a candidate's condition is no state of these specs, or the bars that its rule needs cannot be read.
pub fn apply<S: AsRef<str>>(
    candidates: &mut [Candidate],
    outcomes: &[Outcome],
    states: &[S],
    inputs: &BridgeInputs<'_>,
    markets: &mut dyn Markets,
) -> Result<BTreeMap<usize, BridgeResult>, BridgeError> {
    let mut results = BTreeMap::new();
    for trading in trade(candidates, outcomes, states, inputs, markets)? {
        results.insert(trading.at, evaluate(trading, inputs));
    }
    thresholds::judge(candidates, &mut results, inputs, markets)?;
    for (at, result) in &results {
        let candidate = &mut candidates[*at];
        candidate.bridge(result.columns.clone(), &result.fail_reasons);
    }
    Ok(results)
}

/// Measures and judges one candidate by its trades.
fn evaluate(trading: Trading, inputs: &BridgeInputs<'_>) -> BridgeResult {
    let BridgeInputs { gate, strategies, .. } = *inputs;
    let summary = summarize(&trading.simulation);
    let trades = &trading.simulation.trades;
    let net_at = |multiple: f64| mean(trades.iter().map(|t| t.net_bps(multiple)));
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
        turnover: (trading.simulation.signals > 0).then(|| traded / trading.simulation.signals as f64),
        hit_rate: summary.hit_rate,
        max_drawdown_bps: summary.max_drawdown_bps,
        ..BridgeColumns::default()
    };
    let mut judge = Judge::default();
    judge.gates(&mut columns, gate, &summary);
    let costs = trades.iter().filter_map(|t| trading.costs.get(&(t.symbol.clone(), t.event_bar)));
    let costs = CostParts::mean(costs);
    let first = trading.costs.keys().map(|(_, bar)| *bar).min();
    let robustness = Robustness::of(trades, &summary, costs.as_ref(), (first, inputs.end));
    judge.concentration(&robustness, gate, symbols.len());
    judge.robustness(&trading, &symbols, &strategies.robustness);
    columns.tradable = judge.failures.0.is_empty();
    BridgeResult {
        rule: trading.rule,
        columns,
        cooled_down: trading.simulation.cooled_down,
        dropped: trading.simulation.dropped,
        at_cost_multiples: strategies.robustness.cost_multiples.iter().map(|m| (*m, net_at(*m))).collect(),
        halves_bps: halves(trades),
        symbols,
        funding_included: !trades.is_empty() && trades.iter().all(|t| !t.funding_bps.is_nan()),
        fail_reasons: judge.failures.0,
        costs,
        robustness,
        gates: judge.failures.1,
        summary,
        delayed: trading.delayed,
        signals_by_symbol: trading.signalled,
        trades: trading.simulation.trades,
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

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
