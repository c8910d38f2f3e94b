//! One symbol's series and kernels, and how they advance by a chunk.

use super::output::{Detection, EpisodeExit, SymbolOutput};
use super::plan::{FarReads, HistoryPlan, Plan, Stage, Step};
use super::values::{Place, Values};
use crate::graph::ops::detect::DetectLog;
use crate::graph::ops::kernel::Kernel;
use crate::graph::ops::{Rows, View, is_true};
use crate::graph::{EventId, Graph, NodeId};
use crate::market::{BarIndex, Source, SymbolColumns};

/// Rows `[offset, offset + n)` of a pushed block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    /// Absolute number of its first row.
    pub(super) first: i64,
    pub(super) n: usize,
    /// Rows seen before it.
    pub(super) seen: u64,
    /// Its first row in the block.
    pub(super) offset: usize,
}

#[derive(Clone, Debug)]
pub(super) struct SymbolState {
    pub(super) values: Values,
    pub(super) kernels: Vec<Kernel>,
    /// Per clock: ticks seen before the chunk.
    pub(super) ticks: Vec<u64>,
    /// Per clock: the chunk's ticked rows.
    ticked: Vec<Vec<u32>>,
    /// Columns of the last push, a bit each.
    present: Option<u64>,
    /// Per event: the first column that it needs and this symbol does not have.
    pub(super) missing: Vec<Option<Source>>,
    pub(super) log: DetectLog,
    /// A kernel's output columns.
    pub(super) out: Vec<f64>,
    /// An output column with held values between ticks.
    held: Vec<f64>,
}

impl SymbolState {
    pub(super) fn new(plan: &Plan, graph: &Graph, slack: usize, salt: usize) -> Self {
        Self {
            values: Values::new(plan, slack, salt),
            kernels: plan.kernels.clone(),
            ticks: vec![0; plan.clocks.len()],
            ticked: vec![Vec::new(); plan.clocks.len()],
            present: None,
            missing: vec![None; graph.events.len()],
            log: DetectLog::new(graph.events.len()),
            out: vec![0.0; plan.widest * slack],
            held: Vec::with_capacity(slack),
        }
    }

    /// Before the first chunk of a push: notes which events cannot run for want of a column.
    pub(super) fn begin_push(&mut self, graph: &Graph, columns: &SymbolColumns) {
        self.log.restart();
        let present = Some(columns.present());
        if self.present == present {
            return;
        }
        self.present = present;
        for (missing, event) in self.missing.iter_mut().zip(&graph.events) {
            *missing = event.needs.iter().copied().find(|source| columns.get(*source).is_none());
        }
    }

    /// With many symbols, what a row needs of one has left the caches since the row before. Where it is used,
    /// each miss would be waited for; read beforehand and for nothing, they are fetched side by side.
    pub(super) fn touch(&self, reads: &FarReads) {
        let kernels =
            reads.kernels.iter().fold(0, |sum, kernel| sum ^ self.kernels[*kernel as usize].touch());
        let rows = reads.rows.iter().fold(0, |sum, (series, back)| sum ^ self.values.touch(*series, *back));
        std::hint::black_box(kernels ^ rows);
    }

    /// Runs one stage over a chunk.
    pub(super) fn run_stage(&mut self, stage: &Stage, chunk: Chunk, columns: &SymbolColumns) {
        if chunk.n == 1 {
            self.run_row(&stage.rows, &stage.steps, chunk, columns);
            return;
        }
        for step in &stage.steps {
            self.run_step(step, chunk, columns);
        }
    }

    pub(super) fn run_step(&mut self, step: &Step, chunk: Chunk, columns: &SymbolColumns) {
        match step {
            Step::Point { op, inputs, output } => {
                op.run(&rows_of(&self.values, inputs, chunk), &mut self.out[..chunk.n]);
                self.values.store(*output, &self.out[..chunk.n]);
            }
            Step::Shift { op, inputs, output } => {
                op.run(&rows_of(&self.values, inputs, chunk), &mut self.out[..chunk.n]);
                self.values.store(*output, &self.out[..chunk.n]);
            }
            Step::Fill { value, output } => {
                self.out[..chunk.n].fill(*value);
                self.values.store(*output, &self.out[..chunk.n]);
            }
            Step::Source { source, output } => {
                if let Some(column) = columns.get(*source) {
                    self.values.store(*output, &column[chunk.offset..][..chunk.n]);
                } else {
                    self.out[..chunk.n].fill(f64::NAN);
                    self.values.store(*output, &self.out[..chunk.n]);
                }
            }
            Step::Run { kernel, inputs, outputs } => {
                self.run_kernel(*kernel, inputs, outputs.len(), chunk);
                for (column, output) in outputs.iter().enumerate() {
                    self.values.store(*output, &self.out[column * chunk.n..][..chunk.n]);
                }
            }
            Step::Tick { clock, node } => {
                let rows = self.values.rows(*node);
                self.ticked[*clock].clear();
                self.ticked[*clock]
                    .extend((0_u32..).zip(rows).filter(|(_, c)| is_true(**c)).map(|(row, _)| row));
            }
            Step::Compact { clock, from, to } => {
                let rows = self.values.rows(*from);
                self.held.clear();
                self.held.extend(self.ticked[*clock].iter().map(|row| rows[*row as usize]));
                self.values.store_ticks(*to, &self.held);
            }
            Step::RunOnClock { clock, kernel, inputs, outputs } => {
                self.run_on_clock(*clock, *kernel, inputs, outputs, chunk.n);
            }
        }
    }

    fn run_on_clock(
        &mut self,
        clock: usize,
        kernel: usize,
        inputs: &[Place],
        outputs: &[Place],
        chunk_rows: usize,
    ) {
        let (seen, n) = (self.ticks[clock], self.ticked[clock].len());
        let ticks = Chunk { first: seen as i64, n, seen, offset: 0 };
        self.run_kernel(kernel, inputs, outputs.len(), ticks);
        for (column, output) in outputs.iter().enumerate() {
            let mut last = self.values.row_before(*output);
            self.held.clear();
            for (row, value) in self.ticked[clock].iter().zip(&self.out[column * n..]) {
                self.held.resize(*row as usize, last);
                last = *value;
            }
            self.held.resize(chunk_rows, last);
            self.values.store(*output, &self.held);
        }
    }

    fn run_kernel(&mut self, kernel: usize, inputs: &[Place], outputs: usize, chunk: Chunk) {
        let out = &mut self.out[..outputs * chunk.n];
        let kernel = &mut self.kernels[kernel];
        if let Kernel::Detect(detect) = kernel
            && self.missing[detect.event()].is_some()
        {
            out.fill(f64::NAN);
            return;
        }
        kernel.run(&rows_of(&self.values, inputs, chunk), out, &mut self.log);
    }

    /// After the last stage: hands the chunk's results over.
    pub(super) fn finish_chunk(
        &mut self,
        plan: &Plan,
        graph: &Graph,
        chunk: Chunk,
        output: &mut SymbolOutput,
    ) {
        let values = &self.values;
        let rows = |node: NodeId| values.rows(plan.places[node.ix()]);
        for (ticks, ticked) in self.ticks.iter_mut().zip(&self.ticked) {
            *ticks += ticked.len() as u64;
        }
        for (columns, nodes) in [(&mut output.features, &graph.features), (&mut output.states, &graph.states)]
        {
            for (column, named) in nodes.iter().enumerate() {
                columns.put(column, chunk.offset, rows(named.node));
            }
        }
        let (detections, ends) = (output.detections.len(), output.episode_ends.len());
        for (event, hit) in self.log.hits.drain(..) {
            let snapshot = graph.events[event].snapshot.iter().map(|o| rows(o.node)[hit.row]);
            output.detections.push(Detection {
                event: EventId(event as u16),
                bar: BarIndex(chunk.first + hit.row as i64),
                direction: hit.direction,
                severity: hit.severity,
                snapshot: snapshot.collect(),
            });
        }
        output.episode_ends.extend(self.log.closed.drain(..).map(|(event, closed)| EpisodeExit {
            event: EventId(event as u16),
            onset: BarIndex(closed.onset),
            exit: BarIndex(closed.exit),
        }));
        output.detections[detections..].sort_by_key(|d| (d.bar, d.event));
        output.episode_ends[ends..].sort_by_key(|e| (e.exit, e.event));
    }

    /// Windowed operators: derives what they keep from the history of their operands; row `next` is the first
    /// to come.
    pub(super) fn rebuild(&mut self, plan: &Plan, next: BarIndex) {
        for step in plan.stages.iter().flat_map(|stage| &stage.steps) {
            let (kernel, inputs, next) = match step {
                Step::Run { kernel, inputs, .. } => (*kernel, inputs, next.0),
                Step::RunOnClock { clock, kernel, inputs, .. } => {
                    (*kernel, inputs, self.ticks[*clock] as i64)
                }
                _ => continue,
            };
            let mut views = [View::EMPTY; 4];
            for (view, place) in views.iter_mut().zip(inputs) {
                *view = self.values.history(*place);
            }
            self.kernels[kernel].rebuild(next, &views);
        }
    }

    /// Rows that a history holds once `rows` were pushed; earlier ones are unknown.
    pub(super) fn known_rows(&self, history: &HistoryPlan, rows: u64) -> usize {
        let seen = history.clock.map_or(rows, |clock| self.ticks[clock]);
        history.keep.min(usize::try_from(seen).unwrap_or(usize::MAX))
    }

    /// After the last chunk of a push: counts, and the open episodes.
    pub(super) fn finish_push(&self, plan: &Plan, output: &mut SymbolOutput) {
        output.suppressed.clone_from(&self.log.suppressed);
        output.known_rows.clone_from(&self.log.known_rows);
        let open = |kernel: &Option<usize>| match &self.kernels[(*kernel)?] {
            Kernel::Detect(detect) => detect.open_since().map(BarIndex),
            _ => None,
        };
        output.open = plan.detectors.iter().map(open).collect();
    }
}

/// What an operator sees of its operands.
#[inline]
pub(super) fn rows_of<'a>(values: &'a Values, inputs: &[Place], chunk: Chunk) -> Rows<'a> {
    let mut views = [View::EMPTY; 4];
    for (view, place) in views.iter_mut().zip(inputs) {
        *view = values.view(*place);
    }
    Rows { first: chunk.first, n: chunk.n, seen: chunk.seen, inputs: views }
}
