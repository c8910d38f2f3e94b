//! The order of work: which kernel runs when, reads what, and keeps how much history.
//!
//! Nodes that differ only in what they report of one window share a kernel. Cross-section nodes cut the work
//! into stages: within a stage symbols are independent; between stages the cross-section nodes of all symbols
//! are filled. A node on an event clock reads *compacted* series, which hold only the ticked rows of its
//! operands.

use std::collections::BTreeMap;

use super::row::{self, RowSteps};
use super::values::{Place, Values};
use crate::graph::ops::kernel::Kernel;
use crate::graph::ops::pointwise::Point;
use crate::graph::ops::shift::Shift;
use crate::graph::sheet::{Make, Share, Work, sheet};
use crate::graph::table::Class;
use crate::graph::{Graph, Node, NodeId, Op};
use crate::market::Source;

/// Index of a series while planning: nodes first, compacted series after them.
type Slot = usize;

/// One step of a symbol's work. `P` is where values lie: a [`Slot`] while planning, then a [`Place`].
#[derive(Clone, Debug)]
pub(super) enum Step<P = Place> {
    /// Copy a column of the block.
    Source { source: Source, output: P },
    /// Fill the rows with a literal.
    Fill { value: f64, output: P },
    /// A pointwise operator; operands it does not have repeat the first.
    Point { op: Point, inputs: [P; 3], output: P },
    /// An operator that reads fixed earlier rows and keeps nothing.
    Shift { op: Shift, inputs: [P; 2], output: P },
    /// Run a kernel.
    Run { kernel: usize, inputs: Vec<P>, outputs: Vec<P> },
    /// Find the rows of the chunk on which a clock ticks.
    Tick { clock: usize, node: P },
    /// Append the ticked rows of a series to its compacted series.
    Compact { clock: usize, from: P, to: P },
    /// Run a kernel over the ticks, holding its outputs in between.
    RunOnClock { clock: usize, kernel: usize, inputs: Vec<P>, outputs: Vec<P> },
}

/// A node whose value comes from other symbols.
#[derive(Clone, Debug)]
pub(super) struct CrossNode<P = Place> {
    pub(super) op: Op,
    pub(super) input: P,
    pub(super) output: P,
}

/// What can be done once all earlier stages are done for every symbol.
#[derive(Clone, Debug)]
pub(super) struct Stage<P = Place> {
    /// Filled first, for all symbols.
    pub(super) cross: Vec<CrossNode<P>>,
    /// Then each symbol on its own.
    pub(super) steps: Vec<Step<P>>,
    /// The steps for chunks of one row.
    pub(super) rows: Vec<RowSteps>,
    /// What they read outside of the common buffer.
    pub(super) reads: FarReads,
}

/// What a row reads outside of the common buffer.
#[derive(Clone, Debug, Default)]
pub(super) struct FarReads {
    /// Numbers of the kernels that it runs.
    pub(super) kernels: Vec<u32>,
    /// Series, and how many rows back.
    pub(super) rows: Vec<(u32, u32)>,
}

impl FarReads {
    fn of(steps: &[Step], kernels: &[Kernel]) -> Self {
        let mut reads = Self::default();
        for step in steps {
            let (Step::Run { kernel, inputs, .. } | Step::RunOnClock { kernel, inputs, .. }) = step else {
                continue;
            };
            reads.kernels.push(*kernel as u32);
            for (at, input) in inputs.iter().enumerate() {
                let back = kernels[*kernel].look_back(at) as u32;
                reads.rows.extend(input.far().map(|series| (series as u32, back)));
            }
        }
        reads
    }
}

impl<P> Default for Stage<P> {
    fn default() -> Self {
        Self { cross: Vec::new(), steps: Vec::new(), rows: Vec::new(), reads: FarReads::default() }
    }
}

/// The compiled order of work.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    pub(super) stages: Vec<Stage>,
    /// Initial kernels; each symbol has its own copy.
    pub(super) kernels: Vec<Kernel>,
    /// Where each node's values lie.
    pub(super) places: Vec<Place>,
    /// The last slot of the common buffer.
    pub(super) last_slot: Option<Place>,
    /// Its slots with history.
    pub(super) kept: Vec<Place>,
    /// Rows (ticks, on a clock) of history of each series.
    pub(super) series: Vec<usize>,
    /// Everything with history, in the common buffer or not.
    pub(super) histories: Vec<HistoryPlan>,
    /// The node of each clock.
    pub(super) clocks: Vec<NodeId>,
    /// The node that each kernel was made for: the first of those that share it.
    pub(super) owners: Vec<NodeId>,
    /// Kernel of each event's detector.
    pub(super) detectors: Vec<Option<usize>>,
    /// Most outputs of any kernel.
    pub(super) widest: usize,
}

/// The rows of a node that somebody looks back into.
#[derive(Clone, Copy, Debug)]
pub(super) struct HistoryPlan {
    /// The node whose values it holds.
    pub(super) node: NodeId,
    /// Rows (ticks, on a clock).
    pub(super) keep: usize,
    /// The clock whose ticks are its rows.
    pub(super) clock: Option<usize>,
    /// Where it lies.
    pub(super) place: Place,
}

/// What nodes must have in common to share a kernel: statistic, operands, clock.
type ShareKey = (Share, Vec<NodeId>, Option<NodeId>);

/// What is needed only while planning.
struct Planner<'a> {
    graph: &'a Graph,
    stages: Vec<Stage<Slot>>,
    kernels: Vec<Kernel>,
    owners: Vec<NodeId>,
    detectors: Vec<Option<usize>>,
    widest: usize,
    /// Rows of history per slot.
    keep: Vec<usize>,
    /// Node and clock of each compacted series: slot `nodes + i` belongs to `compacted[i]`.
    compacted: Vec<(NodeId, usize)>,
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
            stages: vec![Stage::default()],
            kernels: Vec::new(),
            owners: Vec::new(),
            detectors: vec![None; graph.events.len()],
            widest: 1,
            keep: vec![0; graph.nodes.len()],
            compacted: Vec::new(),
            level: Vec::with_capacity(graph.nodes.len()),
            clocks: BTreeMap::new(),
            compact: BTreeMap::new(),
            shared: BTreeMap::new(),
        };
        for ix in 0..graph.nodes.len() {
            planner.add(ix);
        }
        planner.place()
    }
}

impl Planner<'_> {
    fn add(&mut self, ix: usize) {
        let node = &self.graph.nodes[ix];
        debug_assert!(
            node.inputs.iter().chain(&node.clock).all(|n| n.ix() < ix),
            "inputs come before node {ix}"
        );
        let sheet = sheet(&node.op);
        let inputs_level =
            node.inputs.iter().chain(&node.clock).map(|n| self.level[n.ix()]).max().unwrap_or(0);
        let level = inputs_level + usize::from(sheet.class == Class::Across);
        self.level.push(level);
        while self.stages.len() <= level {
            self.stages.push(Stage::default());
        }
        let step = match sheet.work {
            Work::Across => {
                let input = node.inputs[0].ix();
                self.stages[level].cross.push(CrossNode { op: node.op.clone(), input, output: ix });
                return;
            }
            Work::Kernel { share, make } => return self.add_kernel(ix, level, share, make),
            // On an event clock the earlier rows are ticks, and it takes a kernel.
            Work::Shift(op) if node.clock.is_some() => {
                return self.add_kernel(ix, level, None, Box::new(move |_| Kernel::Shift(op)));
            }
            Work::Shift(op) => self.shift(node, op, ix),
            Work::Column(source) => Step::Source { source, output: ix },
            Work::Fill(value) => Step::Fill { value, output: ix },
            Work::Point(op) => self.point(node, op, ix),
        };
        self.stages[level].steps.push(step);
    }

    /// The step of a node that looks at one row.
    fn point(&self, node: &Node, op: Point, output: Slot) -> Step<Slot> {
        let is_two = |id: NodeId| matches!(self.graph.node(id).op, Op::Const(two) if two.get() == 2.0);
        let op = if op == Point::Pow && is_two(node.inputs[1]) { Point::Square } else { op };
        let input = |i: usize| node.inputs.get(i).unwrap_or(&node.inputs[0]).ix();
        Step::Point { op, inputs: [input(0), input(1), input(2)], output }
    }

    /// The step of a node that reads fixed earlier rows.
    fn shift(&mut self, node: &Node, op: Shift, output: Slot) -> Step<Slot> {
        for input in &node.inputs {
            self.keep[input.ix()] = self.keep[input.ix()].max(op.look_back());
        }
        let input = |i: usize| node.inputs.get(i).unwrap_or(&node.inputs[0]).ix();
        Step::Shift { op, inputs: [input(0), input(1)], output }
    }

    fn add_kernel(&mut self, ix: usize, level: usize, share: Option<Share>, make: Make) {
        let node = &self.graph.nodes[ix];
        if node.clock.is_some() {
            // On an event clock, the last output is held in the series itself.
            self.keep[ix] = self.keep[ix].max(1);
        }
        let mut new_kernel = make(self.graph);
        let key = share.map(|share| match new_kernel {
            // `active(E)` and `event_dir(E)` read the detector itself, whatever their operand list says.
            Kernel::Detect(_) => (share, Vec::new(), None),
            _ => (share, node.inputs.clone(), node.clock),
        });
        if let Some((stage, step)) = key.as_ref().and_then(|key| self.shared.get(key)).copied()
            && let Step::Run { kernel, outputs, .. } | Step::RunOnClock { kernel, outputs, .. } =
                &mut self.stages[stage].steps[step]
        {
            match self.kernels[*kernel].join(new_kernel) {
                None => {
                    outputs.push(ix);
                    self.widest = self.widest.max(outputs.len());
                    return;
                }
                Some(unlike) => {
                    debug_assert!(false, "kernels that share are alike: {:?}", node.op);
                    new_kernel = unlike;
                }
            }
        }
        let kernel = self.kernels.len();
        let inputs: Vec<Slot> = match node.clock {
            None => node.inputs.iter().map(|n| n.ix()).collect(),
            Some(c) => node.inputs.iter().map(|n| self.compacted(*n, c)).collect(),
        };
        for (position, slot) in inputs.iter().enumerate() {
            self.keep[*slot] = self.keep[*slot].max(new_kernel.look_back(position));
        }
        if let Kernel::Detect(detect) = &new_kernel {
            self.detectors[detect.event()] = Some(kernel);
        }
        let outputs = vec![ix];
        let step = match node.clock.map(|c| self.clock(c)) {
            None => Step::Run { kernel, inputs, outputs },
            Some(clock) => Step::RunOnClock { clock, kernel, inputs, outputs },
        };
        if let Some(key) = key {
            self.shared.insert(key, (level, self.stages[level].steps.len()));
        }
        self.stages[level].steps.push(step);
        self.kernels.push(new_kernel);
        self.owners.push(NodeId(ix as u32));
    }

    fn clock(&mut self, node: NodeId) -> usize {
        if let Some(clock) = self.clocks.get(&node) {
            return *clock;
        }
        let clock = self.clocks.len();
        self.clocks.insert(node, clock);
        self.stages[self.level[node.ix()]].steps.push(Step::Tick { clock, node: node.ix() });
        clock
    }

    fn compacted(&mut self, input: NodeId, clock_node: NodeId) -> Slot {
        if let Some(slot) = self.compact.get(&(input, clock_node)) {
            return *slot;
        }
        let clock = self.clock(clock_node);
        let slot = self.keep.len();
        self.keep.push(0);
        self.compacted.push((input, clock));
        self.compact.insert((input, clock_node), slot);
        let level = self.level[input.ix()].max(self.level[clock_node.ix()]);
        self.stages[level].steps.push(Step::Compact { clock, from: input.ix(), to: slot });
        slot
    }

    /// Once every look-back is known: nodes that nobody looks back into need no series of their own.
    fn place(self) -> Plan {
        let nodes = self.graph.nodes.len();
        let (mut slots, mut series, mut histories) = (Vec::new(), Vec::new(), Vec::new());
        let mut places = Vec::with_capacity(self.keep.len());
        for (slot, keep) in self.keep.iter().enumerate() {
            let compacted = slot.checked_sub(nodes).map(|i| self.compacted[i]);
            let far = *keep > Values::NEAR || compacted.is_some();
            let own = far.then_some(series.len());
            series.extend(own.map(|_| *keep));
            let place = match (compacted, own) {
                (Some(_), Some(own)) => Place::on_clock(own),
                _ => {
                    slots.push(Place::slot(slots.last(), *keep, own));
                    slots[slots.len() - 1]
                }
            };
            places.push(place);
            if *keep > 0 {
                let (node, clock) =
                    compacted.map_or((NodeId(slot as u32), None), |(node, clock)| (node, Some(clock)));
                histories.push(HistoryPlan { node, keep: *keep, clock, place });
            }
        }
        let mut clocks = vec![NodeId(0); self.clocks.len()];
        for (node, clock) in &self.clocks {
            clocks[*clock] = *node;
        }
        Plan {
            stages: self.stages.into_iter().map(|stage| stage.placed(&places, &self.kernels)).collect(),
            kernels: self.kernels,
            kept: slots.iter().copied().filter(|slot| slot.keeps_near(1)).collect(),
            last_slot: slots.last().copied(),
            series,
            histories,
            clocks,
            owners: self.owners,
            detectors: self.detectors,
            widest: self.widest,
            places: places[..nodes].to_vec(),
        }
    }
}

impl Stage<Slot> {
    fn placed(self, places: &[Place], kernels: &[Kernel]) -> Stage {
        let all = |slots: Vec<Slot>| slots.into_iter().map(|s| places[s]).collect();
        let step = |step| match step {
            Step::Source { source, output } => Step::Source { source, output: places[output] },
            Step::Fill { value, output } => Step::Fill { value, output: places[output] },
            Step::Point { op, inputs, output } => {
                Step::Point { op, inputs: inputs.map(|s| places[s]), output: places[output] }
            }
            Step::Shift { op, inputs, output } => {
                Step::Shift { op, inputs: inputs.map(|s| places[s]), output: places[output] }
            }
            Step::Run { kernel, inputs, outputs } => {
                Step::Run { kernel, inputs: all(inputs), outputs: all(outputs) }
            }
            Step::Tick { clock, node } => Step::Tick { clock, node: places[node] },
            Step::Compact { clock, from, to } => Step::Compact { clock, from: places[from], to: places[to] },
            Step::RunOnClock { clock, kernel, inputs, outputs } => {
                Step::RunOnClock { clock, kernel, inputs: all(inputs), outputs: all(outputs) }
            }
        };
        let cross = |node: CrossNode<Slot>| CrossNode {
            op: node.op,
            input: places[node.input],
            output: places[node.output],
        };
        let steps: Vec<Step> = self.steps.into_iter().map(step).collect();
        let (rows, reads) = (row::compile(&steps, kernels), FarReads::of(&steps, kernels));
        Stage { cross: self.cross.into_iter().map(cross).collect(), steps, rows, reads }
    }
}
