//! Cross-section operators: what one symbol sees of the others on the same row.
//!
//! A symbol is *live* on a row if its bar was delivered (its close is known). `of(SYM, x)` is unknown on rows
//! where SYM is not live; a universe statistic covers the live symbols with known x, in the order of their
//! names, so that sums do not depend on how the engine lists or schedules symbols.

use super::plan::CrossNode;
use super::symbol::{Chunk, SymbolState};
use crate::graph::{Op, SymbolRef, Universe};
use crate::market::{Source, Symbol, SymbolColumns};

/// The symbols' positions, by name.
#[derive(Clone, Debug)]
pub(super) struct Roster {
    names: Vec<Symbol>,
    by_name: Vec<usize>,
}

/// Per symbol and row of the chunk: live.
pub(super) type Live = Vec<Vec<bool>>;

impl Roster {
    pub(super) fn new(symbols: &[Symbol]) -> Self {
        let mut by_name: Vec<usize> = (0..symbols.len()).collect();
        by_name.sort_by(|a, b| symbols[*a].as_str().cmp(symbols[*b].as_str()));
        Self { names: symbols.to_vec(), by_name }
    }

    pub(super) fn position(&self, symbol: &Symbol) -> Option<usize> {
        self.names.iter().position(|name| name == symbol)
    }

    pub(super) fn names(&self) -> &[Symbol] {
        &self.names
    }

    /// The symbol that is read, and the one that it reads instead of itself.
    fn referred(&self, reference: &SymbolRef) -> (Option<usize>, Option<usize>) {
        match reference {
            SymbolRef::Named(symbol) => (self.position(symbol), self.position(symbol)),
            SymbolRef::Leader { lead, other } => (self.position(lead), self.position(other)),
        }
    }
}

/// Which symbols are live on the chunk's rows.
pub(super) fn live_rows(columns: &[SymbolColumns], chunk: Chunk) -> Live {
    let of = |columns: &SymbolColumns| match columns.get(Source::Close) {
        Some(close) => close[chunk.offset..][..chunk.n].iter().map(|c| c.is_finite()).collect(),
        None => vec![false; chunk.n],
    };
    columns.iter().map(of).collect()
}

/// Fills one cross-section node for all symbols.
pub(super) fn fill(node: &CrossNode, roster: &Roster, symbols: &mut [SymbolState], live: &Live, n: usize) {
    let mut results = vec![f64::NAN; symbols.len() * n];
    let value = |symbol: usize, row: usize| {
        if live[symbol][row] { symbols[symbol].values.rows(node.input)[row] } else { f64::NAN }
    };
    match &node.op {
        Op::Of(reference) => {
            let (lead, instead) = roster.referred(reference);
            for (reader, column) in results.chunks_mut(n).enumerate() {
                let Some(other) = (if lead == Some(reader) { instead } else { lead }) else { continue };
                for (row, result) in column.iter_mut().enumerate() {
                    *result = value(other, row);
                }
            }
        }
        Op::Universe { f, min } => {
            let mut known: Vec<f64> = Vec::with_capacity(symbols.len());
            for row in 0..n {
                known.clear();
                known.extend(roster.by_name.iter().map(|s| value(*s, row)).filter(|x| !x.is_nan()));
                if known.is_empty() || known.len() < *min as usize {
                    continue;
                }
                let shared = statistic(*f, &mut known);
                for (symbol, column) in results.chunks_mut(n).enumerate() {
                    column[row] = match f {
                        // The median has sorted them.
                        Universe::Rank => mid_rank(&known, value(symbol, row)),
                        _ => shared,
                    };
                }
            }
        }
        _ => return,
    }
    for (symbol, column) in symbols.iter_mut().zip(results.chunks(n)) {
        symbol.values.store(node.output, column);
    }
}

fn statistic(f: Universe, known: &mut [f64]) -> f64 {
    let n = known.len() as f64;
    let mean = known.iter().fold(0.0, |sum, x| sum + x) / n;
    match f {
        Universe::Mean => mean,
        Universe::Std if known.len() < 2 => f64::NAN,
        Universe::Std => {
            let squares = known.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
            (squares / (n - 1.0)).sqrt()
        }
        Universe::Median | Universe::Rank => {
            known.sort_unstable_by(f64::total_cmp);
            let half = known.len() / 2;
            if known.len() % 2 == 1 {
                known[half]
            } else {
                known[half - 1] + 0.5 * (known[half] - known[half - 1])
            }
        }
    }
}

/// (less + equal/2) / n among sorted values.
fn mid_rank(sorted: &[f64], x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let less = sorted.partition_point(|v| *v < x);
    let equal = sorted.partition_point(|v| *v <= x) - less;
    (less as f64 + equal as f64 / 2.0) / sorted.len() as f64
}
