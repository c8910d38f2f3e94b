//! `tod_mean`: the mean of the same time of day on earlier days.

use super::{Rows, View};
use crate::market::BARS_PER_DAY;

/// The mean of the known x at rows `t - 288 d + j`, `d = 1..=days` outer, `j = -half..=half` inner, both ascending.
#[derive(Clone, Debug)]
pub struct TodMean {
    days: u32,
    half: u32,
    min: f64,
    /// Per row of the chunk: sum and count so far.
    acc: Vec<(f64, f64)>,
}

impl TodMean {
    /// `half < 144`.
    #[must_use]
    pub fn new(days: u32, half: u32, min: u32) -> Self {
        Self { days, half, min: f64::from(min), acc: Vec::new() }
    }

    /// Rows of history it reads.
    #[must_use]
    pub const fn look_back(days: u32, half: u32) -> usize {
        BARS_PER_DAY as usize * days as usize + half as usize
    }

    /// Evaluates the chunk: days and offsets outside, rows inside, so that neighbouring rows run side by side while
    /// each row still adds in the one defined order. Adding 0 for an unknown row changes no bit.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let x: View<'_> = rows.inputs[0];
        if let [o] = out {
            *o = self.one_row(x);
            return;
        }
        self.acc.clear();
        self.acc.resize(rows.n, (0.0, 0.0));
        for day in 1..=self.days as usize {
            let centre = BARS_PER_DAY as usize * day;
            for back in (centre - self.half as usize..=centre + self.half as usize).rev() {
                for ((sum, n), v) in self.acc.iter_mut().zip(x.lagged(back)) {
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

    /// The same additions in the same order, for one row.
    fn one_row(&self, x: View<'_>) -> f64 {
        let half = self.half as usize;
        let (mut sum, mut n) = (0.0, 0.0);
        for day in 1..=self.days as usize {
            // Rows from `half` before to `half` after the same time of day, oldest first.
            let back = BARS_PER_DAY as usize * day + half;
            for v in x.span(0, back, 2 * half + 1) {
                let known = !v.is_nan();
                sum += if known { *v } else { 0.0 };
                n += if known { 1.0 } else { 0.0 };
            }
        }
        if n >= self.min { sum / n } else { f64::NAN }
    }
}
