//! Class W with a fixed look-back and nothing kept: lags, differences and edges.

use super::pointwise::{and, known2};
use super::{FALSE, Rows, TRUE, View, is_false, is_true};
use crate::graph::Op;

/// An operator that reads fixed earlier rows.
#[allow(missing_docs, reason = "the names are those of `Op`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    Lag(u32),
    Diff(u32),
    PctChange(u32),
    Rising,
    Falling,
    CrossesAbove,
    CrossesBelow,
}

impl Shift {
    /// `None` for every other operator.
    #[must_use]
    pub const fn of(op: &Op) -> Option<Self> {
        Some(match op {
            Op::Lag { k } => Self::Lag(*k),
            Op::Diff { k } => Self::Diff(*k),
            Op::PctChange { k } => Self::PctChange(*k),
            Op::Rising => Self::Rising,
            Op::Falling => Self::Falling,
            Op::CrossesAbove => Self::CrossesAbove,
            Op::CrossesBelow => Self::CrossesBelow,
            _ => return None,
        })
    }

    /// Rows of history it reads.
    #[must_use]
    pub const fn look_back(self) -> usize {
        match self {
            Self::Lag(k) | Self::Diff(k) | Self::PctChange(k) => k as usize,
            _ => 1,
        }
    }

    /// The value of a row: both operands on it and on the earlier row. One-operand forms do not look at `y`.
    #[must_use]
    #[inline(always)]
    pub fn of_row(self, x: f64, x_then: f64, y: f64, y_then: f64) -> f64 {
        match self {
            Self::Lag(_) => x_then,
            Self::Diff(_) => x - x_then,
            Self::PctChange(_) => x / x_then - 1.0,
            Self::Rising => known2(x, x_then, is_true(x) && is_false(x_then)),
            Self::Falling => known2(x, x_then, is_false(x) && is_true(x_then)),
            Self::CrossesAbove => crossing((x, x_then), (y, y_then)),
            Self::CrossesBelow => crossing((y, y_then), (x, x_then)),
        }
    }

    /// Evaluates the chunk.
    pub fn run(self, rows: &Rows<'_>, out: &mut [f64]) {
        let [x, y, ..] = rows.inputs;
        match self {
            Self::Lag(k) => out.copy_from_slice(x.lagged(k as usize)),
            Self::Diff(k) => against(x, k, out, |now, then| Self::Diff(k).of_row(now, then, now, then)),
            Self::PctChange(k) => {
                against(x, k, out, |now, then| Self::PctChange(k).of_row(now, then, now, then));
            }
            Self::Rising | Self::Falling => against(x, 1, out, |now, then| self.of_row(now, then, now, then)),
            Self::CrossesAbove | Self::CrossesBelow => {
                for (i, o) in out.iter_mut().enumerate() {
                    *o = self.of_row(x.get(i, 0), x.get(i, 1), y.get(i, 0), y.get(i, 1));
                }
            }
        }
    }
}

fn against(x: View<'_>, k: u32, out: &mut [f64], f: impl Fn(f64, f64) -> f64) {
    for ((o, now), then) in out.iter_mut().zip(x.rows()).zip(x.lagged(k as usize)) {
        *o = f(*now, *then);
    }
}

/// `up > down` now, and `up <= down` one row before.
fn crossing((up, up_then): (f64, f64), (down, down_then): (f64, f64)) -> f64 {
    and(known2(up, down, up > down), known2(up_then, down_then, up_then <= down_then))
}

/// `ffill(x, max)`: the last known value, at most `max` rows old.
#[derive(Clone, Debug)]
pub struct Ffill {
    max: u32,
    /// Last known value and its age on the last row seen; an age above `max` is as good as none.
    last: f64,
    age: u32,
}

impl Ffill {
    /// Nothing known yet.
    #[must_use]
    pub const fn new(max: u32) -> Self {
        Self { max, last: f64::NAN, age: u32::MAX }
    }

    /// The next row.
    pub fn step(&mut self, x: f64) -> f64 {
        if x.is_nan() {
            self.age = self.age.saturating_add(1);
        } else {
            self.last = x;
            self.age = 0;
        }
        if self.age <= self.max { self.last } else { f64::NAN }
    }

    /// Evaluates the chunk.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        for (o, x) in out.iter_mut().zip(rows.inputs[0].rows()) {
            *o = self.step(*x);
        }
    }

    /// From the rows before the chunk.
    pub fn rebuild(&mut self, x: View<'_>) {
        *self = Self::new(self.max);
        for x in x.past(self.max as usize) {
            self.step(*x);
        }
    }
}

/// `held(c, n)`: the last `n` rows all known true.
#[derive(Clone, Debug)]
pub struct Held {
    n: u32,
    /// Rows since the last known false, 0 = this row; saturating.
    since_false: u32,
    /// Length of the run of known true rows that ends here; saturating.
    run: u32,
}

impl Held {
    /// No rows seen: all of them unknown.
    #[must_use]
    pub const fn new(n: u32) -> Self {
        Self { n, since_false: u32::MAX, run: 0 }
    }

    /// The next row.
    pub fn step(&mut self, c: f64) -> f64 {
        self.since_false = if is_false(c) { 0 } else { self.since_false.saturating_add(1) };
        self.run = if is_true(c) { self.run.saturating_add(1) } else { 0 };
        if self.run >= self.n {
            TRUE
        } else if self.since_false < self.n {
            FALSE
        } else {
            f64::NAN
        }
    }

    /// Evaluates the chunk.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        for (o, c) in out.iter_mut().zip(rows.inputs[0].rows()) {
            *o = self.step(*c);
        }
    }

    /// From the rows before the chunk.
    pub fn rebuild(&mut self, c: View<'_>) {
        *self = Self::new(self.n);
        for c in c.past(self.n as usize) {
            self.step(*c);
        }
    }
}
