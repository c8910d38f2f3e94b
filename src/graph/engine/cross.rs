//! Cross-section operators: what one symbol sees of the others on the same row.
//!
//! A symbol is *live* on a row if its bar was delivered (its close is known). `of(SYM, x)` is unknown on rows where
//! SYM is not live; a universe statistic covers the live symbols with known x, in the order of their names, so that
//! sums do not depend on how the engine lists or schedules symbols.

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

    fn referred(&self, reference: &SymbolRef, reader: usize) -> Option<usize> {
        match reference {
            SymbolRef::Named(symbol) => self.position(symbol),
            SymbolRef::Leader { lead, other } => {
                self.position(if self.names[reader] == *lead { other } else { lead })
            }
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
    let results = match &node.op {
        Op::Of(reference) => of(node, reference, roster, symbols, live, n),
        Op::Universe { f, min } => universe(node, *f, *min as usize, roster, symbols, live, n),
        _ => return,
    };
    for (symbol, column) in symbols.iter_mut().zip(results) {
        symbol.values.store(node.output, &column);
    }
}

fn of(
    node: &CrossNode,
    reference: &SymbolRef,
    roster: &Roster,
    symbols: &[SymbolState],
    live: &Live,
    n: usize,
) -> Vec<Vec<f64>> {
    (0..symbols.len())
        .map(|reader| match roster.referred(reference, reader) {
            None => vec![f64::NAN; n],
            Some(other) => {
                let x = symbols[other].values.rows(node.input);
                x.iter().zip(&live[other]).map(|(x, live)| if *live { *x } else { f64::NAN }).collect()
            }
        })
        .collect()
}

fn universe(
    node: &CrossNode,
    f: Universe,
    min: usize,
    roster: &Roster,
    symbols: &[SymbolState],
    live: &Live,
    n: usize,
) -> Vec<Vec<f64>> {
    let columns: Vec<&[f64]> = symbols.iter().map(|s| s.values.rows(node.input)).collect();
    let mut results = vec![vec![f64::NAN; n]; symbols.len()];
    let mut known: Vec<f64> = Vec::with_capacity(symbols.len());
    for row in 0..n {
        let value = |s: usize| if live[s][row] { columns[s][row] } else { f64::NAN };
        known.clear();
        known.extend(roster.by_name.iter().map(|s| value(*s)).filter(|x| !x.is_nan()));
        if known.is_empty() || known.len() < min {
            continue;
        }
        if f == Universe::Rank {
            for (s, result) in results.iter_mut().enumerate() {
                result[row] = mid_rank(&known, value(s));
            }
        } else {
            let shared = statistic(f, &mut known);
            for result in &mut results {
                result[row] = shared;
            }
        }
    }
    results
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

fn mid_rank(known: &[f64], x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let less = known.iter().filter(|v| **v < x).count() as f64;
    let equal = known.iter().filter(|v| **v == x).count() as f64;
    (less + equal / 2.0) / known.len() as f64
}
