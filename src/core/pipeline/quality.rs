//! Health of the detectors (`gate_e1`): prevalence, join rate and clustering, per event and symbol, and where
//! the sources that they need were known. Counts only: no return ever enters a verdict.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Facts;
use super::availability::{KnownSpan, LackingSeries, PartialSource};
use crate::graph::{EngineOutput, facts};
use crate::market::{BarIndex, Source, Symbol};
use crate::outcomes::Outcome;
use crate::spec::CompiledSpec;
use crate::spec::gates::EventGate;

/// Onsets within this many bars of the previous one count as clustered.
const CLUSTER_BARS: i64 = 5;
/// Name of the verdict over all symbols together.
pub const POOLED: &str = "ALL";

/// Counts of one event type on one symbol, or pooled over symbols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows on which `when` was known.
    pub known_rows: u64,
    /// Onsets that the detectors emitted.
    pub onsets: u64,
    /// Triggers dropped because direction or severity was unknown, or the direction 0.
    pub suppressed: u64,
    /// Onsets at most 5 bars after the previous one.
    pub clustered: u64,
    /// Outcomes whose holding period has ended.
    pub outcomes: u64,
    /// Of these, the ones whose entry or exit was a gap.
    pub outcomes_unknown: u64,
}

/// Running counts for every (symbol, event) and every (symbol, source column).
#[derive(Clone, Debug)]
pub struct QualityCounter {
    symbols: Vec<Symbol>,
    events: BTreeMap<String, usize>,
    /// States and regimes that outcomes are conditioned on, with the columns that each needs.
    conditioning: Vec<(String, Vec<Source>)>,
    counts: Counts,
}

/// What a checkpoint keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Counts {
    /// First counted row; what was decided before does not count.
    from: BarIndex,
    /// The row after the last counted one.
    next: BarIndex,
    tallies: Vec<Vec<Tally>>,
    last_onset: Vec<Vec<Option<BarIndex>>>,
    spans: Vec<Vec<KnownSpan>>,
}

/// A number outside `gate_e1`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct QualityFailure {
    /// `onsets_per_10k`, `join_rate` or `clustering_5b`.
    pub metric: &'static str,
    /// Value of the metric that was measured.
    pub value: f64,
    /// `>=` or `<=`.
    pub relation: &'static str,
    /// What it should have been.
    pub threshold: f64,
}

/// The verdict on one event type on one symbol.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventQuality {
    /// Event type that is judged.
    pub event_type: String,
    /// Canonical family of the event type.
    pub family: String,
    /// Symbol, or `ALL`.
    pub symbol: String,
    /// The counts that the verdict rests on.
    #[serde(flatten)]
    pub tally: Tally,
    /// Onsets per 10 000 known rows; `None` while no row was known.
    pub per_10k: Option<f64>,
    /// Declared range of onsets per 10 000 known rows.
    pub bounds: (f64, f64),
    /// Share of matured outcomes with a known return.
    pub join_rate: Option<f64>,
    /// Share of onsets at most 5 bars after the previous one.
    pub clustering: Option<f64>,
    /// The source column that makes the event unavailable here: not collected, or never known on a counted
    /// row.
    pub unavailable: Option<String>,
    /// What is out of bounds; empty = passes `gate_e1`.
    pub findings: Vec<QualityFailure>,
    /// Whether its hypotheses are left out of discovery: it fails, and `gate_e1.exclude_failing` is set.
    pub excluded: bool,
}

/// Everything that the counts say.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QualityReport {
    /// Per event type, first every symbol, then `ALL`.
    pub events: Vec<EventQuality>,
    /// Collected columns that some whole days lack, by symbol.
    pub partial_sources: Vec<PartialSource>,
    /// States and regimes that are known nowhere on some symbols.
    pub lacking_series: Vec<LackingSeries>,
}

impl QualityCounter {
    /// All zero; counting begins at `from`.
    #[must_use]
    pub fn new(symbols: &[Symbol], spec: &CompiledSpec, from: BarIndex) -> Self {
        let (n, events) = (symbols.len(), spec.events.len());
        let names = spec.events.iter().enumerate().map(|(ix, e)| (e.event_type.clone(), ix)).collect();
        let counts = Counts {
            from,
            next: from,
            tallies: vec![vec![Tally::default(); events]; n],
            last_onset: vec![vec![None; events]; n],
            spans: vec![vec![KnownSpan::default(); Source::COUNT]; n],
        };
        Self { symbols: symbols.to_vec(), events: names, conditioning: conditioning(spec), counts }
    }

    /// Forgets everything and counts from row `from` on. A stretch of rows must not begin before it and end
    /// after it.
    pub fn restart(&mut self, from: BarIndex) {
        let zero = |rows: &mut Vec<Vec<Tally>>| rows.iter_mut().flatten().for_each(|t| *t = Tally::default());
        zero(&mut self.counts.tallies);
        self.counts.last_onset.iter_mut().flatten().for_each(|o| *o = None);
        self.counts.spans.iter_mut().flatten().for_each(|s| *s = KnownSpan::default());
        (self.counts.from, self.counts.next) = (from, from);
    }

    /// Counts what a push produced.
    pub(super) fn observe(&mut self, facts: &Facts) {
        let from = self.counts.from;
        if facts.first < from {
            return;
        }
        self.counts.next = facts.first + i64::try_from(facts.rows).unwrap_or(i64::MAX);
        for (symbol, out) in facts.output.symbols.iter().enumerate() {
            let tallies = &mut self.counts.tallies[symbol];
            for (tally, (known, suppressed)) in
                tallies.iter_mut().zip(out.known_rows.iter().zip(&out.suppressed))
            {
                tally.known_rows += known;
                tally.suppressed += suppressed.undetermined;
            }
            for detection in &out.detections {
                let ix = usize::from(detection.event.0);
                let last = self.counts.last_onset[symbol][ix].replace(detection.bar);
                let tally = &mut tallies[ix];
                tally.onsets += 1;
                tally.clustered += u64::from(last.is_some_and(|l| detection.bar - l <= CLUSTER_BARS));
            }
        }
        for (spans, columns) in self.counts.spans.iter_mut().zip(&facts.columns.symbols) {
            for (span, source) in spans.iter_mut().zip(Source::ALL) {
                if let Some(column) = columns.get(*source) {
                    span.observe(facts.first, column, from);
                }
            }
        }
        for outcome in facts.outcomes.iter().filter(|o| o.event.bar >= from) {
            self.observe_outcome(outcome);
        }
    }

    /// Counts what a part of the graph produced; `place` is the position of its event in the specs.
    /// `outcomes` are those of all events.
    pub(super) fn observe_part(
        &mut self,
        output: &EngineOutput,
        place: impl Fn(usize) -> Option<usize>,
        outcomes: &[Outcome],
    ) {
        for (symbol, out) in output.symbols.iter().enumerate() {
            let tallies = &mut self.counts.tallies[symbol];
            for (ix, (known, suppressed)) in out.known_rows.iter().zip(&out.suppressed).enumerate() {
                let Some(ix) = place(ix) else { continue };
                tallies[ix].known_rows += known;
                tallies[ix].suppressed += suppressed.undetermined;
            }
            for detection in &out.detections {
                let Some(ix) = place(usize::from(detection.event.0)) else { continue };
                let last = self.counts.last_onset[symbol][ix].replace(detection.bar);
                tallies[ix].onsets += 1;
                tallies[ix].clustered += u64::from(last.is_some_and(|l| detection.bar - l <= CLUSTER_BARS));
            }
        }
        let from = self.counts.from;
        for outcome in outcomes.iter().filter(|o| o.event.bar >= from) {
            self.observe_outcome(outcome);
        }
    }

    /// These counts under other specs of the same symbols and sources: events that `donor` finds here keep
    /// what was counted of their detections; the rest, and all outcomes, are `rebuilt`'s if it is given.
    pub(super) fn under(
        &self,
        spec: &CompiledSpec,
        donor: impl Fn(usize) -> Option<usize>,
        rebuilt: Option<&Self>,
    ) -> Self {
        let mut new = Self::new(&self.symbols, spec, self.counts.from);
        new.counts.next = self.counts.next;
        new.counts.spans.clone_from(&self.counts.spans);
        for symbol in 0..self.symbols.len() {
            for event in 0..spec.events.len() {
                let fresh = rebuilt.map(|r| &r.counts);
                let (mut tally, mut last) = fresh.map_or((Tally::default(), None), |c| {
                    (c.tallies[symbol][event], c.last_onset[symbol][event])
                });
                if let Some(old) = donor(event) {
                    let kept = self.counts.tallies[symbol][old];
                    let booked = if fresh.is_some() { tally } else { kept };
                    tally = Tally {
                        outcomes: booked.outcomes,
                        outcomes_unknown: booked.outcomes_unknown,
                        ..kept
                    };
                    last = self.counts.last_onset[symbol][old];
                }
                new.counts.tallies[symbol][event] = tally;
                new.counts.last_onset[symbol][event] = last;
            }
        }
        new
    }

    fn observe_outcome(&mut self, outcome: &Outcome) {
        let symbol = self.symbols.iter().position(|s| *s == outcome.event.symbol);
        let event = self.events.get(&*outcome.event.event_type);
        let (Some(symbol), Some(event)) = (symbol, event) else { return };
        let tally = &mut self.counts.tallies[symbol][*event];
        tally.outcomes += 1;
        tally.outcomes_unknown += u64::from(outcome.forward_return.is_nan());
    }

    /// The verdicts on the symbols in `of` (a leader that only comes along is not judged). `lacks` says which
    /// column an event lacks on a symbol because it is not collected.
    #[must_use]
    pub fn report(
        &self,
        spec: &CompiledSpec,
        of: &[Symbol],
        lacks: impl Fn(usize, usize) -> Option<Source>,
    ) -> QualityReport {
        let judged = || self.symbols.iter().enumerate().filter(|(_, symbol)| of.contains(symbol));
        let mut out = QualityReport::default();
        for event in 0..spec.events.len() {
            let mut pooled = Tally::default();
            let mut missing = Vec::new();
            for (ix, symbol) in judged() {
                let tally = self.counts.tallies[ix][event];
                let column = lacks(ix, event).or_else(|| self.never_known(spec, ix, event));
                missing.push(column);
                pooled.add(tally);
                out.events.push(judge(spec, event, symbol.as_str(), tally, column));
            }
            let nowhere = missing.iter().all(Option::is_some);
            let column = missing.first().copied().flatten().filter(|_| nowhere);
            out.events.push(judge(spec, event, POOLED, pooled, column));
        }
        for (ix, _) in judged() {
            self.list_partial(spec, ix, &lacks, &mut out.partial_sources);
        }
        for (series, needs) in &self.conditioning {
            let mut lacking: Vec<LackingSeries> = Vec::new();
            for (ix, symbol) in judged() {
                let Some(column) = self.unknown(ix, needs).map(Source::name) else { continue };
                match lacking.iter_mut().find(|l| l.column == column) {
                    Some(known) => known.symbols.push(symbol.to_string()),
                    None => lacking.push(LackingSeries {
                        series: series.clone(),
                        column,
                        symbols: vec![symbol.to_string()],
                    }),
                }
            }
            out.lacking_series.append(&mut lacking);
        }
        out
    }

    /// A column that the event needs and that was known on none of the counted rows.
    fn never_known(&self, spec: &CompiledSpec, symbol: usize, event: usize) -> Option<Source> {
        self.unknown(symbol, &spec.graph.events[event].needs)
    }

    /// The first of these columns that was known on none of the counted rows.
    fn unknown(&self, symbol: usize, needs: &[Source]) -> Option<Source> {
        if self.counts.next == self.counts.from {
            return None;
        }
        needs.iter().copied().find(|source| self.counts.spans[symbol][source.index()].rows == 0)
    }

    fn list_partial(
        &self,
        spec: &CompiledSpec,
        symbol: usize,
        lacks: &impl Fn(usize, usize) -> Option<Source>,
        out: &mut Vec<PartialSource>,
    ) {
        for source in Source::ALL {
            let span = &self.counts.spans[symbol][source.index()];
            let (days_without, days) = span.days_without(self.counts.from, self.counts.next);
            if days_without == 0 || span.rows == 0 {
                continue;
            }
            let needs_it =
                |ix: &usize| spec.graph.events[*ix].needs.contains(source) && lacks(symbol, *ix).is_none();
            let events: Vec<String> = (0..spec.events.len())
                .filter(needs_it)
                .map(|ix| spec.events[ix].event_type.clone())
                .collect();
            if events.is_empty() {
                continue;
            }
            out.push(PartialSource {
                symbol: self.symbols[symbol].to_string(),
                column: source.name(),
                known_from: span.first.map(|bar| bar.open().rfc3339()),
                known_through: span.last.map(|bar| bar.close().rfc3339()),
                days_without,
                days,
                events,
            });
        }
    }

    /// The counts as bytes.
    pub(super) fn save(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&self.counts)
    }

    /// Continues from saved counts of the same symbols and specs.
    pub(super) fn load(&mut self, bytes: &[u8]) -> Result<(), postcard::Error> {
        self.counts = postcard::from_bytes(bytes)?;
        Ok(())
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

/// The series that conditions read, with the columns that each needs.
fn conditioning(spec: &CompiledSpec) -> Vec<(String, Vec<Source>)> {
    let facts = facts(&spec.graph);
    let regimes =
        spec.graph.features.iter().filter(|f| spec.defaults.conditioning.regimes.contains_key(&f.name));
    regimes
        .chain(&spec.graph.states)
        .map(|series| (series.name.clone(), facts[series.node.ix()].needs.iter().collect()))
        .collect()
}

fn judge(
    spec: &CompiledSpec,
    event: usize,
    symbol: &str,
    tally: Tally,
    missing: Option<Source>,
) -> EventQuality {
    let meta = &spec.events[event];
    let gate = &spec.gates.gate_e1;
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
        excluded: false,
    };
    if missing.is_none() {
        quality.findings = failures(&quality, gate);
        quality.excluded = gate.exclude_failing && !quality.findings.is_empty();
    }
    quality
}

fn failures(q: &EventQuality, gate: &EventGate) -> Vec<QualityFailure> {
    let mut out = Vec::new();
    let mut wanted = |metric, value: Option<f64>, relation, threshold: f64| {
        let fails = |v: f64| if relation == "<=" { v > threshold } else { v < threshold };
        if let Some(value) = value.filter(|v| fails(*v)) {
            out.push(QualityFailure { metric, value, relation, threshold });
        }
    };
    // The gate bounds every event, and an event's file may promise more of it than that.
    let low = q.bounds.0.max(gate.min_prevalence_per_10k);
    let high = q.bounds.1.min(gate.max_prevalence_per_10k);
    let enough = f64::from(gate.min_onsets);
    let promised = low * q.tally.known_rows as f64 / 10_000.0;
    wanted("onsets_per_10k", q.per_10k.filter(|_| promised >= enough), ">=", low);
    if q.tally.onsets >= u64::from(gate.min_onsets) {
        wanted("onsets_per_10k", q.per_10k, "<=", high);
        wanted("join_rate", q.join_rate, ">=", gate.min_join_rate);
        wanted("clustering_5b", q.clustering, "<=", gate.max_clustering_5b);
    }
    out
}

impl QualityFailure {
    /// How far out of bounds: 1 on the bound, 2 at twice (or half) of it.
    #[must_use]
    pub fn excess(&self) -> f64 {
        let ratio = self.value / self.threshold;
        if self.relation == "<=" { ratio } else { ratio.recip() }
    }
}

impl fmt::Display for QualityFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, relation, threshold, .. } = self;
        match self.metric {
            "onsets_per_10k" => write!(f, "{value:.2} onsets per 10k bars, wanted {relation} {threshold}"),
            "join_rate" => write!(f, "join rate {value:.4}, wanted {relation} {threshold}"),
            _ => {
                write!(f, "{value:.3} of the onsets within 5 bars of another, wanted {relation} {threshold}")
            }
        }
    }
}

impl QualityReport {
    /// The failing verdict of each event type that is furthest out of bounds, by event type.
    #[must_use]
    pub fn worst(&self) -> Vec<(&EventQuality, &QualityFailure)> {
        let mut worst: BTreeMap<&str, (&EventQuality, &QualityFailure)> = BTreeMap::new();
        for quality in &self.events {
            for failure in &quality.findings {
                let known = worst.get(&*quality.event_type).map(|(_, f)| f.excess());
                if known.is_none_or(|excess| failure.excess() > excess) {
                    worst.insert(&quality.event_type, (quality, failure));
                }
            }
        }
        worst.into_values().collect()
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
#[path = "quality_tests.rs"]
mod tests;
