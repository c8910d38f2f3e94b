//! Holes in the input: the engine goes on, and forgets them when its windows have passed.

use backtestd_store::load_specs;
use std::path::Path;
use std::sync::Arc;

use backtestd_core::graph::engine::{EngineOptions, EngineOutput};
use backtestd_core::graph::{Graph, NodeFacts, Output, facts};
use backtestd_core::market::{BarIndex, Source, TickBlock};

use super::market::{market, symbols};
use super::run;

const ROWS: usize = 9500;
const HOLE_AT: usize = 6000;
/// Unknown wherever its moment is negative, and that depends on which rows the window holds, not on how many.
const UNKNOWN_BY_VALUE: &str = "ms_spread_ar_288";

/// The shipped graph with every event's `when` as a feature, in the order of the events.
fn graph() -> Graph {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/spec"));
    let mut graph = (*load_specs(dir).unwrap().graph).clone();
    graph.features.extend(graph.events.iter().map(|e| Output {
        name: format!("when {}", e.event_type),
        node: graph.nodes[e.detect.ix()].inputs[0],
    }));
    graph
}

/// The same market without `rows` bars of the first symbol.
fn with_hole(block: &TickBlock, rows: usize) -> TickBlock {
    let mut block = block.clone();
    let columns = &mut block.symbols[0];
    for source in Source::ALL {
        let mut column = columns.get(*source).unwrap().to_vec();
        column[HOLE_AT..HOLE_AT + rows].fill(f64::NAN);
        columns.set(*source, column);
    }
    block
}

/// Named series of a symbol with what is known of their nodes.
fn series<'a>(
    graph: &'a Graph,
    facts: &'a [NodeFacts],
    out: &'a EngineOutput,
) -> impl Iterator<Item = (&'a str, &'a NodeFacts, &'a [f64])> {
    let named = graph.features.iter().zip(out.symbols[0].features.iter());
    let states = graph.states.iter().zip(out.symbols[0].states.iter());
    named.chain(states).map(|(o, values)| (o.name.as_str(), &facts[o.node.ix()], values))
}

#[test]
fn after_a_hole_of_1_10_and_1000_bars_what_is_unknown_is_bounded_by_the_windows() {
    let graph = Arc::new(graph());
    let facts = facts(&graph);
    let symbols = symbols(3);
    let block = market(BarIndex(5_800_000), ROWS, 3, false);
    let whole = run(&graph, &symbols, &block, EngineOptions::BATCH);
    for hole in [1, 10, 1000] {
        let holed = run(&graph, &symbols, &with_hole(&block, hole), EngineOptions::BATCH);
        let end = HOLE_AT + hole;
        let mut more_unknown = Vec::new();
        let (mut compared, mut fresh) = (0, 0);
        for ((name, node, full), (.., gapped)) in
            series(&graph, &facts, &whole).zip(series(&graph, &facts, &holed))
        {
            assert!(
                full[..HOLE_AT].iter().zip(gapped).all(|(a, b)| a.to_bits() == b.to_bits()),
                "{name}: before"
            );
            let lost = |from: usize| {
                full[from..].iter().zip(&gapped[from..]).filter(|(a, b)| !a.is_nan() && b.is_nan()).count()
            };
            // Nothing that is known again after its windows filled up once stays unknown.
            let refilled = end + node.warm_up.rows as usize;
            let by_window = node.warm_up.ticks == 0 && !node.stateful && name != UNKNOWN_BY_VALUE;
            if refilled < ROWS && by_window {
                fresh += 1;
                assert_eq!(
                    lost(refilled),
                    0,
                    "{name}: unknown {} rows after a hole of {hole}",
                    node.warm_up.rows
                );
            }
            more_unknown.push((lost(end), name));
            // And nothing of class W remembers the hole once its windows have passed it.
            let forgotten = end + node.look_back.rows as usize;
            if !node.stateful && !node.cross_symbol && forgotten < ROWS {
                compared += 1;
                let same = full[forgotten..].iter().zip(&gapped[forgotten..]);
                assert!(same.clone().all(|(a, b)| a.to_bits() == b.to_bits()), "{name}: still different");
            }
        }
        more_unknown.sort_unstable();
        let median = more_unknown[more_unknown.len() / 2].0;
        let (most, worst) = more_unknown[more_unknown.len() - 1];
        eprintln!(
            "a hole of {hole}: {fresh} series known again, {compared} forgot it bit for bit; further rows unknown: \
             median {median}, most {most} ({worst})"
        );
        assert!(fresh > 40 && compared > 30, "{fresh} {compared}");
        // Catalogue 7.4: most definitions lose no row at all to a short hole.
        if hole <= 10 {
            assert!(median <= hole, "a hole of {hole} costs a median of {median} rows");
        }
        assert!(holed.symbols[0].detections.iter().any(|d| d.bar > block.first + end as i64), "events go on");
    }
}
