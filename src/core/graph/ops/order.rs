//! Rolling order statistics: exact quantiles and mid-ranks of the window.
//!
//! One structure per series and window serves them all: where a rank is asked for, the window's multiset;
//! where only quantiles are, what lies around each of them.

use std::sync::Arc;

use super::kernel::Kernel;
use super::quantile::{Quantile, position};
use super::sorted::Sorted;
use super::{Rows, View};
use crate::graph::sheet::{Needs, Over, Share, Sheet, Unknown, Work};
use crate::graph::table::{Class, Kind, MIN, Operator, Param, WINDOW, X};
use crate::graph::{Literal, Rolling, Type};

pub(in crate::graph) const OPERATORS: &[Operator] = &[
    Operator::window(
        "median",
        &[X, WINDOW, MIN],
        "median(close, window=12, min=6)",
        |at, b| at.roll(b, Rolling::Quantile(Literal::new(0.5)), Type::Num),
        |say| say.over("median"),
    ),
    Operator::window(
        "quantile",
        &[X, Param::of("q", Kind::Literal), WINDOW, MIN],
        "quantile(volume, q=0.9, window=12, min=6)",
        |at, b| {
            let q = b.literal("q")?;
            if !(0.0..=1.0).contains(&q) {
                let help = format!("a share, not a percentage: 0.95 for 95 %; this one is {q}");
                return at.refuse(b, "'q' of `quantile` lies between 0 and 1", help);
            }
            at.roll(b, Rolling::Quantile(Literal::new(q)), Type::Num)
        },
        |say| format!("the {}-quantile of {} over {}", say.word("q"), say.word("x"), say.rows("window")),
    ),
    Operator::window(
        "pct_rank",
        &[X, WINDOW, MIN],
        "pct_rank(volume, window=12, min=6)",
        |at, b| at.roll(b, Rolling::PctRank, Type::Num),
        |say| format!("the rank of {} within {}", say.word("x"), say.rows("window")),
    ),
];

/// The sheet of `quantile` and `median`.
pub(in crate::graph) fn quantile(q: f64, over: Over) -> Sheet {
    let text = format!("quantile(q={q}, window={}, min={})", over.window, over.min);
    sheet(text, over, over.unknown(), OrderOf::Quantile(q))
}

/// The sheet of `pct_rank`.
pub(in crate::graph) fn pct_rank(over: Over) -> Sheet {
    sheet(over.text("pct_rank"), over, over.unknown_with_own_row(), OrderOf::PctRank)
}

fn sheet(text: String, over: Over, unknown: Unknown, output: OrderOf) -> Sheet {
    Sheet {
        text,
        class: Class::Window,
        reach: over.reach(),
        cost: f64::from(over.window.ilog2() + 1),
        needs: Needs::All,
        unknown,
        work: Work::shared(Share("order", over.window as usize), move || {
            let mut order = OrderStats::new(over.window);
            order.add_output(output, over.min);
            Kernel::Order(Box::new(order))
        }),
    }
}

/// What an output column reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OrderOf {
    /// The q-quantile by linear interpolation at position (n-1)q.
    Quantile(f64),
    /// (less + equal/2) / n of the newest row among the window, itself included.
    PctRank,
}

/// Every order statistic of one series over one window.
#[derive(Clone, Debug)]
pub struct OrderStats {
    window: u32,
    known: u32,
    outputs: Arc<Vec<(OrderOf, usize)>>,
    structure: Structure,
}

#[derive(Clone, Debug)]
enum Structure {
    /// One per output.
    Quantiles(Vec<Quantile>),
    Multiset(Box<Sorted>),
}

impl OrderStats {
    /// Reads what the next row will need, and nothing more.
    #[inline(always)]
    #[must_use]
    pub fn touch(&self) -> u64 {
        match &self.structure {
            Structure::Quantiles(all) => all.iter().fold(u64::from(self.known), |sum, q| sum ^ q.touch()),
            Structure::Multiset(sorted) => sorted.len() as u64,
        }
    }

    /// No rows seen, no outputs yet.
    #[must_use]
    pub fn new(window: u32) -> Self {
        Self { window, known: 0, outputs: Arc::default(), structure: Structure::Quantiles(Vec::new()) }
    }

    /// One more output column, before the first row; unknown with fewer than `min` known rows (at least one).
    pub fn add_output(&mut self, f: OrderOf, min: u32) {
        Arc::make_mut(&mut self.outputs).push((f, min.max(1) as usize));
        match (&mut self.structure, f) {
            (Structure::Quantiles(all), OrderOf::Quantile(q)) => all.push(Quantile::new(q)),
            (structure, OrderOf::PctRank) => *structure = Structure::Multiset(Box::default()),
            (Structure::Multiset(_), OrderOf::Quantile(_)) => {}
        }
    }

    /// The outputs of another kernel over the same window follow its own; before the first row.
    pub fn join(&mut self, other: &Self) {
        for (f, min) in other.outputs.iter() {
            self.add_output(*f, *min as u32);
        }
    }

    /// Rows of history it reads.
    #[must_use]
    pub const fn look_back(&self) -> usize {
        self.window as usize
    }

    /// Evaluates the chunk into consecutive output columns.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let (x, window) = (rows.inputs[0], self.window as usize);
        let moves = || x.rows().iter().copied().zip(x.lagged(window).iter().copied());
        match &mut self.structure {
            Structure::Quantiles(all) => {
                let before = self.known;
                for (column, (quantile, (_, min))) in all.iter_mut().zip(self.outputs.iter()).enumerate() {
                    let out = &mut out[column * rows.n..][..rows.n];
                    self.known = before;
                    for ((i, o), (now, gone)) in out.iter_mut().enumerate().zip(moves()) {
                        // Equal values swap places without a trace; so do two unknowns.
                        if now != gone {
                            if !gone.is_nan() {
                                quantile.leave(gone);
                                self.known -= 1;
                            }
                            if !now.is_nan() {
                                quantile.enter(now);
                                self.known += 1;
                            }
                        }
                        *o = if (self.known as usize) < *min {
                            f64::NAN
                        } else {
                            quantile.of(self.known as usize, x.span(i, window - 1, window))
                        };
                    }
                }
            }
            Structure::Multiset(sorted) => {
                for (i, (now, gone)) in moves().enumerate() {
                    if now != gone {
                        if !gone.is_nan() {
                            sorted.remove(gone);
                        }
                        if !now.is_nan() {
                            sorted.insert(now);
                        }
                    }
                    for (column, (f, min)) in self.outputs.iter().enumerate() {
                        out[column * rows.n + i] = match f {
                            _ if sorted.len() < *min => f64::NAN,
                            OrderOf::Quantile(q) => quantile_of(sorted, *q),
                            OrderOf::PctRank => mid_rank(sorted, now),
                        };
                    }
                }
                self.known = sorted.len() as u32;
            }
        }
    }

    /// From the rows before the chunk.
    pub fn rebuild(&mut self, _next: i64, [x, ..]: &[View<'_>; 4]) {
        let past = x.past(self.window as usize);
        let known = || past.iter().copied().filter(|v| !v.is_nan());
        self.known = known().count() as u32;
        match &mut self.structure {
            Structure::Quantiles(all) => all.iter_mut().for_each(|quantile| quantile.rebuild(past)),
            Structure::Multiset(sorted) => sorted.fill(known().collect()),
        }
    }
}

fn quantile_of(sorted: &Sorted, q: f64) -> f64 {
    let (k, part) = position(sorted.len(), q);
    let (a, b) = sorted.pair(k);
    if part == 0.0 { a } else { a + part * (b - a) }
}

fn mid_rank(sorted: &Sorted, x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let (less, equal) = sorted.rank(x);
    (less as f64 + equal as f64 / 2.0) / sorted.len() as f64
}
