//! `count`, `any` and `all`: integer counts of the window's known and true rows. Integers subtract exactly, so these
//! may be kept running.

use std::sync::Arc;

use super::{FALSE, Rows, TRUE, View, is_true};

/// What an output column reports.
#[allow(missing_docs, reason = "the names are those of `Rolling`")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountOf {
    Count,
    Any,
    All,
}

/// Counts over one window.
#[derive(Clone, Debug)]
pub struct Counts {
    window: u32,
    known: u32,
    yes: u32,
    outputs: Arc<Vec<(CountOf, u32)>>,
}

impl Counts {
    /// Reads what the next row will need, and nothing more.
    #[inline(always)]
    #[must_use]
    pub fn touch(&self) -> u64 {
        u64::from(self.known)
    }

    /// No rows seen, no outputs yet.
    #[must_use]
    pub fn new(window: u32) -> Self {
        Self { window, known: 0, yes: 0, outputs: Arc::default() }
    }

    /// One more output column.
    pub fn add_output(&mut self, f: CountOf, min: u32) {
        Arc::make_mut(&mut self.outputs).push((f, min));
    }

    fn enter(&mut self, c: f64) {
        self.known += u32::from(!c.is_nan());
        self.yes += u32::from(is_true(c));
    }

    /// Evaluates the chunk into consecutive output columns.
    pub fn run(&mut self, rows: &Rows<'_>, out: &mut [f64]) {
        let c = rows.inputs[0];
        for (i, (now, gone)) in c.rows().iter().zip(c.lagged(self.window as usize)).enumerate() {
            self.known -= u32::from(!gone.is_nan());
            self.yes -= u32::from(is_true(*gone));
            self.enter(*now);
            for (column, (f, min)) in self.outputs.iter().enumerate() {
                let enough = self.known >= *min;
                out[column * rows.n + i] = match f {
                    CountOf::Any if self.yes > 0 => TRUE,
                    CountOf::All if self.yes < self.known => FALSE,
                    CountOf::Count if enough => f64::from(self.yes),
                    CountOf::Any if enough => FALSE,
                    CountOf::All if enough => TRUE,
                    _ => f64::NAN,
                };
            }
        }
    }

    /// From the rows before the chunk.
    pub fn rebuild(&mut self, c: View<'_>) {
        (self.known, self.yes) = (0, 0);
        for c in c.past(self.window as usize) {
            self.enter(*c);
        }
    }
}
