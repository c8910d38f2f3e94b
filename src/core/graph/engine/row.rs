//! One bar at a time: a stage's steps compiled once more for chunks of one row.
//!
//! With one row, finding out what to do and where things lie costs more than computing. So the steps that
//! read a few rows of the common buffer and write one are kept as plain indices into it, other kernels with
//! what they read and write, and all steps are ordered so that equal operators follow each other: one
//! decision then serves many nodes, and what is read of the plan is read from front to back.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

use super::plan::Step;
use super::symbol::{Chunk, SymbolState, rows_of};
use super::values::{Place, Values};
use crate::graph::Cmp;
use crate::graph::ops::detect::DetectRow;
use crate::graph::ops::kernel::Kernel;
use crate::graph::ops::pointwise::Point;
use crate::graph::ops::shift::Shift;
use crate::market::{Source, SymbolColumns};

/// Steps on one row that follow each other.
#[derive(Clone, Debug)]
pub(super) enum RowSteps {
    /// One operator on many nodes.
    Points(Point, Vec<RowPoint>),
    /// One kind of operator on many nodes.
    Shifts(Vec<RowShift>),
    /// Kernels that read their row, at most the one before, and keep a few numbers.
    Small(Vec<RowKernel>),
    /// Detectors, each with its operands in the common buffer.
    Detects(Vec<RowDetect>),
    /// Columns of the block, with their index.
    Sources(Vec<(Source, u32)>),
    /// Literals, with their index.
    Fills(Vec<(f64, u32)>),
    /// Rows to be put into a series too: index, and number of the series.
    Appends(Vec<(u32, u32)>),
    /// Other kernels, and where their results go: indices, one kernel's after the other's.
    Runs(Vec<RowRun>, Vec<u32>),
    /// Steps of these numbers, as for a chunk.
    General(Vec<u32>),
}

/// Operands and results are indices of the common buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowPoint {
    inputs: [u32; 3],
    output: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct RowShift {
    op: Shift,
    inputs: [u32; 2],
    output: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct RowKernel {
    kernel: u32,
    inputs: [u32; 2],
    output: u32,
}

/// `when`, `exit`, direction, severity; of the outputs, those that there are.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowDetect {
    kernel: u32,
    inputs: [u32; 4],
    outputs: [Option<u32>; 3],
}

/// A kernel with one operand or two. What it needs lies here, not in the step: rows go through many steps
/// once each.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowRun {
    kernel: u32,
    outputs: u32,
    /// A single operand stands here twice.
    inputs: [Place; 2],
}

/// A step on one row, before steps are put together.
#[derive(Clone, Debug)]
enum One {
    Point(Point, RowPoint),
    Shift(RowShift),
    Small(RowKernel),
    Detect(RowDetect),
    Source(Source, u32),
    Fill(f64, u32),
    Append(u32, u32),
    Run(RowRun, Vec<u32>),
    General(u32),
}

/// What one step must have written before another may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    Row(u32),
    Series(usize),
    Clock(usize),
}

/// A stage's steps, for chunks of one row.
pub(super) fn compile(steps: &[Step], kernels: &[Kernel]) -> Vec<RowSteps> {
    let mut ones = Vec::with_capacity(steps.len());
    for (number, step) in steps.iter().enumerate() {
        let (reads, writes) = step.things();
        match special(step, kernels) {
            None => ones.push((One::General(number as u32), reads, writes)),
            Some((one, outputs)) => {
                let rows = outputs.iter().map(|output| Thing::Row(output.now())).collect();
                ones.push((one, reads, rows));
                for output in outputs {
                    if let Some(series) = output.far() {
                        let append = One::Append(output.now(), series as u32);
                        ones.push((append, vec![Thing::Row(output.now())], vec![Thing::Series(series)]));
                    }
                }
            }
        }
    }
    in_order(&ones, |one| key(one, steps, kernels))
}

/// The step as plain indices, and where its results lie.
fn special(step: &Step, kernels: &[Kernel]) -> Option<(One, Vec<Place>)> {
    match step {
        Step::Point { op, inputs, output } => Some((
            One::Point(*op, RowPoint { inputs: inputs.map(Place::now), output: output.now() }),
            vec![*output],
        )),
        Step::Shift { op, inputs, output } if inputs.iter().all(|p| p.keeps_near(op.look_back())) => {
            let shift = RowShift { op: *op, inputs: inputs.map(Place::now), output: output.now() };
            Some((One::Shift(shift), vec![*output]))
        }
        Step::Fill { value, output } => Some((One::Fill(*value, output.now()), vec![*output])),
        Step::Source { source, output } => Some((One::Source(*source, output.now()), vec![*output])),
        Step::Run { kernel, inputs, outputs } if matches!(kernels[*kernel], Kernel::Detect(_)) => {
            let inputs: [Place; 4] = inputs.as_slice().try_into().ok()?;
            let mut to = [None; 3];
            to.get_mut(..outputs.len())?.iter_mut().zip(outputs).for_each(|(to, o)| *to = Some(o.now()));
            let detect = RowDetect { kernel: *kernel as u32, inputs: inputs.map(Place::now), outputs: to };
            inputs[0].keeps_near(1).then(|| (One::Detect(detect), outputs.clone()))
        }
        Step::Run { kernel, inputs, outputs } if inputs.len() <= 2 => {
            let (first, output) = (inputs.first()?, outputs.first()?);
            let two = [*first, *inputs.get(1).unwrap_or(first)];
            let is_small = kernels[*kernel].small().is_some_and(|back| first.keeps_near(back));
            let kernel = *kernel as u32;
            let one = if is_small {
                One::Small(RowKernel { kernel, inputs: two.map(Place::now), output: output.now() })
            } else {
                let to: Vec<u32> = outputs.iter().map(|output| output.now()).collect();
                One::Run(RowRun { kernel, outputs: to.len() as u32, inputs: two }, to)
            };
            Some((one, outputs.clone()))
        }
        _ => None,
    }
}

/// Steps with equal keys are worth running one after the other.
fn key(one: &One, steps: &[Step], kernels: &[Kernel]) -> String {
    let kernel = |ix: usize| format!("{:?}", discriminant(&kernels[ix]));
    match one {
        One::Point(op, _) => format!("point {op:?}"),
        One::Shift(shift) => format!("shift {:?}", discriminant(&shift.op)),
        One::Small(small) => format!("small {}", kernel(small.kernel as usize)),
        One::Detect(_) => "detect".to_owned(),
        One::Source(..) => "source".to_owned(),
        One::Fill(..) => "fill".to_owned(),
        One::Append(..) => "append".to_owned(),
        One::Run(run, _) => format!("run {}", kernel(run.kernel as usize)),
        One::General(number) => format!("step {:?}", discriminant(&steps[*number as usize])),
    }
}

/// Every step after those whose results it reads, in few runs of one key. Of the runs that could come next,
/// one does after which nothing of its key is left; if there is none, the longest for what is left.
fn in_order(ones: &[(One, Vec<Thing>, Vec<Thing>)], key: impl Fn(&One) -> String) -> Vec<RowSteps> {
    let mut writer = BTreeMap::new();
    for (ix, (_, _, writes)) in ones.iter().enumerate() {
        writer.extend(writes.iter().map(|thing| (*thing, ix)));
    }
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); ones.len()];
    let mut waits = vec![0_usize; ones.len()];
    for (ix, (_, reads, _)) in ones.iter().enumerate() {
        // What no step of the stage writes, was there before it.
        let writers: BTreeSet<usize> = reads.iter().filter_map(|thing| writer.get(thing).copied()).collect();
        waits[ix] = writers.len();
        writers.into_iter().for_each(|w| readers[w].push(ix));
    }
    let keys: Vec<String> = ones.iter().map(|(one, ..)| key(one)).collect();
    let mut ready: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for ix in (0..ones.len()).filter(|ix| waits[*ix] == 0) {
        ready.entry(&keys[ix]).or_default().push(ix);
    }
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    keys.iter().for_each(|key| *left.entry(key).or_default() += 1);
    let worth = |key: &str, run: usize, left: &BTreeMap<&str, usize>| {
        let later = left.get(key).map_or(0, |left| left - run);
        (later == 0, run * ones.len() / (later + 1))
    };
    let mut rows = Vec::new();
    while let Some(key) =
        ready.iter().max_by_key(|(key, run)| worth(key, run.len(), &left)).map(|(key, _)| *key)
    {
        let run = ready.remove(key).unwrap_or_default();
        left.entry(key).and_modify(|left| *left -= run.len());
        for ix in &run {
            for reader in std::mem::take(&mut readers[*ix]) {
                waits[reader] -= 1;
                if waits[reader] == 0 {
                    ready.entry(&keys[reader]).or_default().push(reader);
                }
            }
        }
        rows.extend(together(run.iter().map(|ix| ones[*ix].0.clone())));
    }
    rows
}

/// Steps of one key.
fn together(ones: impl Iterator<Item = One>) -> Option<RowSteps> {
    let mut all: Option<RowSteps> = None;
    for one in ones {
        match (&mut all, one) {
            (Some(RowSteps::Points(_, all)), One::Point(_, point)) => all.push(point),
            (Some(RowSteps::Shifts(all)), One::Shift(shift)) => all.push(shift),
            (Some(RowSteps::Small(all)), One::Small(small)) => all.push(small),
            (Some(RowSteps::Detects(all)), One::Detect(detect)) => all.push(detect),
            (Some(RowSteps::Sources(all)), One::Source(source, row)) => all.push((source, row)),
            (Some(RowSteps::Fills(all)), One::Fill(value, row)) => all.push((value, row)),
            (Some(RowSteps::Appends(all)), One::Append(row, series)) => all.push((row, series)),
            (Some(RowSteps::Runs(all, outputs)), One::Run(run, to)) => {
                all.push(run);
                outputs.extend(to);
            }
            (Some(RowSteps::General(all)), One::General(number)) => all.push(number),
            (_, One::Point(op, point)) => all = Some(RowSteps::Points(op, vec![point])),
            (_, One::Shift(shift)) => all = Some(RowSteps::Shifts(vec![shift])),
            (_, One::Small(small)) => all = Some(RowSteps::Small(vec![small])),
            (_, One::Detect(detect)) => all = Some(RowSteps::Detects(vec![detect])),
            (_, One::Source(source, row)) => all = Some(RowSteps::Sources(vec![(source, row)])),
            (_, One::Fill(value, row)) => all = Some(RowSteps::Fills(vec![(value, row)])),
            (_, One::Append(row, series)) => all = Some(RowSteps::Appends(vec![(row, series)])),
            (_, One::Run(run, to)) => all = Some(RowSteps::Runs(vec![run], to)),
            (_, One::General(number)) => all = Some(RowSteps::General(vec![number])),
        }
    }
    all
}

impl Step {
    /// What it reads, and what it writes.
    fn things(&self) -> (Vec<Thing>, Vec<Thing>) {
        let of = |places: &[Place]| -> Vec<Thing> {
            let row = places.iter().filter(|p| p.has_row()).map(|p| Thing::Row(p.now()));
            row.chain(places.iter().filter_map(|p| p.far()).map(Thing::Series)).collect()
        };
        match self {
            Self::Source { output, .. } | Self::Fill { output, .. } => (Vec::new(), of(&[*output])),
            Self::Point { inputs, output, .. } => (of(inputs), of(&[*output])),
            Self::Shift { inputs, output, .. } => (of(inputs), of(&[*output])),
            Self::Run { inputs, outputs, .. } => (of(inputs), of(outputs)),
            Self::Tick { clock, node } => (of(&[*node]), vec![Thing::Clock(*clock)]),
            Self::Compact { clock, from, to } => {
                let mut reads = of(&[*from]);
                reads.push(Thing::Clock(*clock));
                (reads, of(&[*to]))
            }
            Self::RunOnClock { clock, inputs, outputs, .. } => {
                let mut reads = of(inputs);
                reads.push(Thing::Clock(*clock));
                (reads, of(outputs))
            }
        }
    }
}

impl SymbolState {
    /// Runs one stage over a chunk of one row.
    pub(super) fn run_row(
        &mut self,
        rows: &[RowSteps],
        steps: &[Step],
        chunk: Chunk,
        columns: &SymbolColumns,
    ) {
        for row in rows {
            match row {
                RowSteps::Points(op, points) => run_points(*op, points, &mut self.values),
                RowSteps::Shifts(shifts) => {
                    for RowShift { op, inputs: [x, y], output } in shifts {
                        let back = op.look_back() as u32;
                        let (x, x_then) = (self.values.at(*x), self.values.at(x - back));
                        let (y, y_then) = (self.values.at(*y), self.values.at(y - back));
                        self.values.put(*output, op.of_row(x, x_then, y, y_then));
                    }
                }
                RowSteps::Small(kernels) => {
                    for RowKernel { kernel, inputs: [a, b], output } in kernels {
                        let before = self.values.at(a.saturating_sub(1));
                        let (a, b) = (self.values.at(*a), self.values.at(*b));
                        let value = self.kernels[*kernel as usize].of_row(a, before, b);
                        self.values.put(*output, value);
                    }
                }
                RowSteps::Detects(detectors) => {
                    detectors.iter().for_each(|detect| self.detect_row(detect, chunk.first));
                }
                RowSteps::Sources(sources) => {
                    for (source, row) in sources {
                        let value = columns.get(*source).map_or(f64::NAN, |column| column[chunk.offset]);
                        self.values.put(*row, value);
                    }
                }
                RowSteps::Fills(literals) => {
                    for (value, row) in literals {
                        self.values.put(*row, *value);
                    }
                }
                RowSteps::Appends(rows) => {
                    for (row, series) in rows {
                        self.values.append_row(*row, *series);
                    }
                }
                RowSteps::Runs(runs, outputs) => {
                    let mut to = outputs.iter();
                    for run in runs {
                        self.run_one(run, to.by_ref(), chunk);
                    }
                }
                RowSteps::General(numbers) => {
                    for number in numbers {
                        self.run_step(&steps[*number as usize], chunk, columns);
                    }
                }
            }
        }
    }
}

impl SymbolState {
    #[inline]
    fn run_one<'a>(&mut self, run: &RowRun, to: impl Iterator<Item = &'a u32>, chunk: Chunk) {
        let rows = rows_of(&self.values, &run.inputs, chunk);
        let outputs = run.outputs as usize;
        self.kernels[run.kernel as usize].run(&rows, &mut self.out[..outputs], &mut self.log);
        for (value, output) in self.out[..outputs].iter().zip(to) {
            self.values.put(*output, *value);
        }
    }

    #[inline]
    fn detect_row(&mut self, RowDetect { kernel, inputs, outputs }: &RowDetect, t: i64) {
        let Kernel::Detect(detect) = &mut self.kernels[*kernel as usize] else { return };
        let is_missing = self.missing[detect.event()].is_some();
        let onset = !is_missing && {
            let [when, exit, direction, severity] = inputs.map(|now| self.values.at(now));
            let row = DetectRow { when, before: self.values.at(inputs[0] - 1), exit, direction, severity };
            detect.step(0, t, row, &mut self.log)
        };
        for (column, output) in outputs.iter().enumerate() {
            if let Some(output) = output {
                let value = if is_missing { f64::NAN } else { detect.output(column, onset) };
                self.values.put(*output, value);
            }
        }
    }
}

/// One loop per operator.
fn run_points(op: Point, points: &[RowPoint], values: &mut Values) {
    macro_rules! each {
        ($($one:ident)*; $($cmp:ident)*) => {
            match op {
                $(Point::$one => run_each(points, values, |a, b, c| Point::$one.of_row(a, b, c)),)*
                $(Point::Compare(Cmp::$cmp) => {
                    run_each(points, values, |a, b, c| Point::Compare(Cmp::$cmp).of_row(a, b, c));
                })*
            }
        };
    }
    each!(
        Add Sub Mul Div Square Pow Neg Abs Sign Ln Exp Sqrt NormCdf NormInv Min2 Max2 Clip And Or Not Known If Coalesce;
        Lt Le Gt Ge Eq Ne
    );
}

#[inline(always)]
fn run_each(points: &[RowPoint], values: &mut Values, f: impl Fn(f64, f64, f64) -> f64) {
    for RowPoint { inputs: [a, b, c], output } in points {
        values.put(*output, f(values.at(*a), values.at(*b), values.at(*c)));
    }
}
