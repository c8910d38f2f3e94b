//! What holds at the engine's door: the shape of the block that comes in, and of the output that goes out.
//!
//! A block that does not fit is refused with an error ([`super::PushError`]), in every build. What is here
//! would be a fault of the engine itself; it is asserted in tests and left out of releases.

use super::EngineOutput;
use crate::graph::Graph;
use crate::market::TickBlock;

/// Asserts that the output is of the block's rows: as many columns as the graph has outputs, as long as the
/// block, with onsets and ends in order, inside the block, and told only of events that the graph has.
pub(super) fn assert_output(graph: &Graph, block: &TickBlock, out: &EngineOutput) {
    if !cfg!(debug_assertions) {
        return;
    }
    assert_eq!((out.first, out.rows), (block.first, block.rows), "an output is of its block's rows");
    assert_eq!(out.symbols.len(), block.symbols.len(), "one output a symbol");
    let (first, end) = (block.first, block.first + block.rows as i64);
    for symbol in &out.symbols {
        for (columns, named) in [(&symbol.features, &graph.features), (&symbol.states, &graph.states)] {
            assert_eq!(columns.len(), named.len(), "a column for every output of the graph");
            assert!(columns.iter().all(|column| column.len() == block.rows), "columns as long as the block");
        }
        let is_truth = |c: &f64| c.is_nan() || *c == 0.0 || *c == 1.0;
        assert!(symbol.states.iter().flatten().all(is_truth), "a state is true, false or unknown");
        assert!(symbol.features.iter().flatten().all(|x| !x.is_infinite()), "a feature is finite or unknown");
        let onsets = || symbol.detections.iter().map(|d| (d.bar, d.event));
        assert!(onsets().is_sorted(), "onsets by bar and event");
        assert!(onsets().all(|(bar, _)| first <= bar && bar < end), "onsets inside the block");
        assert!(
            onsets().all(|(_, event)| usize::from(event.0) < graph.events.len()),
            "onsets of the graph's events"
        );
        let ends = || symbol.episode_ends.iter();
        assert!(ends().map(|e| (e.exit, e.event)).is_sorted(), "ends by bar and event");
        assert!(ends().all(|e| e.onset < e.exit && first <= e.exit && e.exit < end), "ends inside the block");
        let counted = [symbol.suppressed.len(), symbol.known_rows.len(), symbol.open.len()];
        assert_eq!(counted, [graph.events.len(); 3], "a count for every event");
        assert!(symbol.known_rows.iter().all(|n| *n <= block.rows as u64), "no more known rows than rows");
        assert!(symbol.open.iter().flatten().all(|onset| *onset < end), "an open episode has begun");
    }
}
