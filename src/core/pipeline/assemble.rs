//! Engine detections to event records.

use std::sync::Arc;

use crate::graph::{Detection, EngineOutput, Graph, SymbolOutput};
use crate::market::Symbol;
use crate::outcomes::{EpisodeEnd, Event};

/// Names and positions that every record needs, looked up once.
#[derive(Debug)]
pub(super) struct Assembler {
    symbols: Vec<Symbol>,
    events: Vec<EventNames>,
    features: RecordFeatures,
}

/// Features that every record carries.
pub(super) const RECORD_FEATURES: [&str; 4] = ["vol_regime", "carry_state", "sigma_bar", "sigma_event"];

/// Their columns in an output; none: the graph has no such feature.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordFeatures([Option<usize>; 4]);

/// Their values on a row, as a record has them.
pub(super) struct RecordValues {
    pub(super) vol_regime: i8,
    pub(super) carry_state: i8,
    pub(super) sigma_bar: f64,
    pub(super) sigma_event: f64,
}

impl RecordFeatures {
    fn in_graph(graph: &Graph) -> Self {
        let place = |name: &str| graph.features.iter().position(|feature| feature.name == name);
        let [vol_regime, carry_state, sigma_bar, sigma_event] = RECORD_FEATURES.map(place);
        // Specs without a scale of their own score in the one known before the bar.
        Self([vol_regime, carry_state, sigma_bar, sigma_event.or(sigma_bar)])
    }

    pub(super) fn of(self, out: &SymbolOutput, row: usize) -> RecordValues {
        let [vol_regime, carry_state, sigma_bar, sigma_event] =
            self.0.map(|ix| ix.map_or(f64::NAN, |ix| out.features[ix][row]));
        let (vol_regime, carry_state) = (code(vol_regime, -1), code(carry_state, i8::MIN));
        RecordValues { vol_regime, carry_state, sigma_bar, sigma_event }
    }
}

fn code(value: f64, unknown: i8) -> i8 {
    if value.is_nan() { unknown } else { value as i8 }
}

/// 1, 0, -1 = unknown.
pub(super) fn state_code(value: f64) -> i8 {
    code(value, -1)
}

#[derive(Debug)]
struct EventNames {
    event_type: Arc<str>,
    family: Arc<str>,
    snapshot: Vec<Arc<str>>,
}

impl Assembler {
    pub(super) fn new(graph: &Graph, symbols: &[Symbol]) -> Self {
        let events = graph
            .events
            .iter()
            .map(|e| EventNames {
                event_type: e.event_type.as_str().into(),
                family: e.family.as_str().into(),
                snapshot: e.snapshot.iter().map(|o| o.name.as_str().into()).collect(),
            })
            .collect();
        Self { symbols: symbols.to_vec(), events, features: RecordFeatures::in_graph(graph) }
    }

    pub(super) const fn record_features(&self) -> RecordFeatures {
        self.features
    }

    /// Records in (bar, symbol, event) order.
    pub(super) fn assemble(&self, output: &EngineOutput) -> (Vec<Event>, Vec<EpisodeEnd>) {
        let mut events = Vec::new();
        let mut ends = Vec::new();
        for (symbol, out) in output.symbols.iter().enumerate() {
            for detection in &out.detections {
                let key = (detection.bar, symbol, detection.event);
                events.push((key, self.event(symbol, detection, out, output)));
            }
            for done in &out.episode_ends {
                let end = EpisodeEnd {
                    event_type: Arc::clone(&self.events[usize::from(done.event.0)].event_type),
                    symbol: self.symbols[symbol].clone(),
                    onset: done.onset,
                    exit: done.exit,
                };
                ends.push(((done.exit, symbol, done.event), end));
            }
        }
        events.sort_by_key(|(key, _)| *key);
        ends.sort_by_key(|(key, _)| *key);
        (events.into_iter().map(|(_, e)| e).collect(), ends.into_iter().map(|(_, e)| e).collect())
    }

    fn event(&self, symbol: usize, d: &Detection, out: &SymbolOutput, whole: &EngineOutput) -> Event {
        let row = (d.bar - whole.first) as usize;
        let names = &self.events[usize::from(d.event.0)];
        let features = self.features.of(out, row);
        Event {
            event_type: Arc::clone(&names.event_type),
            family: Arc::clone(&names.family),
            symbol: self.symbols[symbol].clone(),
            bar: d.bar,
            direction: d.direction,
            severity: d.severity,
            states: out.states.iter().map(|s| state_code(s[row])).collect(),
            vol_regime: features.vol_regime,
            carry_state: features.carry_state,
            sigma_bar: features.sigma_bar,
            sigma_event: features.sigma_event,
            features: names.snapshot.iter().cloned().zip(d.snapshot.iter().copied()).collect(),
        }
    }
}
