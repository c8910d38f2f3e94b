//! What a change changes, by name: for people.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::graph::{EventNode, Graph, NodeFacts, NodeId, Output};

/// Which definitions a change touches, and how much of the graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChangeSummary {
    /// Event types that are new.
    pub events_added: Vec<String>,
    /// Event types whose detections, recorded values or horizons change.
    pub events_changed: Vec<String>,
    /// Event types that are gone.
    pub events_removed: Vec<String>,
    /// Event types that only have another name: from, to.
    pub events_renamed: Vec<(String, String)>,
    /// States that are new.
    pub states_added: Vec<String>,
    /// States with another expression, or over something that changed.
    pub states_changed: Vec<String>,
    /// States that are gone.
    pub states_removed: Vec<String>,
    /// Features that are new.
    pub features_added: Vec<String>,
    /// Features with another expression, or over something that changed.
    pub features_changed: Vec<String>,
    /// Features that are gone.
    pub features_removed: Vec<String>,
    /// Nodes of the new graph.
    pub nodes: usize,
    /// Of these, how many the old graph has too: their state is kept.
    pub nodes_kept: usize,
    /// Nodes of the new graph that run over history again, the inputs of new ones included.
    pub nodes_recomputed: usize,
}

impl ChangeSummary {
    /// Compares features and states of two graphs, and counts nodes; events are told by the plan.
    pub(super) fn of_series(old: (&Graph, &[NodeFacts]), new: (&Graph, &[NodeFacts])) -> Self {
        let known: std::collections::BTreeSet<[u8; 32]> = old.1.iter().map(|f| f.hash).collect();
        let [states_added, states_changed, states_removed] =
            compared((&old.0.states, old.1), (&new.0.states, new.1));
        let [features_added, features_changed, features_removed] =
            compared((&old.0.features, old.1), (&new.0.features, new.1));
        Self {
            states_added,
            states_changed,
            states_removed,
            features_added,
            features_changed,
            features_removed,
            nodes: new.0.nodes.len(),
            nodes_kept: new.1.iter().filter(|f| known.contains(&f.hash)).count(),
            ..Self::default()
        }
    }
}

/// Added, changed, removed.
fn compared(old: (&[Output], &[NodeFacts]), new: (&[Output], &[NodeFacts])) -> [Vec<String>; 3] {
    let by_name = |(outputs, facts): (&[Output], &[NodeFacts])| -> BTreeMap<String, [u8; 32]> {
        outputs.iter().map(|o| (o.name.clone(), hash(facts, o.node))).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let names = |keep: &dyn Fn(&String, &[u8; 32]) -> bool, of: &BTreeMap<String, [u8; 32]>| {
        of.iter().filter(|(name, hash)| keep(name, hash)).map(|(name, _)| name.clone()).collect()
    };
    [
        names(&|name, _| !old.contains_key(name), &new),
        names(&|name, hash| old.get(name).is_some_and(|was| was != hash), &new),
        names(&|name, _| !new.contains_key(name), &old),
    ]
}

pub(super) fn hash(facts: &[NodeFacts], node: NodeId) -> [u8; 32] {
    facts[node.ix()].hash
}

/// What an event records: the detector and the named values beside it.
pub(super) fn record(event: &EventNode, facts: &[NodeFacts]) -> ([u8; 32], Vec<(String, [u8; 32])>) {
    let snapshot = event.snapshot.iter().map(|o| (o.name.clone(), hash(facts, o.node))).collect();
    (hash(facts, event.detect), snapshot)
}
