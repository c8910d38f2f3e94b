//! What is handed over for merging, and what merging came to. The law itself is in `law`.

use std::collections::BTreeSet;
use std::fmt;

use super::{Judged, Origin};
use backtestd_core::market::{RawPut, SeriesKey, Ts};

/// How many conflicts a report lists one by one; the ledger ([`super::Store::conflicts`]) has more.
pub(super) const LISTED_CONFLICTS: usize = 20;

/// Which of two known values stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// The better one by rank, trades and publication.
    #[default]
    Better,
    /// The one that is delivered now.
    New,
    /// The one that is there.
    Stored,
}

/// Where a delivery comes from: kept with every record that it brings, and decides between it and others.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// Kind of source.
    pub origin: Origin,
    /// File or endpoint, named in conflicts.
    pub label: &'a str,
    /// When the delivery was made (an archive published, an answer given), where it says so.
    pub made: Option<Ts>,
    /// Which of two known values stands.
    pub prefer: Prefer,
    /// The time now, for the ledger of conflicts.
    pub noted: Option<Ts>,
}

impl<'a> Delivery<'a> {
    /// A delivery of which nothing else is known.
    #[must_use]
    pub const fn new(origin: Origin, label: &'a str) -> Self {
        Self { origin, label, made: None, prefer: Prefer::Better, noted: None }
    }

    /// An answer of the exchange that was given just now.
    #[must_use]
    pub const fn answered(origin: Origin, label: &'a str, now: Ts) -> Self {
        Self { made: Some(now), noted: Some(now), ..Self::new(origin, label) }
    }
}

/// Records that came with one delivery. Several lots can be put in one batch.
#[derive(Clone, Copy, Debug)]
pub struct Lot<'a> {
    /// The records to be merged.
    pub puts: &'a [RawPut],
    /// What they came with.
    pub delivery: Delivery<'a>,
    /// Records (series and time) that are known to complete what is stored: they stand, and are no conflict.
    pub completes: Option<&'a BTreeSet<(SeriesKey, i64)>>,
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
    /// The value that was there, and its origin.
    pub old: (f64, Origin),
    /// The value that was delivered, and its origin.
    pub new: (f64, Origin),
    /// Whether the delivered value stands.
    pub new_stands: bool,
    /// Label of the delivery that brought the new value.
    pub label: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SeriesKey { kind, market, symbol } = &self.series;
        let ((old, old_origin), (new, new_origin)) = (self.old, self.new);
        write!(f, "{}: {market} {symbol} {} at {}: {} ", self.label, kind.name(), self.at, self.field)?;
        if self.new_stands {
            write!(f, "was {old} ({}), now {new} ({})", old_origin.name(), new_origin.name())
        } else {
            write!(f, "stays {old} ({}), not {new} ({})", old_origin.name(), new_origin.name())
        }
    }
}

/// What a put changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MergeReport {
    /// Records that were not there.
    pub inserted: u64,
    /// Records that were there already, or brought nothing new.
    pub unchanged: u64,
    /// Of the unchanged ones: records whose values a better origin has confirmed.
    pub confirmed: u64,
    /// Records that gained a value in a column that was unknown, without conflict.
    pub filled: u64,
    /// Records with a conflict in which a delivered value stands: they read differently now.
    pub conflicts: u64,
    /// Records with a conflict in which everything that was there stands.
    pub kept: u64,
    /// Records that the delivery itself held twice with different values.
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
        self.confirmed += other.confirmed;
        self.filled += other.filled;
        self.conflicts += other.conflicts;
        self.kept += other.kept;
        self.contradictions += other.contradictions;
        self.judged.add(other.judged);
        let room = LISTED_CONFLICTS.saturating_sub(self.listed.len());
        self.listed.extend(other.listed.into_iter().take(room));
    }

    /// Whether every value is what it was before.
    #[must_use]
    pub const fn is_noop(&self) -> bool {
        self.inserted == 0 && self.filled == 0 && self.conflicts == 0
    }

    /// Records that were delivered.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.inserted + self.unchanged + self.filled + self.conflicts + self.kept
    }
}
