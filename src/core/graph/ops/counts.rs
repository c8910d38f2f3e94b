//! `count`, `any` and `all`: integer counts of the window's known and true rows. Integers subtract exactly,
//! so these may be kept running.

use std::sync::Arc;

use super::kernel::Kernel;
use super::{FALSE, Rows, TRUE, View, is_true};
use crate::graph::sheet::{Needs, Over, Share, Sheet, Work};
use crate::graph::table::{C, Class, MIN, Operator, Param, WINDOW};
use crate::graph::{Rolling, Type};

const FLAG: &[Param] = &[C, WINDOW, MIN];

pub(in crate::graph) const OPERATORS: &[Operator] = &[
    Operator::window(
        "count",
        FLAG,
        "count(close > open, window=12, min=6)",
        |at, b| at.roll(b, Rolling::Count, Type::Num),
        |say| format!("the number of rows in {} where {}", say.rows("window"), say.whole("c")),
    ),
    Operator::window(
        "any",
        FLAG,
        "any(close > open, window=3, min=2)",
        |at, b| at.roll(b, Rolling::Any, Type::Bool),
        |say| format!("within {} at least once {}", say.rows("window"), say.bracketed("c")),
    ),
    Operator::window(
        "all",
        FLAG,
        "all(close > open, window=3, min=2)",
        |at, b| at.roll(b, Rolling::All, Type::Bool),
        |say| format!("throughout {} {}", say.rows("window"), say.bracketed("c")),
    ),
];

/// The sheet of `count`, `any` or `all`.
pub(in crate::graph) fn sheet(name: &str, f: CountOf, over: Over) -> Sheet {
    Sheet {
        text: over.text(name),
        class: Class::Window,
        reach: over.reach(),
        cost: 1.0,
        needs: Needs::All,
        unknown: over.unknown(),
        work: Work::shared(Share("counts", over.window as usize), move || {
            let mut counts = Counts::new(over.window);
            counts.add_output(f, over.min);
            Kernel::Counts(Box::new(counts))
        }),
    }
}

/// What an output column reports.
#[allow(missing_docs, reason = "the names are those of `Rolling`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountOf {
    Count,
    Any,
    All,
}

/// Counts over one window.
#[derive(Clone, Debug)]
pub struct Counts {
    window: u32,
    known: u32,
    yes: u32,
    outputs: Arc<Vec<(CountOf, u32)>>,
}

impl Counts {
    /// Reads what the next row will need, and nothing more.
    #[inline(always)]
    #[must_use]
    pub fn touch(&self) -> u64 {
        u64::from(self.known)
    }

    /// No rows seen, no outputs yet.
    #[must_use]
    pub fn new(window: u32) -> Self {
        Self { window, known: 0, yes: 0, outputs: Arc::default() }
    }

    /// One more output column.
    pub fn add_output(&mut self, f: CountOf, min: u32) {
        Arc::make_mut(&mut self.outputs).push((f, min));
    }

    /// The outputs of another kernel over the same window follow its own.
    pub fn join(&mut self, other: &Self) {
        Arc::make_mut(&mut self.outputs).extend(other.outputs.iter());
    }

    /// Rows of history it reads.
    #[must_use]
    pub const fn look_back(&self) -> usize {
        self.window as usize
    }

    fn enter(&mut self, c: f64) {
        self.known += u32::from(!c.is_nan());
        self.yes += u32::from(is_true(c));
    }

    /// Evaluates the chunk into consecutive output columns.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let c = rows.inputs[0];
        for (i, (now, gone)) in c.rows().iter().zip(c.lagged(self.window as usize)).enumerate() {
            self.known -= u32::from(!gone.is_nan());
            self.yes -= u32::from(is_true(*gone));
            self.enter(*now);
            for (column, (f, min)) in self.outputs.iter().enumerate() {
                let enough = self.known >= *min;
                out[column * rows.n + i] = match f {
                    CountOf::Any if self.yes > 0 => TRUE,
                    CountOf::All if self.yes < self.known => FALSE,
                    CountOf::Count if enough => f64::from(self.yes),
                    CountOf::Any if enough => FALSE,
                    CountOf::All if enough => TRUE,
                    _ => f64::NAN,
                };
            }
        }
    }

    /// From the rows before the chunk.
    pub fn rebuild(&mut self, _next: i64, [c, ..]: &[View<'_>; 4]) {
        (self.known, self.yes) = (0, 0);
        for c in c.past(self.window as usize) {
            self.enter(*c);
        }
    }
}
