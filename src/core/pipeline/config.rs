//! What a pipeline is built from, and what its rooms are told.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::clean::{CleanError, CleanPolicy};
use crate::graph::EngineOptions;
use crate::market::{Source, Symbol};
use crate::outcomes::BookConfig;
use crate::spec::CompiledSpec;

/// What a pipeline is built from.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// The specs that the pipeline runs.
    pub spec: Arc<CompiledSpec>,
    /// Symbols in name order: the order of everything per symbol.
    pub symbols: Vec<Symbol>,
    /// Which source columns each symbol has (same order). Absent columns make what needs them unavailable.
    pub collected: Vec<BTreeSet<Source>>,
    /// Engine options: they change speed and memory, never a bit.
    pub engine: EngineOptions,
}

impl PipelineConfig {
    /// How the outcome book books the events of these specs on these symbols.
    #[must_use]
    pub fn book(&self) -> BookConfig {
        let spec = &self.spec;
        let cost = |symbol: &Symbol| spec.defaults.costs.round_trips(symbol);
        BookConfig {
            entry_lag_bars: spec.defaults.entry_lag_bars,
            entry_price: spec.defaults.entry_price,
            horizons: spec
                .events
                .iter()
                .map(|e| (Arc::from(e.event_type.as_str()), e.horizons.clone()))
                .collect(),
            symbols: self.symbols.iter().map(|s| (s.clone(), cost(s))).collect(),
        }
    }

    pub(super) fn clean_policy(&self) -> Result<CleanPolicy, CleanError> {
        let spec = &self.spec;
        CleanPolicy::from_spec(&spec.sources, &spec.defaults, &spec.calendars, &self.symbols, &self.collected)
    }
}
