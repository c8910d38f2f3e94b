//! Sums and moments over aligned blocks ([`super::blocks`]).
//!
//! Moments merge by Chan, Golub & LeVeque (1979) in the form of Pébay (SAND2008-6212), third moment included.

use std::sync::Arc;

use super::blocks::{Aggregate, Blocks};
use super::kernel::Kernel;
use super::{Rows, View};
use crate::graph::sheet::{Needs, Over, Share, Sheet, Unknown, Work};
use crate::graph::table::{Class, MIN, Operator, Param, WINDOW, X};
use crate::graph::{Rolling, Type};

const ONE: &[Param] = &[X, WINDOW, MIN];

pub(in crate::graph) const OPERATORS: &[Operator] = &[
    Operator::window(
        "sum",
        ONE,
        "sum(volume, window=12, min=6)",
        |at, b| at.roll(b, Rolling::Sum, Type::Num),
        |say| say.over("sum"),
    ),
    Operator::window(
        "mean",
        ONE,
        "mean(close, window=12, min=6)",
        |at, b| at.roll(b, Rolling::Mean, Type::Num),
        |say| say.over("mean"),
    ),
    Operator::window(
        "std",
        ONE,
        "std(close, window=12, min=6)",
        |at, b| at.roll(b, Rolling::Std, Type::Num),
        |say| say.over("standard deviation"),
    ),
    Operator::window(
        "var",
        ONE,
        "var(close, window=12, min=6)",
        |at, b| at.roll(b, Rolling::Var, Type::Num),
        |say| say.over("variance"),
    ),
    Operator::window(
        "z",
        ONE,
        "z(close, window=12, min=6)",
        |at, b| at.roll(b, Rolling::Z, Type::Num),
        |say| format!("the z-score of {} within {}", say.word("x"), say.rows("window")),
    ),
    Operator::window(
        "skew",
        ONE,
        "skew(close, window=12, min=6)",
        |at, b| at.roll(b, Rolling::Skew, Type::Num),
        |say| say.over("skewness"),
    ),
];

fn sheet(text: String, over: Over, unknown: Unknown, work: Work) -> Sheet {
    Sheet {
        text,
        class: Class::Window,
        reach: over.reach(),
        cost: over.blocks(),
        needs: Needs::All,
        unknown,
        work,
    }
}

/// Statistics of one series, with `f` as the one output.
fn one<A: Statistic>(over: Over, f: Rolling) -> Box<Stats<A>> {
    let mut stats = Stats::new(over.window);
    stats.add_output(f, over.min);
    Box::new(stats)
}

/// The sheet of `sum` and `mean`.
pub(in crate::graph) fn sums(name: &str, f: Rolling, over: Over) -> Sheet {
    let work = Work::shared(Share("sums", over.window as usize), move || Kernel::Sums(one(over, f)));
    sheet(over.text(name), over, over.unknown(), work)
}

/// The sheet of `std`, `var` and `z`.
pub(in crate::graph) fn spread(name: &str, f: Rolling, over: Over) -> Sheet {
    let work = Work::shared(Share("moments", over.window as usize), move || Kernel::Moments(one(over, f)));
    let unknown = if f == Rolling::Z { over.unknown_with_own_row() } else { over.unknown() };
    sheet(over.text(name), over, unknown, work)
}

/// The sheet of `skew`.
pub(in crate::graph) fn skew(over: Over) -> Sheet {
    let work =
        Work::shared(Share("skew", over.window as usize), move || Kernel::Skew(one(over, Rolling::Skew)));
    sheet(over.text("skew"), over, over.unknown(), work)
}

/// Count and sum of known rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum {
    n: f64,
    sum: f64,
}

impl Aggregate for Sum {
    type Row = f64;
    const EMPTY: Self = Self { n: 0.0, sum: 0.0 };

    fn known(&self) -> f64 {
        self.n
    }

    #[inline]
    fn push(self, x: f64) -> Self {
        if x.is_nan() { self } else { Self { n: self.n + 1.0, sum: self.sum + x } }
    }

    #[inline]
    fn merge(self, b: &Self) -> Self {
        Self { n: self.n + b.n, sum: self.sum + b.sum }
    }
}

/// Count, mean and sum of squared deviations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    n: f64,
    mean: f64,
    m2: f64,
}

impl Aggregate for Moments {
    type Row = f64;
    const EMPTY: Self = Self { n: 0.0, mean: 0.0, m2: 0.0 };

    fn known(&self) -> f64 {
        self.n
    }

    #[inline]
    fn push(self, x: f64) -> Self {
        if x.is_nan() { self } else { self.merge(&Self { n: 1.0, mean: x, m2: 0.0 }) }
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
        let d = b.mean - self.mean;
        Self { n, mean: self.mean + d * share, m2: self.m2 + b.m2 + d * d * (self.n * share) }
    }
}

/// Count, mean, and sums of squared and cubed deviations.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments3 {
    n: f64,
    mean: f64,
    m2: f64,
    m3: f64,
}

impl Aggregate for Moments3 {
    type Row = f64;
    const EMPTY: Self = Self { n: 0.0, mean: 0.0, m2: 0.0, m3: 0.0 };

    fn known(&self) -> f64 {
        self.n
    }

    #[inline]
    fn push(self, x: f64) -> Self {
        if x.is_nan() { self } else { self.merge(&Self { n: 1.0, mean: x, m2: 0.0, m3: 0.0 }) }
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
        let (old, new) = (self.n / n, b.n / n);
        let d = b.mean - self.mean;
        let spread = d * d * (self.n * new);
        Self {
            n,
            mean: self.mean + d * new,
            m2: self.m2 + b.m2 + spread,
            m3: self.m3 + b.m3 + spread * d * (old - new) + 3.0 * d * (old * b.m2 - new * self.m2),
        }
    }
}

/// A spread below this share of the mean is rounding: what varies by an ulp is constant. A price of 100 000
/// that moves by one tick of 0.1 once in a week is four orders of magnitude above it.
const ROUNDING: f64 = 1e-10;

/// The sum of squared deviations of `n` values, 0 where it is rounding.
#[inline]
pub(super) fn beyond_rounding(m2: f64, n: f64, mean: f64) -> f64 {
    if m2 > ROUNDING * ROUNDING * n * mean * mean { m2 } else { 0.0 }
}

/// Statistics of one series that share a window.
#[derive(Clone, Debug)]
pub struct Stats<A> {
    window: u32,
    blocks: Blocks<A>,
    outputs: Arc<Vec<(Rolling, f64)>>,
}

/// What a statistic is, given the aggregate.
pub trait Statistic: Aggregate<Row = f64> {
    /// The statistic; `x` is the newest row.
    fn statistic(&self, f: Rolling, x: f64) -> f64;
}

impl Statistic for Sum {
    #[inline]
    fn statistic(&self, f: Rolling, _: f64) -> f64 {
        if f == Rolling::Mean { self.sum / self.n } else { self.sum }
    }
}

impl Statistic for Moments {
    #[inline]
    fn statistic(&self, f: Rolling, x: f64) -> f64 {
        if self.n < 2.0 {
            return f64::NAN;
        }
        let var = beyond_rounding(self.m2, self.n, self.mean) / (self.n - 1.0);
        match f {
            Rolling::Var => var,
            Rolling::Std => var.sqrt(),
            // A spread of 0 divides to an infinity or 0/0: unknown either way.
            _ => (x - self.mean) / var.sqrt(),
        }
    }
}

impl Statistic for Moments3 {
    /// Adjusted Fisher-Pearson coefficient: n / ((n-1)(n-2)) * sum(((x - mean) / s)^3).
    #[inline]
    fn statistic(&self, _: Rolling, _: f64) -> f64 {
        let n = self.n;
        if n < 3.0 || beyond_rounding(self.m2, n, self.mean) <= 0.0 {
            return f64::NAN;
        }
        let var = self.m2 / (n - 1.0);
        n / ((n - 1.0) * (n - 2.0)) * (self.m3 / (var * var.sqrt()))
    }
}

impl<A: Statistic> Stats<A> {
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
    pub fn add_output(&mut self, f: Rolling, min: u32) {
        Arc::make_mut(&mut self.outputs).push((f, f64::from(min)));
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
        let x = rows.inputs[0];
        let outputs = &self.outputs;
        self.blocks.run(
            rows.first,
            rows.n,
            |i, back| x.get(i, back),
            |i, a| {
                for (column, (f, min)) in outputs.iter().enumerate() {
                    let known = a.known() >= *min;
                    out[column * rows.n + i] = if known { a.statistic(*f, x.get(i, 0)) } else { f64::NAN };
                }
            },
        );
    }

    /// From the rows before the chunk that starts at `next`.
    pub fn rebuild(&mut self, next: i64, [x, ..]: &[View<'_>; 4]) {
        let past = x.past(self.window as usize);
        self.blocks.rebuild(next, |k| past[k]);
    }
}
