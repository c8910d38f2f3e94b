//! An engine whose state comes from engines of other graphs.
//!
//! After a spec change most nodes of the new graph are nodes of the old one: same operator, same literals,
//! same inputs, so the same values ([`NodeFacts::hash`](crate::graph::NodeFacts)). The engine of the old
//! graph *donates* their state; an engine that has run only the nodes that are new donates the rest.
//!
//! **Invariant:** a composed engine continues bit for bit as one that has run the whole new graph from the
//! first bar.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::plan::Plan;
use super::symbol::SymbolState;
use super::{Engine, EngineOptions};
use crate::graph::ops::bytes::{Malformed, Reader, Writer};
use crate::graph::{Graph, NodeId, facts};

type Hash = [u8; 32];

/// Engines that cannot be composed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// They do not stand at the same bar, or run other symbols.
    #[error("engines at different bars or of different symbols cannot be composed: replay from the store")]
    Apart,
    /// Nobody has the state of a node.
    #[error("the state of {count} nodes is nowhere (first: {first}): replay from the store")]
    Lacking {
        /// How many nodes lack their state.
        count: usize,
        /// The operator of the first.
        first: String,
    },
    /// The state of an operator does not fit it.
    #[error(transparent)]
    Content(#[from] Malformed),
    /// The state of an operator has no bytes.
    #[error("the state of an operator cannot be encoded: {0}")]
    Encode(#[from] postcard::Error),
}

/// Where a graph's plan keeps what, by content.
struct Shelf {
    /// By node and clock: index, and rows of history.
    histories: BTreeMap<(Hash, Option<Hash>), (usize, usize)>,
    clocks: BTreeMap<Hash, usize>,
    kernels: BTreeMap<Hash, usize>,
    events: BTreeMap<Hash, usize>,
}

/// What a plan needs and shelves must have.
struct Needs {
    histories: Vec<((Hash, Option<Hash>), usize)>,
    clocks: Vec<Hash>,
    /// Per kernel: the hash of its owner if it is stateful.
    kernels: Vec<Option<Hash>>,
    events: Vec<Hash>,
}

impl Needs {
    fn of(graph: &Graph, plan: &Plan) -> Self {
        let facts = facts(graph);
        let hash = |node: NodeId| facts[node.ix()].hash;
        let clock_hash = |clock: Option<usize>| clock.map(|c| hash(plan.clocks[c]));
        Self {
            histories: plan.histories.iter().map(|s| ((hash(s.node), clock_hash(s.clock)), s.keep)).collect(),
            clocks: plan.clocks.iter().map(|n| hash(*n)).collect(),
            kernels: plan
                .kernels
                .iter()
                .zip(&plan.owners)
                .map(|(kernel, owner)| kernel.is_stateful().then(|| hash(*owner)))
                .collect(),
            events: graph.events.iter().map(|e| hash(e.detect)).collect(),
        }
    }

    /// What it needs is what it has.
    fn shelf(&self) -> Shelf {
        let mut histories = BTreeMap::new();
        for (ix, (key, keep)) in self.histories.iter().enumerate() {
            let best = histories.entry(*key).or_insert((ix, *keep));
            if best.1 < *keep {
                *best = (ix, *keep);
            }
        }
        let numbered = |all: &[Hash]| all.iter().enumerate().map(|(ix, hash)| (*hash, ix)).collect();
        let kernels = self.kernels.iter().enumerate();
        Shelf {
            histories,
            clocks: numbered(&self.clocks),
            kernels: kernels.filter_map(|(ix, hash)| hash.map(|hash| (hash, ix))).collect(),
            events: numbered(&self.events),
        }
    }
}

impl Shelf {
    fn history(&self, key: &(Hash, Option<Hash>), keep: usize) -> Option<usize> {
        self.histories.get(key).filter(|(_, kept)| *kept >= keep).map(|(ix, _)| *ix)
    }
}

/// Per item of the new plan: which donor has it, and where.
struct Found {
    histories: Vec<(usize, usize)>,
    clocks: Vec<(usize, usize)>,
    kernels: Vec<Option<(usize, usize)>>,
    events: Vec<(usize, usize)>,
}

/// Where each need is, or the nodes that nobody has.
fn find(graph: &Graph, plan: &Plan, shelves: &[Shelf]) -> Result<Found, Vec<NodeId>> {
    let needs = Needs::of(graph, plan);
    let mut lacking = Vec::new();
    let mut look = |node: NodeId, on: &dyn Fn(&Shelf) -> Option<usize>| {
        let found = shelves.iter().enumerate().find_map(|(donor, shelf)| Some((donor, on(shelf)?)));
        if found.is_none() {
            lacking.push(node);
        }
        found.unwrap_or_default()
    };
    let histories = needs.histories.iter().zip(&plan.histories);
    let found = Found {
        histories: histories
            .map(|((key, keep), s)| look(s.node, &|shelf| shelf.history(key, *keep)))
            .collect(),
        clocks: (needs.clocks.iter().zip(&plan.clocks))
            .map(|(hash, node)| look(*node, &|shelf| shelf.clocks.get(hash).copied()))
            .collect(),
        kernels: (needs.kernels.iter().zip(&plan.owners))
            .map(|(hash, owner)| hash.map(|h| look(*owner, &|shelf| shelf.kernels.get(&h).copied())))
            .collect(),
        events: (needs.events.iter().zip(&graph.events))
            .map(|(hash, event)| look(event.detect, &|shelf| shelf.events.get(hash).copied()))
            .collect(),
    };
    if lacking.is_empty() { Ok(found) } else { Err(lacking) }
}

/// Nodes of `graph` whose state an engine of graph `donor` does not have, in plan order.
#[must_use]
pub fn lacking(graph: &Graph, donor: &Graph) -> Vec<NodeId> {
    let shelf = Needs::of(donor, &Plan::new(donor)).shelf();
    find(graph, &Plan::new(graph), &[shelf]).err().unwrap_or_default()
}

impl Engine {
    /// An engine of `graph` with the state of `donors`, which stand at the same bar; of two that have
    /// something, the first gives it.
    ///
    /// # Errors
    /// When the donors do not stand together, or none has the state of some node.
    pub fn compose(graph: Arc<Graph>, donors: &[&Self], opts: EngineOptions) -> Result<Self, ComposeError> {
        let Some(lead) = donors.first() else { return Err(ComposeError::Apart) };
        let together =
            |d: &&&Self| d.next == lead.next && d.first == lead.first && d.symbols() == lead.symbols();
        if !donors.iter().all(|d| together(&d)) {
            return Err(ComposeError::Apart);
        }
        let mut engine = Self::new(graph, lead.symbols(), lead.first, opts);
        engine.next = lead.next;
        let shelves: Vec<Shelf> = donors.iter().map(|d| Needs::of(&d.graph, &d.plan).shelf()).collect();
        let found = find(&engine.graph, &engine.plan, &shelves).map_err(|nodes| ComposeError::Lacking {
            count: nodes.len(),
            first: nodes
                .first()
                .map_or_else(String::new, |n| crate::graph::op_text(&engine.graph.node(*n).op)),
        })?;
        let rows = (lead.next - lead.first).unsigned_abs();
        let plans: Vec<&Plan> = donors.iter().map(|d| &*d.plan).collect();
        for (position, state) in engine.symbols.iter_mut().enumerate() {
            let from: Vec<&SymbolState> = donors.iter().map(|d| &d.symbols[position]).collect();
            take(state, &engine.plan, rows, &from, &plans, &found)?;
            state.rebuild(&engine.plan, engine.next);
        }
        Ok(engine)
    }
}

fn take(
    state: &mut SymbolState,
    plan: &Plan,
    rows: u64,
    from: &[&SymbolState],
    plans: &[&Plan],
    found: &Found,
) -> Result<(), ComposeError> {
    for (ticks, (donor, ix)) in state.ticks.iter_mut().zip(&found.clocks) {
        *ticks = from[*donor].ticks[*ix];
    }
    for (missing, (donor, ix)) in state.missing.iter_mut().zip(&found.events) {
        *missing = from[*donor].missing[*ix];
    }
    for (planned, (donor, ix)) in plan.histories.iter().zip(&found.histories) {
        let (donor, place) = (from[*donor], plans[*donor].histories[*ix].place);
        let values = donor.values.history(place).past(state.known_rows(planned, rows));
        state.values.restore(planned.place, values);
    }
    for (kernel, found) in state.kernels.iter_mut().zip(&found.kernels) {
        let Some((donor, ix)) = found else { continue };
        let mut w = Writer::default();
        from[*donor].kernels[*ix].save(&mut w)?;
        kernel.load(&mut Reader::new(&w.finish()))?;
    }
    Ok(())
}
