//! Rolling minimum, maximum and their ages: a monotone queue.

use std::collections::VecDeque;
use std::sync::Arc;

use super::kernel::Kernel;
use super::{Rows, View};
use crate::graph::sheet::{Needs, Over, Reach, Share, Sheet, Unknown, Work};
use crate::graph::table::{Class, MIN, Operator, Param, WINDOW, X};
use crate::graph::{Op, Rolling, Type};

const VALUE: &[Param] = &[X, WINDOW, MIN];
const AGE: &[Param] = &[X, WINDOW];

pub(in crate::graph) const OPERATORS: &[Operator] = &[
    Operator::window(
        "min",
        VALUE,
        "min(low, window=12, min=6)",
        |at, b| at.roll(b, Rolling::Min, Type::Num),
        |say| say.over("lowest"),
    ),
    Operator::window(
        "max",
        VALUE,
        "max(high, window=12, min=6)",
        |at, b| at.roll(b, Rolling::Max, Type::Num),
        |say| say.over("highest"),
    ),
    Operator::window(
        "age_max",
        AGE,
        "age_max(high, window=12)",
        |at, b| {
            let window = b.whole("window")?;
            at.node_of(b, Op::Roll { f: Rolling::AgeMax, window, min: window }, Type::Num)
        },
        |say| format!("the rows since the highest {} of {}", say.word("x"), say.rows("window")),
    ),
    Operator::window(
        "age_min",
        AGE,
        "age_min(low, window=12)",
        |at, b| {
            let window = b.whole("window")?;
            at.node_of(b, Op::Roll { f: Rolling::AgeMin, window, min: window }, Type::Num)
        },
        |say| format!("the rows since the lowest {} of {}", say.word("x"), say.rows("window")),
    ),
];

/// The sheet of `min` over a window.
pub(in crate::graph) fn lowest(over: Over) -> Sheet {
    value("min", over, false)
}

/// The sheet of `max` over a window.
pub(in crate::graph) fn highest(over: Over) -> Sheet {
    value("max", over, true)
}

/// The sheet of `age_min`.
pub(in crate::graph) fn age_of_lowest(window: u32) -> Sheet {
    age("age_min", window, false)
}

/// The sheet of `age_max`.
pub(in crate::graph) fn age_of_highest(window: u32) -> Sheet {
    age("age_max", window, true)
}

fn value(name: &str, over: Over, is_maximum: bool) -> Sheet {
    sheet(
        over.text(name),
        over,
        (over.reach(), over.blocks()),
        is_maximum,
        ExtremeOf::Value { min: over.min },
    )
}

fn age(name: &str, window: u32, is_maximum: bool) -> Sheet {
    let over = Over { window, min: window };
    let text = format!("{name}(window={window})");
    sheet(text, over, (Reach::exactly(window - 1), 1.0), is_maximum, ExtremeOf::Age)
}

fn sheet(
    text: String,
    over: Over,
    (reach, cost): (Reach, f64),
    is_maximum: bool,
    output: ExtremeOf,
) -> Sheet {
    let share = Share(if is_maximum { "maximum" } else { "minimum" }, over.window as usize);
    let work = Work::shared(share, move || {
        let mut extremes = Extremes::new(over.window, is_maximum);
        extremes.add_output(output);
        Kernel::Extremes(Box::new(extremes))
    });
    let unknown: Unknown = over.unknown();
    Sheet { text, class: Class::Window, reach, cost, needs: Needs::All, unknown, work }
}

/// What an output column reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtremeOf {
    /// The extreme; unknown with fewer known rows than this.
    Value {
        /// Least number of known rows.
        min: u32,
    },
    /// Rows since the extreme (ties: the most recent); unknown unless the first row of the window is known,
    /// so that a series that begins late needs its whole window as history does.
    Age,
}

/// One direction of extreme over one window.
#[derive(Clone, Debug)]
pub struct Extremes {
    window: u32,
    /// 1 looks for the maximum, -1 for the minimum.
    sign: f64,
    /// Rows that may still become the extreme: (row, sign * value), values strictly falling.
    queue: VecDeque<(i64, f64)>,
    known: u32,
    outputs: Arc<Vec<ExtremeOf>>,
}

impl Extremes {
    /// Reads what the next row will need, and nothing more.
    #[inline(always)]
    #[must_use]
    pub fn touch(&self) -> u64 {
        u64::from(self.known) ^ self.queue.back().map_or(0, |q| q.0 as u64)
    }

    /// No rows seen, no outputs yet.
    #[must_use]
    pub fn new(window: u32, maximum: bool) -> Self {
        let sign = if maximum { 1.0 } else { -1.0 };
        Self { window, sign, queue: VecDeque::new(), known: 0, outputs: Arc::default() }
    }

    /// One more output column.
    pub fn add_output(&mut self, output: ExtremeOf) {
        Arc::make_mut(&mut self.outputs).push(output);
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

    fn push(&mut self, row: i64, x: f64) {
        if !x.is_nan() {
            let x = self.sign * x;
            while self.queue.back().is_some_and(|(_, v)| *v <= x) {
                self.queue.pop_back();
            }
            self.queue.push_back((row, x));
            self.known += 1;
        }
        if self.queue.front().is_some_and(|(r, _)| *r <= row - i64::from(self.window)) {
            self.queue.pop_front();
        }
    }

    /// Evaluates the chunk into consecutive output columns.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let x = rows.inputs[0];
        let leaving = x.lagged(self.window as usize);
        let oldest = x.lagged(self.window as usize - 1);
        for (i, ((now, gone), oldest)) in x.rows().iter().zip(leaving).zip(oldest).enumerate() {
            let row = rows.first + i as i64;
            if !gone.is_nan() {
                self.known -= 1;
            }
            self.push(row, *now);
            let full = !oldest.is_nan();
            for (column, output) in self.outputs.iter().enumerate() {
                out[column * rows.n + i] = match (output, self.queue.front()) {
                    (ExtremeOf::Value { min }, Some((_, v))) if self.known >= *min => self.sign * v,
                    (ExtremeOf::Age, Some((at, _))) if full => (row - at) as f64,
                    _ => f64::NAN,
                };
            }
        }
    }

    /// From the rows before the chunk that starts at `next`.
    pub fn rebuild(&mut self, next: i64, [x, ..]: &[View<'_>; 4]) {
        self.queue.clear();
        self.known = 0;
        let past = x.past(self.window as usize);
        let start = next - past.len() as i64;
        for (k, x) in past.iter().enumerate() {
            self.push(start + k as i64, *x);
        }
    }
}
