//! Aligned-block aggregation: rolling sums and moments whose bits depend on the window's content and the
//! absolute row number alone.
//!
//! Rows are grouped in blocks of `B = 2^round(log2 sqrt(window))`, aligned on the absolute row number. A
//! window is
//!
//! ```text
//!   suffix of the oldest block | whole blocks, oldest first | prefix of the newest block
//!   ------ right to left ----->|<-- each one left to right -->|<-- left to right --------
//! ```
//!
//! and the pieces are merged in that order. A block that lies whole in the window counts as a whole block
//! even if it is the oldest or the newest. Nothing is ever subtracted, so nothing drifts. Unknown rows are
//! skipped.

/// What can be accumulated row by row and merged piece by piece.
pub trait Aggregate: Copy {
    /// One row of input.
    type Row: Copy;
    /// No known row.
    const EMPTY: Self;
    /// How many rows of the piece are known.
    fn known(&self) -> f64;
    /// With one more row; unchanged if the row is unknown.
    #[must_use]
    fn push(self, row: Self::Row) -> Self;
    /// Both pieces, `self` the older. Merging with the empty piece changes no bit.
    #[must_use]
    fn merge(self, newer: &Self) -> Self;
}

/// Block length for a window.
#[must_use]
pub const fn block_rows(window: u32) -> i64 {
    // round(0.5 * log2 w), halves up, in integers: floor((floor(log2 w) + 1) / 2).
    1 << ((if window == 0 { 0 } else { window.ilog2() }) + 1).wrapping_div(2)
}

/// Rows merged at once when they come one by one.
const AHEAD: usize = 8;

/// A rolling aggregate.
#[derive(Clone, Debug)]
pub struct Blocks<A> {
    window: i64,
    block: i64,
    /// Complete blocks, consecutive; the first is block number `first_block`.
    whole: Vec<A>,
    first_block: i64,
    /// `suffix[j]`: rows `j..B` of the window's oldest block.
    suffix: Vec<A>,
    /// The block in progress.
    prefix: A,
    /// For rows of a stretch, from `acc_first` on: everything but the prefix.
    acc: Vec<A>,
    acc_first: i64,
}

impl<A: Aggregate> Blocks<A> {
    /// Reads what the next row will need, and nothing more.
    #[inline(always)]
    #[must_use]
    pub fn touch(&self) -> u64 {
        self.acc_first as u64 ^ self.acc.last().unwrap_or(&self.prefix).known().to_bits()
    }

    /// No rows seen.
    #[must_use]
    pub fn new(window: u32) -> Self {
        let block = block_rows(window);
        let capacity = usize::try_from(2 * (i64::from(window) / block + 2)).unwrap_or(0);
        Self {
            window: i64::from(window),
            block,
            whole: Vec::with_capacity(capacity),
            first_block: 0,
            suffix: vec![A::EMPTY; usize::try_from(block).unwrap_or(0)],
            prefix: A::EMPTY,
            acc: Vec::new(),
            acc_first: 0,
        }
    }

    /// Derives everything from the `window` rows before row `next`; `row(k)` is row `next - window + k`.
    pub fn rebuild(&mut self, next: i64, row: impl Fn(usize) -> A::Row) {
        self.whole.clear();
        self.acc.clear();
        self.prefix = A::EMPTY;
        let start = next - self.window;
        let cut = start.rem_euclid(self.block);
        if cut != 0 {
            self.build_suffix(cut, |offset| row(ix(offset - cut)));
        }
        self.first_block = (start + self.block - 1).div_euclid(self.block);
        for t in (self.first_block * self.block)..next {
            self.push_newest(t, row(ix(t - start)));
        }
    }

    /// `row(offset)` for offsets of the oldest block from `from` on.
    fn build_suffix(&mut self, from: i64, row: impl Fn(i64) -> A::Row) {
        let mut acc = A::EMPTY;
        for offset in (from..self.block).rev() {
            acc = acc.push(row(offset));
            self.suffix[ix(offset)] = acc;
        }
    }

    fn push_newest(&mut self, t: i64, row: A::Row) {
        self.prefix = self.prefix.push(row);
        self.end_row(t);
    }

    /// A block that row `t` completes becomes a whole one.
    fn end_row(&mut self, t: i64) {
        if (t + 1) & (self.block - 1) == 0 {
            self.push_whole(t.div_euclid(self.block));
        }
    }

    fn push_whole(&mut self, number: i64) {
        if self.whole.is_empty() {
            self.first_block = number;
        } else if self.whole.len() == self.whole.capacity() {
            let needed = ix(self.window / self.block + 1).min(self.whole.len());
            let stale = self.whole.len() - needed;
            self.whole.drain(..stale);
            self.first_block += stale as i64;
        }
        self.whole.push(self.prefix);
        self.prefix = A::EMPTY;
    }

    /// Evaluates `n` rows from absolute row `first` on. `row(i, back)` is the input `back` rows before row
    /// `i`; `emit(i, aggregate)` receives the window that ends at row `i`.
    pub fn run(
        &mut self,
        first: i64,
        n: usize,
        row: impl Fn(usize, usize) -> A::Row,
        mut emit: impl FnMut(usize, &A),
    ) {
        if n == 1 {
            let aggregate = self.one_row(first, |back| row(0, back));
            emit(0, &aggregate);
            return;
        }
        let mut i = 0;
        while i < n {
            let t = first + i as i64;
            let len = self.stretch(t, n - i, |back| row(i, back));
            for j in 0..len {
                self.prefix = self.prefix.push(row(i + j, 0));
                emit(i + j, &self.acc[j].merge(&self.prefix));
            }
            self.end_row(t + len as i64 - 1);
            i += len;
        }
        self.acc.clear();
    }

    /// The same for one row: `row(back)` is the input `back` rows before it. All but the prefix of a stretch
    /// is settled when it begins, and is merged for some rows at once.
    fn one_row(&mut self, t: i64, row: impl Fn(usize) -> A::Row) -> A {
        if !(self.acc_first..self.acc_first + self.acc.len() as i64).contains(&t) {
            self.stretch(t, AHEAD, &row);
        }
        let older = self.acc[ix(t - self.acc_first)];
        self.prefix = self.prefix.push(row(0));
        let aggregate = older.merge(&self.prefix);
        self.end_row(t);
        aggregate
    }

    /// Merges all but the prefix for the rows from `t` on of one stretch: consecutive rows over which neither
    /// end of the window enters another block, so that all of them merge the same whole blocks. At most
    /// `limit` rows; how many. `row(back)` is the input `back` rows before `t`.
    fn stretch(&mut self, t: i64, limit: usize, row: impl Fn(usize) -> A::Row) -> usize {
        let (window, start) = (self.window, t - self.window + 1);
        let cut = start & (self.block - 1);
        let to_newest_end = self.block - (t & (self.block - 1));
        let to_oldest_end = if cut == 0 { 1 } else { self.block - cut };
        let len = ix(to_newest_end.min(to_oldest_end)).min(limit);
        if cut == 1 {
            // The window's end has just left the block's first row: every other row of it is still in
            // history.
            self.build_suffix(1, |offset| row(ix(window - offset)));
        }
        self.acc_first = t;
        self.acc.clear();
        if cut == 0 {
            self.acc.push(A::EMPTY);
        } else {
            self.acc.extend_from_slice(&self.suffix[ix(cut)..][..len]);
        }
        let block_of = |t: i64| t >> self.block.trailing_zeros();
        let from = ix((block_of(start) + i64::from(cut != 0) - self.first_block).max(0));
        let upto = ix((block_of(t) - self.first_block).max(0)).min(self.whole.len());
        for whole in self.whole.get(from..upto).unwrap_or_default() {
            for a in &mut self.acc {
                *a = a.merge(whole);
            }
        }
        len
    }
}

#[expect(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "offsets within a window of u32 rows"
)]
const fn ix(v: i64) -> usize {
    debug_assert!(v >= 0);
    v as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_the_power_of_two_nearest_the_root_of_the_window() {
        for w in 1_u32..20_000 {
            let expect = 2_f64.powi((0.5 * f64::from(w).log2()).round() as i32) as i64;
            assert_eq!(block_rows(w), expect, "{w}");
        }
    }

    /// Remembers the order and bracketing of everything merged.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Span {
        from: i64,
        to: i64,
    }

    impl Aggregate for Span {
        type Row = Option<i64>;
        const EMPTY: Self = Self { from: i64::MAX, to: i64::MIN };
        fn known(&self) -> f64 {
            (self.to - self.from + 1) as f64
        }
        fn push(self, row: Option<i64>) -> Self {
            row.map_or(self, |row| Self { from: self.from.min(row), to: self.to.max(row) })
        }
        fn merge(self, newer: &Self) -> Self {
            if self != Self::EMPTY && *newer != Self::EMPTY {
                assert_eq!(self.to + 1, newer.from, "pieces are adjacent and oldest first");
            }
            Self { from: self.from.min(newer.from), to: self.to.max(newer.to) }
        }
    }

    #[test]
    fn pieces_tile_the_window_exactly() {
        for window in [1_u32, 2, 3, 4, 5, 7, 8, 16, 17, 31, 100] {
            for (origin, chunk) in [(-57_i64, 1), (1000, 7), (3, 64)] {
                let w = i64::from(window);
                let mut blocks = Blocks::<Span>::new(window);
                let mut t = origin;
                while t < origin + 500 {
                    let known = |t: i64| (t >= origin).then_some(t);
                    let row = |i: usize, back: usize| known(t + i as i64 - back as i64);
                    blocks.run(t, chunk, row, |i, got| {
                        let t = t + i as i64;
                        assert_eq!(*got, Span { from: origin.max(t - w + 1), to: t }, "window {window}");
                    });
                    t += chunk as i64;
                    if chunk == 7 {
                        blocks = Blocks::new(window);
                        blocks.rebuild(t, |k| known(t - w + k as i64));
                    }
                }
            }
        }
    }
}
