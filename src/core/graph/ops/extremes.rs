//! Rolling minimum, maximum and their ages: a monotone queue.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Rows, View};

/// What an output column reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtremeOf {
    /// The extreme; unknown with fewer known rows than this.
    Value {
        /// Least number of known rows.
        min: u32,
    },
    /// Rows since the extreme (ties: the most recent); unknown for the first `window - 1` rows of history.
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
        for (i, (now, gone)) in x.rows().iter().zip(leaving).enumerate() {
            let row = rows.first + i as i64;
            if !gone.is_nan() {
                self.known -= 1;
            }
            self.push(row, *now);
            let full = rows.seen + i as u64 + 1 >= u64::from(self.window);
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
    pub fn rebuild(&mut self, next: i64, x: View<'_>) {
        self.queue.clear();
        self.known = 0;
        let past = x.past(self.window as usize);
        let start = next - past.len() as i64;
        for (k, x) in past.iter().enumerate() {
            self.push(start + k as i64, *x);
        }
    }
}
