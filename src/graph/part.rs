//! The part of a graph that some of its nodes need.

use std::collections::BTreeMap;

use super::ir::{EventId, EventNode, Graph, Node, NodeId, Op, Output};

/// The part of `graph` that `roots` read, and where each of its nodes is there. Features, states and events whose nodes
/// are in the part stay, in their order; what is not needed goes. A detector keeps its snapshot.
#[must_use]
pub fn part(graph: &Graph, roots: impl IntoIterator<Item = NodeId>) -> (Graph, BTreeMap<NodeId, NodeId>) {
    let keep = needed(graph, roots);
    let events: Vec<&EventNode> = graph.events.iter().filter(|e| keep[e.detect.ix()]).collect();
    let event_id = |id: EventId| {
        // A detector in the part has its event there; one without an event (a disabled variant's) keeps its number.
        let name = graph.events.get(usize::from(id.0)).map(|e| e.event_type.as_str());
        let ix = name.and_then(|name| events.iter().position(|e| e.event_type == name));
        ix.map_or(id, |ix| EventId(ix as u16))
    };
    let mut moved: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    let mut nodes: Vec<Node> = Vec::new();
    for (ix, node) in graph.nodes.iter().enumerate().filter(|(ix, _)| keep[*ix]) {
        let op = match node.op {
            Op::Detect(id) => Op::Detect(event_id(id)),
            Op::Active(id) => Op::Active(event_id(id)),
            Op::EventDir(id) => Op::EventDir(event_id(id)),
            ref op => op.clone(),
        };
        let inputs = node.inputs.iter().map(|i| moved[i]).collect();
        let clock = node.clock.map(|c| moved[&c]);
        moved.insert(NodeId(ix as u32), NodeId(nodes.len() as u32));
        nodes.push(Node { op, inputs, clock, ty: node.ty });
    }
    let outputs = |all: &[Output]| -> Vec<Output> {
        all.iter().filter_map(|o| Some(Output { name: o.name.clone(), node: *moved.get(&o.node)? })).collect()
    };
    let events = events
        .into_iter()
        .map(|e| EventNode { detect: moved[&e.detect], snapshot: outputs(&e.snapshot), ..e.clone() })
        .collect();
    let part = Graph { nodes, features: outputs(&graph.features), states: outputs(&graph.states), events };
    (part, moved)
}

/// Which nodes `roots` read.
fn needed(graph: &Graph, roots: impl IntoIterator<Item = NodeId>) -> Vec<bool> {
    let mut keep = vec![false; graph.nodes.len()];
    let mut open: Vec<NodeId> = roots.into_iter().collect();
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut keep[id.ix()], true) {
            continue;
        }
        let node = graph.node(id);
        open.extend(node.inputs.iter().chain(&node.clock));
        if let Op::Detect(event) = node.op {
            let snapshot = graph.events.get(usize::from(event.0)).map(|e| e.snapshot.as_slice());
            open.extend(snapshot.unwrap_or_default().iter().map(|o| o.node));
        }
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ir::{Literal, Onset, Type};

    fn node(op: Op, inputs: &[u32]) -> Node {
        Node { op, inputs: inputs.iter().map(|i| NodeId(*i)).collect(), clock: None, ty: Type::Num }
    }

    fn event(name: &str, detect: u32, snapshot: &[(&str, u32)]) -> EventNode {
        let output = |(name, node): &(&str, u32)| Output { name: (*name).into(), node: NodeId(*node) };
        EventNode {
            event_type: name.into(),
            family: "F".into(),
            detect: NodeId(detect),
            onset: Onset::Rising,
            spacing_bars: 0,
            max_bars: None,
            has_exit: false,
            undirected: false,
            snapshot: snapshot.iter().map(output).collect(),
            needs: Vec::new(),
        }
    }

    #[test]
    fn a_part_has_what_its_root_reads_and_the_snapshots_of_its_events_and_nothing_else() {
        let constant = |x: f64| node(Op::Const(Literal::new(x)), &[]);
        let graph = Graph {
            nodes: vec![
                constant(1.0),
                constant(2.0),
                constant(3.0),
                node(Op::Detect(EventId(0)), &[0, 0, 0, 0]),
                node(Op::Detect(EventId(1)), &[1, 1, 1, 1]),
                node(Op::Active(EventId(1)), &[4]),
            ],
            features: vec![
                Output { name: "one".into(), node: NodeId(0) },
                Output { name: "two".into(), node: NodeId(1) },
            ],
            states: Vec::new(),
            events: vec![event("A", 3, &[]), event("B", 4, &[("three", 2)])],
        };
        let (part, moved) = part(&graph, [NodeId(5)]);
        assert_eq!(part.nodes.len(), 4);
        assert_eq!(part.features, [Output { name: "two".into(), node: NodeId(0) }]);
        assert_eq!(part.events, [event("B", 2, &[("three", 1)])]);
        assert_eq!(part.nodes[2].op, Op::Detect(EventId(0)), "event ids count the events that stay");
        assert_eq!(part.nodes[3], node(Op::Active(EventId(0)), &[2]));
        assert_eq!(moved[&NodeId(5)], NodeId(3));
    }
}
