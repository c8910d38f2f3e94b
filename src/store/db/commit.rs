//! Ticks: what one tick produced is committed in one atomic batch, or not at all.

use fjall::OwnedWriteBatch;

use super::checkpoint::CheckpointLadder;
use super::error::During;
use super::kv::{blob, event, outcome, push_time};
use super::raw::corrupt;
use super::{Delivery, Lot, MergeReport, Origin, Store, StoreError};
use backtestd_core::market::RawPut;
use backtestd_core::market::{BarIndex, Ts};
use backtestd_core::outcomes::Outcome;
use backtestd_core::outcomes::{EpisodeEnd, Event};

pub(super) const COMMITTED: &str = "committed";

/// Everything a tick (or a stretch of them, in a backfill) produced.
#[derive(Clone, Debug, Default)]
pub struct TickCommit<'a> {
    /// Last bar it covers; must lie after [`Store::committed`].
    pub through: BarIndex,
    /// Raw records that are not in the store yet.
    pub raw: &'a [RawPut],
    /// Events that were detected.
    pub events: &'a [Event],
    /// Episodes that ended.
    pub episode_ends: &'a [EpisodeEnd],
    /// Outcomes that matured.
    pub outcomes: &'a [Outcome],
    /// Signals by their sequence number, as JSON.
    pub signals: &'a [(u64, Vec<u8>)],
    /// Updates up to this number are taken in and can go.
    pub updates_through: Option<u64>,
    /// State of the pipeline after `through`.
    pub checkpoint: Option<&'a [u8]>,
    /// When live data arrived, by event id or any other name; the first arrival of a name stays.
    pub arrivals: &'a [(String, Ts)],
    /// Small keyed blobs that must move with the tick.
    pub meta: &'a [(&'a str, &'a [u8])],
}

impl Store {
    /// Commits a tick in one atomic batch, durable by the store's [`super::Fsync`] policy.
    ///
    /// # Errors
    /// [`StoreError::NotForward`] when the tick is not after the last; otherwise the engine failed and the
    /// process must end: what was committed before is safe.
    pub fn commit(&mut self, tick: &TickCommit<'_>) -> Result<MergeReport, StoreError> {
        if let Some(committed) = self.committed()?.filter(|c| tick.through <= *c) {
            return Err(StoreError::NotForward { committed, through: tick.through });
        }
        check_boundary(tick);
        let mut batch = self.db.batch();
        let lot = Lot { puts: tick.raw, delivery: Delivery::new(Origin::Stream, "live"), completes: None };
        let mut report = MergeReport::default();
        for (_, merged) in self.stage(&mut batch, &[lot])? {
            report.add(merged);
        }
        for e in tick.events {
            self.stage_event(&mut batch, e)?;
        }
        for end in tick.episode_ends {
            batch.insert(&self.spaces.episode_ends, event::end_key(end), event::END_VALUE);
        }
        for o in tick.outcomes {
            let value = outcome::encode(o).map_err(|e| unstorable(&o.event.id(), &e))?;
            batch.insert(&self.spaces.outcomes, outcome::key(o), value);
        }
        for (seq, json) in tick.signals {
            batch.insert(&self.spaces.signals, seq.to_be_bytes(), blob::wrap(json));
        }
        if let Some(through) = tick.updates_through {
            self.stage_drop_updates(&mut batch, through)?;
        }
        for (name, at) in tick.arrivals {
            if !self.spaces.arrivals.contains_key(name).during("read an arrival")? {
                batch.insert(&self.spaces.arrivals, name.as_str(), blob::wrap(&at.0.to_le_bytes()));
            }
        }
        for (name, value) in tick.meta {
            batch.insert(&self.spaces.meta, super::facts::user_key(name), *value);
        }
        batch.insert(&self.spaces.meta, COMMITTED, tick.through.0.to_le_bytes());
        if let Some(bytes) = tick.checkpoint {
            self.stage_ladder(&mut batch, tick.through, CheckpointLadder::default())?;
            self.write_checkpoint(tick.through, bytes)?;
        }
        self.write_durably(batch, "commit a tick")?;
        Ok(report)
    }

    /// An event goes in; if the audit trail holds the very same event from before a rewind, it was not
    /// changed by the rewind after all.
    fn stage_event(&self, batch: &mut OwnedWriteBatch, e: &Event) -> Result<(), StoreError> {
        let value = event::encode(e).map_err(|error| unstorable(&e.id(), &error))?;
        self.stage_event_value(batch, &event::key(e.bar, &e.symbol, &e.event_type), value)
    }

    pub(super) fn stage_event_value(
        &self,
        batch: &mut OwnedWriteBatch,
        key: &[u8],
        value: Vec<u8>,
    ) -> Result<(), StoreError> {
        if self.rewinds > 0 {
            for pair in self.spaces.revisions.prefix(key) {
                let (revision, old) = pair.into_inner().during("read revisions")?;
                let (_, old) = event::decode_revision(&old)
                    .ok_or_else(|| corrupt("revisions", &revision, "not a revision"))?;
                if old == value.as_slice() {
                    batch.remove(&self.spaces.revisions, revision);
                }
            }
        }
        batch.insert(&self.spaces.events, key, value);
        Ok(())
    }

    /// The last committed bar: everything up to it survives a crash.
    ///
    /// # Errors
    /// When the engine fails or the mark is damaged.
    pub fn committed(&self) -> Result<Option<BarIndex>, StoreError> {
        self.meta_i64(COMMITTED).map(|v| v.map(BarIndex))
    }

    pub(super) fn meta_i64(&self, key: &'static str) -> Result<Option<i64>, StoreError> {
        let Some(bytes) = self.spaces.meta.get(key).during("read a mark")? else { return Ok(None) };
        let bytes =
            <[u8; 8]>::try_from(&bytes[..]).map_err(|_| corrupt("meta", key.as_bytes(), "not 8 bytes"))?;
        Ok(Some(i64::from_le_bytes(bytes)))
    }
}

/// Nothing of a tick may lie after the bar it ends with, and signals are numbered in order: in builds that
/// assert.
fn check_boundary(tick: &TickCommit<'_>) {
    let close = tick.through.close();
    debug_assert!(tick.events.iter().all(|e| e.bar <= tick.through), "an event lies after its tick");
    debug_assert!(tick.episode_ends.iter().all(|e| e.exit <= tick.through), "an end lies after its tick");
    debug_assert!(tick.outcomes.iter().all(|o| o.matured() <= close), "an outcome matures after its tick");
    debug_assert!(tick.signals.is_sorted_by(|a, b| a.0 + 1 == b.0), "signals are not numbered in order");
}

pub(super) fn unstorable(what: &str, error: &postcard::Error) -> StoreError {
    StoreError::Unstorable { what: what.to_owned(), detail: error.to_string() }
}

/// Start of a range of facts.
pub(super) fn from_bar(bar: BarIndex) -> Vec<u8> {
    let mut key = Vec::with_capacity(8);
    push_time(&mut key, bar.0);
    key
}
