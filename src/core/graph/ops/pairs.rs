//! Co-moments of two series over aligned blocks ([`super::blocks`]): `corr`, `cov` and `beta`.
//!
//! They merge as the moments of one series do ([`super::moments`]); only rows where both are known count.

use std::sync::Arc;

use super::blocks::{Aggregate, Blocks};
use super::kernel::Kernel;
use super::moments::beyond_rounding;
use super::{Rows, View};
use crate::graph::Rolling2;
use crate::graph::sheet::{Needs, Over, Share, Sheet, Work};
use crate::graph::table::{Class, MIN, Operator, Param, WINDOW, X, Y};

const TWO: &[Param] = &[X, Y, WINDOW, MIN];

pub(in crate::graph) const OPERATORS: &[Operator] = &[
    Operator::window(
        "corr",
        TWO,
        "corr(close, volume, window=12, min=6)",
        |at, b| at.roll2(b, Rolling2::Corr),
        |say| say.over_pair("correlation"),
    ),
    Operator::window(
        "cov",
        TWO,
        "cov(close, volume, window=12, min=6)",
        |at, b| at.roll2(b, Rolling2::Cov),
        |say| say.over_pair("covariance"),
    ),
    Operator::window(
        "beta",
        TWO,
        "beta(close, volume, window=12, min=6)",
        |at, b| at.roll2(b, Rolling2::Beta),
        |say| format!("the slope of {} on {} over {}", say.word("x"), say.word("y"), say.rows("window")),
    ),
];

/// The sheet of `corr`, `cov` and `beta`.
pub(in crate::graph) fn sheet(name: &str, f: Rolling2, over: Over) -> Sheet {
    let work = Work::shared(Share("pairs", over.window as usize), move || {
        let mut stats = PairStats::new(over.window);
        stats.add_output(f, over.min);
        Kernel::Pairs(Box::new(stats))
    });
    Sheet {
        text: over.text(name),
        class: Class::Window,
        reach: over.reach(),
        cost: over.blocks(),
        needs: Needs::All,
        unknown: over.unknown(),
        work,
    }
}

/// Count, means, squared deviations and their product over rows where both are known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comoments {
    n: f64,
    mean_x: f64,
    mean_y: f64,
    m2_x: f64,
    m2_y: f64,
    c_xy: f64,
}

impl Aggregate for Comoments {
    type Row = (f64, f64);
    const EMPTY: Self = Self { n: 0.0, mean_x: 0.0, mean_y: 0.0, m2_x: 0.0, m2_y: 0.0, c_xy: 0.0 };

    fn known(&self) -> f64 {
        self.n
    }

    #[inline]
    fn push(self, (x, y): (f64, f64)) -> Self {
        if x.is_nan() || y.is_nan() {
            self
        } else {
            self.merge(&Self { n: 1.0, mean_x: x, mean_y: y, ..Self::EMPTY })
        }
    }

    #[inline]
    fn merge(self, b: &Self) -> Self {
        if b.n == 0.0 {
            return self;
        }
        if self.n == 0.0 {
            return *b;
        }
        let n = self.n + b.n;
        let share = b.n / n;
        let weight = self.n * share;
        let (dx, dy) = (b.mean_x - self.mean_x, b.mean_y - self.mean_y);
        Self {
            n,
            mean_x: self.mean_x + dx * share,
            mean_y: self.mean_y + dy * share,
            m2_x: self.m2_x + b.m2_x + dx * dx * weight,
            m2_y: self.m2_y + b.m2_y + dy * dy * weight,
            c_xy: self.c_xy + b.c_xy + dx * dy * weight,
        }
    }
}

/// Statistics of a pair of series that share a window.
#[derive(Clone, Debug)]
pub struct PairStats {
    window: u32,
    blocks: Blocks<Comoments>,
    outputs: Arc<Vec<(Rolling2, f64)>>,
}

impl PairStats {
    /// Reads what the next row will need, and nothing more.
    #[inline(always)]
    #[must_use]
    pub fn touch(&self) -> u64 {
        self.blocks.touch()
    }

    /// No outputs yet.
    #[must_use]
    pub fn new(window: u32) -> Self {
        Self { window, blocks: Blocks::new(window), outputs: Arc::default() }
    }

    /// One more output column.
    pub fn add_output(&mut self, f: Rolling2, min: u32) {
        Arc::make_mut(&mut self.outputs).push((f, f64::from(min.max(2))));
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

    /// Evaluates the chunk into consecutive output columns.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let [x, y, ..] = rows.inputs;
        let outputs = &self.outputs;
        self.blocks.run(
            rows.first,
            rows.n,
            |i, back| (x.get(i, back), y.get(i, back)),
            |i, a| {
                for (column, (f, min)) in outputs.iter().enumerate() {
                    out[column * rows.n + i] = if a.n >= *min { pair_statistic(*f, a) } else { f64::NAN };
                }
            },
        );
    }

    /// From the rows before the chunk that starts at `next`.
    pub fn rebuild(&mut self, next: i64, [x, y, ..]: &[View<'_>; 4]) {
        let (x, y) = (x.past(self.window as usize), y.past(self.window as usize));
        self.blocks.rebuild(next, |k| (x[k], y[k]));
    }
}

#[inline]
fn pair_statistic(f: Rolling2, a: &Comoments) -> f64 {
    let m2_x = beyond_rounding(a.m2_x, a.n, a.mean_x);
    let m2_y = beyond_rounding(a.m2_y, a.n, a.mean_y);
    match f {
        Rolling2::Cov => a.c_xy / (a.n - 1.0),
        Rolling2::Beta if m2_y > 0.0 => a.c_xy / m2_y,
        Rolling2::Corr if m2_x > 0.0 && m2_y > 0.0 => (a.c_xy / (m2_x.sqrt() * m2_y.sqrt())).clamp(-1.0, 1.0),
        Rolling2::Beta | Rolling2::Corr => f64::NAN,
    }
}
