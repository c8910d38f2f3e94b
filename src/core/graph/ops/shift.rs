//! Class W with a fixed look-back and nothing kept: lags, differences and edges.

use super::kernel::Kernel;
use super::pointwise::{and, known2};
use super::{FALSE, Rows, TRUE, View, is_false, is_true};
use crate::graph::sheet::{Needs, Reach, Sheet, Unknown, Work};
use crate::graph::table::{ANY, C, Class, Kind, Operator, Param, X, Y};
use crate::graph::{Op, Type};

const K: Param = Param::of("k", Kind::Int(0));

pub(in crate::graph) const OPERATORS: &[Operator] = &[
    Operator::window(
        "lag",
        &[ANY, K],
        "lag(close, 3)",
        |at, b| match (b.series("x")?, b.whole("k")?) {
            (x, 0) if b.clock.is_none() => Some(x),
            (x, k) => at.node_of(b, Op::Lag { k }, at.ty(x)),
        },
        |say| match say.clock() {
            None => format!("{} {} earlier", say.grouped("x"), say.rows("k")),
            Some(clock) => {
                let k = say.word("k");
                let ticks = if k == "1" { "tick" } else { "ticks" };
                format!("{} {k} {ticks} of {clock} earlier", say.grouped("x"))
            }
        },
    ),
    Operator::window(
        "diff",
        &[X, K],
        "diff(close, 3)",
        |at, b| at.node_of(b, Op::Diff { k: b.whole("k")? }, Type::Num),
        |say| format!("the change of {} over {}", say.word("x"), say.rows("k")),
    ),
    Operator::window(
        "pct_change",
        &[X, K],
        "pct_change(close, 3)",
        |at, b| at.node_of(b, Op::PctChange { k: b.whole("k")? }, Type::Num),
        |say| format!("the relative change of {} over {}", say.word("x"), say.rows("k")),
    ),
    Operator::window(
        "ffill",
        &[X, Param::of("max", Kind::Int(1))],
        "ffill(oi, max=5)",
        |at, b| at.node_of(b, Op::Ffill { max: b.whole("max")? }, Type::Num),
        |say| format!("the last known {}, at most {} old", say.word("x"), say.rows("max")),
    ),
    Operator::window(
        "rising",
        &[C],
        "rising(close > open)",
        |at, b| at.node_of(b, Op::Rising, Type::Bool),
        |say| format!("{} becomes true", say.bracketed("c")),
    ),
    Operator::window(
        "falling",
        &[C],
        "falling(close > open)",
        |at, b| at.node_of(b, Op::Falling, Type::Bool),
        |say| format!("{} stops being true", say.bracketed("c")),
    ),
    Operator::window(
        "held",
        &[C, Param::of("n", Kind::Int(1))],
        "held(close > open, 3)",
        |at, b| at.node_of(b, Op::Held { n: b.whole("n")? }, Type::Bool),
        |say| format!("for {} running {}", say.rows("n"), say.bracketed("c")),
    ),
    Operator::window(
        "crosses_above",
        &[X, Y],
        "crosses_above(close, open)",
        |at, b| at.node_of(b, Op::CrossesAbove, Type::Bool),
        |say| format!("{} crosses above {}", say.word("x"), say.word("y")),
    ),
    Operator::window(
        "crosses_below",
        &[X, Y],
        "crosses_below(close, open)",
        |at, b| at.node_of(b, Op::CrossesBelow, Type::Bool),
        |say| format!("{} crosses below {}", say.word("x"), say.word("y")),
    ),
];

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
    /// The sheet of a node that computes this.
    pub(in crate::graph) fn sheet(self) -> Sheet {
        let (text, unknown) = match self {
            Self::Lag(k) => (format!("lag(k={k})"), Unknown::Earlier(k)),
            Self::Diff(k) => (format!("diff(k={k})"), Unknown::Earlier(k)),
            Self::PctChange(k) => (format!("pct_change(k={k})"), Unknown::Earlier(k)),
            Self::Rising => ("rising".to_owned(), Unknown::RowBefore),
            Self::Falling => ("falling".to_owned(), Unknown::RowBefore),
            Self::CrossesAbove => ("crosses_above".to_owned(), Unknown::RowBefore),
            Self::CrossesBelow => ("crosses_below".to_owned(), Unknown::RowBefore),
        };
        let reach = Reach::exactly(self.rows());
        Sheet {
            text,
            class: Class::Window,
            reach,
            cost: 1.0,
            needs: Needs::All,
            unknown,
            work: Work::Shift(self),
        }
    }

    /// Rows of history it reads.
    #[must_use]
    pub const fn look_back(self) -> usize {
        self.rows() as usize
    }

    const fn rows(self) -> u32 {
        match self {
            Self::Lag(k) | Self::Diff(k) | Self::PctChange(k) => k,
            Self::Rising | Self::Falling | Self::CrossesAbove | Self::CrossesBelow => 1,
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

/// The sheet of `ffill`.
pub(in crate::graph) fn ffill(max: u32) -> Sheet {
    Sheet {
        text: format!("ffill(max={max})"),
        class: Class::Window,
        reach: Reach { full: u64::from(max), least: 0 },
        cost: 1.0,
        needs: Needs::All,
        unknown: Unknown::TooFew,
        work: Work::alone(move || Kernel::Ffill(Ffill::new(max))),
    }
}

/// The sheet of `held`.
pub(in crate::graph) fn held(n: u32) -> Sheet {
    Sheet {
        text: format!("held(n={n})"),
        class: Class::Window,
        reach: Reach::exactly(n - 1),
        cost: 1.0,
        needs: Needs::All,
        unknown: Unknown::TooFew,
        work: Work::alone(move || Kernel::Held(Held::new(n))),
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

    /// Rows of history it reads.
    #[must_use]
    pub const fn look_back(&self) -> usize {
        self.max as usize
    }

    /// A few numbers that its row reads with it.
    #[must_use]
    pub const fn touch(&self) -> u64 {
        0
    }

    /// From the rows before the chunk.
    pub fn rebuild(&mut self, _next: i64, [x, ..]: &[View<'_>; 4]) {
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

    /// Rows of history it reads.
    #[must_use]
    pub const fn look_back(&self) -> usize {
        self.n as usize
    }

    /// A few numbers that its row reads with it.
    #[must_use]
    pub const fn touch(&self) -> u64 {
        0
    }

    /// From the rows before the chunk.
    pub fn rebuild(&mut self, _next: i64, [c, ..]: &[View<'_>; 4]) {
        *self = Self::new(self.n);
        for c in c.past(self.n as usize) {
            self.step(*c);
        }
    }
}
