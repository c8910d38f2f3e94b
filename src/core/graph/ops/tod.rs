//! `tod_mean`: the mean of the same time of day on earlier days.

use std::collections::VecDeque;

use super::kernel::Kernel;
use super::{Rows, View};
use crate::graph::sheet::{Needs, Reach, Sheet, Unknown, Work};
use crate::graph::table::{Class, Kind, Operator, Param, X};
use crate::graph::{Op, Type};
use crate::market::BARS_PER_DAY;

/// Half a day: from here on a row would read its own day.
const HALF_DAY: u32 = BARS_PER_DAY as u32 / 2;

pub(in crate::graph) const OPERATORS: &[Operator] = &[Operator {
    name: "tod_mean",
    class: Class::Window,
    takes_clock: false,
    example: "tod_mean(volume, days=2, half=3, min=5)",
    params: &[
        X,
        Param::of("days", Kind::Int(1)),
        Param::of("half", Kind::Int(0)),
        Param::of("min", Kind::Int(1)),
    ],
    lower: |at, b| {
        let (days, half, min) = (b.whole("days")?, b.whole("half")?, b.whole("min")?);
        if half >= HALF_DAY {
            let message = format!("'half' of `tod_mean` is below {HALF_DAY}: rows of today are never read");
            return at.refuse(b, message, "half an hour to each side is 6 rows");
        }
        at.fits(b, min, days.saturating_mul(2 * half + 1), "days times (2 half + 1)")?;
        at.node_of(b, Op::TodMean { days, half, min }, Type::Num)
    },
    words: |say| format!("the mean of {} at this time of day over {} days", say.word("x"), say.word("days")),
}];

/// The sheet of `tod_mean`.
pub(in crate::graph) fn sheet(days: u32, half: u32, min: u32) -> Sheet {
    let day = BARS_PER_DAY as u64;
    let a_day_holds = 2 * u64::from(half) + 1;
    Sheet {
        text: format!("tod_mean(days={days}, half={half}, min={min})"),
        class: Class::Window,
        reach: Reach {
            full: day * u64::from(days) + u64::from(half),
            least: day * u64::from(min).div_ceil(a_day_holds) + u64::from(half),
        },
        cost: f64::from(days * (2 * half + 1)),
        needs: Needs::All,
        unknown: Unknown::TooFew,
        work: Work::alone(move || Kernel::TodMean(Box::new(TodMean::new(days, half, min)))),
    }
}

/// Rows evaluated at once when they come one by one: fewer than lie between a row and the nearest that it
/// reads.
const AHEAD: usize = 8;

/// The mean of the known x at rows `t - 288 d + j`, `d = 1..=days` outer, `j = -half..=half` inner, both
/// ascending.
#[derive(Clone, Debug)]
pub struct TodMean {
    days: u32,
    half: u32,
    min: f64,
    /// Per row of the chunk: sum and count so far.
    acc: Vec<(f64, f64)>,
    /// Results of rows to come.
    ahead: VecDeque<f64>,
}

impl TodMean {
    /// Reads what the next row will need, and nothing more.
    #[inline(always)]
    #[must_use]
    pub fn touch(&self) -> u64 {
        self.ahead.front().map_or(0, |x| x.to_bits())
    }

    /// `half < 144`.
    #[must_use]
    pub fn new(days: u32, half: u32, min: u32) -> Self {
        Self { days, half, min: f64::from(min), acc: Vec::new(), ahead: VecDeque::new() }
    }

    /// Rows of history it reads.
    #[must_use]
    pub const fn look_back(&self) -> usize {
        BARS_PER_DAY as usize * self.days as usize + self.half as usize
    }

    /// Evaluates the chunk. What a row needs lies in earlier days: rows that come one by one are evaluated
    /// some at once, before they come.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let x: View<'_> = rows.inputs[0];
        if let [o] = out {
            if self.ahead.is_empty() {
                let mut ahead = [0.0; AHEAD];
                self.evaluate(x, &mut ahead);
                self.ahead.extend(ahead);
            }
            *o = self.ahead.pop_front().unwrap_or(f64::NAN);
        } else {
            self.ahead.clear();
            self.evaluate(x, out);
        }
    }

    /// The rows from the chunk's first on: days and offsets outside, rows inside, so that neighbouring rows
    /// run side by side while each row still adds in the one defined order. Adding 0 for an unknown row
    /// changes no bit.
    fn evaluate(&mut self, x: View<'_>, out: &mut [f64]) {
        self.acc.clear();
        self.acc.resize(out.len(), (0.0, 0.0));
        for day in 1..=self.days as usize {
            let centre = BARS_PER_DAY as usize * day;
            for back in (centre - self.half as usize..=centre + self.half as usize).rev() {
                for ((sum, n), v) in self.acc.iter_mut().zip(x.span(0, back, out.len())) {
                    let known = !v.is_nan();
                    *sum += if known { *v } else { 0.0 };
                    *n += if known { 1.0 } else { 0.0 };
                }
            }
        }
        for (o, (sum, n)) in out.iter_mut().zip(&self.acc) {
            *o = if *n >= self.min { sum / n } else { f64::NAN };
        }
    }

    /// Whatever was evaluated before its row came is evaluated again.
    pub fn rebuild(&mut self, _next: i64, _inputs: &[View<'_>; 4]) {
        self.ahead.clear();
    }
}
