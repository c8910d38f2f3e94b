//! What can be said of a node without running it: how far back it reads, when it is first known, which
//! sources it needs, whether it depends on where the history starts, and a hash of everything that decides
//! its values.

use sha2::{Digest, Sha256};

use super::ir::{EventNode, Graph, Node, NodeId, Onset, Op, SymbolRef};
use super::sheet::{Needs, sheet};
use super::table::Class;
use crate::market::Source;

/// A set of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceSet(u64);

const _: () = assert!(Source::COUNT <= 64, "a SourceSet is 64 bits");

impl SourceSet {
    /// The set of one source.
    #[must_use]
    pub const fn of(source: Source) -> Self {
        Self(1 << source.index())
    }

    /// What either of the two holds.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether it holds `source`.
    #[must_use]
    pub const fn contains(self, source: Source) -> bool {
        self.0 & (1 << source.index()) != 0
    }

    /// In declaration order.
    pub fn iter(self) -> impl Iterator<Item = Source> {
        Source::ALL.iter().copied().filter(move |s| self.contains(*s))
    }
}

/// How far back a value reaches: rows of the grid, and on top of them ticks of event clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookBack {
    /// Rows before the current one.
    pub rows: u64,
    /// Ticks of a clock (`on=`) before the current one.
    pub ticks: u64,
}

impl LookBack {
    fn max(self, other: Self) -> Self {
        Self { rows: self.rows.max(other.rows), ticks: self.ticks.max(other.ticks) }
    }
}

/// What can be said of a node without running it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFacts {
    /// Farthest row that windows and lags reach; recursions (class S) reach further, see `stateful`.
    pub look_back: LookBack,
    /// The same with every window at its minimum count: before that the value is unknown.
    pub warm_up: LookBack,
    /// Every source read, of whatever symbol.
    pub reads: SourceSet,
    /// Sources of the own symbol without which the value is never known. A `coalesce` needs its second
    /// argument only.
    pub needs: SourceSet,
    /// Whether other symbols are read.
    pub cross_symbol: bool,
    /// Class S anywhere below: the value depends on where the stored history starts.
    pub stateful: bool,
    /// SHA-256 over the operator, its parameters and its inputs' hashes: equal hash, equal values.
    pub hash: [u8; 32],
}

/// Facts of every node, in the graph's order.
#[must_use]
pub fn facts(graph: &Graph) -> Vec<NodeFacts> {
    let mut all: Vec<NodeFacts> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let facts = facts_of(graph, node, &all);
        all.push(facts);
    }
    all
}

/// Sources of the own symbol that an event needs.
#[must_use]
pub(super) fn needs_of(facts: &[NodeFacts], detect: NodeId) -> Vec<Source> {
    facts[detect.ix()].needs.iter().collect()
}

fn facts_of(graph: &Graph, node: &Node, before: &[NodeFacts]) -> NodeFacts {
    let inputs = || node.inputs.iter().chain(&node.clock).map(|id| &before[id.ix()]);
    let union = |f: fn(&NodeFacts) -> SourceSet| inputs().map(f).fold(SourceSet::default(), SourceSet::union);
    let deepest = |f: fn(&NodeFacts) -> LookBack| inputs().map(f).fold(LookBack::default(), LookBack::max);
    let sheet = sheet(&node.op);
    let add = |base: LookBack, more: u64| match node.clock {
        None => LookBack { rows: base.rows + more, ..base },
        Some(_) => LookBack { ticks: base.ticks + more, ..base },
    };
    // On a clock, the value that is held may be of any age.
    let is_stateful = node.clock.is_some() || sheet.class == Class::State;
    let mut facts = NodeFacts {
        look_back: add(deepest(|f| f.look_back), sheet.reach.full),
        warm_up: add(deepest(|f| f.warm_up), sheet.reach.least),
        reads: union(|f| f.reads),
        needs: union(|f| f.needs),
        cross_symbol: inputs().any(|f| f.cross_symbol),
        stateful: is_stateful || inputs().any(|f| f.stateful),
        hash: hash_of(graph, node, &sheet.text, before),
    };
    match sheet.needs {
        Needs::All => {}
        Needs::Column(source) => {
            facts.reads = SourceSet::of(source);
            facts.needs = facts.reads;
        }
        Needs::Fallback => {
            let fallback = &before[node.inputs[1].ix()];
            facts.needs = fallback.needs;
            facts.warm_up = fallback.warm_up;
        }
        Needs::Nothing => facts.needs = SourceSet::default(),
        Needs::Others => {
            facts.needs = SourceSet::default();
            facts.cross_symbol = true;
        }
    }
    facts
}

fn hash_of(graph: &Graph, node: &Node, text: &str, before: &[NodeFacts]) -> [u8; 32] {
    let mut sha = Sha256::new();
    match &node.op {
        Op::Detect(id) => {
            let rules = graph.events.get(usize::from(id.0)).map(detector_text).unwrap_or_default();
            sha.update(rules);
        }
        Op::Active(_) => sha.update("active"),
        Op::EventDir(_) => sha.update("event_dir"),
        Op::Of(SymbolRef::Leader { lead, other }) => sha.update(format!("of(LEADER={lead}/{other})")),
        _ => sha.update(text),
    }
    for input in &node.inputs {
        sha.update([0]);
        sha.update(before[input.ix()].hash);
    }
    if let Some(clock) = node.clock {
        sha.update([1]);
        sha.update(before[clock.ix()].hash);
    }
    sha.finalize().into()
}

/// Everything that decides a detector's output beside its four inputs. Its name does not.
fn detector_text(event: &EventNode) -> String {
    format!(
        "detect(onset={}, spacing={}, max={:?}, exit={}, undirected={})",
        match event.onset {
            Onset::Rising => "rising",
            Onset::Level => "level",
        },
        event.spacing_bars,
        event.max_bars,
        event.has_exit,
        event.undirected
    )
}
