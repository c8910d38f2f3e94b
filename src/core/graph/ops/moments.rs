//! Sums, moments and co-moments over aligned blocks ([`super::blocks`]).
//!
//! Moments merge by Chan, Golub & LeVeque (1979) in the form of Pébay (SAND2008-6212), third moment included.

use std::sync::Arc;

use super::blocks::{Aggregate, Blocks};
use super::{Rows, View};
use crate::graph::{Rolling, Rolling2};

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
        let var = self.m2 / (self.n - 1.0);
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
        if n < 3.0 || self.m2 <= 0.0 {
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
    pub fn rebuild(&mut self, next: i64, x: View<'_>) {
        let past = x.past(self.window as usize);
        self.blocks.rebuild(next, |k| past[k]);
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
    pub fn rebuild(&mut self, next: i64, x: View<'_>, y: View<'_>) {
        let (x, y) = (x.past(self.window as usize), y.past(self.window as usize));
        self.blocks.rebuild(next, |k| (x[k], y[k]));
    }
}

#[inline]
fn pair_statistic(f: Rolling2, a: &Comoments) -> f64 {
    match f {
        Rolling2::Cov => a.c_xy / (a.n - 1.0),
        Rolling2::Beta if a.m2_y > 0.0 => a.c_xy / a.m2_y,
        Rolling2::Corr if a.m2_x > 0.0 && a.m2_y > 0.0 => {
            (a.c_xy / (a.m2_x.sqrt() * a.m2_y.sqrt())).clamp(-1.0, 1.0)
        }
        Rolling2::Beta | Rolling2::Corr => f64::NAN,
    }
}
