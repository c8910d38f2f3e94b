//! What a push returns.

use std::ops::Index;

use crate::graph::EventId;
pub use crate::graph::ops::detect::Suppressed;
use crate::market::BarIndex;

/// Everything that the rows `[first, first + rows)` produced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineOutput {
    /// The first bar of the push.
    pub first: BarIndex,
    /// Number of rows.
    pub rows: usize,
    /// In the engine's symbol order.
    pub symbols: Vec<SymbolOutput>,
}

/// One symbol's part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SymbolOutput {
    /// `graph.features` order; each `rows` long. NaN is unknown.
    pub features: Columns,
    /// `graph.states` order; each `rows` long; 1, 0, NaN = unknown.
    pub states: Columns,
    /// Onsets, sorted by (bar, event).
    pub detections: Vec<Detection>,
    /// Ends of episodes, sorted by (exit, event).
    pub episode_ends: Vec<EpisodeExit>,
    /// Per event: triggers that did not become onsets.
    pub suppressed: Vec<Suppressed>,
    /// Per event: rows where `when` was known.
    pub known_rows: Vec<u64>,
    /// Per event: onset of the episode that is open after the last row.
    pub open: Vec<Option<BarIndex>>,
}

/// Columns of equal length, one after the other: `columns[column][row]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    values: Vec<f64>,
    columns: usize,
    rows: usize,
}

impl Columns {
    /// Columns in which every value is unknown.
    pub(super) fn new(columns: usize, rows: usize) -> Self {
        Self { values: vec![f64::NAN; columns * rows], columns, rows }
    }

    /// Rows of a column from `first` on.
    pub(super) fn put(&mut self, column: usize, first: usize, values: &[f64]) {
        self.values[column * self.rows + first..][..values.len()].copy_from_slice(values);
    }

    /// Puts the rows of a later push after these.
    ///
    /// # Panics
    /// With other columns.
    pub fn append(&mut self, later: &Self) {
        assert_eq!(self.columns, later.columns, "pushes of one engine");
        let mut joined = Self::new(self.columns, self.rows + later.rows);
        for (column, (old, new)) in self.iter().zip(later.iter()).enumerate() {
            joined.put(column, 0, old);
            joined.put(column, self.rows, new);
        }
        *self = joined;
    }

    /// How many columns.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.columns
    }

    /// Whether there are no columns.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.columns == 0
    }

    /// A column, if there are so many.
    #[must_use]
    pub fn get(&self, column: usize) -> Option<&[f64]> {
        (column < self.columns).then(|| &self[column])
    }

    /// Every column, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &[f64]> + ExactSizeIterator {
        (0..self.columns).map(|column| &self[column])
    }
}

impl Index<usize> for Columns {
    type Output = [f64];

    fn index(&self, column: usize) -> &[f64] {
        assert!(column < self.columns, "column {column} of {}", self.columns);
        &self.values[column * self.rows..][..self.rows]
    }
}

/// An onset of an event on a symbol.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// The event, as an index of `Graph::events`.
    pub event: EventId,
    /// The bar that decided it.
    pub bar: BarIndex,
    /// -1, 0 (undirected events only), +1.
    pub direction: i8,
    /// As the spec computes it.
    pub severity: f64,
    /// The event's named values on the deciding bar, in `EventNode::snapshot` order.
    pub snapshot: Vec<f64>,
}

/// The end of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpisodeExit {
    /// The event, as an index of `Graph::events`.
    pub event: EventId,
    /// The onset's bar.
    pub onset: BarIndex,
    /// The first bar on which the episode was no longer open.
    pub exit: BarIndex,
}
