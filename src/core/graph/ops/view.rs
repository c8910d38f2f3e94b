//! How an operator sees its inputs, and the two rules about stored values.

/// The value of a known true.
pub const TRUE: f64 = 1.0;
/// The value of a known false.
pub const FALSE: f64 = 0.0;

/// Whether it is known to be true.
#[must_use]
#[inline]
pub fn is_true(c: f64) -> bool {
    c == TRUE
}

/// Whether it is known to be false.
#[must_use]
#[inline]
pub fn is_false(c: f64) -> bool {
    c == FALSE
}

/// The value of a known truth.
#[must_use]
#[inline]
pub const fn truth(c: bool) -> f64 {
    if c { TRUE } else { FALSE }
}

/// What a series may hold: `-0.0` becomes `0.0`; infinities and every NaN become the one NaN.
#[must_use]
#[inline]
pub fn clean(value: f64) -> f64 {
    if value.abs() < f64::INFINITY { value + 0.0 } else { f64::NAN }
}

/// An input series: history, then the rows of the current chunk. Rows before the first one ever are NaN.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    values: &'a [f64],
    start: usize,
}

impl<'a> View<'a> {
    /// An input with no rows.
    pub const EMPTY: Self = Self { values: &[], start: 0 };

    /// `values[start..]` are the chunk's rows.
    #[must_use]
    pub fn new(values: &'a [f64], start: usize) -> Self {
        debug_assert!(start <= values.len());
        Self { values, start }
    }

    /// The chunk's rows.
    #[must_use]
    #[inline]
    pub fn rows(&self) -> &'a [f64] {
        &self.values[self.start..]
    }

    /// The chunk's rows, shifted `back` rows into the past: element `i` is the row `back` rows before row
    /// `i`.
    #[must_use]
    #[inline]
    pub fn lagged(&self, back: usize) -> &'a [f64] {
        let rows = self.values.len() - self.start;
        &self.values[self.start - back..][..rows]
    }

    /// The `count` rows before the chunk, oldest first.
    #[must_use]
    pub fn past(&self, count: usize) -> &'a [f64] {
        &self.values[self.start - count..self.start]
    }

    /// `count` rows, the first of them `back` rows before row `i` of the chunk.
    #[must_use]
    #[inline]
    pub fn span(&self, i: usize, back: usize, count: usize) -> &'a [f64] {
        &self.values[self.start + i - back..][..count]
    }

    /// The newest row, NaN without rows.
    #[must_use]
    pub fn newest(&self) -> f64 {
        self.values.last().copied().unwrap_or(f64::NAN)
    }

    /// The row `back` rows before row `i` of the chunk.
    #[must_use]
    #[inline]
    pub fn get(&self, i: usize, back: usize) -> f64 {
        self.values[self.start + i - back]
    }
}

/// The chunk: where it lies and what the operator reads.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// Absolute number of the chunk's first row (bar number, or tick number on an event clock).
    pub first: i64,
    /// Rows in the chunk; may be 0 on an event clock.
    pub n: usize,
    /// Rows seen before the chunk since the history began.
    pub seen: u64,
    /// Operands in the order of [`crate::graph::Op`].
    pub inputs: [View<'a>; 4],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_value_is_finite_or_the_one_nan() {
        assert_eq!(clean(-0.0).to_bits(), 0.0_f64.to_bits());
        assert_eq!(clean(f64::INFINITY).to_bits(), f64::NAN.to_bits());
        assert_eq!(clean(-f64::NAN).to_bits(), f64::NAN.to_bits());
        assert_eq!(clean(1.5), 1.5);
    }

    #[test]
    fn a_view_reads_backwards_from_the_chunk() {
        let v = View::new(&[1.0, 2.0, 3.0, 4.0], 2);
        assert_eq!(v.rows(), [3.0, 4.0]);
        assert_eq!(v.lagged(1), [2.0, 3.0]);
        assert_eq!(v.past(2), [1.0, 2.0]);
        assert_eq!(v.get(1, 3), 1.0);
    }
}
