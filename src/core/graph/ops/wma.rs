//! Linearly weighted means: `wma`, over aligned blocks ([`super::blocks`]), and `hma`, which is made of three
//! of them.

use super::blocks::{Aggregate, Blocks};
use super::kernel::Kernel;
use super::{Rows, View};
use crate::graph::lower::Lowerer;
use crate::graph::sheet::{Needs, Over, Sheet, Work};
use crate::graph::table::{Class, Kind, MIN, Operator, Param, WINDOW, X};
use crate::graph::{NodeId, Op, Rolling, Type};

pub(in crate::graph) const OPERATORS: &[Operator] = &[
    Operator::window(
        "wma",
        &[X, WINDOW, MIN],
        "wma(close, window=12, min=6)",
        |at, b| at.roll(b, Rolling::Wma, Type::Num),
        |say| say.over("linearly weighted mean"),
    ),
    Operator::window(
        "hma",
        &[X, Param::of("window", Kind::Int(2)), MIN],
        "hma(close, window=16, min=8)",
        |at, b| {
            let (window, min) = at.window(b)?;
            let mean = |at: &mut Lowerer<'_>, x: NodeId, rows: u32| {
                // The shorter windows ask for the same share of known rows, rounded up.
                let min = (u64::from(min) * u64::from(rows)).div_ceil(u64::from(window)) as u32;
                at.make(Op::Roll { f: Rolling::Wma, window: rows, min }, vec![x], b.clock, Type::Num)
            };
            let x = b.series("x")?;
            let (half, whole) = (mean(at, x, window / 2), mean(at, x, window));
            let two = at.constant(2.0);
            let twice = at.make(Op::Mul, vec![two, half], None, Type::Num);
            let ahead = at.make(Op::Sub, vec![twice, whole], None, Type::Num);
            Some(mean(at, ahead, window.isqrt()))
        },
        |say| say.over("Hull moving average"),
    ),
];

/// The sheet of `wma`.
pub(in crate::graph) fn sheet(over: Over) -> Sheet {
    Sheet {
        text: over.text("wma"),
        class: Class::Window,
        reach: over.reach(),
        cost: over.blocks(),
        needs: Needs::All,
        unknown: over.unknown(),
        work: Work::alone(move || Kernel::Wma(Box::new(Wma::new(over.window, over.min)))),
    }
}

/// Known rows of a piece. Places count from the row `from`, so that no number grows with the length of the
/// history.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Placed {
    from: i64,
    n: f64,
    sum: f64,
    /// Sum of the rows' places.
    places: f64,
    /// Sum of place times value.
    placed: f64,
}

impl Aggregate for Placed {
    /// Number of the row, and its value.
    type Row = (i64, f64);
    const EMPTY: Self = Self { from: 0, n: 0.0, sum: 0.0, places: 0.0, placed: 0.0 };

    fn known(&self) -> f64 {
        self.n
    }

    #[inline]
    fn push(self, (from, x): (i64, f64)) -> Self {
        if x.is_nan() { self } else { self.merge(&Self { from, n: 1.0, sum: x, ..Self::EMPTY }) }
    }

    #[inline]
    fn merge(self, b: &Self) -> Self {
        if b.n == 0.0 {
            return self;
        }
        if self.n == 0.0 {
            return *b;
        }
        let apart = (b.from - self.from) as f64;
        Self {
            from: self.from,
            n: self.n + b.n,
            sum: self.sum + b.sum,
            places: self.places + (b.places + apart * b.n),
            placed: self.placed + (b.placed + apart * b.sum),
        }
    }
}

impl Placed {
    /// The mean with weight 1 on the row after `before`, one more on each later row.
    #[inline]
    fn mean(&self, before: i64) -> f64 {
        let lead = (self.from - before) as f64;
        (self.placed + lead * self.sum) / (self.places + lead * self.n)
    }
}

/// `wma(x, window, min)`: the mean of the known rows of the window, the oldest row with weight 1, the newest
/// with weight `window`; an unknown row takes its weight with it.
#[derive(Clone, Debug)]
pub struct Wma {
    window: u32,
    min: f64,
    blocks: Blocks<Placed>,
}

impl Wma {
    /// No rows seen.
    #[must_use]
    pub fn new(window: u32, min: u32) -> Self {
        Self { window, min: f64::from(min.max(1)), blocks: Blocks::new(window) }
    }

    /// Rows of history it reads.
    #[must_use]
    pub const fn look_back(&self) -> usize {
        self.window as usize
    }

    /// Reads what the next row will need, and nothing more.
    #[inline(always)]
    #[must_use]
    pub fn touch(&self) -> u64 {
        self.blocks.touch()
    }

    /// Evaluates the chunk.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let (x, window) = (rows.inputs[0], i64::from(self.window));
        self.blocks.run(
            rows.first,
            rows.n,
            |i, back| (rows.first + i as i64 - back as i64, x.get(i, back)),
            |i, piece| {
                let before = rows.first + i as i64 - window;
                out[i] = if piece.n >= self.min { piece.mean(before) } else { f64::NAN };
            },
        );
    }

    /// From the rows before the chunk that starts at `next`.
    pub fn rebuild(&mut self, next: i64, [x, ..]: &[View<'_>; 4]) {
        let past = x.past(self.window as usize);
        let start = next - i64::from(self.window);
        self.blocks.rebuild(next, |k| (start + k as i64, past[k]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_row_weighs_most_and_an_unknown_row_takes_its_weight_with_it() {
        let rows = [(7, 1.0), (8, f64::NAN), (9, 4.0)];
        let piece = rows.into_iter().fold(Placed::EMPTY, Placed::push);
        assert_eq!(piece.mean(6), (1.0 * 1.0 + 3.0 * 4.0) / (1.0 + 3.0));
    }

    #[test]
    fn pieces_merge_to_the_same_mean_from_either_end() {
        let rows: Vec<(i64, f64)> = (0..9).map(|t| (5_800_000 + t, (t * t) as f64)).collect();
        let whole = rows.iter().copied().fold(Placed::EMPTY, Placed::push);
        let backwards = rows[..4].iter().rev().copied().fold(Placed::EMPTY, Placed::push);
        let newer = rows[4..].iter().copied().fold(Placed::EMPTY, Placed::push);
        assert_eq!(backwards.merge(&newer).mean(5_799_999), whole.mean(5_799_999));
    }
}
