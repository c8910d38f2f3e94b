//! The first article of the law by which records meet: what cannot be true never stands before what can.
//!
//! Where two deliveries contradict each other, the record that the law of ranks picks is judged beside the
//! records around it, as it will be once it is written. If it is in doubt and one of the two others is not
//! (what was there, or what is delivered), that one stands. What a user prefers or has released is not asked
//! again.

use std::collections::BTreeMap;

use super::kv::quarantine as layout;
use super::law::{Held, Merged, merge};
use super::put::Row;
use super::{Prefer, Store, StoreError};
use backtestd_core::clean::doubt::{Judge, reach};
use backtestd_core::market::{Columns, SeriesKey};

/// Chooses between contradicting records of one series in one batch.
pub(super) struct Likelier<'s> {
    store: &'s Store,
    key: &'s SeriesKey,
    /// What the batch delivers, in order of time; empty where nothing can meet.
    delivered: Vec<Row>,
    /// The log as it will be, as far as it is known; read when the first contradiction asks.
    around: Option<Vec<Row>>,
}

impl<'s> Likelier<'s> {
    /// `delivered`: what the batch brings, in order of time.
    pub(super) const fn new(store: &'s Store, key: &'s SeriesKey, delivered: Vec<Row>) -> Self {
        Self { store, key, delivered, around: None }
    }

    /// Merges `new` into `before` by the law, or the other way where only that can be true.
    pub(super) fn merge(
        &mut self,
        time: i64,
        before: &Held,
        new: &Held,
        prefer: Prefer,
    ) -> Result<(Held, Merged), StoreError> {
        let kind = self.key.kind;
        let by = |prefer| {
            let mut held = before.clone();
            let merged = merge(kind, &mut held, new, prefer);
            (held, merged)
        };
        let mut chosen = by(prefer);
        let contradicts = chosen.1.won | chosen.1.kept != 0;
        if prefer == Prefer::Better && contradicts && self.is_doubted(time, &chosen.0.columns)? {
            for other in [Prefer::Stored, Prefer::New].map(by) {
                if !self.is_doubted(time, &other.0.columns)? {
                    chosen = other;
                    break;
                }
            }
        }
        if let Some(row) = self.around.as_mut().and_then(|rows| row_at(rows, time)) {
            row.1 = chosen.0.columns;
        }
        Ok(chosen)
    }

    /// Whether a record with these values goes into quarantine, or is there.
    fn is_doubted(&mut self, time: i64, columns: &Columns) -> Result<bool, StoreError> {
        let (store, kind) = (self.store, self.key.kind);
        let Some(rules) = &store.judging.rules else { return Ok(false) };
        let bits = layout::bits(kind, columns);
        let known = store.entries(self.key, time, time + 1)?.remove(&time).filter(|entry| entry.bits == bits);
        if let Some(entry) = known {
            return Ok(entry.masks());
        }
        let far = reach(rules, kind);
        let rows = match &mut self.around {
            Some(rows) => rows,
            None => self.around.insert(read_around(store, self.key, &self.delivered, far)?),
        };
        if let Some(row) = row_at(rows, time) {
            row.1 = *columns;
        }
        let near = |at: i64| rows.partition_point(|row| row.0 < at);
        let near = &rows[near(time - far)..near(time + far + 1)];
        let judge = Judge { rules, now: store.judging.now };
        Ok(judge.series(kind, near, time..time + 1).contains_key(&time))
    }
}

fn row_at(rows: &mut [Row], time: i64) -> Option<&mut Row> {
    let at = rows.binary_search_by_key(&time, |row| row.0).ok()?;
    Some(&mut rows[at])
}

/// The log within reach of what is delivered, with what is delivered where it has nothing.
fn read_around(store: &Store, key: &SeriesKey, delivered: &[Row], far: i64) -> Result<Vec<Row>, StoreError> {
    let (Some(first), Some(last)) = (delivered.first(), delivered.last()) else { return Ok(Vec::new()) };
    let mut rows: BTreeMap<i64, Columns> = delivered.iter().copied().collect();
    rows.extend(store.log_rows(key, first.0 - far, last.0 + far + 1)?);
    Ok(rows.into_iter().collect())
}
