//! 5-minute bars made of shorter ones: exact, in any order of rows, and over the borders of files.

use std::collections::BTreeMap;

use super::decimal::DecimalSum;
use backtestd_core::market::{BAR_MS, Bar, BarIndex, Ts};

/// Values of the columns of [`Bar`] up to here are prices; the rest are sums.
const SUMMED: usize = 4;

/// What is known of a bar's parts.
#[derive(Clone, Debug, PartialEq)]
pub struct BarParts {
    /// The bar that it belongs to.
    pub bar: BarIndex,
    /// Width of a part, ms; divides 5 minutes.
    pub width_ms: i64,
    /// The parts by their place in the bar.
    parts: BTreeMap<u16, [f64; Bar::COLUMNS]>,
}

impl BarParts {
    /// A bar without parts.
    #[must_use]
    pub const fn new(bar: BarIndex, width_ms: i64) -> Self {
        Self { bar, width_ms, parts: BTreeMap::new() }
    }

    /// Adds a part. Of two that differ the new one stays, and the old one is returned.
    pub(super) fn add(&mut self, open: Ts, values: [f64; Bar::COLUMNS]) -> Option<[f64; Bar::COLUMNS]> {
        self.parts.insert(self.place(open), values)
    }

    /// Place of a part.
    pub(super) fn place(&self, open: Ts) -> u16 {
        u16::try_from((open.0 - self.bar.open().0) / self.width_ms).unwrap_or(u16::MAX)
    }

    /// The parts in order.
    pub(super) fn values(&self) -> impl Iterator<Item = &[f64; Bar::COLUMNS]> {
        self.parts.values()
    }

    /// Takes over the parts of `other` that are not here.
    pub fn union(&mut self, other: &Self) {
        for (place, values) in &other.parts {
            self.parts.entry(*place).or_insert(*values);
        }
    }

    /// How many parts there are, and how many a bar has.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        (self.parts.len(), usize::try_from(BAR_MS / self.width_ms).unwrap_or(usize::MAX))
    }

    /// The bar, when all of its parts are there: open of the first, close of the last, extremes, exact
    /// decimal sums.
    #[must_use]
    pub fn finish(&self) -> Option<Bar> {
        let (have, need) = self.count();
        let (first, last) = (self.parts.values().next()?, self.parts.values().next_back()?);
        if have != need {
            return None;
        }
        let mut out = [f64::NAN; Bar::COLUMNS];
        out[0] = first[0];
        out[1] = self.parts.values().fold(f64::NEG_INFINITY, |top, v| top.max(v[1]));
        out[2] = self.parts.values().fold(f64::INFINITY, |bottom, v| bottom.min(v[2]));
        out[3] = last[3];
        for (column, slot) in out.iter_mut().enumerate().skip(SUMMED) {
            let mut sum = DecimalSum::default();
            for values in self.parts.values() {
                // The shortest text that parses to a number has the decimals that the venue printed.
                sum.add(&values[column].to_string(), values[column]);
            }
            *slot = sum.value();
        }
        Some(Bar::from_values(self.bar, out))
    }

    /// Bytes to keep: the width, then place and values of each part.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.width_ms.to_le_bytes().to_vec();
        for (place, values) in &self.parts {
            out.extend_from_slice(&place.to_le_bytes());
            out.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        }
        out
    }

    /// The inverse of [`BarParts::to_bytes`]; `None` when the bytes are no parts of a bar.
    #[must_use]
    pub fn from_bytes(bar: BarIndex, bytes: &[u8]) -> Option<Self> {
        const ROW: usize = 2 + 8 * Bar::COLUMNS;
        let (width, rows) = bytes.split_first_chunk::<8>()?;
        let mut out = Self::new(bar, i64::from_le_bytes(*width));
        if out.width_ms <= 0 || rows.len() % ROW != 0 {
            return None;
        }
        for row in rows.as_chunks::<ROW>().0 {
            let (place, values) = row.split_first_chunk::<2>()?;
            let mut columns = [f64::NAN; Bar::COLUMNS];
            for (column, bytes) in columns.iter_mut().zip(values.as_chunks::<8>().0) {
                *column = f64::from_le_bytes(*bytes);
            }
            out.parts.insert(u16::from_le_bytes(*place), columns);
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(bar: BarIndex, n: i64) -> (Ts, [f64; 9]) {
        let price = 100.0 + n as f64;
        let values =
            [price, price + 2.0 - n as f64 * 0.1, price - 1.0, price + 0.5, 0.1, 1.0, 2.0, 0.1, f64::NAN];
        (Ts(bar.open().0 + n * 60_000), values)
    }

    #[test]
    fn a_bar_is_the_same_whatever_the_order_and_the_files_of_its_parts() {
        let bar = BarIndex(6_000_000);
        let made = |order: [i64; 5], cut: usize| {
            let mut halves = [BarParts::new(bar, 60_000), BarParts::new(bar, 60_000)];
            for (i, n) in order.into_iter().enumerate() {
                let (open, values) = minute(bar, n);
                assert!(halves[usize::from(i >= cut)].add(open, values).is_none());
            }
            let kept = BarParts::from_bytes(bar, &halves[0].to_bytes()).unwrap();
            assert!(kept.finish().is_none() || cut == 5);
            halves[1].union(&kept);
            halves[1].finish().unwrap()
        };
        let whole = made([0, 1, 2, 3, 4], 5);
        assert_eq!(whole.values()[..8], [100.0, 105.6, 99.0, 104.5, 0.5, 5.0, 10.0, 0.5]);
        assert!(whole.taker_buy_quote.is_nan());
        for (order, cut) in [([4, 3, 2, 1, 0], 5), ([2, 0, 4, 1, 3], 2), ([0, 1, 2, 3, 4], 1)] {
            assert!(made(order, cut).same_as(&whole), "{order:?}, cut at {cut}");
        }
    }
}
