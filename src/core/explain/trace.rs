//! Every node's value on one bar.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ExplainError;
use super::replay::{History, Replay, Stretch};
use super::subject::Subject;
use crate::graph::engine::Suppressed;
use crate::graph::{Detection, EngineOutput, EventId, Graph, NodeId, Op, SymbolRef};
use crate::market::{BarIndex, RawBlock, Source, Symbol};
use crate::spec::CompiledSpec;

/// Replays up to a bar.
#[derive(Debug)]
pub struct Tracer {
    replay: Replay,
    subject: Subject,
    spec: Arc<CompiledSpec>,
    position: usize,
    first: BarIndex,
    at: BarIndex,
    detector: Option<DetectorTrace>,
    before: Option<Vec<Vec<f64>>>,
}

/// What a detector did up to and on the bar.
#[derive(Clone, Debug)]
pub(super) struct DetectorTrace {
    pub(super) event: EventId,
    /// The onset on the bar.
    pub(super) fired: Option<Detection>,
    /// Of the bar alone.
    pub(super) suppressed: Suppressed,
    /// The last onset before the bar.
    pub(super) last_onset: Option<BarIndex>,
    /// Onset of the episode that was open before the bar.
    pub(super) open_before: Option<BarIndex>,
    /// Onset of the episode that is open after it.
    pub(super) open_after: Option<BarIndex>,
    /// First row of the stretch, up to the row before the bar, over which `when` did not change.
    pub(super) same_since: Option<BarIndex>,
    /// `when` on the row before.
    pub(super) when_before: f64,
    /// Onsets replayed before the bar.
    pub(super) onsets: u64,
    /// Column without which the event cannot run.
    pub(super) missing: Option<Source>,
}

/// Every node's value on one bar, and what the detector did with them.
#[derive(Debug)]
pub struct Trace {
    pub(super) subject: Subject,
    pub(super) spec: Arc<CompiledSpec>,
    pub(super) symbols: Vec<Symbol>,
    /// Whose bar, in `symbols`.
    pub(super) position: usize,
    pub(super) first: BarIndex,
    pub(super) at: BarIndex,
    /// Per symbol, in graph order.
    pub(super) values: Vec<Vec<f64>>,
    /// The same one row earlier; `None` when the history begins with the bar.
    pub(super) before: Option<Vec<Vec<f64>>>,
    pub(super) absent: Vec<BTreeSet<Source>>,
    pub(super) detector: Option<DetectorTrace>,
}

impl Tracer {
    /// Of `name` on the bar `at` of `symbol`.
    ///
    /// # Errors
    /// When there is no such name, symbol or bar, or the source rules cannot be used.
    pub fn new(history: &History, name: &str, symbol: &Symbol, at: BarIndex) -> Result<Self, ExplainError> {
        let subject = Subject::of(&history.spec, name)?;
        if !history.symbols.contains(symbol) {
            let known = history.symbols.clone();
            return Err(ExplainError::UnknownSymbol { symbol: symbol.clone(), known });
        }
        if at < history.first || at >= history.end {
            return Err(ExplainError::Outside { at, first: history.first, last: history.end - 1 });
        }
        // Up to the row before; the bar itself is pushed alone, so that its counters are its own.
        let replay = Replay::new(history, &subject, std::slice::from_ref(symbol), at)?;
        let position = replay.symbols.iter().position(|s| s == symbol).unwrap_or_default();
        let detector = subject.event().map(DetectorTrace::new);
        let (spec, first) = (Arc::clone(&history.spec), history.first);
        Ok(Self { replay, subject, spec, position, first, at, detector, before: None })
    }

    /// The stretch to push next; `None` when the bar has been reached.
    #[must_use]
    pub fn wants(&self) -> Option<Stretch> {
        let next = self.replay.engine.next_bar();
        let last = || Stretch { symbols: self.replay.symbols.clone(), first: next, rows: 1 };
        self.replay.wants().or_else(|| (next == self.at).then(last))
    }

    /// Rows pushed, and rows in all.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        ((self.replay.engine.next_bar() - self.first) as u64, (self.at.next() - self.first) as u64)
    }

    /// Takes the stretch that was wanted.
    ///
    /// # Errors
    /// When it is another one.
    pub fn push(&mut self, raw: &RawBlock) -> Result<(), ExplainError> {
        if raw.first == self.at && self.at > self.first {
            self.before = Some(self.replay.values());
        }
        let Some(output) = self.replay.push(raw)? else { return Ok(()) };
        if let Some(detector) = &mut self.detector {
            let missing = self.replay.engine.unavailable(&self.replay.symbols[self.position]);
            detector.observe(&output, self.position, self.at);
            detector.missing = missing.iter().find(|(id, _)| *id == detector.event).map(|(_, s)| *s);
        }
        Ok(())
    }

    /// After the last stretch.
    #[must_use]
    pub fn finish(self) -> Trace {
        Trace {
            values: self.replay.values(),
            symbols: self.replay.symbols,
            absent: self.replay.absent,
            subject: self.subject,
            spec: self.spec,
            position: self.position,
            first: self.first,
            at: self.at,
            before: self.before,
            detector: self.detector,
        }
    }
}

impl DetectorTrace {
    fn new(event: EventId) -> Self {
        Self {
            event,
            fired: None,
            suppressed: Suppressed::default(),
            last_onset: None,
            open_before: None,
            open_after: None,
            same_since: None,
            when_before: f64::NAN,
            onsets: 0,
            missing: None,
        }
    }

    fn observe(&mut self, output: &EngineOutput, symbol: usize, at: BarIndex) {
        let out = &output.symbols[symbol];
        let mut mine = out.detections.iter().filter(|d| d.event == self.event);
        let ix = usize::from(self.event.0);
        if output.first == at {
            self.fired = mine.next_back().cloned();
            self.suppressed = out.suppressed[ix];
            self.open_after = out.open[ix];
            return;
        }
        for detection in mine {
            self.last_onset = Some(detection.bar);
            self.onsets += 1;
        }
        self.open_before = out.open[ix];
        // The subject puts the trigger's column last.
        for (row, when) in (0..).zip(out.features.iter().next_back().into_iter().flatten()) {
            let same =
                when.to_bits() == self.when_before.to_bits() || (when.is_nan() && self.when_before.is_nan());
            if !same || self.same_since.is_none() {
                self.same_since = Some(output.first + row);
                self.when_before = *when;
            }
        }
    }
}

impl Trace {
    pub(super) fn graph(&self) -> &Graph {
        &self.subject.graph
    }

    /// A node's value on the bar.
    pub(super) fn value(&self, symbol: usize, node: NodeId) -> f64 {
        self.values[symbol][node.ix()]
    }

    /// A node's value one row earlier; NaN before the history.
    pub(super) fn value_before(&self, symbol: usize, node: NodeId) -> f64 {
        self.before.as_ref().map_or(f64::NAN, |v| v[symbol][node.ix()])
    }

    /// Whose value an `of(..)` node reads, where that symbol is replayed.
    pub(super) fn referred(&self, reference: &SymbolRef, reader: usize) -> (Symbol, Option<usize>) {
        let symbol = match reference {
            SymbolRef::Named(symbol) => symbol,
            SymbolRef::Leader { lead, other } if self.symbols[reader] == *lead => other,
            SymbolRef::Leader { lead, .. } => lead,
        };
        (symbol.clone(), self.symbols.iter().position(|s| s == symbol))
    }

    /// Rows replayed, the bar included.
    pub(super) fn rows(&self) -> i64 {
        self.at.next() - self.first
    }

    /// A source column that the value of a node needs and its symbol does not have.
    pub(super) fn missing(&self, symbol: usize, node: NodeId) -> Option<Source> {
        self.subject.facts[node.ix()].needs.iter().find(|s| self.absent[symbol].contains(s))
    }

    /// The nodes of a detector: `when`, `exit`, `direction`, `severity`.
    pub(super) fn detector_inputs(&self) -> Option<[NodeId; 4]> {
        let node = self.graph().node(self.subject.root);
        matches!(node.op, Op::Detect(_)).then(|| node.inputs.as_slice().try_into().ok()).flatten()
    }
}
