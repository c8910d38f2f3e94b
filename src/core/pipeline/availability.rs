//! On which stretch of the counted rows a source column was known at all.

use serde::{Deserialize, Serialize};

use crate::market::{BARS_PER_DAY, BarIndex};

/// Counts over one source column of one symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KnownSpan {
    /// Rows with a known value.
    pub rows: u64,
    /// Whole UTC days with at least one, the day of `last` among them even while it is not over.
    days: u64,
    /// First row with a known value.
    pub first: Option<BarIndex>,
    /// Last row with a known value.
    pub last: Option<BarIndex>,
}

/// A source column that some days of the counted stretch lack. Days that the stretch only touches are not
/// counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartialSource {
    /// Symbol whose column has holes.
    pub symbol: String,
    /// Name of the source column.
    pub column: &'static str,
    /// Open of the first bar with a known value; null when there is none.
    pub known_from: Option<String>,
    /// Close of the last bar with a known value.
    pub known_through: Option<String>,
    /// Whole UTC days of the stretch without any known value.
    pub days_without: u64,
    /// Whole UTC days of the stretch.
    pub days: u64,
    /// Event types that cannot occur where it is unknown.
    pub events: Vec<String>,
}

/// A state or a regime that conditions read and that cannot be known on some symbols.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LackingSeries {
    /// The state or regime.
    pub series: String,
    /// The column that it needs and that was known on none of the counted rows.
    pub column: &'static str,
    /// Symbols on which it cannot be known.
    pub symbols: Vec<String>,
}

impl KnownSpan {
    /// Counts a stretch of the column; `counted_from` is the first counted row of all.
    pub(super) fn observe(&mut self, first: BarIndex, column: &[f64], counted_from: BarIndex) {
        let first_whole_day = whole_days(counted_from, counted_from).0;
        for (bar, _) in (0_i64..).map(|row| first + row).zip(column).filter(|(_, v)| !v.is_nan()) {
            let day = day(bar);
            let is_new_day = self.last.is_none_or(|last| self::day(last) < day);
            self.days += u64::from(is_new_day && day >= first_whole_day);
            self.rows += 1;
            self.first = self.first.or(Some(bar));
            self.last = Some(bar);
        }
    }

    /// Whole days of `[from, end)` without a known value, and whole days in all.
    pub(super) fn days_without(&self, from: BarIndex, end: BarIndex) -> (u64, u64) {
        let (first, last) = whole_days(from, end);
        let days = u64::try_from(last - first).unwrap_or(0);
        let in_running_day = self.last.is_some_and(|bar| day(bar) >= last && day(bar) >= first);
        (days.saturating_sub(self.days - u64::from(in_running_day)), days)
    }
}

fn day(bar: BarIndex) -> i64 {
    bar.0.div_euclid(BARS_PER_DAY)
}

/// First whole UTC day at or after `from`, and the day that is not over at `end`.
fn whole_days(from: BarIndex, end: BarIndex) -> (i64, i64) {
    (day(from + (BARS_PER_DAY - 1)), day(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_without_a_value_are_counted_whatever_the_chunks() {
        let from = BarIndex(1000 * BARS_PER_DAY + 200);
        // Known on days 2, 3 and 6 of the stretch, and on the running day 8.
        let known = |row: i64| [2, 3, 6, 8].contains(&(day(from + row) - 1000));
        let rows = 7 * BARS_PER_DAY + 150;
        let column: Vec<f64> = (0..rows).map(|row| if known(row) { 1.0 } else { f64::NAN }).collect();
        for chunk in [1, 97, 4000] {
            let mut span = KnownSpan::default();
            for (at, part) in column.chunks(chunk).enumerate() {
                span.observe(from + (at * chunk) as i64, part, from);
            }
            // Whole days are 1 to 7; of these 1, 4, 5 and 7 lack it.
            assert_eq!(span.days_without(from, from + rows), (4, 7), "chunks of {chunk}");
            assert_eq!(span.first, Some(BarIndex(1002 * BARS_PER_DAY)));
        }
        assert_eq!(KnownSpan::default().days_without(from, from + rows), (7, 7));
        assert_eq!(KnownSpan::default().days_without(from, from + 50), (0, 0));
    }
}
