//! Reading facts, runs, signals, updates and meta.

use std::collections::BTreeMap;
use std::sync::Arc;

use fjall::OwnedWriteBatch;

use super::commit::from_bar;
use super::error::During;
use super::kv::event::Interner;
use super::kv::{blob, event, outcome, time_at};
use super::raw::corrupt;
use super::{Store, StoreError};
use backtestd_core::market::{BarIndex, Ts};
use backtestd_core::outcomes::Outcome;
use backtestd_core::outcomes::{EpisodeEnd, Event};

/// Keys removed in one batch.
const DROPPED_AT_ONCE: usize = 10_000;

/// An event as it was known before a rewind changed or removed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// The event as it was.
    pub event: Event,
    /// Number of the rewind that removed it, from 1.
    pub rewind: i64,
    /// Last committed bar when that rewind happened: the event was believed until then.
    pub believed_until: BarIndex,
}

pub(super) fn user_key(name: &str) -> String {
    format!("user/{name}")
}

impl Store {
    /// Events decided on bars of `[first, end)`, by (bar, symbol, type).
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn events(&self, first: BarIndex, end: BarIndex) -> Result<Vec<Event>, StoreError> {
        let mut names = Interner::default();
        self.read(&self.spaces.events, "events", first, end, |k, v| event::decode(k, v, &mut names))
    }

    /// Episodes that ended on bars of `[first, end)`, by (exit bar, symbol, type, onset).
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn episode_ends(&self, first: BarIndex, end: BarIndex) -> Result<Vec<EpisodeEnd>, StoreError> {
        let mut names = Interner::default();
        self.read(&self.spaces.episode_ends, "episode_ends", first, end, |k, v| {
            event::decode_end(k, v, &mut names)
        })
    }

    /// Outcomes that matured on bars of `[first, end)`, by (maturity, symbol, type, event bar, horizon).
    /// Outcomes of one event share it.
    ///
    /// # Errors
    /// When the engine fails, stored bytes are damaged, or an outcome's event is missing.
    pub fn outcomes(&self, first: BarIndex, end: BarIndex) -> Result<Vec<Outcome>, StoreError> {
        let mut names = Interner::default();
        let found = self.read(&self.spaces.outcomes, "outcomes", first, end, |k, v| {
            Some((k.to_vec(), v.to_vec(), outcome::event_key(k)?))
        })?;
        // The events lie before their outcomes: one scan from the oldest joins them all.
        let Some(oldest) = found.iter().map(|(.., event)| event).min() else { return Ok(Vec::new()) };
        let oldest = BarIndex(time_at(oldest, 0).unwrap_or(first.0));
        let events: BTreeMap<Vec<u8>, Arc<Event>> = self
            .events(oldest, end)?
            .into_iter()
            .map(|e| (event::key(e.bar, &e.symbol, &e.event_type), Arc::new(e)))
            .collect();
        let join = |(key, value, event_key): (Vec<u8>, Vec<u8>, Vec<u8>)| {
            let event =
                events.get(&event_key).ok_or_else(|| corrupt("outcomes", &key, "its event is missing"))?;
            outcome::decode(&key, &value, Arc::clone(event), &mut names)
                .ok_or_else(|| corrupt("outcomes", &key, "not an outcome"))
        };
        found.into_iter().map(join).collect()
    }

    /// What events of `[first, end)` were before rewinds changed or removed them.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn revisions(&self, first: BarIndex, end: BarIndex) -> Result<Vec<Revision>, StoreError> {
        let mut names = Interner::default();
        self.read(&self.spaces.revisions, "revisions", first, end, |k, v| {
            let (believed_until, old) = event::decode_revision(v)?;
            let event = event::decode(k, old, &mut names)?;
            Some(Revision { event, rewind: super::kv::time_at_end(k)?, believed_until })
        })
    }

    /// How often an event was changed by rewinds: 0 when it stands as it was first seen.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn revision_of(&self, event: &Event) -> Result<u32, StoreError> {
        let prefix = event::key(event.bar, &event.symbol, &event.event_type);
        let mut count = 0;
        for pair in self.spaces.revisions.prefix(prefix) {
            pair.key().during("read revisions")?;
            count += 1;
        }
        Ok(count)
    }

    fn read<T>(
        &self,
        space: &fjall::Keyspace,
        name: &'static str,
        first: BarIndex,
        end: BarIndex,
        mut decode: impl FnMut(&[u8], &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut out = Vec::new();
        if first >= end {
            return Ok(out);
        }
        for pair in space.range(from_bar(first)..from_bar(end)) {
            let (key, value) = pair.into_inner().during("read facts")?;
            out.push(decode(&key, &value).ok_or_else(|| corrupt(name, &key, "does not decode"))?);
        }
        Ok(out)
    }

    /// When something live arrived here first, if it did.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn arrival(&self, name: &str) -> Result<Option<Ts>, StoreError> {
        let Some(value) = self.spaces.arrivals.get(name).during("read an arrival")? else { return Ok(None) };
        let ms = blob::unwrap(&value).and_then(|b| b.try_into().ok()).map(i64::from_le_bytes);
        ms.map(|ms| Some(Ts(ms))).ok_or_else(|| corrupt("arrivals", name.as_bytes(), "not a time"))
    }

    /// Signals after a sequence number, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn signals_after(&self, seq: u64, limit: usize) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let mut out = Vec::new();
        let Some(from) = seq.checked_add(1) else { return Ok(out) };
        for pair in self.spaces.signals.range(from.to_be_bytes()..).take(limit) {
            out.push(numbered("signals", pair)?);
        }
        Ok(out)
    }

    /// The first signal that is kept.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn first_signal(&self) -> Result<Option<u64>, StoreError> {
        self.spaces.signals.first_key_value().map(|pair| Ok(numbered("signals", pair)?.0)).transpose()
    }

    /// The last signal's sequence number; 0 before the first.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn last_signal(&self) -> Result<u64, StoreError> {
        self.spaces.signals.last_key_value().map_or(Ok(0), |pair| Ok(numbered("signals", pair)?.0))
    }

    /// Drops the signals before number `first`. The newest one stays: the numbering goes on from it. Returns
    /// how many went.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn prune_signals(&mut self, first: u64) -> Result<u64, StoreError> {
        let first = first.min(self.last_signal()?);
        let old = self.spaces.signals.range(..first.to_be_bytes()).map(|pair| Ok((pair.key()?, true)));
        self.drop_old(&self.spaces.signals, old)
    }

    /// Drops arrivals before an instant. Returns how many went.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn prune_arrivals(&mut self, before: Ts) -> Result<u64, StoreError> {
        let is_old = |value: &[u8]| {
            let ms = blob::unwrap(value).and_then(|b| b.try_into().ok()).map(i64::from_le_bytes);
            ms.is_some_and(|ms| ms < before.0)
        };
        let all = self.spaces.arrivals.iter().map(|pair| {
            let (key, value) = pair.into_inner()?;
            Ok((key, is_old(&value)))
        });
        self.drop_old(&self.spaces.arrivals, all)
    }

    /// Drops what events were before rewinds, where that was believed until before `bar`. Returns how many
    /// went.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn prune_revisions(&mut self, bar: BarIndex) -> Result<u64, StoreError> {
        let all = self.spaces.revisions.iter().map(|pair| {
            let (key, value) = pair.into_inner()?;
            Ok((key, event::decode_revision(&value).is_some_and(|(until, _)| until < bar)))
        });
        self.drop_old(&self.spaces.revisions, all)
    }

    /// Drops records of runs. Returns how many went.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn drop_runs<'r>(&mut self, run_ids: impl IntoIterator<Item = &'r str>) -> Result<u64, StoreError> {
        let old = run_ids.into_iter().map(|id| Ok((id.as_bytes().into(), true)));
        self.drop_old(&self.spaces.runs, old)
    }

    /// Removes the keys that are marked, a batch at a time.
    fn drop_old(
        &self,
        space: &fjall::Keyspace,
        keys: impl Iterator<Item = Result<(fjall::UserKey, bool), fjall::Error>>,
    ) -> Result<u64, StoreError> {
        const ACTION: &str = "drop what is no longer kept";
        let mut dropped = 0;
        let mut batch = self.db.batch();
        for found in keys {
            let (key, is_old) = found.during(ACTION)?;
            if !is_old {
                continue;
            }
            batch.remove(space, key);
            dropped += 1;
            if batch.len() >= DROPPED_AT_ONCE {
                std::mem::replace(&mut batch, self.db.batch()).commit().during(ACTION)?;
            }
        }
        batch.commit().during(ACTION)?;
        Ok(dropped)
    }

    /// Keeps updates that no tick has taken in, so that a crash loses none. Returns the last one's number, 0
    /// if there is none. They survive power loss after [`Store::sync`].
    ///
    /// # Errors
    /// When the engine fails.
    pub fn append_updates(&mut self, updates: &[Vec<u8>]) -> Result<u64, StoreError> {
        let mut seq = match self.spaces.updates.last_key_value() {
            Some(pair) => numbered("updates", pair)?.0,
            None => 0,
        };
        let mut batch = self.db.batch();
        for update in updates {
            seq += 1;
            batch.insert(&self.spaces.updates, seq.to_be_bytes(), blob::wrap(update));
        }
        batch.commit().during("keep updates")?;
        Ok(seq)
    }

    /// Updates that no tick has taken in, oldest first.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn updates(&self) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        self.spaces.updates.iter().map(|pair| numbered("updates", pair)).collect()
    }

    pub(super) fn stage_drop_updates(
        &self,
        batch: &mut OwnedWriteBatch,
        through: u64,
    ) -> Result<(), StoreError> {
        for pair in self.spaces.updates.range(0_u64.to_be_bytes()..=through.to_be_bytes()) {
            batch.remove(&self.spaces.updates, pair.key().during("read updates")?);
        }
        Ok(())
    }

    /// Stores a run's record (JSON), replacing an earlier one.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn put_run(&mut self, run_id: &str, json: &[u8]) -> Result<(), StoreError> {
        self.spaces.runs.insert(run_id, blob::wrap(json)).during("store a run")?;
        self.sync()
    }

    /// Runs by id (ids begin with their time, so oldest first).
    ///
    /// # Errors
    /// When the engine fails.
    pub fn runs(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut out = Vec::new();
        for pair in self.spaces.runs.iter() {
            let (key, value) = pair.into_inner().during("list runs")?;
            let bytes = blob::unwrap(&value).ok_or_else(|| corrupt("runs", &key, "unknown version"))?;
            out.push((String::from_utf8_lossy(&key).into_owned(), bytes.to_vec()));
        }
        Ok(out)
    }

    /// A small keyed blob.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.spaces.meta.get(user_key(name)).during("read meta")?.map(|v| v.to_vec()))
    }

    /// Stores a small keyed blob, durably.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn put_meta(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.spaces.meta.insert(user_key(name), value).during("store meta")?;
        self.sync()
    }
}

fn numbered(space: &'static str, pair: fjall::Guard) -> Result<(u64, Vec<u8>), StoreError> {
    let (key, value) = pair.into_inner().during("read numbered records")?;
    let seq = blob::seq(&key).ok_or_else(|| corrupt(space, &key, "not a number"))?;
    let bytes = blob::unwrap(&value).ok_or_else(|| corrupt(space, &key, "unknown version"))?;
    Ok((seq, bytes.to_vec()))
}
