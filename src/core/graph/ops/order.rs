//! Rolling order statistics: exact quantiles and mid-ranks of the window.
//!
//! One structure per series and window serves them all: where a rank is asked for, the window's multiset; where only
//! quantiles are, what lies around each of them.

use std::sync::Arc;

use super::quantile::{Quantile, position};
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
    pub fn rebuild(&mut self, x: View<'_>) {
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
