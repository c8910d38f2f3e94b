//! The shipped specs, as a whole.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use backtestd::graph::{Op, Rolling, facts};
use backtestd::spec::CompiledSpec;

fn shipped() -> CompiledSpec {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/spec"));
    CompiledSpec::load(dir).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_shipped_specs_compile_and_are_complete() {
    let spec = shipped();
    assert_eq!(spec.events.len(), 57);
    assert_eq!(spec.states.len(), 53);
    assert_eq!(spec.features.len(), 76);
    let graph = &spec.graph;
    assert_eq!(
        spec.events.iter().map(|e| &e.event_type).collect::<Vec<_>>(),
        graph.events.iter().map(|e| &e.event_type).collect::<Vec<_>>()
    );
    let all = facts(graph);
    println!("nodes {} facts {}", graph.nodes.len(), all.len());
    let order = graph
        .nodes
        .iter()
        .filter(|n| matches!(n.op, Op::Roll { f: Rolling::Quantile(_) | Rolling::PctRank, .. }))
        .count();
    println!("order {order}");
}
