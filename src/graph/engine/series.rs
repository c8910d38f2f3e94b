//! A node's values: as much history as its readers look back, then the rows of the current chunk.

use crate::graph::ops::{View, clean};

/// One contiguous buffer, so that operators index plainly. When it is full, the part still needed moves to the front;
/// the slack is a share of the history, so that moving costs a fraction of a nanosecond per row.
#[derive(Clone, Debug)]
pub(super) struct Series {
    buf: Vec<f64>,
    keep: usize,
    capacity: usize,
    /// Where the current chunk starts.
    start: usize,
}

impl Series {
    /// Rows before the first one are NaN, so that no reader needs to ask where history begins.
    pub(super) fn new(keep: usize, slack: usize) -> Self {
        let capacity = keep + slack.max(keep / 8);
        let mut buf = Vec::with_capacity(capacity);
        buf.resize(keep, f64::NAN);
        Self { buf, keep, capacity, start: keep }
    }

    /// The next chunk; at most `slack` rows.
    #[inline]
    pub(super) fn append(&mut self, rows: &[f64]) {
        if self.buf.len() + rows.len() > self.capacity {
            let stale = self.buf.len() - self.keep;
            self.buf.copy_within(stale.., 0);
            self.buf.truncate(self.keep);
        }
        self.start = self.buf.len();
        self.buf.extend(rows.iter().map(|v| clean(*v)));
    }

    /// The current chunk with the history before it.
    #[inline]
    pub(super) fn view(&self) -> View<'_> {
        View::new(&self.buf, self.start)
    }

    /// All rows as history of the next chunk.
    pub(super) fn history(&self) -> View<'_> {
        View::new(&self.buf, self.buf.len())
    }

    /// The newest row; NaN before the first.
    pub(super) fn last(&self) -> f64 {
        self.buf.last().copied().unwrap_or(f64::NAN)
    }

    /// Replaces the history; `values` are its newest rows, at most `keep` of them.
    pub(super) fn restore(&mut self, values: &[f64]) {
        self.buf.clear();
        self.buf.resize(self.keep.saturating_sub(values.len()), f64::NAN);
        self.buf.extend_from_slice(values);
        self.start = self.buf.len();
    }

    /// Bytes held.
    pub(super) const fn bytes(&self) -> usize {
        self.capacity * 8
    }
}
