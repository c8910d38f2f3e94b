//! The closed set of operators that read earlier rows or keep something between chunks.

use crate::graph::ops::bytes::{Malformed, Reader, Writer};
use crate::graph::ops::counts::{CountOf, Counts};
use crate::graph::ops::detect::{Detect, DetectLog, DetectOf};
use crate::graph::ops::extremes::{ExtremeOf, Extremes};
use crate::graph::ops::memory::{At, Episode, Ewm, Latch, Since};
use crate::graph::ops::moments::{Moments, Moments3, PairStats, Stats, Sum};
use crate::graph::ops::order::{OrderOf, OrderStats};
use crate::graph::ops::shift::{Ffill, Held, Shift};
use crate::graph::ops::tod::TodMean;
use crate::graph::ops::vpin::Vpin;
use crate::graph::ops::{Rows, View};
use crate::graph::{Graph, Op, Rolling};
use crate::market::{BAR_MS, BARS_PER_DAY, DAY_MS};

/// A field of the bar's close time, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockField {
    Hour,
    Minute,
    /// Monday = 0.
    Weekday,
}

/// An operator, with the state it needs between chunks: small states side by side, large ones boxed.
#[derive(Clone, Debug)]
pub(super) enum Kernel {
    Clock(ClockField),
    Shift(Shift),
    Ffill(u32, Ffill),
    Held(u32, Held),
    Sums(u32, Box<Stats<Sum>>),
    Moments(u32, Box<Stats<Moments>>),
    Skew(u32, Box<Stats<Moments3>>),
    Pairs(u32, Box<PairStats>),
    Extremes(u32, Box<Extremes>),
    Counts(u32, Box<Counts>),
    Order(u32, Box<OrderStats>),
    TodMean(usize, Box<TodMean>),
    Ewm(Box<Ewm>),
    Since(Since),
    At(At),
    Latch(Latch),
    Episode(Episode),
    Vpin(Box<Vpin>),
    Detect(Detect),
}

/// Nodes with the same key, inputs and clock share one kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Share {
    Sums(u32),
    Moments(u32),
    Skew(u32),
    Pairs(u32),
    Maximum(u32),
    Minimum(u32),
    Counts(u32),
    Order(u32),
    Detect(usize),
}

impl Kernel {
    /// Whether nodes of this operator can share a kernel, and by what.
    pub(super) fn share(op: &Op) -> Option<Share> {
        Some(match op {
            Op::Roll { f, window, .. } => match f {
                Rolling::Sum | Rolling::Mean => Share::Sums(*window),
                Rolling::Std | Rolling::Var | Rolling::Z => Share::Moments(*window),
                Rolling::Skew => Share::Skew(*window),
                Rolling::Max | Rolling::AgeMax => Share::Maximum(*window),
                Rolling::Min | Rolling::AgeMin => Share::Minimum(*window),
                Rolling::Quantile(_) | Rolling::PctRank => Share::Order(*window),
                Rolling::Count | Rolling::Any | Rolling::All => Share::Counts(*window),
            },
            Op::Roll2 { window, .. } => Share::Pairs(*window),
            Op::Detect(event) | Op::Active(event) | Op::EventDir(event) => {
                Share::Detect(usize::from(event.0))
            }
            _ => return None,
        })
    }

    /// The kernel of a node, without outputs; `None` for operators that need none.
    pub(super) fn new(graph: &Graph, op: &Op) -> Option<Self> {
        if let Some(shift) = Shift::of(op) {
            return Some(Self::Shift(shift));
        }
        Some(match op {
            Op::Ffill { max } => Self::Ffill(*max, Ffill::new(*max)),
            Op::Held { n } => Self::Held(*n, Held::new(*n)),
            Op::Roll { f, window: w, .. } => match f {
                Rolling::Sum | Rolling::Mean => Self::Sums(*w, Box::new(Stats::new(*w))),
                Rolling::Std | Rolling::Var | Rolling::Z => Self::Moments(*w, Box::new(Stats::new(*w))),
                Rolling::Skew => Self::Skew(*w, Box::new(Stats::new(*w))),
                Rolling::Max | Rolling::AgeMax => Self::Extremes(*w, Box::new(Extremes::new(*w, true))),
                Rolling::Min | Rolling::AgeMin => Self::Extremes(*w, Box::new(Extremes::new(*w, false))),
                Rolling::Quantile(_) | Rolling::PctRank => Self::Order(*w, Box::new(OrderStats::new(*w))),
                Rolling::Count | Rolling::Any | Rolling::All => Self::Counts(*w, Box::new(Counts::new(*w))),
            },
            Op::Roll2 { window, .. } => Self::Pairs(*window, Box::new(PairStats::new(*window))),
            Op::TodMean { days, half, min } => {
                Self::TodMean(TodMean::look_back(*days, *half), Box::new(TodMean::new(*days, *half, *min)))
            }
            Op::Since => Self::Since(Since::default()),
            Op::At => Self::At(At::default()),
            Op::Latch => Self::Latch(Latch::default()),
            Op::Episode { max } => Self::Episode(Episode::new(*max)),
            Op::Ewm { halflife, min } => Self::Ewm(Box::new(Ewm::new(halflife.get(), *min))),
            Op::Vpin { buckets, min } => Self::Vpin(Box::new(Vpin::new(*buckets, *min))),
            Op::Detect(event) | Op::Active(event) | Op::EventDir(event) => {
                let event = usize::from(event.0);
                Self::Detect(Detect::new(event, &graph.events[event]))
            }
            Op::Hour => Self::Clock(ClockField::Hour),
            Op::Minute => Self::Clock(ClockField::Minute),
            Op::Weekday => Self::Clock(ClockField::Weekday),
            _ => return None,
        })
    }

    /// Kernels that read their row and keep a few numbers: the rows of history that they read of their first operand.
    pub(super) const fn small(&self) -> Option<usize> {
        match self {
            Self::Ffill(..) | Self::Held(..) | Self::Since(_) | Self::At(_) | Self::Latch(_) => Some(0),
            Self::Episode(_) => Some(1),
            _ => None,
        }
    }

    /// A row of a [`small`](Self::small) kernel: its operands, and the first one's row before.
    #[inline]
    pub(super) fn of_row(&mut self, a: f64, a_before: f64, b: f64) -> f64 {
        match self {
            Self::Ffill(_, k) => k.step(a),
            Self::Held(_, k) => k.step(a),
            Self::Since(k) => k.step(a),
            Self::At(k) => k.step(a, b),
            Self::Latch(k) => k.step(a, b),
            Self::Episode(k) => k.step(a, a_before, b),
            _ => f64::NAN,
        }
    }

    /// Registers the next output column of a kernel that has several.
    pub(super) fn add_output(&mut self, op: &Op) {
        match (self, op) {
            (Self::Sums(_, s), Op::Roll { f, min, .. }) => s.add_output(*f, *min),
            (Self::Moments(_, s), Op::Roll { f, min, .. }) => s.add_output(*f, *min),
            (Self::Skew(_, s), Op::Roll { f, min, .. }) => s.add_output(*f, *min),
            (Self::Pairs(_, s), Op::Roll2 { f, min, .. }) => s.add_output(*f, *min),
            (Self::Extremes(_, s), Op::Roll { f, min, .. }) => s.add_output(match f {
                Rolling::AgeMax | Rolling::AgeMin => ExtremeOf::Age,
                _ => ExtremeOf::Value { min: *min },
            }),
            (Self::Counts(_, s), Op::Roll { f, min, .. }) => {
                let f = match f {
                    Rolling::Any => CountOf::Any,
                    Rolling::All => CountOf::All,
                    _ => CountOf::Count,
                };
                s.add_output(f, *min);
            }
            (Self::Order(_, s), Op::Roll { f, min, .. }) => {
                let f = match f {
                    Rolling::Quantile(q) => OrderOf::Quantile(q.get()),
                    _ => OrderOf::PctRank,
                };
                s.add_output(f, *min);
            }
            (Self::Detect(d), op) => d.add_output(match op {
                Op::Active(_) => DetectOf::Active,
                Op::EventDir(_) => DetectOf::Direction,
                _ => DetectOf::Onset,
            }),
            _ => {}
        }
    }

    /// Rows of history it reads of its `input`-th operand.
    pub(super) fn look_back(&self, input: usize) -> usize {
        match self {
            Self::Shift(s) => s.look_back(),
            Self::Ffill(rows, _)
            | Self::Held(rows, _)
            | Self::Sums(rows, _)
            | Self::Moments(rows, _)
            | Self::Skew(rows, _)
            | Self::Pairs(rows, _)
            | Self::Extremes(rows, _)
            | Self::Counts(rows, _)
            | Self::Order(rows, _) => *rows as usize,
            Self::TodMean(rows, _) => *rows,
            Self::Episode(_) | Self::Detect(..) => usize::from(input == 0),
            _ => 0,
        }
    }

    /// Evaluates the chunk into `out`: one column of `rows.n` values per output.
    pub(super) fn run(&mut self, rows: &Rows<'_>, out: &mut [f64], log: &mut DetectLog) {
        match self {
            Self::Clock(field) => {
                for (t, o) in (rows.first..).zip(out) {
                    *o = field.of_bar(t);
                }
            }
            Self::Shift(k) => k.run(rows, out),
            Self::Ffill(_, k) => k.run(rows, out),
            Self::Held(_, k) => k.run(rows, out),
            Self::Sums(_, k) => k.run(rows, out),
            Self::Moments(_, k) => k.run(rows, out),
            Self::Skew(_, k) => k.run(rows, out),
            Self::Pairs(_, k) => k.run(rows, out),
            Self::Extremes(_, k) => k.run(rows, out),
            Self::Counts(_, k) => k.run(rows, out),
            Self::Order(_, k) => k.run(rows, out),
            Self::TodMean(_, k) => k.run(rows, out),
            Self::Ewm(k) => k.run(rows, out),
            Self::Since(k) => k.run(rows, out),
            Self::At(k) => k.run(rows, out),
            Self::Latch(k) => k.run(rows, out),
            Self::Episode(k) => k.run(rows, out),
            Self::Vpin(k) => k.run(rows, out),
            Self::Detect(k) => k.run(rows, out, log),
        }
    }

    /// Reads what the next row will need of its state, and nothing more.
    #[inline(always)]
    pub(super) fn touch(&self) -> u64 {
        match self {
            Self::Sums(_, k) => k.touch(),
            Self::Moments(_, k) => k.touch(),
            Self::Skew(_, k) => k.touch(),
            Self::Pairs(_, k) => k.touch(),
            Self::Extremes(_, k) => k.touch(),
            Self::Counts(_, k) => k.touch(),
            Self::Order(_, k) => k.touch(),
            Self::TodMean(_, k) => k.touch(),
            _ => 0,
        }
    }

    /// Class W: derives what it keeps from the history of its operands; row `next` is the first to come.
    pub(super) fn rebuild(&mut self, next: i64, inputs: &[View<'_>; 4]) {
        let [x, y, ..] = *inputs;
        match self {
            Self::Ffill(_, k) => k.rebuild(x),
            Self::Held(_, k) => k.rebuild(x),
            Self::Sums(_, k) => k.rebuild(next, x),
            Self::Moments(_, k) => k.rebuild(next, x),
            Self::Skew(_, k) => k.rebuild(next, x),
            Self::Pairs(_, k) => k.rebuild(next, x, y),
            Self::Extremes(_, k) => k.rebuild(next, x),
            Self::Counts(_, k) => k.rebuild(x),
            Self::Order(_, k) => k.rebuild(x),
            Self::TodMean(_, k) => k.rebuild(),
            _ => {}
        }
    }

    /// Class S: it has state that history does not give.
    pub(super) const fn is_stateful(&self) -> bool {
        matches!(
            self,
            Self::Ewm(_)
                | Self::Since(_)
                | Self::At(_)
                | Self::Latch(_)
                | Self::Episode(_)
                | Self::Vpin(_)
                | Self::Detect(..)
        )
    }

    /// Class S: state into the checkpoint.
    pub(super) fn save(&self, w: &mut Writer) {
        match self {
            Self::Ewm(k) => k.save(w),
            Self::Since(k) => k.save(w),
            Self::At(k) => k.save(w),
            Self::Latch(k) => k.save(w),
            Self::Episode(k) => k.save(w),
            Self::Vpin(k) => k.save(w),
            Self::Detect(k) => k.save(w),
            _ => {}
        }
    }

    /// Class S: state from the checkpoint.
    pub(super) fn load(&mut self, r: &mut Reader<'_>) -> Result<(), Malformed> {
        match self {
            Self::Ewm(k) => k.load(r),
            Self::Since(k) => k.load(r),
            Self::At(k) => k.load(r),
            Self::Latch(k) => k.load(r),
            Self::Episode(k) => k.load(r),
            Self::Vpin(k) => k.load(r),
            Self::Detect(k) => k.load(r),
            _ => Ok(()),
        }
    }
}

impl ClockField {
    /// Of the close of bar number `t`.
    fn of_bar(self, t: i64) -> f64 {
        let close = (t + 1) * BAR_MS;
        let minute_of_day = close.rem_euclid(DAY_MS) / 60_000;
        let field = match self {
            Self::Hour => minute_of_day / 60,
            Self::Minute => minute_of_day % 60,
            // 1970-01-01 was a Thursday.
            Self::Weekday => ((t + 1).div_euclid(BARS_PER_DAY) + 3).rem_euclid(7),
        };
        field as f64
    }
}
