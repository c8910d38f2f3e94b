//! Runs a compiled [`Graph`] over ticks: one implementation for batch, backfill and live.
//!
//! A push advances all symbols by any number of rows. Each node appends a chunk of values to its series; an
//! operator reads the series of its operands, chunk and history. Bits depend neither on how rows are grouped
//! into pushes, nor on restarts ([`Engine::checkpoint`]), nor on [`EngineOptions`].
//!
//! ```text
//! TickBlock -> [stage 0: every symbol on its own] -> cross-section nodes -> [stage 1] -> ... -> EngineOutput
//! ```
//!
//! | file | idea |
//! | --- | --- |
//! | `plan` | order of work: stages, shared kernels, event clocks, look-back |
//! | `values`, `series` | a node's values: the newest rows of all nodes together, long histories apart |
//! | `symbol`, `row` | one symbol's state, and how it advances by a chunk or by one row |
//! | `cross` | operators across symbols |
//! | `door` | what holds of a block and its output |
//! | `checkpoint` | the state as bytes |
//! | `compose` | the state from engines of other graphs, after a spec change |

mod checkpoint;
mod compose;
mod cross;
mod door;
mod output;
mod plan;
mod row;
mod series;
mod symbol;
mod values;

use std::sync::Arc;

use rayon::prelude::*;

pub use checkpoint::CheckpointError;
pub use compose::{ComposeError, lacking};
pub use output::{Columns, Detection, EngineOutput, EpisodeExit, Suppressed, SymbolOutput};

use crate::graph::{EventId, Graph};
use crate::market::{BarIndex, Source, Symbol, SymbolColumns, TickBlock};
use cross::Roster;
use plan::Plan;
use symbol::{Chunk, SymbolState};

/// How the engine works; never what it computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineOptions {
    /// Rows evaluated together and slack of every history buffer: about 512 for batch, 32 for live.
    pub slack_rows: usize,
    /// Symbols side by side on the rayon pool.
    pub threads: bool,
}

impl EngineOptions {
    /// For long stretches of history.
    pub const BATCH: Self = Self { slack_rows: 512, threads: true };
    /// For one bar at a time.
    pub const LIVE: Self = Self { slack_rows: 32, threads: false };
}

/// A block that the engine cannot take; nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Rows must follow each other.
    #[error(
        "the block starts at {got}, but the engine's next bar is {expected}: push the rows in between (gaps as NaN), or restore an earlier checkpoint"
    )]
    Discontinuous {
        /// The engine's next bar.
        expected: BarIndex,
        /// The block's first bar.
        got: BarIndex,
    },
    /// One entry per symbol.
    #[error("the block has {got} symbols, but the engine runs {expected}: use the same symbol list for both")]
    Symbols {
        /// How many symbols the engine runs.
        expected: usize,
        /// How many symbols the block has.
        got: usize,
    },
    /// Columns as long as the block.
    #[error("column {column} of {symbol} has {got} rows in a block of {expected}")]
    ColumnLength {
        /// The symbol whose column it is.
        symbol: Symbol,
        /// The column's name.
        column: &'static str,
        /// How many rows the block has.
        expected: usize,
        /// How many rows the column has.
        got: usize,
    },
}

/// So many symbols find their state still in the caches when the next row comes.
const NEAR_SYMBOLS: usize = 8;

/// The graph in motion.
#[derive(Clone, Debug)]
pub struct Engine {
    graph: Arc<Graph>,
    plan: Arc<Plan>,
    roster: Roster,
    symbols: Vec<SymbolState>,
    first: BarIndex,
    next: BarIndex,
    slack: usize,
    threads: bool,
}

impl Engine {
    /// Nothing seen; `first` is the first bar to come.
    #[must_use]
    pub fn new(graph: Arc<Graph>, symbols: &[Symbol], first: BarIndex, opts: EngineOptions) -> Self {
        let plan = Arc::new(Plan::new(&graph));
        let slack = opts.slack_rows.max(1);
        Self {
            symbols: (0..symbols.len()).map(|at| SymbolState::new(&plan, &graph, slack, at)).collect(),
            roster: Roster::new(symbols),
            graph,
            plan,
            first,
            next: first,
            slack,
            threads: opts.threads,
        }
    }

    /// The bar that the next push must start with.
    #[must_use]
    pub const fn next_bar(&self) -> BarIndex {
        self.next
    }

    /// The symbols, in the order of blocks and outputs.
    #[must_use]
    pub fn symbols(&self) -> &[Symbol] {
        self.roster.names()
    }

    /// Advances by the rows of `block`.
    ///
    /// # Errors
    /// When the block does not follow the last one or has another shape; then nothing has changed.
    pub fn push(&mut self, block: &TickBlock) -> Result<EngineOutput, PushError> {
        self.check(block)?;
        let mut outputs = vec![SymbolOutput::default(); self.symbols.len()];
        if block.rows == 0 {
            let all = self.symbols.iter_mut().zip(&block.symbols).zip(&mut outputs);
            all.for_each(|((state, columns), output)| {
                *output = empty_output(&self.graph, 0);
                state.begin_push(&self.graph, columns);
                state.finish_push(&self.plan, output);
            });
        }
        let mut offset = 0;
        while offset < block.rows {
            let n = self.slack.min(block.rows - offset);
            let seen = (self.next - self.first).unsigned_abs();
            self.run_chunk(block, Chunk { first: self.next.0, n, seen, offset }, &mut outputs);
            self.next = self.next + n as i64;
            offset += n;
        }
        let output = EngineOutput { first: block.first, rows: block.rows, symbols: outputs };
        door::assert_output(&self.graph, block, &output);
        Ok(output)
    }

    fn check(&self, block: &TickBlock) -> Result<(), PushError> {
        if block.first != self.next {
            return Err(PushError::Discontinuous { expected: self.next, got: block.first });
        }
        if block.symbols.len() != self.symbols.len() {
            return Err(PushError::Symbols { expected: self.symbols.len(), got: block.symbols.len() });
        }
        for (columns, symbol) in block.symbols.iter().zip(self.roster.names()) {
            for source in Source::ALL {
                let got = columns.get(*source).map_or(block.rows, <[f64]>::len);
                if got != block.rows {
                    return Err(PushError::ColumnLength {
                        symbol: symbol.clone(),
                        column: source.name(),
                        expected: block.rows,
                        got,
                    });
                }
            }
        }
        Ok(())
    }

    /// All that a symbol does by itself between two cross-sections happens in one go, while its state is
    /// near.
    fn run_chunk(&mut self, block: &TickBlock, chunk: Chunk, outputs: &mut [SymbolOutput]) {
        let (plan, graph) = (Arc::clone(&self.plan), Arc::clone(&self.graph));
        let live = if plan.stages.len() > 1 { cross::live_rows(&block.symbols, chunk) } else { Vec::new() };
        let is_cold = chunk.n == 1 && self.symbols.len() > NEAR_SYMBOLS;
        let is_last_chunk = chunk.offset + chunk.n == block.rows;
        for (number, stage) in plan.stages.iter().enumerate() {
            for node in &stage.cross {
                cross::fill(node, &self.roster, &mut self.symbols, &live, chunk.n);
            }
            let advance = |state: &mut SymbolState, columns: &SymbolColumns, output: &mut SymbolOutput| {
                if is_cold {
                    state.touch(&stage.reads);
                }
                if number == 0 {
                    if chunk.offset == 0 {
                        *output = empty_output(&graph, block.rows);
                        state.begin_push(&graph, columns);
                    }
                    state.values.begin(&plan, chunk.n);
                }
                state.run_stage(stage, chunk, columns);
                if number + 1 == plan.stages.len() {
                    state.finish_chunk(&plan, &graph, chunk, output);
                    if is_last_chunk {
                        state.finish_push(&plan, output);
                    }
                }
            };
            if self.threads && self.symbols.len() > 1 {
                let all = self.symbols.par_iter_mut().zip(&block.symbols).zip(outputs.par_iter_mut());
                all.for_each(|((state, columns), output)| advance(state, columns, output));
            } else {
                let all = self.symbols.iter_mut().zip(&block.symbols).zip(outputs.iter_mut());
                all.for_each(|((state, columns), output)| advance(state, columns, output));
            }
        }
    }

    /// Events that cannot run for this symbol, each with the first column it lacks, as of the last push.
    /// Empty for a symbol that the engine does not run, and before the first push.
    #[must_use]
    pub fn unavailable(&self, symbol: &Symbol) -> Vec<(EventId, Source)> {
        let Some(position) = self.roster.position(symbol) else { return Vec::new() };
        let missing = self.symbols[position].missing.iter().enumerate();
        missing.filter_map(|(ix, source)| source.map(|source| (EventId(ix as u16), source))).collect()
    }

    /// Every node's value on the last row pushed, in `graph.nodes` order; `None` for a symbol that the engine
    /// does not run.
    #[must_use]
    pub fn node_values(&self, symbol: &Symbol) -> Option<Vec<f64>> {
        let state = &self.symbols[self.roster.position(symbol)?];
        Some(self.plan.places.iter().map(|place| state.values.last(*place)).collect())
    }

    /// Bytes of history held for all symbols: what a checkpoint and the buffers' slack cost.
    #[must_use]
    pub fn history_bytes(&self) -> usize {
        self.symbols.iter().map(|s| s.values.bytes()).sum()
    }
}

fn empty_output(graph: &Graph, rows: usize) -> SymbolOutput {
    SymbolOutput {
        features: Columns::new(graph.features.len(), rows),
        states: Columns::new(graph.states.len(), rows),
        detections: Vec::new(),
        episode_ends: Vec::new(),
        suppressed: vec![Suppressed::default(); graph.events.len()],
        known_rows: vec![0; graph.events.len()],
        open: Vec::new(),
    }
}
