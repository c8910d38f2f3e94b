//! The law by which new records meet stored ones: unknown never overwrites known, known fills unknown, and where two
//! known values differ the later delivery wins and the conflict is reported.

use std::fmt;

use super::kv::series::canonical;
use super::{Judged, Origin};
use backtestd_core::market::{Columns, SeriesKey, Ts};

/// How many conflicts a report lists one by one; the rest is only counted.
pub(super) const LISTED_CONFLICTS: usize = 20;

/// Where a delivery comes from, for provenance and messages.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Kind of source, stored with each record it changes.
    pub origin: Origin,
    /// File or endpoint, named in conflicts.
    pub label: &'a str,
}

/// Two known values for the same place.
#[derive(Clone, Debug, PartialEq)]
pub struct Conflict {
    /// The series that the values belong to.
    pub series: SeriesKey,
    /// Open of the bar, or the instant.
    pub at: Ts,
    /// Column in which the values differ.
    pub field: &'static str,
    /// The value before.
    pub old: f64,
    /// The value now.
    pub new: f64,
    /// Label of the delivery that brought the new value.
    pub label: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} {} {} at {}: {} was {}, now {}",
            self.label,
            self.series.market,
            self.series.symbol,
            self.series.kind.name(),
            self.at,
            self.field,
            self.old,
            self.new
        )
    }
}

/// What a put changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MergeReport {
    /// Records that were not there.
    pub inserted: u64,
    /// Records that were there already, or brought nothing new.
    pub unchanged: u64,
    /// Records that gained a value in a column that was unknown, without conflict.
    pub filled: u64,
    /// Records with at least one conflict.
    pub conflicts: u64,
    /// Records that the delivery itself held twice with different values; the later in it won.
    pub contradictions: u64,
    /// The first [`LISTED_CONFLICTS`] conflicts, in order.
    pub listed: Vec<Conflict>,
    /// Records that went into quarantine or came out of it: those written, and their neighbours.
    pub judged: Judged,
}

impl MergeReport {
    /// Adds another report.
    pub fn add(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.unchanged += other.unchanged;
        self.filled += other.filled;
        self.conflicts += other.conflicts;
        self.contradictions += other.contradictions;
        self.judged.add(other.judged);
        let room = LISTED_CONFLICTS.saturating_sub(self.listed.len());
        self.listed.extend(other.listed.into_iter().take(room));
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_noop(&self) -> bool {
        self.inserted == 0 && self.filled == 0 && self.conflicts == 0
    }
}

/// What merging one record came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Merged {
    pub filled: bool,
    /// Bit i: column i conflicted.
    pub conflicts: u32,
}

/// Merges `new` into `old`, column by column.
pub(super) fn merge(old: &mut Columns, new: &Columns, width: usize) -> Merged {
    let mut out = Merged::default();
    for i in 0..width {
        let (was, now) = (old[i], canonical(new[i]));
        if now.is_nan() || was.to_bits() == now.to_bits() {
            continue;
        }
        if was.is_nan() {
            out.filled = true;
        } else {
            out.conflicts |= 1 << i;
        }
        old[i] = now;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: f64 = f64::NAN;

    fn row(v: [f64; 3]) -> Columns {
        let mut out = [N; 9];
        out[..3].copy_from_slice(&v);
        out
    }

    #[test]
    fn unknown_never_overwrites_known_and_known_fills_unknown() {
        let mut old = row([1.0, N, 3.0]);
        let m = merge(&mut old, &row([N, 2.0, 3.0]), 3);
        assert_eq!(m, Merged { filled: true, conflicts: 0 });
        assert_eq!(old[..3], [1.0, 2.0, 3.0]);
    }

    #[test]
    fn two_known_values_that_differ_are_a_conflict_and_the_later_wins() {
        let mut old = row([1.0, 2.0, 3.0]);
        let m = merge(&mut old, &row([1.0, 2.5, N]), 3);
        assert_eq!(m, Merged { filled: false, conflicts: 0b10 });
        assert_eq!(old[..3], [1.0, 2.5, 3.0]);
    }

    #[test]
    fn negative_zero_is_the_same_as_zero() {
        let mut old = row([0.0, N, N]);
        assert_eq!(merge(&mut old, &row([-0.0, N, N]), 3), Merged::default());
    }
}
