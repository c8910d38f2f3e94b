//! A node's values: as much history as its readers look back, then the rows of the current chunk.

use crate::graph::ops::View;

/// Close to the golden share of 2^16: neighbouring numbers end up far apart.
const SPREAD: usize = 40_503;

/// One contiguous buffer, so that operators index plainly. When it is full, the part still needed moves to
/// the front; the slack is a share of the history, so that moving costs a nanosecond or two per row.
#[derive(Clone, Debug)]
pub(super) struct Series {
    buf: Vec<f64>,
    keep: usize,
    capacity: usize,
    /// Where the current chunk starts.
    start: usize,
}

impl Series {
    /// Rows before the first one are NaN, so that no reader needs to ask where history begins. `salt` says
    /// how much of the slack is used up at the start: series of different salt move on different rows.
    pub(super) fn new(keep: usize, slack: usize, salt: usize) -> Self {
        let slack = slack.max(keep / 16);
        let capacity = keep + slack;
        let used = keep + salt.wrapping_mul(SPREAD) % slack;
        let mut buf = Vec::with_capacity(capacity);
        buf.resize(used, f64::NAN);
        Self { buf, keep, capacity, start: used }
    }

    /// The next chunk: at most `slack` rows, cleaned.
    #[inline]
    pub(super) fn append(&mut self, rows: &[f64]) {
        if self.buf.len() + rows.len() > self.capacity {
            let stale = self.buf.len() - self.keep;
            self.buf.copy_within(stale.., 0);
            self.buf.truncate(self.keep);
        }
        self.start = self.buf.len();
        self.buf.extend_from_slice(rows);
    }

    /// Reads the newest row and the one `back` rows before it.
    #[inline(always)]
    pub(super) fn touch(&self, back: usize) -> u64 {
        let then = self.buf.len().saturating_sub(1 + back);
        self.buf.get(then).zip(self.buf.last()).map_or(0, |(then, last)| then.to_bits() ^ last.to_bits())
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

    /// Before the first chunk: `values` are the newest rows of the history, at most `keep` of them.
    pub(super) fn restore(&mut self, values: &[f64]) {
        let from = self.buf.len() - values.len();
        self.buf[from..].copy_from_slice(values);
    }

    /// How many bytes the series holds.
    pub(super) const fn bytes(&self) -> usize {
        self.capacity * 8
    }
}
