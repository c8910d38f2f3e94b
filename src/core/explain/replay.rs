//! The joiner and the engine over the part of the graph that a subject needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ExplainError;
use super::subject::Subject;
use crate::clean::{CleanPolicy, Joiner};
use crate::graph::{Engine, EngineOptions, EngineOutput};
use crate::market::{BarIndex, RawBlock, Source, Symbol};
use crate::spec::CompiledSpec;

/// Rows a push. Any number gives the same bits.
const CHUNK_ROWS: i64 = 512;

/// What is replayed: whose history, under which specs.
#[derive(Clone, Debug)]
pub struct History {
    /// The specs that the history is replayed under.
    pub spec: Arc<CompiledSpec>,
    /// Symbols with perp bars, in name order.
    pub symbols: Vec<Symbol>,
    /// Which source columns each has.
    pub collected: Vec<BTreeSet<Source>>,
    /// The first bar that is replayed. Recursions (class S) depend on it.
    pub first: BarIndex,
    /// The first bar that is not stored.
    pub end: BarIndex,
}

/// A stretch of the raw log that is wanted next. The first one lies before the history: what was known when
/// it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Symbols, in this order.
    pub symbols: Vec<Symbol>,
    /// First row of the stretch.
    pub first: BarIndex,
    /// Number of rows in the stretch.
    pub rows: usize,
}

/// The joiner and the engine.
#[derive(Debug)]
pub(super) struct Replay {
    joiner: Joiner,
    pub(super) engine: Engine,
    pub(super) symbols: Vec<Symbol>,
    /// Columns that the last block did not have, per symbol.
    pub(super) absent: Vec<BTreeSet<Source>>,
    is_primed: bool,
    end: BarIndex,
}

impl Replay {
    /// Over `wanted` alone, or over every symbol of the history if the subject reads others.
    pub(super) fn new(
        history: &History,
        subject: &Subject,
        wanted: &[Symbol],
        end: BarIndex,
    ) -> Result<Self, ExplainError> {
        let all = history.symbols.iter().zip(&history.collected);
        let needed = all.filter(|(s, _)| subject.reads_other_symbols() || wanted.contains(s));
        let (symbols, collected): (Vec<Symbol>, Vec<BTreeSet<Source>>) =
            needed.map(|(s, c)| (s.clone(), c.clone())).unzip();
        let spec = &history.spec;
        let policy =
            CleanPolicy::from_spec(&spec.sources, &spec.defaults, &spec.calendars, &symbols, &collected)?;
        let options = EngineOptions { slack_rows: CHUNK_ROWS as usize, threads: symbols.len() > 1 };
        Ok(Self {
            joiner: Joiner::new(&symbols, policy, history.first)?,
            engine: Engine::new(Arc::clone(&subject.graph), &symbols, history.first, options),
            absent: vec![BTreeSet::new(); symbols.len()],
            symbols,
            is_primed: false,
            end,
        })
    }

    /// What was known before the first row, then the next rows before `end`.
    pub(super) fn wants(&self) -> Option<Stretch> {
        let first = self.engine.next_bar();
        if !self.is_primed {
            let rows = self.joiner.lead_in_rows();
            return Some(Stretch { symbols: self.symbols.clone(), first: first - rows as i64, rows });
        }
        let rows = (self.end - first).min(CHUNK_ROWS);
        (rows > 0).then(|| Stretch { symbols: self.symbols.clone(), first, rows: rows as usize })
    }

    /// Takes the stretch that was wanted; the one before the first row gives none.
    pub(super) fn push(&mut self, raw: &RawBlock) -> Result<Option<EngineOutput>, ExplainError> {
        if !self.is_primed {
            self.joiner.prime(raw)?;
            self.is_primed = true;
            return Ok(None);
        }
        let block = self.joiner.push(raw)?;
        for (absent, columns) in self.absent.iter_mut().zip(&block.symbols) {
            *absent = Source::ALL.iter().copied().filter(|s| columns.get(*s).is_none()).collect();
        }
        Ok(Some(self.engine.push(&block)?))
    }

    /// Every node's value on the last row, per symbol.
    pub(super) fn values(&self) -> Vec<Vec<f64>> {
        self.symbols.iter().filter_map(|s| self.engine.node_values(s)).collect()
    }
}
