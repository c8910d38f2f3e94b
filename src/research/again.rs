//! The history run once more with other thresholds: only the detectors that are asked for, on the same bars.

use std::sync::Arc;

use super::ResearchError;
use super::collect::{CHUNK_ROWS, history_start, pipeline_config};
use super::markets::StoreMarkets;
use super::request::Request;
use backtestd_core::graph::EngineOptions;
use backtestd_core::market::{BarIndex, Symbol};
use backtestd_core::pipeline::Pipeline;
use backtestd_core::tradability::{self, DetectedAgain, MarketError, Markets, OtherThresholds};
use backtestd_store::Store;

/// The store of a batch run that can detect again.
#[derive(Debug)]
pub(super) struct ResearchMarkets<'a> {
    store: &'a Store,
    request: &'a Request,
}

impl<'a> ResearchMarkets<'a> {
    /// Of the run of a request.
    pub(super) const fn of(store: &'a Store, request: &'a Request) -> Self {
        Self { store, request }
    }

    fn run_again(&self, asked: &OtherThresholds<'_>) -> Result<Option<DetectedAgain>, ResearchError> {
        let request = self.request;
        let Some(spec) = request.spec.shifted(&asked.events, &asked.states, asked.factor) else {
            return Ok(None);
        };
        let spec = Arc::new(spec);
        let engine = EngineOptions { slack_rows: CHUNK_ROWS, threads: true };
        let config = pipeline_config(self.store, &spec, &request.symbols, engine)?;
        let symbols = config.symbols.clone();
        let first = history_start(self.store, &symbols, request)?;
        let mut pipeline = Pipeline::new(config, first)?;
        pipeline.prime(&self.store.lead_in(&symbols, first, pipeline.lead_in_rows())?)?;
        let mut found = DetectedAgain {
            outcomes: Vec::new(),
            states: spec.graph.states.iter().map(|s| s.name.clone()).collect(),
        };
        while pipeline.next_bar() < asked.end {
            let rows = CHUNK_ROWS.min((asked.end - pipeline.next_bar()) as usize);
            let facts = pipeline.push(&self.store.raw(&symbols, pipeline.next_bar(), rows)?)?;
            found.outcomes.extend(facts.outcomes.into_iter().filter(|o| {
                o.event.bar >= request.first
                    && request.symbols.contains(&o.event.symbol)
                    && asked.events.contains(&*o.event.event_type)
            }));
        }
        Ok(Some(found))
    }
}

impl Markets for ResearchMarkets<'_> {
    fn market(
        &mut self,
        symbol: &Symbol,
        first: BarIndex,
        end: BarIndex,
    ) -> Result<Option<tradability::Market>, MarketError> {
        StoreMarkets::of(self.store).market(symbol, first, end)
    }

    fn detect_again(&mut self, asked: &OtherThresholds<'_>) -> Result<Option<DetectedAgain>, MarketError> {
        // The history of all symbols is read at once; the first stands for them in the message.
        let Some(symbol) = self.request.symbols.first() else { return Ok(None) };
        self.run_again(asked).map_err(|error| MarketError { symbol: symbol.clone(), why: error.to_string() })
    }
}
