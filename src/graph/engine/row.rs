//! One bar at a time: a stage's steps compiled once more for chunks of one row.
//!
//! With one row, finding where things lie costs more than computing. So the steps that read a few rows of the common
//! buffer and write one are kept as plain indices into it; all others are the steps of the chunk.

use super::kernel::Kernel;
use super::plan::Step;
use super::symbol::{Chunk, SymbolState};
use super::values::Place;
use crate::graph::ops::pointwise::Point;
use crate::graph::ops::shift::Shift;
use crate::market::SymbolColumns;

/// A step on one row. Operands and results are indices of [`Values::near`](super::values::Values).
#[derive(Clone, Copy, Debug)]
pub(super) enum RowStep {
    Point {
        op: Point,
        inputs: [u32; 3],
        output: u32,
    },
    Shift {
        op: Shift,
        inputs: [u32; 2],
        output: u32,
    },
    /// A kernel that reads its row, at most the one before, and keeps a few numbers.
    Small {
        kernel: u32,
        inputs: [u32; 2],
        output: u32,
    },
    /// Put a row into a series too.
    Append {
        row: u32,
        series: u32,
    },
    /// The step of this number.
    General(u32),
}

/// A stage's steps, for chunks of one row.
pub(super) fn compile(steps: &[Step], kernels: &[Kernel]) -> Vec<RowStep> {
    let mut rows = Vec::with_capacity(steps.len());
    for (number, step) in steps.iter().enumerate() {
        let Some((row, output)) = special(step, kernels) else {
            rows.push(RowStep::General(number as u32));
            continue;
        };
        rows.push(row);
        if let Some(series) = output.far() {
            rows.push(RowStep::Append { row: output.now(), series: series as u32 });
        }
    }
    rows
}

/// The step as plain indices, and where its result lies.
fn special(step: &Step, kernels: &[Kernel]) -> Option<(RowStep, Place)> {
    match step {
        Step::Point { op, inputs, output } => {
            let inputs = inputs.map(Place::now);
            Some((RowStep::Point { op: *op, inputs, output: output.now() }, *output))
        }
        Step::Shift { op, inputs, output } if inputs.iter().all(|p| p.keeps_near(op.look_back())) => {
            let inputs = inputs.map(Place::now);
            Some((RowStep::Shift { op: *op, inputs, output: output.now() }, *output))
        }
        Step::Run { kernel, inputs, outputs } => {
            let (first, output) = (inputs.first()?, outputs.first()?);
            let back = kernels[*kernel].small()?;
            let second = inputs.get(1).unwrap_or(first);
            let step = RowStep::Small {
                kernel: *kernel as u32,
                inputs: [first.now(), second.now()],
                output: output.now(),
            };
            first.keeps_near(back).then_some((step, *output))
        }
        _ => None,
    }
}

impl SymbolState {
    /// Runs one stage over a chunk of one row.
    pub(super) fn run_row(
        &mut self,
        rows: &[RowStep],
        steps: &[Step],
        chunk: Chunk,
        columns: &SymbolColumns,
    ) {
        for row in rows {
            match *row {
                RowStep::Point { op, inputs, output } => {
                    let [a, b, c] = inputs.map(|input| self.values.at(input));
                    self.values.put(output, op.of_row(a, b, c));
                }
                RowStep::Shift { op, inputs: [x, y], output } => {
                    let back = op.look_back() as u32;
                    let (x, x_then) = (self.values.at(x), self.values.at(x - back));
                    let (y, y_then) = (self.values.at(y), self.values.at(y - back));
                    self.values.put(output, op.of_row(x, x_then, y, y_then));
                }
                RowStep::Small { kernel, inputs: [a, b], output } => {
                    let before = self.values.at(a.saturating_sub(1));
                    let (a, b) = (self.values.at(a), self.values.at(b));
                    let value = self.kernels[kernel as usize].of_row(a, before, b);
                    self.values.put(output, value);
                }
                RowStep::Append { row, series } => self.values.append_row(row, series),
                RowStep::General(number) => self.run_step(&steps[number as usize], chunk, columns),
            }
        }
    }
}
