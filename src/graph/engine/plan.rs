//! The order of work: which kernel runs when, reads what, and keeps how much history.
//!
//! Nodes that differ only in what they report of one window share a kernel. Cross-section nodes cut the work into
//! stages: within a stage symbols are independent; between stages the cross-section nodes of all symbols are filled.
//! A node on an event clock reads *compacted* series, which hold only the ticked rows of its operands.

use std::collections::BTreeMap;

use super::kernel::{Kernel, Share};
use crate::graph::{Graph, NodeId, Op};

/// Index of a series: nodes first, compacted series after them.
pub(super) type Slot = usize;

/// One step of a symbol's work.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Find the rows of the chunk on which a clock ticks.
    Tick { clock: usize, node: Slot },
    /// Append the ticked rows of a series to its compacted series.
    Compact { clock: usize, from: Slot, to: Slot },
    /// Run a kernel; on an event clock, over the ticks, holding its outputs in between.
    Run { kernel: usize, inputs: Vec<Slot>, outputs: Vec<Slot>, clock: Option<usize> },
}

/// A node whose value comes from other symbols.
#[derive(Clone, Debug)]
pub(super) struct CrossNode {
    pub(super) op: Op,
    pub(super) input: Slot,
    pub(super) output: Slot,
}

/// What can be done once all earlier stages are done for every symbol.
#[derive(Clone, Debug, Default)]
pub(super) struct Stage {
    /// Filled first, for all symbols.
    pub(super) cross: Vec<CrossNode>,
    /// Then each symbol on its own.
    pub(super) steps: Vec<Step>,
}

/// The compiled order of work.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) stages: Vec<Stage>,
    /// Initial kernels; each symbol has its own copy.
    pub(super) kernels: Vec<Kernel>,
    /// Rows of history per slot.
    pub(super) keep: Vec<usize>,
    /// Number of clocks.
    pub(super) clocks: usize,
    /// Clock of each compacted series: slot `nodes + i` belongs to `compacted[i]`.
    pub(super) compacted: Vec<usize>,
    /// Kernel of each event's detector.
    pub(super) detectors: Vec<Option<usize>>,
    /// Most outputs of any kernel.
    pub(super) widest: usize,
}

/// What nodes must have in common to share a kernel: statistic, operands, clock.
type ShareKey = (Share, Vec<NodeId>, Option<NodeId>);

/// What is needed only while planning.
struct Planner<'a> {
    graph: &'a Graph,
    plan: Plan,
    level: Vec<usize>,
    /// Clock index by clock node.
    clocks: BTreeMap<NodeId, usize>,
    compact: BTreeMap<(NodeId, NodeId), Slot>,
    /// (stage, step) of kernels that further nodes may join.
    shared: BTreeMap<ShareKey, (usize, usize)>,
}

impl Plan {
    pub(super) fn new(graph: &Graph) -> Self {
        let mut planner = Planner {
            graph,
            plan: Self {
                stages: vec![Stage::default()],
                keep: vec![0; graph.nodes.len()],
                detectors: vec![None; graph.events.len()],
                widest: 1,
                ..Self::default()
            },
            level: Vec::with_capacity(graph.nodes.len()),
            clocks: BTreeMap::new(),
            compact: BTreeMap::new(),
            shared: BTreeMap::new(),
        };
        for ix in 0..graph.nodes.len() {
            planner.add(ix);
        }
        planner.plan
    }
}

impl Planner<'_> {
    fn add(&mut self, ix: usize) {
        let node = &self.graph.nodes[ix];
        let inputs_level =
            node.inputs.iter().chain(&node.clock).map(|n| self.level[n.ix()]).max().unwrap_or(0);
        let is_cross = matches!(node.op, Op::Of(_) | Op::Universe { .. });
        let level = inputs_level + usize::from(is_cross);
        self.level.push(level);
        while self.plan.stages.len() <= level {
            self.plan.stages.push(Stage::default());
        }
        if is_cross {
            let input = node.inputs[0].ix();
            self.plan.stages[level].cross.push(CrossNode { op: node.op.clone(), input, output: ix });
            return;
        }
        let key = Kernel::share(&node.op).map(|share| match share {
            // `active(E)` and `event_dir(E)` read the detector itself, whatever their operand list says.
            Share::Detect(_) => (share, Vec::new(), None),
            _ => (share, node.inputs.clone(), node.clock),
        });
        if let Some((stage, step)) = key.as_ref().and_then(|key| self.shared.get(key)).copied() {
            if let Step::Run { kernel, outputs, .. } = &mut self.plan.stages[stage].steps[step] {
                outputs.push(ix);
                self.plan.kernels[*kernel].add_output(&node.op);
                self.plan.widest = self.plan.widest.max(outputs.len());
            }
            self.hold_output(ix);
            return;
        }
        let literal_square = matches!(node.op, Op::Pow)
            && matches!(self.graph.node(node.inputs[1]).op, Op::Const(two) if two.get() == 2.0);
        let Some(mut kernel) = Kernel::new(self.graph, &node.op, literal_square) else { return };
        kernel.add_output(&node.op);
        let clock = node.clock.map(|c| self.clock(c));
        let inputs: Vec<Slot> = match node.clock {
            None => node.inputs.iter().map(|n| n.ix()).collect(),
            Some(c) => node.inputs.iter().map(|n| self.compacted(*n, c)).collect(),
        };
        for (position, slot) in inputs.iter().enumerate() {
            let keep = &mut self.plan.keep[*slot];
            *keep = (*keep).max(kernel.look_back(position));
        }
        if let Kernel::Detect(event, _) = &kernel {
            self.plan.detectors[*event] = Some(self.plan.kernels.len());
        }
        let steps = &mut self.plan.stages[level].steps;
        if let Some(key) = key {
            self.shared.insert(key, (level, steps.len()));
        }
        steps.push(Step::Run { kernel: self.plan.kernels.len(), inputs, outputs: vec![ix], clock });
        self.plan.kernels.push(kernel);
        self.hold_output(ix);
    }

    /// On an event clock, the last output is held in the series itself.
    fn hold_output(&mut self, ix: usize) {
        if self.graph.nodes[ix].clock.is_some() {
            self.plan.keep[ix] = self.plan.keep[ix].max(1);
        }
    }

    fn clock(&mut self, node: NodeId) -> usize {
        if let Some(clock) = self.clocks.get(&node) {
            return *clock;
        }
        let clock = self.plan.clocks;
        self.plan.clocks += 1;
        self.clocks.insert(node, clock);
        self.plan.stages[self.level[node.ix()]].steps.push(Step::Tick { clock, node: node.ix() });
        clock
    }

    fn compacted(&mut self, input: NodeId, clock_node: NodeId) -> Slot {
        if let Some(slot) = self.compact.get(&(input, clock_node)) {
            return *slot;
        }
        let clock = self.clock(clock_node);
        let slot = self.plan.keep.len();
        self.plan.keep.push(0);
        self.plan.compacted.push(clock);
        self.compact.insert((input, clock_node), slot);
        let level = self.level[input.ix()].max(self.level[clock_node.ix()]);
        self.plan.stages[level].steps.push(Step::Compact { clock, from: input.ix(), to: slot });
        slot
    }
}
