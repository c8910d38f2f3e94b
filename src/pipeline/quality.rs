//! Health of the detectors (`gate_e1`): prevalence, join rate and clustering, per event and symbol.

use serde::{Deserialize, Serialize};

use super::Facts;
use crate::market::{BarIndex, Source, Symbol};
use crate::outcomes::Outcome;
use crate::spec::CompiledSpec;
use crate::spec::gates::EventGate;

/// Onsets within this many bars of the previous one count as clustered.
const CLUSTER_BARS: i64 = 5;

/// Counts of one event type on one symbol, or pooled over symbols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows on which `when` was known.
    pub known_rows: u64,
    /// Emitted onsets.
    pub onsets: u64,
    /// Triggers dropped because direction or severity was unknown, or the direction 0.
    pub suppressed: u64,
    /// Onsets at most 5 bars after the previous one.
    pub clustered: u64,
    /// Matured outcomes.
    pub outcomes: u64,
    /// Of these, the ones whose entry or exit was a gap.
    pub outcomes_unknown: u64,
}

/// Running counts for every (symbol, event).
#[derive(Clone, Debug)]
pub struct QualityCounter {
    symbols: Vec<Symbol>,
    tallies: Vec<Vec<Tally>>,
    last_onset: Vec<Vec<Option<BarIndex>>>,
}

/// The verdict on one event type on one symbol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventQuality {
    /// Event type.
    pub event_type: String,
    /// Canonical family.
    pub family: String,
    /// Symbol, or `ALL`.
    pub symbol: String,
    /// The counts.
    #[serde(flatten)]
    pub tally: Tally,
    /// Onsets per 10 000 known rows; `None` while no row was known.
    pub per_10k: Option<f64>,
    /// Declared range.
    pub bounds: (f64, f64),
    /// Share of matured outcomes with a known return.
    pub join_rate: Option<f64>,
    /// Share of onsets at most 5 bars after the previous one.
    pub clustering: Option<f64>,
    /// The missing source column that makes the event unavailable here.
    pub unavailable: Option<String>,
    /// What is out of bounds, with its number; empty = passes `gate_e1`.
    pub findings: Vec<String>,
}

impl QualityCounter {
    /// All zero.
    #[must_use]
    pub fn new(symbols: &[Symbol], events: usize) -> Self {
        Self {
            symbols: symbols.to_vec(),
            tallies: vec![vec![Tally::default(); events]; symbols.len()],
            last_onset: vec![vec![None; events]; symbols.len()],
        }
    }

    /// Counts what a push produced.
    pub fn observe(&mut self, facts: &Facts, event_ix: impl Fn(&str) -> Option<usize>) {
        for (symbol, out) in facts.output.symbols.iter().enumerate() {
            for (tally, (known, suppressed)) in
                self.tallies[symbol].iter_mut().zip(out.known_rows.iter().zip(&out.suppressed))
            {
                tally.known_rows += known;
                tally.suppressed += suppressed.undetermined;
            }
            for detection in &out.detections {
                let ix = usize::from(detection.event.0);
                let last = self.last_onset[symbol][ix].replace(detection.bar);
                let tally = &mut self.tallies[symbol][ix];
                tally.onsets += 1;
                tally.clustered += u64::from(last.is_some_and(|l| detection.bar - l <= CLUSTER_BARS));
            }
        }
        for outcome in &facts.outcomes {
            self.observe_outcome(outcome, &event_ix);
        }
    }

    fn observe_outcome(&mut self, outcome: &Outcome, event_ix: &impl Fn(&str) -> Option<usize>) {
        let symbol = self.symbols.iter().position(|s| *s == outcome.event.symbol);
        let (Some(symbol), Some(event)) = (symbol, event_ix(&outcome.event.event_type)) else { return };
        let tally = &mut self.tallies[symbol][event];
        tally.outcomes += 1;
        tally.outcomes_unknown += u64::from(outcome.forward_return.is_nan());
    }

    /// The verdicts: per event, first every symbol, then `ALL`. `unavailable` says which column an event lacks on a symbol.
    #[must_use]
    pub fn verdicts(
        &self,
        spec: &CompiledSpec,
        unavailable: impl Fn(usize, usize) -> Option<Source>,
    ) -> Vec<EventQuality> {
        let mut out = Vec::new();
        for (event, meta) in spec.events.iter().enumerate() {
            let mut pooled = Tally::default();
            let mut missing = Vec::new();
            let judge = |symbol: &str, tally: Tally, missing: Option<Source>| {
                let mut quality = EventQuality {
                    event_type: meta.event_type.clone(),
                    family: meta.family.clone(),
                    symbol: symbol.to_owned(),
                    tally,
                    per_10k: ratio(tally.onsets, tally.known_rows).map(|r| r * 10_000.0),
                    bounds: meta.prevalence_per_10k,
                    join_rate: ratio(tally.outcomes - tally.outcomes_unknown, tally.outcomes),
                    clustering: ratio(tally.clustered, tally.onsets),
                    unavailable: missing.map(|s| s.name().to_owned()),
                    findings: Vec::new(),
                };
                quality.findings = findings(&quality, &spec.gates.gate_e1);
                quality
            };
            for (ix, symbol) in self.symbols.iter().enumerate() {
                let tally = self.tallies[ix][event];
                let lacks = unavailable(ix, event);
                missing.push(lacks);
                pooled.add(tally);
                out.push(judge(symbol.as_str(), tally, lacks));
            }
            let nowhere = missing.iter().all(Option::is_some);
            out.push(judge("ALL", pooled, missing.first().copied().flatten().filter(|_| nowhere)));
        }
        out
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.known_rows += other.known_rows;
        self.onsets += other.onsets;
        self.suppressed += other.suppressed;
        self.clustered += other.clustered;
        self.outcomes += other.outcomes;
        self.outcomes_unknown += other.outcomes_unknown;
    }
}

fn findings(q: &EventQuality, gate: &EventGate) -> Vec<String> {
    let mut out = Vec::new();
    let (lo, hi) = q.bounds;
    if let Some(rate) = q.per_10k.filter(|r| !(lo..=hi).contains(r)) {
        out.push(format!("{rate:.2} onsets per 10k bars, declared {lo}..{hi}"));
    }
    if let Some(join) = q.join_rate.filter(|j| *j < gate.min_join_rate) {
        out.push(format!("join rate {join:.4}, wanted >= {}", gate.min_join_rate));
    }
    if let Some(clustering) = q.clustering.filter(|c| *c > gate.max_clustering_5b) {
        out.push(format!("clustering {clustering:.3}, wanted <= {}", gate.max_clustering_5b));
    }
    out
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
