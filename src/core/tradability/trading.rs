//! The signals of every candidate that the bridge looks at, traded: from the booked outcomes where the rule has no barrier,
//! over the bars where it has one, and over the bars again for later entries.

use std::collections::BTreeMap;

use super::evaluate::{BridgeError, BridgeInputs, is_evaluated};
use super::markets::Markets;
use super::rule::{Market, Rule, Signal, Simulation};
use super::sample::Sample;
use super::walk::{replay, simulate};
use crate::discovery::Candidate;
use crate::market::{BarIndex, Side, Symbol};
use crate::outcomes::{EntryPrice, Outcome};
use crate::spec::strategies::StrategiesSpec;

/// A later entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delayed {
    /// Additional bars of lag.
    pub bars: u32,
    /// Mean after cost, bps; `None` without trades.
    pub after_cost_bps: Option<f64>,
}

/// A candidate as it is traded.
#[derive(Clone, Debug)]
pub(super) struct Trading {
    /// Index of the candidate.
    pub at: usize,
    /// The rule that it would be published as.
    pub rule: Rule,
    /// What the rule does.
    pub simulation: Simulation,
    /// What it does with later entries; `None` where there were no bars to tell from.
    pub delayed: Option<Vec<Delayed>>,
    /// Symbols with signals, and of these the ones with bars (0 where bars were not asked for).
    pub symbols: [u64; 2],
}

/// The rule that a candidate would be published as.
const fn rule_of(candidate: &Candidate, price: EntryPrice, strategies: &StrategiesSpec) -> Rule {
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

/// Sum and number of the returns after cost.
#[derive(Clone, Copy, Debug, Default)]
struct Nets {
    sum: f64,
    n: u64,
}

/// A candidate whose signals are being traded.
struct Open {
    trading: Trading,
    signals: BTreeMap<Symbol, Vec<Signal>>,
    /// What each of the delays came to.
    nets: Vec<Nets>,
}

/// Trades every candidate that the bridge looks at, in their order.
pub(super) fn trade<S: AsRef<str>>(
    candidates: &[Candidate],
    outcomes: &[Outcome],
    states: &[S],
    inputs: &BridgeInputs<'_>,
    markets: &mut dyn Markets,
) -> Result<Vec<Trading>, BridgeError> {
    let delays = &inputs.strategies.robustness.delay_bars;
    let mut open = Vec::new();
    let mut first_of: BTreeMap<Symbol, BarIndex> = BTreeMap::new();
    for (at, candidate) in candidates.iter().enumerate().filter(|(_, c)| is_evaluated(c)) {
        let rule = rule_of(candidate, inputs.price, inputs.strategies);
        let Sample { signals, outcomes } = Sample::of_candidate(candidate, outcomes, states)?;
        // A rule with a barrier is traded below, symbol by symbol.
        let simulation =
            if rule.has_barrier() { Simulation::default() } else { replay(&rule, &signals, &outcomes) };
        let needs_bars = rule.has_barrier() || !delays.is_empty();
        let mut of_symbol: BTreeMap<Symbol, Vec<Signal>> = BTreeMap::new();
        for signal in signals.into_iter().filter(|_| needs_bars) {
            let first = first_of.entry(signal.symbol.clone()).or_insert(signal.bar);
            *first = (*first).min(signal.bar);
            of_symbol.entry(signal.symbol.clone()).or_default().push(signal);
        }
        let symbols = [of_symbol.len() as u64, 0];
        open.push(Open {
            trading: Trading { at, rule, simulation, delayed: None, symbols },
            signals: of_symbol,
            nets: vec![Nets::default(); delays.len()],
        });
    }
    for (symbol, first) in first_of {
        let market = markets.market(&symbol, first, inputs.end)?;
        for of in &mut open {
            let Some(mut signals) = of.signals.remove(&symbol) else { continue };
            turn(&mut signals, markets);
            of.meet(&signals, market.as_ref(), delays);
        }
    }
    Ok(open.into_iter().map(|of| of.close(delays)).collect())
}

/// Positions of turned days fare as the opposite ones do on the bars.
fn turn(signals: &mut [Signal], markets: &dyn Markets) {
    for signal in signals.iter_mut().filter(|s| markets.is_turned(s.bar.open().day())) {
        signal.side = match signal.side {
            Side::Long => Side::Short,
            Side::Short => Side::Long,
        };
    }
}

impl Open {
    /// Trades the signals of a symbol on its bars.
    fn meet(&mut self, signals: &[Signal], market: Option<&Market>, delays: &[u32]) {
        let rule = self.trading.rule;
        let Some(market) = market else {
            if rule.has_barrier() {
                let untold = signals.len() as u64;
                let nothing = Simulation { signals: untold, dropped: untold, ..Simulation::default() };
                self.trading.simulation.absorb(nothing);
            }
            return;
        };
        self.trading.symbols[1] += 1;
        if rule.has_barrier() {
            self.trading.simulation.absorb(simulate(&rule, signals, market));
        }
        for (nets, bars) in self.nets.iter_mut().zip(delays) {
            let later = Rule { entry_lag_bars: rule.entry_lag_bars + bars, ..rule };
            for trade in simulate(&later, signals, market).trades {
                nets.sum += trade.net_bps(1.0);
                nets.n += 1;
            }
        }
    }

    fn close(mut self, delays: &[u32]) -> Trading {
        self.trading.simulation.sort();
        let [symbols, with_bars] = self.trading.symbols;
        let later = delays.iter().zip(&self.nets).map(|(bars, nets)| Delayed {
            bars: *bars,
            after_cost_bps: (nets.n > 0).then(|| nets.sum / nets.n as f64),
        });
        self.trading.delayed = (symbols == 0 || with_bars > 0).then(|| later.collect());
        self.trading
    }
}
