//! `tod_mean`: the mean of the same time of day on earlier days.

use std::collections::VecDeque;

use super::{Rows, View};
use crate::market::BARS_PER_DAY;

/// Rows evaluated at once when they come one by one: fewer than lie between a row and the nearest that it reads.
const AHEAD: usize = 8;

/// The mean of the known x at rows `t - 288 d + j`, `d = 1..=days` outer, `j = -half..=half` inner, both ascending.
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
    pub const fn look_back(days: u32, half: u32) -> usize {
        BARS_PER_DAY as usize * days as usize + half as usize
    }

    /// Evaluates the chunk. What a row needs lies in earlier days: rows that come one by one are evaluated some at once,
    /// before they come.
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

    /// The rows from the chunk's first on: days and offsets outside, rows inside, so that neighbouring rows run side by
    /// side while each row still adds in the one defined order. Adding 0 for an unknown row changes no bit.
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
    pub fn rebuild(&mut self) {
        self.ahead.clear();
    }
}
