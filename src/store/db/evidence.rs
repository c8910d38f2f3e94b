//! What discovery keeps: the trial ledger, and the evidence book day by day.

use super::commit::from_bar;
use super::error::During;
use super::kv::{blob, time_at_end, trial};
use super::raw::corrupt;
use super::{Store, StoreError};
use backtestd_core::discovery::{DayRecord, Trial};
use backtestd_core::market::BarIndex;

const REPLAYS: &str = "replays";
/// Length of a link.
const LINK: usize = 32;

fn day_key(day: i64) -> Vec<u8> {
    from_bar(BarIndex(day))
}

impl Store {
    /// Every trial ever.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged: an understated number of trials would be worse than
    /// none.
    pub fn trials(&self) -> Result<Vec<Trial>, StoreError> {
        let mut out = Vec::new();
        for pair in self.spaces.trials.iter() {
            let (key, value) = pair.into_inner().during("read the trial ledger")?;
            out.push(trial::decode(&key, &value).ok_or_else(|| corrupt("trials", &key, "does not decode"))?);
        }
        Ok(out)
    }

    /// Adds trials in one atomic batch, durably. Those that are there stay as they were.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn add_trials(&mut self, trials: &[Trial]) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        for t in trials {
            if !self.spaces.trials.contains_key(t.key.0).during("read the trial ledger")? {
                batch.insert(&self.spaces.trials, t.key.0, trial::encode(t));
            }
        }
        batch.commit().during("add trials")?;
        self.sync()
    }

    /// Remembers the days on which trials began, in one atomic batch, durably. What is remembered stays as it
    /// was.
    ///
    /// # Errors
    /// When the engine fails, or a trial does not decode.
    pub fn begin_trials(&mut self, trials: &[Trial]) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        for t in trials {
            let Some(value) = self.spaces.trials.get(t.key.0).during("read the trial ledger")? else {
                continue;
            };
            let stored = trial::decode(&t.key.0, &value)
                .ok_or_else(|| corrupt("trials", &t.key.0, "does not decode"))?;
            if stored.begun.is_none() {
                let begun = Trial { begun: t.begun, ..stored };
                batch.insert(&self.spaces.trials, t.key.0, trial::encode(&begun));
            }
        }
        batch.commit().during("begin trials")?;
        self.sync()
    }

    /// The days of the evidence book, in order, as far as they can be read: damage ends the list, it is no
    /// error.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn evidence(&self) -> Result<Vec<DayRecord>, StoreError> {
        let mut out = Vec::new();
        for pair in self.spaces.evidence.iter() {
            let (key, value) = pair.into_inner().during("read the evidence book")?;
            let bytes = blob::unwrap(&value).and_then(<[u8]>::split_first_chunk::<LINK>);
            let (Some(day), Some((link, record))) = (time_at_end(&key), bytes) else { break };
            out.push(DayRecord { day, link: *link, bytes: record.to_vec() });
        }
        Ok(out)
    }

    /// The last day of the book and its link.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn last_evidence(&self) -> Result<Option<(i64, [u8; 32])>, StoreError> {
        let Some(pair) = self.spaces.evidence.last_key_value() else { return Ok(None) };
        let (key, value) = pair.into_inner().during("read the evidence book")?;
        let link = blob::unwrap(&value).and_then(<[u8]>::first_chunk::<LINK>);
        Ok(time_at_end(&key).map(|day| (day, link.copied().unwrap_or_default())))
    }

    /// How often closed days of the book were taken again: after late data, another spec, or damage.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn replays(&self) -> Result<i64, StoreError> {
        Ok(self.meta_i64(REPLAYS)?.unwrap_or(0))
    }

    /// Counts one more.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn count_replay(&mut self) -> Result<(), StoreError> {
        let count = self.replays()? + 1;
        self.spaces.meta.insert(REPLAYS, count.to_le_bytes()).during("count a replay")
    }

    /// Puts into a rewind's batch that the days of the book which it opens again are gone.
    pub(super) fn stage_open_days(
        &self,
        batch: &mut fjall::OwnedWriteBatch,
        to: BarIndex,
    ) -> Result<(), StoreError> {
        let first_open = to.next().open().day();
        let before = batch.len();
        for pair in self.spaces.evidence.range(day_key(first_open)..) {
            batch.remove(&self.spaces.evidence, pair.key().during("read the evidence book")?);
        }
        if batch.len() > before {
            batch.insert(&self.spaces.meta, REPLAYS, (self.replays()? + 1).to_le_bytes());
        }
        Ok(())
    }

    /// Drops the book's days from `day` on and adds these, in one atomic batch. The book can be computed
    /// again from the outcomes, so this does not wait for the disk.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn replace_evidence(&mut self, day: i64, records: &[DayRecord]) -> Result<(), StoreError> {
        let mut batch = self.db.batch();
        for pair in self.spaces.evidence.range(day_key(day)..) {
            let key = pair.key().during("read the evidence book")?;
            batch.remove(&self.spaces.evidence, key);
        }
        for record in records {
            let mut value = record.link.to_vec();
            value.extend_from_slice(&record.bytes);
            batch.insert(&self.spaces.evidence, day_key(record.day), blob::wrap(&value));
        }
        batch.commit().during("keep the evidence book")
    }
}
