//! Class W with a fixed look-back and nothing kept: lags, differences and edges.

use super::pointwise::{and, known2};
use super::{FALSE, Rows, TRUE, View, is_false, is_true};

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
    /// Rows of history it reads.
    #[must_use]
    pub const fn look_back(self) -> usize {
        match self {
            Self::Lag(k) | Self::Diff(k) | Self::PctChange(k) => k as usize,
            _ => 1,
        }
    }

    /// Evaluates the chunk.
    pub fn run(self, rows: &Rows<'_>, out: &mut [f64]) {
        let [x, y, ..] = rows.inputs;
        match self {
            Self::Lag(k) => out.copy_from_slice(x.lagged(k as usize)),
            Self::Diff(k) => against(x, k, out, |now, then| now - then),
            Self::PctChange(k) => against(x, k, out, |now, then| now / then - 1.0),
            Self::Rising => against(x, 1, out, |now, then| edge(is_true(now) && is_false(then), now, then)),
            Self::Falling => against(x, 1, out, |now, then| edge(is_false(now) && is_true(then), now, then)),
            Self::CrossesAbove => crossing(x, y, out),
            Self::CrossesBelow => crossing(y, x, out),
        }
    }
}

fn against(x: View<'_>, k: u32, out: &mut [f64], f: impl Fn(f64, f64) -> f64) {
    for ((o, now), then) in out.iter_mut().zip(x.rows()).zip(x.lagged(k as usize)) {
        *o = f(*now, *then);
    }
}

fn edge(verdict: bool, now: f64, then: f64) -> f64 {
    known2(now, then, verdict)
}

/// `up > down` now, and `up <= down` one row before.
fn crossing(up: View<'_>, down: View<'_>, out: &mut [f64]) {
    for (i, o) in out.iter_mut().enumerate() {
        let (a, b) = (up.get(i, 0), down.get(i, 0));
        let (a1, b1) = (up.get(i, 1), down.get(i, 1));
        *o = and(known2(a, b, a > b), known2(a1, b1, a1 <= b1));
    }
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

    fn step(&mut self, x: f64) -> f64 {
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

    fn step(&mut self, c: f64) -> f64 {
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
