//! The ledger of conflicts: every record of which two deliveries said different things, and which of them
//! stands.

use std::collections::{BTreeMap, BTreeSet};

use fjall::OwnedWriteBatch;

use super::commit::unstorable;
use super::error::During;
use super::kv::conflict::{self, StoredConflict, StoredSide};
use super::kv::summary;
use super::law::Held;
use super::provenance::Made;
use super::raw::corrupt;
use super::{Store, StoreError};
use backtestd_core::market::{SeriesKey, Ts};

/// Conflicts that one put lists of one series; a table of rounded prices contradicts the archive in every
/// row. The rest is counted.
const LISTED_EACH: u64 = 1_000;
/// The newest so many are kept.
const KEPT: u64 = 100_000;

/// One side of a conflict.
#[derive(Clone, Debug, PartialEq)]
pub struct ConflictSide {
    /// What it came with.
    pub made: Made,
    /// Its values in the order of the kind's columns.
    pub columns: Vec<f64>,
}

/// A record of which two deliveries said different things.
#[derive(Clone, Debug, PartialEq)]
pub struct NotedConflict {
    /// The order in which conflicts were noted.
    pub seq: u64,
    /// Whose record it is.
    pub series: SeriesKey,
    /// Open of the bar, or the instant.
    pub at: Ts,
    /// When it was noted, where that was known.
    pub noted: Option<Ts>,
    /// What was there.
    pub old: ConflictSide,
    /// What was delivered.
    pub new: ConflictSide,
    /// Whether what was delivered stands.
    pub new_stands: bool,
}

impl NotedConflict {
    /// The columns in which both sides know different values, with the old and the new one.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, f64, f64)> {
        let names = self.series.kind.columns().iter();
        let values = self.old.columns.iter().zip(&self.new.columns);
        names
            .zip(values)
            .filter(|(_, (old, new))| !old.is_nan() && !new.is_nan() && old != new)
            .map(|(name, (old, new))| (*name, *old, *new))
            .collect()
    }
}

/// Conflicts between one delivery and the store that are counted only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnlistedConflicts {
    /// The series that is contradicted.
    pub series: SeriesKey,
    /// The delivery that contradicts it.
    pub made: Made,
    /// Records beyond those that are listed.
    pub records: u64,
}

/// What the ledger holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conflicts {
    /// The conflicts, in the order in which they were noted.
    pub listed: Vec<NotedConflict>,
    /// Where there were more than are listed.
    pub unlisted: Vec<UnlistedConflicts>,
}

impl Store {
    /// The ledger of conflicts.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn conflicts(&self) -> Result<Conflicts, StoreError> {
        let mut made: BTreeMap<u32, Made> = BTreeMap::new();
        let mut of = |id: u32| -> Result<Made, StoreError> {
            if let Some(known) = made.get(&id) {
                return Ok(known.clone());
            }
            let found = self.delivery(id)?;
            made.insert(id, found.clone());
            Ok(found)
        };
        let mut out = Conflicts::default();
        for pair in self.spaces.conflicts.iter() {
            let (key, value) = pair.into_inner().during("read the ledger of conflicts")?;
            let damaged = || corrupt("conflicts", &key, "not a conflict");
            if let Some(seq) = conflict::seq_of(&key) {
                let found = conflict::decode(&value).ok_or_else(damaged)?;
                let series = summary::decode_key(&found.series).ok_or_else(damaged)?;
                out.listed.push(NotedConflict {
                    seq,
                    at: series.kind.instant(found.time),
                    series,
                    noted: found.noted.map(Ts),
                    old: ConflictSide { made: of(found.old.id)?, columns: found.old.columns },
                    new: ConflictSide { made: of(found.new.id)?, columns: found.new.columns },
                    new_stands: found.new_stands,
                });
            } else if let Some((series, id)) = conflict::beyond_of(&key) {
                let records = conflict::number(&value).ok_or_else(damaged)?;
                out.unlisted.push(UnlistedConflicts { series, made: of(id)?, records });
            }
        }
        Ok(out)
    }
}

/// Notes the conflicts of one batch.
pub(super) struct Ledger<'s> {
    store: &'s Store,
    /// Listed and counted, by series and delivery.
    counts: BTreeMap<(SeriesKey, u32), u64>,
    staged: BTreeSet<Vec<u8>>,
    next: Option<u64>,
}

impl<'s> Ledger<'s> {
    pub(super) const fn new(store: &'s Store) -> Self {
        Self { store, counts: BTreeMap::new(), staged: BTreeSet::new(), next: None }
    }

    /// Notes that `new` met `old`; `columns` has a bit for each column in which they differ.
    pub(super) fn note(
        &mut self,
        batch: &mut OwnedWriteBatch,
        (series, time): (&SeriesKey, i64),
        (old, new): (&Held, &Held),
        (columns, new_stands): (u32, bool),
        noted: Option<Ts>,
    ) -> Result<(), StoreError> {
        let first = columns.trailing_zeros() as usize;
        let width = series.kind.columns().len();
        let side =
            |held: &Held| StoredSide { id: held.says.of(first).id, columns: held.columns[..width].to_vec() };
        let found = StoredConflict {
            series: summary::key(series),
            time,
            noted: noted.map(|at| at.0),
            new_stands,
            old: side(old),
            new: side(new),
        };
        let count = self.counts.entry((series.clone(), found.new.id)).or_default();
        *count += 1;
        if *count > LISTED_EACH {
            return Ok(());
        }
        let identity = conflict::identity(&found);
        let space = &self.store.spaces.conflicts;
        let is_known =
            self.staged.contains(&identity) || space.contains_key(&identity).during("look up a conflict")?;
        if is_known {
            return Ok(());
        }
        let seq = match self.next {
            Some(next) => next,
            None => self.ends()?.map_or(0, |(_, last)| last + 1),
        };
        self.next = Some(seq + 1);
        let value = conflict::encode(&found).map_err(|error| unstorable("a conflict", &error))?;
        batch.insert(space, conflict::key(seq), value);
        batch.insert(space, identity.clone(), seq.to_le_bytes());
        self.staged.insert(identity);
        Ok(())
    }

    /// First and last number in the store.
    fn ends(&self) -> Result<Option<(u64, u64)>, StoreError> {
        let mut all = self.store.spaces.conflicts.range(conflict::key(0)..=conflict::key(u64::MAX));
        let Some(first) = all.next() else { return Ok(None) };
        let seq = |pair: fjall::Guard| -> Result<u64, StoreError> {
            let key = pair.key().during("number a conflict")?;
            conflict::seq_of(&key).ok_or_else(|| corrupt("conflicts", &key, "no number in the key"))
        };
        let first = seq(first)?;
        let last = all.next_back().map(seq).transpose()?.unwrap_or(first);
        Ok(Some((first, last)))
    }

    /// Writes the counts of what is not listed, and drops the oldest entries beyond those that are kept.
    pub(super) fn finish(self, batch: &mut OwnedWriteBatch) -> Result<(), StoreError> {
        let space = &self.store.spaces.conflicts;
        for ((series, id), count) in &self.counts {
            let beyond = count.saturating_sub(LISTED_EACH);
            let key = conflict::beyond_key(series, *id);
            let known = space.get(&key).during("count conflicts")?;
            // The same file again has the same conflicts: they are not counted twice.
            if beyond > known.as_deref().and_then(conflict::number).unwrap_or(0) {
                batch.insert(space, key, beyond.to_le_bytes());
            }
        }
        let (Some(next), Some((first, _))) = (self.next, self.ends()?) else { return Ok(()) };
        let keep_from = next.saturating_sub(KEPT);
        if keep_from <= first {
            return Ok(());
        }
        for pair in space.range(conflict::key(first)..conflict::key(keep_from)) {
            let (key, value) = pair.into_inner().during("drop old conflicts")?;
            if let Some(old) = conflict::decode(&value) {
                batch.remove(space, conflict::identity(&old));
            }
            batch.remove(space, key);
        }
        Ok(())
    }
}
