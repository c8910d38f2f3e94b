//! A node and what it reads, as a text tree or a dot file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::facts::NodeFacts;
use super::ir::{Graph, NodeId, Op};
use super::sheet::op_text;

/// Draws parts of a graph.
#[derive(Debug)]
pub struct Drawing<'g> {
    graph: &'g Graph,
    facts: &'g [NodeFacts],
    names: BTreeMap<NodeId, &'g str>,
    whole: bool,
}

impl<'g> Drawing<'g> {
    /// `whole`: named series are drawn down to the sources, otherwise they end a branch.
    #[must_use]
    pub fn new(graph: &'g Graph, facts: &'g [NodeFacts], whole: bool) -> Self {
        let series = graph.features.iter().chain(&graph.states).map(|o| (o.node, o.name.as_str()));
        let events = graph.events.iter().map(|e| (e.detect, e.event_type.as_str()));
        Self { graph, facts, names: series.chain(events).collect(), whole }
    }

    /// One node a line, inputs indented below it. A node that was drawn before is not drawn again.
    #[must_use]
    pub fn tree(&self, root: NodeId) -> String {
        let mut out = String::new();
        let mut drawn = BTreeSet::new();
        self.branch(root, &["when", "exit", "direction", "severity"], (&mut out, &mut drawn), ("", ""));
        out
    }

    fn branch(
        &self,
        id: NodeId,
        roles: &[&str],
        to: (&mut String, &mut BTreeSet<NodeId>),
        lead: (&str, &str),
    ) {
        let (out, drawn) = to;
        let node = self.graph.node(id);
        let again = !node.inputs.is_empty() && !drawn.insert(id);
        let root = lead.1.is_empty();
        let stop = !root && !self.whole && self.names.contains_key(&id);
        let _ = writeln!(out, "{}{}{}", lead.0, self.label(id), if again { "  (drawn above)" } else { "" });
        if again || stop {
            return;
        }
        let is_detect = matches!(node.op, Op::Detect(_));
        let below: Vec<(String, NodeId)> = node
            .inputs
            .iter()
            .enumerate()
            .map(|(i, input)| {
                let role = if is_detect { roles.get(i).map(|r| format!("{r}: ")) } else { None };
                (role.unwrap_or_default(), *input)
            })
            .chain(node.clock.map(|clock| ("on: ".to_owned(), clock)))
            .collect();
        for (i, (role, input)) in below.iter().enumerate() {
            let last = i + 1 == below.len();
            let stem = if root { String::new() } else { lead.1.to_owned() };
            let first = format!("{stem}{}{role}", if last { "└─ " } else { "├─ " });
            let rest = format!("{stem}{}", if last { "   " } else { "│  " });
            self.branch(*input, roles, (out, drawn), (&first, &rest));
        }
    }

    fn label(&self, id: NodeId) -> String {
        let node = self.graph.node(id);
        let mut label = match node.op {
            Op::Detect(_) => "detect".to_owned(),
            Op::Active(_) => "active".to_owned(),
            Op::EventDir(_) => "event_dir".to_owned(),
            _ => op_text(&node.op),
        };
        if let Some(name) = self.names.get(&id) {
            label = format!("{name} = {label}");
        }
        let facts = &self.facts[id.ix()];
        if !matches!(node.op, Op::Source(_) | Op::Const(_) | Op::Truth(_)) {
            if facts.look_back.rows > 0 {
                let _ = write!(label, "  [{} rows]", facts.look_back.rows);
            }
            if facts.look_back.ticks > 0 {
                let _ = write!(label, "  [{} ticks]", facts.look_back.ticks);
            }
            if facts.stateful {
                label.push_str("  S");
            }
        }
        label
    }

    /// The same as a Graphviz digraph, always down to the sources.
    #[must_use]
    pub fn dot(&self, root: NodeId) -> String {
        let mut out =
            String::from("digraph spec {\n  rankdir=BT;\n  node [shape=box, fontname=\"monospace\"];\n");
        for id in reachable(self.graph, root) {
            let node = self.graph.node(id);
            let shape = if matches!(node.op, Op::Source(_)) { ", shape=ellipse" } else { "" };
            let _ = writeln!(out, "  n{} [label=\"{}\"{shape}];", id.0, self.label(id).replace('"', "'"));
            for input in &node.inputs {
                let _ = writeln!(out, "  n{} -> n{};", input.0, id.0);
            }
            if let Some(clock) = node.clock {
                let _ = writeln!(out, "  n{} -> n{} [style=dashed, label=\"on\"];", clock.0, id.0);
            }
        }
        out.push_str("}\n");
        out
    }
}

/// A node and everything it reads, in evaluation order.
#[must_use]
pub fn reachable(graph: &Graph, root: NodeId) -> BTreeSet<NodeId> {
    let mut found = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        let node = graph.node(id);
        for input in node.inputs.iter().chain(&node.clock) {
            if found.insert(*input) {
                open.push(*input);
            }
        }
    }
    found
}
