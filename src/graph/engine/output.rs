//! What a push returns.

use crate::graph::EventId;
pub use crate::graph::ops::detect::Suppressed;
use crate::market::BarIndex;

/// Everything that the rows `[first, first + rows)` produced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineOutput {
    /// First bar.
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
    pub features: Vec<Vec<f64>>,
    /// `graph.states` order; each `rows` long; 1, 0, NaN = unknown.
    pub states: Vec<Vec<f64>>,
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

/// An onset.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Which event.
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
    /// Which event.
    pub event: EventId,
    /// The onset's bar.
    pub onset: BarIndex,
    /// The first bar on which the episode was no longer open.
    pub exit: BarIndex,
}
