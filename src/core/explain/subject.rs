//! A name, and the part of the graph that it needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ExplainError;
use crate::graph::{
    EventId, Graph, Literal, Node, NodeFacts, NodeId, Op, Output, Rolling, Type, facts, part,
};
use crate::market::Source;
use crate::spec::{CompiledSpec, unknown_name};

/// What a name is.
#[allow(missing_docs, reason = "the names say it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Event,
    State,
    Feature,
    Source,
}

impl Kind {
    /// The kind as a word, for messages and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::State => "state",
            Self::Feature => "feature",
            Self::Source => "source",
        }
    }
}

/// A name with a value on every bar, and the part of the graph that it needs.
#[derive(Clone, Debug)]
pub struct Subject {
    /// As in the specs.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// The part of the graph, with probes at its end that only explanations read.
    pub graph: Arc<Graph>,
    /// Of every node of `graph`.
    pub facts: Vec<NodeFacts>,
    /// The name's node; for an event its detector.
    pub root: NodeId,
    /// What the specs call a node: features, states, events, and the let-bindings of this event.
    pub names: BTreeMap<NodeId, String>,
    /// Beside a rolling operator: the number of known values in its window.
    known_in_window: BTreeMap<NodeId, NodeId>,
}

impl Subject {
    /// The subject of a name.
    ///
    /// # Errors
    /// When there is no such name, or it has no value (a template verb, an unread source).
    pub fn of(spec: &CompiledSpec, name: &str) -> Result<Self, ExplainError> {
        let whole = &spec.graph;
        let kinds = [Kind::Event, Kind::State, Kind::Feature, Kind::Source];
        let found = kinds.into_iter().find_map(|kind| Some((kind, find(whole, kind, name)?)));
        let Some((kind, root)) = found else {
            // The static explanation knows more names: verbs, and columns that nothing reads.
            return Err(match unknown_name(spec, name) {
                Some(unknown) => unknown.into(),
                None => ExplainError::NoValue { name: name.to_owned() },
            });
        };
        let snapshot = whole.events.iter().filter(|e| e.detect == root).flat_map(|e| &e.snapshot);
        let roots: Vec<NodeId> = snapshot.map(|o| o.node).chain([root]).collect();
        let mut graph = part(whole, roots);
        let Some(root) = find(&graph, kind, name) else {
            return Err(ExplainError::NoValue { name: name.to_owned() });
        };
        let names = names(&graph, root);
        let known_in_window = add_probes(&mut graph);
        if kind == Kind::Event {
            // The whole column of the trigger, for how long it has been what it is.
            let when = graph.node(root).inputs[0];
            graph.features.push(Output { name: "when".to_owned(), node: when });
        }
        let facts = facts(&graph);
        let graph = Arc::new(graph);
        Ok(Self { name: name.to_owned(), kind, graph, facts, root, names, known_in_window })
    }

    /// The detector, for an event.
    #[must_use]
    pub fn event(&self) -> Option<EventId> {
        match self.graph.node(self.root).op {
            Op::Detect(id) => Some(id),
            _ => None,
        }
    }

    /// Whether other symbols have to be replayed beside the asked one.
    #[must_use]
    pub fn reads_other_symbols(&self) -> bool {
        self.facts[self.root.ix()].cross_symbol
    }

    /// The node that counts the known values in a rolling operator's window.
    #[must_use]
    pub fn known_in_window(&self, node: NodeId) -> Option<NodeId> {
        self.known_in_window.get(&node).copied()
    }
}

/// The node of a name of this kind.
fn find(graph: &Graph, kind: Kind, name: &str) -> Option<NodeId> {
    let output = |all: &[Output]| all.iter().find(|o| o.name == name).map(|o| o.node);
    match kind {
        Kind::Event => graph.events.iter().find(|e| e.event_type == name).map(|e| e.detect),
        Kind::State => output(&graph.states),
        Kind::Feature => output(&graph.features),
        Kind::Source => {
            let wanted = Op::Source(Source::from_name(name)?);
            graph.nodes.iter().position(|n| n.op == wanted).map(|ix| NodeId(ix as u32))
        }
    }
}

fn names(graph: &Graph, root: NodeId) -> BTreeMap<NodeId, String> {
    let own = graph.events.iter().filter(|e| e.detect == root).flat_map(|e| &e.snapshot);
    let global = graph.features.iter().chain(&graph.states);
    // Later entries win: what the whole tree calls a node goes before what one event calls it.
    let series = own.chain(global).map(|o| (o.node, o.name.clone()));
    let events = graph.events.iter().map(|e| (e.detect, e.event_type.clone()));
    series.chain(events).collect()
}

/// Appends, for each rolling operator, a count of the known values in its window.
fn add_probes(graph: &mut Graph) -> BTreeMap<NodeId, NodeId> {
    let mut probes = BTreeMap::new();
    for ix in 0..graph.nodes.len() {
        let node = graph.nodes[ix].clone();
        let (Op::Roll { window, .. } | Op::Roll2 { window, .. }) = node.op else { continue };
        let known: Vec<NodeId> = node.inputs.iter().map(|i| push(graph, Op::Known, vec![*i], None)).collect();
        let both = known.into_iter().reduce(|a, b| push(graph, Op::And, vec![a, b], None));
        let Some(both) = both else { continue };
        let count = Op::Roll { f: Rolling::Count, window, min: 1 };
        probes.insert(NodeId(ix as u32), push(graph, count, vec![both], node.clock));
    }
    probes
}

fn push(graph: &mut Graph, op: Op, inputs: Vec<NodeId>, clock: Option<NodeId>) -> NodeId {
    let ty = if matches!(op, Op::Roll { .. }) { Type::Num } else { Type::Bool };
    graph.nodes.push(Node { op, inputs, clock, ty });
    NodeId(graph.nodes.len() as u32 - 1)
}

/// A literal's value, where a node is one.
#[must_use]
pub(super) fn literal(graph: &Graph, id: NodeId) -> Option<f64> {
    match graph.node(id).op {
        Op::Const(value) => Some(Literal::get(value)),
        _ => None,
    }
}
