//! A part of a graph: what some nodes need, and nothing else.

use super::ir::{EventId, Graph, Node, NodeId, Op};

/// The nodes of `whole` that `roots` need, as a graph of its own.
///
/// Features and states stay where their node does; so do detectors, whose [`EventId`]s count anew, and of
/// their snapshots the values that are left.
#[must_use]
pub fn part(whole: &Graph, roots: impl IntoIterator<Item = NodeId>) -> Graph {
    let keep = needed(whole, roots);
    let mut events = vec![EventId(u16::MAX); whole.events.len()];
    let mut kept_events = Vec::new();
    for (ix, event) in whole.events.iter().enumerate().filter(|(_, e)| keep[e.detect.ix()]) {
        events[ix] = EventId(kept_events.len() as u16);
        kept_events.push(event.clone());
    }
    let mut number = vec![NodeId(u32::MAX); whole.nodes.len()];
    let mut nodes = Vec::new();
    for (ix, node) in whole.nodes.iter().enumerate().filter(|(ix, _)| keep[*ix]) {
        number[ix] = NodeId(nodes.len() as u32);
        nodes.push(Node {
            op: renumbered(&node.op, &events),
            inputs: node.inputs.iter().map(|n| number[n.ix()]).collect(),
            clock: node.clock.map(|n| number[n.ix()]),
            ty: node.ty,
        });
    }
    let outputs = |all: &[super::Output]| {
        let kept = all.iter().filter(|o| keep[o.node.ix()]);
        kept.map(|o| super::Output { name: o.name.clone(), node: number[o.node.ix()] }).collect()
    };
    for event in &mut kept_events {
        event.detect = number[event.detect.ix()];
        event.snapshot = outputs(&event.snapshot);
    }
    Graph { nodes, features: outputs(&whole.features), states: outputs(&whole.states), events: kept_events }
}

/// Which nodes `roots` need, themselves included.
fn needed(graph: &Graph, roots: impl IntoIterator<Item = NodeId>) -> Vec<bool> {
    let mut keep = vec![false; graph.nodes.len()];
    for root in roots {
        keep[root.ix()] = true;
    }
    // Inputs have smaller ids: one walk from the end spreads every mark.
    for ix in (0..graph.nodes.len()).rev() {
        if keep[ix] {
            let node = &graph.nodes[ix];
            for input in node.inputs.iter().chain(&node.clock) {
                keep[input.ix()] = true;
            }
        }
    }
    keep
}

fn renumbered(op: &Op, events: &[EventId]) -> Op {
    let new = |old: EventId| events.get(usize::from(old.0)).copied().unwrap_or(old);
    match op {
        Op::Detect(id) => Op::Detect(new(*id)),
        Op::Active(id) => Op::Active(new(*id)),
        Op::EventDir(id) => Op::EventDir(new(*id)),
        other => other.clone(),
    }
}
