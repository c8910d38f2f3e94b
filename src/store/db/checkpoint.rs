//! Checkpoints of the pipeline: which to keep, and going back to one.

use std::collections::BTreeSet;

use fjall::OwnedWriteBatch;

use super::commit::{COMMITTED, from_bar};
use super::error::During;
use super::kv::{blob, event, time_at_end};
use super::raw::corrupt;
use super::{Store, StoreError};
use backtestd_core::market::BarIndex;

pub(super) const REWINDS: &str = "rewinds";

/// Which checkpoints stay: dense near the end, where repairs are likely, sparse further back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointLadder {
    /// The newest so many.
    pub latest: usize,
    /// The last one of each of so many UTC days.
    pub days: i64,
    /// The last one of each of so many weeks.
    pub weeks: i64,
}

impl Default for CheckpointLadder {
    fn default() -> Self {
        Self { latest: 3, days: 7, weeks: 8 }
    }
}

impl CheckpointLadder {
    /// Those of `bars` (ascending) that stay.
    fn kept(self, bars: &[BarIndex]) -> BTreeSet<BarIndex> {
        let mut kept: BTreeSet<BarIndex> = bars.iter().rev().take(self.latest.max(1)).copied().collect();
        let Some(newest) = bars.last() else { return kept };
        for (span, days) in [(self.days, 1), (self.weeks, 7)] {
            let slot = |bar: BarIndex| bar.open().day().div_euclid(days);
            for (i, bar) in bars.iter().enumerate() {
                let last_of_slot = bars.get(i + 1).is_none_or(|next| slot(*next) != slot(*bar));
                if last_of_slot && slot(*newest) - slot(*bar) < span {
                    kept.insert(*bar);
                }
            }
        }
        kept
    }
}

/// What a rewind removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewound {
    /// Events, now in the audit trail.
    pub events: u64,
    /// Outcomes that were removed.
    pub outcomes: u64,
    /// Checkpoints that were removed.
    pub checkpoints: u64,
}

impl Store {
    /// Bars after which there is a checkpoint, ascending.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn checkpoints(&self) -> Result<Vec<BarIndex>, StoreError> {
        let mut out = Vec::new();
        for pair in self.spaces.checkpoints.iter() {
            let key = pair.key().during("list checkpoints")?;
            let bar = time_at_end(&key).ok_or_else(|| corrupt("checkpoints", &key, "key too short"))?;
            out.push(BarIndex(bar));
        }
        Ok(out)
    }

    /// The newest checkpoint at or before a bar.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn latest_checkpoint(
        &self,
        at_or_before: BarIndex,
    ) -> Result<Option<(BarIndex, Vec<u8>)>, StoreError> {
        let Some(pair) = self.spaces.checkpoints.range(..=from_bar(at_or_before)).next_back() else {
            return Ok(None);
        };
        let (key, value) = pair.into_inner().during("read a checkpoint")?;
        let bar = time_at_end(&key).ok_or_else(|| corrupt("checkpoints", &key, "key too short"))?;
        let bytes = blob::unwrap(&value).ok_or_else(|| corrupt("checkpoints", &key, "unknown version"))?;
        Ok(Some((BarIndex(bar), bytes.to_vec())))
    }

    /// Writes a checkpoint ahead of its tick, past the journal and the memtable: they would hold megabytes of
    /// it a second time until the next one comes. It counts only once its tick is committed; until then it
    /// lies after the committed bar, where nobody reads, and the next opening removes it.
    pub(super) fn write_checkpoint(&self, through: BarIndex, bytes: &[u8]) -> Result<(), StoreError> {
        const ACTION: &str = "write a checkpoint";
        let mut ingestion = self.spaces.checkpoints.start_ingestion().during(ACTION)?;
        ingestion.write(from_bar(through), blob::wrap(bytes)).during(ACTION)?;
        ingestion.finish().during(ACTION)
    }

    /// A crash between a checkpoint and its commit leaves one that a tick which ends differently must not
    /// find.
    pub(super) fn drop_uncommitted_checkpoints(&mut self) -> Result<(), StoreError> {
        let committed = self.committed()?;
        let mut batch = self.db.batch();
        for bar in self.checkpoints()?.into_iter().filter(|bar| committed.is_none_or(|end| *bar > end)) {
            batch.remove(&self.spaces.checkpoints, from_bar(bar));
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.write_durably(batch, "remove checkpoints that no tick committed")
    }

    /// Takes out, with the tick that ends at `through`, the checkpoints that `ladder` does not keep beside
    /// its own.
    pub(super) fn stage_ladder(
        &self,
        batch: &mut OwnedWriteBatch,
        through: BarIndex,
        ladder: CheckpointLadder,
    ) -> Result<(), StoreError> {
        let mut bars = self.checkpoints()?;
        bars.push(through);
        let kept = ladder.kept(&bars);
        for bar in bars.into_iter().filter(|b| !kept.contains(b)) {
            batch.remove(&self.spaces.checkpoints, from_bar(bar));
        }
        Ok(())
    }

    /// Goes back to the state after bar `to`, in one atomic batch: facts and checkpoints after it go, events
    /// move to the audit trail ([`Store::revisions`]), days of the evidence book that it opens again go, raw
    /// records, trials, signals and arrivals stay. At or after the last committed bar nothing happens.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn rewind(&mut self, to: BarIndex) -> Result<Rewound, StoreError> {
        let mut out = Rewound::default();
        let Some(committed) = self.committed()?.filter(|c| to < *c) else { return Ok(out) };
        let after = from_bar(to.next());
        let mut batch = self.db.batch();
        let rewind = self.rewinds + 1;
        for pair in self.spaces.events.range(after.clone()..) {
            let (key, value) = pair.into_inner().during("read events")?;
            let revision = event::encode_revision(committed, &value);
            batch.insert(&self.spaces.revisions, event::revision_key(&key, rewind), revision);
            batch.remove(&self.spaces.events, key);
            out.events += 1;
        }
        for (space, count) in [
            (&self.spaces.outcomes, Some(&mut out.outcomes)),
            (&self.spaces.checkpoints, Some(&mut out.checkpoints)),
            (&self.spaces.episode_ends, None),
        ] {
            let before = batch.len();
            for pair in space.range(after.clone()..) {
                batch.remove(space, pair.key().during("read facts")?);
            }
            if let Some(count) = count {
                *count = (batch.len() - before) as u64;
            }
        }
        self.stage_open_days(&mut batch, to)?;
        batch.insert(&self.spaces.meta, REWINDS, rewind.to_le_bytes());
        batch.insert(&self.spaces.meta, COMMITTED, to.0.to_le_bytes());
        self.write_durably(batch, "rewind")?;
        self.rewinds = rewind;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::BARS_PER_DAY;

    #[test]
    fn the_ladder_is_dense_near_the_end_and_sparse_further_back() {
        let ladder = CheckpointLadder { latest: 3, days: 3, weeks: 2 };
        // A checkpoint every 6 hours for 30 days, the first at midnight of a Thursday (day 0 of the epoch).
        let bars: Vec<_> = (0..120).map(|i| BarIndex(i * BARS_PER_DAY / 4)).collect();
        let hours: Vec<_> = ladder.kept(&bars).iter().map(|b| b.0 * 24 / BARS_PER_DAY).collect();
        // Last of weeks 3 (day 27) and 4 (day 29), last of days 27, 28, 29, the newest three.
        assert_eq!(hours, [666, 690, 702, 708, 714]);
    }
}
