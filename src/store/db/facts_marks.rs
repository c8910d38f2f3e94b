//! Marks beside the facts: the first row they were computed from, and from which row on they no longer are
//! what the raw log gives. Whoever changes committed history sets the second mark; the daemon goes back to it
//! at its next step.

use super::{Lot, MergeReport, Store, StoreError};
use backtestd_core::market::{BarIndex, SeriesKey};

/// Name of the mark with the first row: `i64 LE`, anything behind it is the daemon's.
pub const FACTS_FIRST: &str = "facts/first";
/// Name of the mark with the first stale row: `i64 LE`, or nothing.
pub const FACTS_DIRTY: &str = "facts/dirty";

/// The lags of the specs are not known here: the row that closes at an instant is the first that may read it.
const NO_LAG: i64 = 0;

fn bar_of(bytes: &[u8]) -> Option<BarIndex> {
    Some(BarIndex(i64::from_le_bytes(bytes.get(..8)?.try_into().ok()?)))
}

impl Store {
    /// First row of the facts.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn facts_first(&self) -> Result<Option<BarIndex>, StoreError> {
        Ok(self.meta(FACTS_FIRST)?.as_deref().and_then(bar_of))
    }

    /// First row whose facts are stale.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn facts_dirty(&self) -> Result<Option<BarIndex>, StoreError> {
        Ok(self.meta(FACTS_DIRTY)?.as_deref().and_then(bar_of))
    }

    /// Puts records from outside a daemon (a file, a backfill) with small keyed blobs, and marks facts that
    /// were computed without them as stale. The mark is set before the write: a crash in between costs a
    /// replay that changes nothing.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_history(
        &mut self,
        lots: &[Lot<'_>],
        meta: &[(String, Vec<u8>)],
    ) -> Result<Vec<(SeriesKey, MergeReport)>, StoreError> {
        let known = self.facts_dirty()?;
        let puts = lots.iter().flat_map(|lot| lot.puts);
        let first = puts.filter_map(|put| put.records.first_row(NO_LAG)).min();
        let stale = match (self.committed()?, first) {
            (Some(committed), Some(first)) if first <= committed => Some(first),
            _ => None,
        };
        let marked = stale.filter(|bar| known.is_none_or(|known| *bar < known));
        if let Some(bar) = marked {
            self.put_meta(FACTS_DIRTY, &bar.0.to_le_bytes())?;
        }
        let reports = self.put_lots(lots, meta)?;
        if marked.is_some() && reports.iter().all(|(_, report)| report.is_noop()) {
            self.put_meta(FACTS_DIRTY, &known.map_or_else(Vec::new, |bar| bar.0.to_le_bytes().to_vec()))?;
        }
        Ok(reports)
    }
}
