//! Rolling order statistics: quantiles and mid-ranks, exact on the window's multiset.

use super::sorted::Sorted;
use super::{Rows, View};

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
    sorted: Sorted,
    outputs: Vec<(OrderOf, usize)>,
}

impl OrderStats {
    /// No rows seen, no outputs yet.
    #[must_use]
    pub fn new(window: u32) -> Self {
        Self { window, sorted: Sorted::default(), outputs: Vec::new() }
    }

    /// One more output column; unknown with fewer than `min` known rows (at least one).
    pub fn add_output(&mut self, f: OrderOf, min: u32) {
        self.outputs.push((f, min.max(1) as usize));
    }

    /// Evaluates the chunk into consecutive output columns.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let x = rows.inputs[0];
        for (i, (now, gone)) in x.rows().iter().zip(x.lagged(self.window as usize)).enumerate() {
            // Equal values swap places without touching the structure; so do two unknowns.
            if now != gone {
                if !gone.is_nan() {
                    self.sorted.remove(*gone);
                }
                if !now.is_nan() {
                    self.sorted.insert(*now);
                }
            }
            let n = self.sorted.len();
            for (column, (f, min)) in self.outputs.iter().enumerate() {
                out[column * rows.n + i] = if n < *min {
                    f64::NAN
                } else {
                    match f {
                        OrderOf::Quantile(q) => quantile(&self.sorted, *q),
                        OrderOf::PctRank => mid_rank(&self.sorted, *now),
                    }
                };
            }
        }
    }

    /// From the rows before the chunk.
    pub fn rebuild(&mut self, x: View<'_>) {
        let past = x.past(self.window as usize);
        self.sorted.fill(past.iter().copied().filter(|v| !v.is_nan()).collect());
    }
}

#[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "0 <= q <= 1, n < 2^32")]
fn quantile(sorted: &Sorted, q: f64) -> f64 {
    let h = (sorted.len() - 1) as f64 * q;
    let k = h as usize;
    let (a, b) = sorted.pair(k);
    let part = h - k as f64;
    if part == 0.0 { a } else { a + part * (b - a) }
}

fn mid_rank(sorted: &Sorted, x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    let (less, equal) = sorted.rank(x);
    (less as f64 + equal as f64 / 2.0) / sorted.len() as f64
}
