//! Engine detections to event records.

use std::sync::Arc;

use super::PipelineConfig;
use crate::events::{EpisodeEnd, Event};
use crate::graph::{Detection, EngineOutput, SymbolOutput};
use crate::market::Symbol;

/// Names and positions that every record needs, looked up once.
#[derive(Debug)]
pub(super) struct Assembler {
    symbols: Vec<Symbol>,
    events: Vec<EventNames>,
    vol_regime: Option<usize>,
    carry_state: Option<usize>,
    sigma_bar: Option<usize>,
}

#[derive(Debug)]
struct EventNames {
    event_type: Arc<str>,
    family: Arc<str>,
    snapshot: Vec<Arc<str>>,
}

impl Assembler {
    pub(super) fn new(config: &PipelineConfig) -> Self {
        let graph = &config.spec.graph;
        let feature = |name: &str| graph.features.iter().position(|f| f.name == name);
        let events = graph
            .events
            .iter()
            .map(|e| EventNames {
                event_type: e.event_type.as_str().into(),
                family: e.family.as_str().into(),
                snapshot: e.snapshot.iter().map(|o| o.name.as_str().into()).collect(),
            })
            .collect();
        Self {
            symbols: config.symbols.clone(),
            events,
            vol_regime: feature("vol_regime"),
            carry_state: feature("carry_state"),
            sigma_bar: feature("sigma_bar"),
        }
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
        let feature = |ix: Option<usize>| ix.map_or(f64::NAN, |ix| out.features[ix][row]);
        let code = |value: f64, unknown: i8| if value.is_nan() { unknown } else { value as i8 };
        Event {
            event_type: Arc::clone(&names.event_type),
            family: Arc::clone(&names.family),
            symbol: self.symbols[symbol].clone(),
            bar: d.bar,
            direction: d.direction,
            severity: d.severity,
            states: out.states.iter().map(|s| code(s[row], -1)).collect(),
            vol_regime: code(feature(self.vol_regime), -1),
            carry_state: code(feature(self.carry_state), i8::MIN),
            sigma_bar: feature(self.sigma_bar),
            features: names.snapshot.iter().cloned().zip(d.snapshot.iter().copied()).collect(),
        }
    }
}
