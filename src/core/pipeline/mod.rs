//! The core as one step: raw records in, facts out.
//!
//! `clean` joins the raw log to the grid, `graph` computes features, states and detections, `events` and
//! `outcomes` book them. The daemon pushes one row at a time, the backfill and `research` hundreds; the facts
//! are the same bit for bit, and so are they after [`Pipeline::checkpoint`] and [`Pipeline::restore`]
//! anywhere between two pushes.

mod assemble;
mod availability;
mod change;
mod checkpoint;
mod config;
mod door;
mod quality;

use std::sync::Arc;

use crate::clean::Joiner;
use crate::graph::{Engine, EngineOutput, EventId};
use crate::market::{BarIndex, RawBlock, Source, Symbol, TickBlock};
use crate::outcomes::{EpisodeEnd, Event};
use crate::outcomes::{Outcome, OutcomeBook};

use assemble::Assembler;
pub use availability::{LackingSeries, PartialSource};
pub use change::{Change, ChangePlan, ChangeSummary, Rebuild, Rebuilt};
pub use checkpoint::{CheckpointFacts, PipelineError};
pub use config::PipelineConfig;
use door::Stretch;
pub use quality::{EventQuality, POOLED, QualityCounter, QualityFailure, QualityReport, Tally};

/// What a stretch of rows produced.
#[derive(Clone, Debug)]
pub struct Facts {
    /// First row of the stretch.
    pub first: BarIndex,
    /// Number of rows.
    pub rows: usize,
    /// The cleaned source columns, per symbol.
    pub columns: TickBlock,
    /// Features, states and per-event counters, per symbol.
    pub output: EngineOutput,
    /// Detections, sorted by (bar, symbol order, event order).
    pub events: Vec<Event>,
    /// Episodes that ended, same order.
    pub ends: Vec<EpisodeEnd>,
    /// Outcomes that matured, by (exit bar, symbol order, event, horizon).
    pub outcomes: Vec<Outcome>,
}

impl Facts {
    /// Close of an event's bar, where the stretch holds it and it is known. `symbols` are the pipeline's, in
    /// order.
    #[must_use]
    pub fn close_of(&self, symbols: &[Symbol], event: &Event) -> Option<f64> {
        let at = symbols.iter().position(|s| *s == event.symbol)?;
        let closes = self.columns.symbols.get(at)?.get(Source::Close)?;
        let row = usize::try_from(event.bar - self.first).ok()?;
        closes.get(row).copied().filter(|close| !close.is_nan())
    }
}

/// Raw records in, facts out.
#[derive(Debug)]
pub struct Pipeline {
    config: PipelineConfig,
    joiner: Joiner,
    engine: Engine,
    book: OutcomeBook,
    assembler: Assembler,
    quality: QualityCounter,
}

impl Pipeline {
    /// A pipeline whose first row is `first`.
    ///
    /// # Errors
    /// When the specs' rules for sources or calendars cannot be used.
    pub fn new(config: PipelineConfig, first: BarIndex) -> Result<Self, PipelineError> {
        let joiner = Joiner::new(&config.symbols, config.clean_policy()?, first)?;
        let engine = Engine::new(Arc::clone(&config.spec.graph), &config.symbols, first, config.engine);
        let book = OutcomeBook::new(config.book());
        let assembler = Assembler::new(&config.spec.graph, &config.symbols);
        let quality = QualityCounter::new(&config.symbols, &config.spec, first);
        Ok(Self { config, joiner, engine, book, assembler, quality })
    }

    /// The row that the next push must start with.
    #[must_use]
    pub fn next_bar(&self) -> BarIndex {
        self.engine.next_bar()
    }

    /// Rows before the first one that [`Pipeline::prime`] wants.
    #[must_use]
    pub fn lead_in_rows(&self) -> usize {
        self.joiner.lead_in_rows()
    }

    /// Takes in the [`Pipeline::lead_in_rows`] before the first row: a settlement or an open interest that
    /// was known when it began is held on it. Of a new pipeline only; one that was restored holds them
    /// already.
    ///
    /// # Errors
    /// When the block does not end at [`Pipeline::next_bar`].
    pub fn prime(&mut self, history: &RawBlock) -> Result<(), PipelineError> {
        Ok(self.joiner.prime(history)?)
    }

    /// Takes the next rows of the raw log.
    ///
    /// # Errors
    /// When the block does not start at [`Pipeline::next_bar`].
    pub fn push(&mut self, raw: &RawBlock) -> Result<Facts, PipelineError> {
        if raw.first != self.next_bar() {
            return Err(PipelineError::OutOfOrder { expected: self.next_bar(), got: raw.first });
        }
        let stretch = Stretch::of(raw);
        let columns = self.joiner.push(raw)?;
        stretch.assert_columns(&columns, self.config.symbols.len());
        let output = self.engine.push(&columns)?;
        let (events, ends) = self.assembler.assemble(&output);
        stretch.assert_records(&events, &ends);
        let outcomes = self.book.push(raw, &columns, &events);
        stretch.assert_outcomes(&outcomes);
        let facts = Facts { first: raw.first, rows: raw.rows, columns, output, events, ends, outcomes };
        door::assert_tick_boundary(&facts, [self.joiner.next_bar(), self.engine.next_bar()]);
        self.quality.observe(&facts);
        Ok(facts)
    }

    /// Detector health and availability are counted from row `from` on; by default from the first row. A push
    /// must not begin before it and end after it.
    pub fn count_quality_from(&mut self, from: BarIndex) {
        self.quality.restart(from);
    }

    /// Detector health and availability of sources over the counted rows: a function of the rows, however
    /// they were pushed.
    #[must_use]
    pub fn quality(&self) -> QualityReport {
        self.quality_of(&self.config.symbols)
    }

    /// [`Pipeline::quality`] of some of the symbols.
    #[must_use]
    pub fn quality_of(&self, symbols: &[Symbol]) -> QualityReport {
        let lacking: Vec<_> = (0..self.config.symbols.len()).map(|ix| self.unavailable(ix)).collect();
        let lacks = |symbol: usize, event: usize| {
            lacking[symbol].iter().find(|(id, _)| usize::from(id.0) == event).map(|(_, source)| *source)
        };
        self.quality.report(&self.config.spec, symbols, lacks)
    }

    /// The counts behind [`Pipeline::quality`] as bytes, for [`Pipeline::load_health_counts`].
    ///
    /// # Errors
    /// When the counts cannot be encoded.
    pub fn health_counts(&self) -> Result<Vec<u8>, PipelineError> {
        Ok(self.quality.save()?)
    }

    /// Takes over the counts of a pipeline of the same specs, symbols and sources that had seen the rows.
    /// What they are judged by (`gate_e1`) is this pipeline's.
    ///
    /// # Errors
    /// When the bytes hold no counts.
    pub fn load_health_counts(&mut self, bytes: &[u8]) -> Result<(), PipelineError> {
        Ok(self.quality.load(bytes)?)
    }

    /// Events that cannot occur on a symbol because a source column is missing there.
    #[must_use]
    pub fn unavailable(&self, symbol: usize) -> Vec<(EventId, Source)> {
        self.config.symbols.get(symbol).map_or_else(Vec::new, |s| self.engine.unavailable(s))
    }

    /// Outcomes that wait for their exit bar.
    #[must_use]
    pub fn open_outcomes(&self) -> usize {
        self.book.open_count()
    }

    /// Positions that were open at a UTC midnight and are open still: see [`OutcomeBook::marked`].
    #[must_use]
    pub fn marked_outcomes(&self) -> Vec<Outcome> {
        self.book.marked()
    }

    /// The config it was built with.
    #[must_use]
    pub const fn config(&self) -> &PipelineConfig {
        &self.config
    }

    /// The engine, for explanations.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }
}
