//! Saving and restoring the pipeline between two pushes.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::assemble::Assembler;
use super::{Pipeline, PipelineConfig, QualityCounter, QualityReport};
use crate::clean::{CleanError, Joiner};
use crate::graph::{CheckpointError, ComposeError, Engine, PushError};
use crate::market::{BarIndex, Source, Symbol};
use crate::outcomes::{BookError, OutcomeBook};

/// Why a pipeline refused rows or a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// Rows must arrive in order and without holes (a gap is a row without a bar).
    #[error("rows must start at bar {expected}, but the block starts at {got}")]
    OutOfOrder {
        /// Row that the pipeline expects next.
        expected: BarIndex,
        /// First row of the block that came.
        got: BarIndex,
    },
    /// The checkpoint was made by other specs, symbols or sources.
    #[error("the checkpoint was made under other {what}; the history has to be replayed from the raw log")]
    Foreign {
        /// `specs`, `symbols` or `sources`.
        what: &'static str,
    },
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] PushError),
    /// The engine's part of a checkpoint is unreadable.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The engine cannot take over the state of another.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The sources' rules cannot be used, or the joiner's part of a checkpoint is unreadable.
    #[error(transparent)]
    Clean(#[from] CleanError),
    /// The book's part of a checkpoint is unreadable.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The frame around the parts is unreadable.
    #[error("the checkpoint cannot be read ({0}); the history has to be replayed from the raw log")]
    Frame(#[from] postcard::Error),
}

/// The checkpoint: who made it, then the stateful parts.
#[derive(Serialize, Deserialize)]
struct Frame {
    ontology_spec_hash: String,
    symbols: Vec<Symbol>,
    collected: Vec<Vec<u8>>,
    joiner: Vec<u8>,
    engine: Vec<u8>,
    book: Vec<u8>,
    quality: Vec<u8>,
}

/// What a checkpoint says of itself, without its state.
#[derive(Clone, Debug)]
pub struct CheckpointFacts {
    /// Specs it was made under.
    pub ontology_spec_hash: String,
    /// Symbols, in name order.
    pub symbols: Vec<Symbol>,
    /// Source columns that each has.
    pub collected: Vec<BTreeSet<Source>>,
}

impl CheckpointFacts {
    /// Reads them.
    ///
    /// # Errors
    /// When the bytes are not a checkpoint of this version.
    pub fn read(bytes: &[u8]) -> Result<Self, PipelineError> {
        let frame: Frame = postcard::from_bytes(bytes)?;
        let sources = |codes: &Vec<u8>| {
            codes.iter().filter_map(|code| Source::ALL.get(usize::from(*code)).copied()).collect()
        };
        Ok(Self {
            ontology_spec_hash: frame.ontology_spec_hash,
            symbols: frame.symbols,
            collected: frame.collected.iter().map(sources).collect(),
        })
    }
}

impl Pipeline {
    /// The whole state at the current row boundary.
    ///
    /// # Errors
    /// When a part cannot be encoded.
    pub fn checkpoint(&self) -> Result<Vec<u8>, PipelineError> {
        let frame = Frame {
            ontology_spec_hash: self.config.spec.hash.clone(),
            symbols: self.config.symbols.clone(),
            collected: codes(&self.config.collected),
            joiner: self.joiner.checkpoint()?,
            engine: self.engine.checkpoint()?,
            book: self.book.save()?,
            quality: self.quality.save()?,
        };
        Ok(postcard::to_stdvec(&frame)?)
    }

    /// Continues where [`Pipeline::checkpoint`] was taken.
    ///
    /// # Errors
    /// When the bytes are damaged or belong to other specs, symbols or sources.
    pub fn restore(config: PipelineConfig, bytes: &[u8]) -> Result<Self, PipelineError> {
        let frame: Frame = postcard::from_bytes(bytes)?;
        if frame.ontology_spec_hash != config.spec.hash {
            return Err(PipelineError::Foreign { what: "specs" });
        }
        if frame.symbols != config.symbols {
            return Err(PipelineError::Foreign { what: "symbols" });
        }
        if frame.collected != codes(&config.collected) {
            return Err(PipelineError::Foreign { what: "sources" });
        }
        let joiner = Joiner::restore(&config.symbols, config.clean_policy()?, &frame.joiner)?;
        let graph = Arc::clone(&config.spec.graph);
        let engine = Engine::restore(graph, &config.symbols, &frame.engine, config.engine)?;
        let book = OutcomeBook::restore(config.book(), &frame.book)?;
        let assembler = Assembler::new(&config.spec.graph, &config.symbols);
        let mut quality = QualityCounter::new(&config.symbols, &config.spec, engine.next_bar());
        quality.load(&frame.quality)?;
        Ok(Self { config, joiner, engine, book, assembler, quality })
    }

    /// The counts behind [`Pipeline::quality`] at the current row boundary, to be asked again later.
    ///
    /// # Errors
    /// When they cannot be encoded.
    pub fn quality_counts(&self) -> Result<Vec<u8>, PipelineError> {
        let counts = self.quality.save()?;
        let frame = (&self.config.spec.hash, &self.config.symbols, self.next_bar(), counts);
        Ok(postcard::to_stdvec(&frame)?)
    }

    /// What [`Pipeline::quality`] said when it stood at `end` and [`Pipeline::quality_counts`] was taken;
    /// `None` for counts of another row, of other specs or of other symbols. Only what was never known counts
    /// as lacking: which columns are collected may have changed since.
    #[must_use]
    pub fn quality_from(&self, bytes: &[u8], end: BarIndex) -> Option<QualityReport> {
        let (spec, symbols, at, counts): (String, Vec<Symbol>, BarIndex, Vec<u8>) =
            postcard::from_bytes(bytes).ok()?;
        let config = &self.config;
        if spec != config.spec.hash || symbols != config.symbols || at != end {
            return None;
        }
        let mut quality = QualityCounter::new(&config.symbols, &config.spec, end);
        quality.load(&counts).ok()?;
        Some(quality.report(&config.spec, &config.symbols, |_, _| None))
    }
}

fn codes(collected: &[BTreeSet<Source>]) -> Vec<Vec<u8>> {
    collected.iter().map(|sources| sources.iter().map(|s| s.index() as u8).collect()).collect()
}
