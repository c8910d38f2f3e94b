//! The signals of every candidate that the bridge looks at, traded over the bars, and over the bars again for
//! later entries. Where a symbol's bars are not to be had, a rule without a barrier is traded from the booked
//! outcomes.

use std::collections::BTreeMap;

use super::evaluate::{BridgeError, BridgeInputs, is_evaluated};
use super::markets::Markets;
use super::rule::{Market, Rule, Signal, Simulation};
use super::sample::Sample;
use super::walk::{replay, simulate};
use crate::discovery::Candidate;
use crate::market::{BarIndex, Side, Symbol};
use crate::outcomes::{CostParts, EntryPrice, Outcome};
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
    /// Symbols with signals, and of these the ones with bars.
    pub symbols: [u64; 2],
    /// Signals by symbol.
    pub signalled: BTreeMap<Symbol, u64>,
    /// The parts of each signal's cost.
    pub costs: BTreeMap<(Symbol, BarIndex), CostParts>,
}

/// The rule that a candidate would be published as.
const fn rule_of(candidate: &Candidate, price: EntryPrice, strategies: &StrategiesSpec) -> Rule {
    Rule {
        entry_lag_bars: candidate.measured.entry_lag_bars,
        price,
        time_stop_bars: candidate.measured.horizon.bars,
        cooldown_bars: strategies.entry.cooldown.bars(candidate.measured.horizon.bars),
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
    samples: BTreeMap<Symbol, Sample>,
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
        let sample = Sample::of_candidate(candidate, outcomes, states)?;
        let mut of_symbol: BTreeMap<Symbol, Sample> = BTreeMap::new();
        let places = sample.signals.iter().map(|s| (s.symbol.clone(), s.bar));
        let costs = places.zip(sample.costs).collect();
        for (signal, outcome) in sample.signals.into_iter().zip(sample.outcomes) {
            let first = first_of.entry(signal.symbol.clone()).or_insert(signal.bar);
            *first = (*first).min(signal.bar);
            let own = of_symbol.entry(signal.symbol.clone()).or_default();
            own.signals.push(signal);
            own.outcomes.push(outcome);
        }
        let symbols = [of_symbol.len() as u64, 0];
        let signalled = of_symbol.iter().map(|(s, own)| (s.clone(), own.signals.len() as u64)).collect();
        let simulation = Simulation::default();
        open.push(Open {
            trading: Trading { at, rule, simulation, delayed: None, symbols, signalled, costs },
            samples: of_symbol,
            nets: vec![Nets::default(); delays.len()],
        });
    }
    for (symbol, first) in first_of {
        let market = markets.market(&symbol, first, inputs.end)?;
        for of in &mut open {
            let Some(mut sample) = of.samples.remove(&symbol) else { continue };
            match &market {
                // Outcomes are those of the turned days already.
                None => of.do_without(&sample),
                Some(market) => {
                    turn(&mut sample.signals, markets);
                    of.meet(&sample.signals, market, delays);
                }
            }
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
    /// Trades the signals of a symbol whose bars are not to be had.
    fn do_without(&mut self, sample: &Sample) {
        let rule = self.trading.rule;
        let simulation = if rule.has_barrier() {
            let untold = sample.signals.len() as u64;
            Simulation { signals: untold, dropped: untold, ..Simulation::default() }
        } else {
            replay(&rule, &sample.signals, &sample.outcomes)
        };
        self.trading.simulation.absorb(simulation);
    }

    /// Trades the signals of a symbol on its bars.
    fn meet(&mut self, signals: &[Signal], market: &Market, delays: &[u32]) {
        let rule = self.trading.rule;
        self.trading.symbols[1] += 1;
        self.trading.simulation.absorb(simulate(&rule, signals, market));
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
