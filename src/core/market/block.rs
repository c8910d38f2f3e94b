//! Cleaned input of the graph: source columns on the full grid.

use super::{BarIndex, Source};

/// Source columns of one symbol over the rows of a [`TickBlock`]. A column that the deployment does not
/// collect is absent, which makes everything that needs it *unavailable*; NaN in a present column means
/// unknown on that row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SymbolColumns {
    columns: Vec<Option<Vec<f64>>>,
}

impl SymbolColumns {
    /// No column present.
    #[must_use]
    pub fn new() -> Self {
        Self { columns: vec![None; Source::COUNT] }
    }

    /// Sets a column; its length must equal the block's rows.
    pub fn set(&mut self, source: Source, values: Vec<f64>) {
        self.columns[source.index()] = Some(values);
    }

    /// The column, if collected.
    #[must_use]
    pub fn get(&self, source: Source) -> Option<&[f64]> {
        self.columns.get(source.index())?.as_deref()
    }

    /// Which columns are collected: a bit each, by [`Source::index`].
    #[must_use]
    pub fn present(&self) -> u64 {
        const { assert!(Source::COUNT <= 64) };
        self.columns.iter().enumerate().fold(0, |bits, (ix, column)| bits | u64::from(column.is_some()) << ix)
    }
}

/// Rows `[first, first + rows)` of the full 5-minute grid for every symbol (gaps are rows of NaN).
#[derive(Clone, Debug, PartialEq)]
pub struct TickBlock {
    /// First slot of the block.
    pub first: BarIndex,
    /// Number of slots.
    pub rows: usize,
    /// One entry per symbol, in the engine's symbol order.
    pub symbols: Vec<SymbolColumns>,
}
