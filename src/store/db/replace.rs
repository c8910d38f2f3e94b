//! Facts of some event types in the place of others, after a spec change: one atomic batch.

use std::collections::{BTreeMap, BTreeSet};

use fjall::OwnedWriteBatch;

use super::checkpoint::REWINDS;
use super::commit::{from_bar, unstorable};
use super::error::During;
use super::facts::user_key;
use super::kv::{blob, event, outcome, text_at};
use super::raw::corrupt;
use super::{Store, StoreError};
use backtestd_core::market::BarIndex;
use backtestd_core::outcomes::Outcome;
use backtestd_core::outcomes::{EpisodeEnd, Event};

/// What takes the place of what. Facts of types that are not named stay, unless a given fact has their key.
#[derive(Clone, Debug, Default)]
pub struct Replacement<'a> {
    /// Types whose events and ends go.
    pub drop_events: BTreeSet<String>,
    /// Types whose outcomes go.
    pub drop_outcomes: BTreeSet<String>,
    /// Events to write, also over stored ones.
    pub events: &'a [Event],
    /// Ends to write.
    pub ends: &'a [EpisodeEnd],
    /// Outcomes to write.
    pub outcomes: &'a [Outcome],
    /// These take the place of all checkpoints.
    pub checkpoints: &'a [(BarIndex, Vec<u8>)],
    /// Small keyed blobs that must move with the facts.
    pub meta: &'a [(&'a str, &'a [u8])],
}

/// What a replacement changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Events that were not there.
    pub events_added: u64,
    /// Events that read differently now.
    pub events_changed: u64,
    /// Events that are gone.
    pub events_removed: u64,
    /// Number of outcomes written.
    pub outcomes_written: u64,
}

impl Store {
    /// Replaces facts in one atomic batch, durable by the store's policy. The committed bar stays. Events
    /// that change or go move to the audit trail ([`Store::revisions`]), as in a rewind.
    ///
    /// # Errors
    /// When the engine fails; then nothing has changed.
    pub fn replace(&mut self, by: &Replacement<'_>) -> Result<Replaced, StoreError> {
        let committed = self.committed()?.unwrap_or_default();
        let rewind = self.rewinds + 1;
        let mut batch = self.db.batch();
        let mut out = Replaced { outcomes_written: by.outcomes.len() as u64, ..Replaced::default() };
        let mut new = BTreeMap::new();
        for e in by.events {
            let value = event::encode(e).map_err(|error| unstorable(&e.id(), &error))?;
            new.insert(event::key(e.bar, &e.symbol, &e.event_type), value);
        }
        for pair in self.spaces.events.iter() {
            let (key, old) = pair.into_inner().during("read events")?;
            let drops = by.drop_events.contains(type_of(&key, "events")?);
            match new.remove(&key[..]) {
                Some(value) if value[..] == old[..] => continue,
                Some(value) => {
                    self.stage_event_value(&mut batch, &key, value)?;
                    out.events_changed += 1;
                }
                None if drops => {
                    batch.remove(&self.spaces.events, key.clone());
                    out.events_removed += 1;
                }
                None => continue,
            }
            let revision = event::encode_revision(committed, &old);
            batch.insert(&self.spaces.revisions, event::revision_key(&key, rewind), revision);
        }
        out.events_added = new.len() as u64;
        for (key, value) in new {
            self.stage_event_value(&mut batch, &key, value)?;
        }
        let ends = by.ends.iter().map(|end| (event::end_key(end), event::END_VALUE.to_vec())).collect();
        self.stage_replaced(&mut batch, (&self.spaces.episode_ends, "episode_ends"), &by.drop_events, ends)?;
        let mut outcomes = BTreeMap::new();
        for o in by.outcomes {
            let value = outcome::encode(o).map_err(|error| unstorable(&o.event.id(), &error))?;
            outcomes.insert(outcome::key(o), value);
        }
        self.stage_replaced(&mut batch, (&self.spaces.outcomes, "outcomes"), &by.drop_outcomes, outcomes)?;
        let kept: BTreeSet<BarIndex> = by.checkpoints.iter().map(|(bar, _)| *bar).collect();
        for bar in self.checkpoints()?.into_iter().filter(|bar| !kept.contains(bar)) {
            batch.remove(&self.spaces.checkpoints, from_bar(bar));
        }
        for (bar, bytes) in by.checkpoints {
            batch.insert(&self.spaces.checkpoints, from_bar(*bar), blob::wrap(bytes));
        }
        for (name, value) in by.meta {
            batch.insert(&self.spaces.meta, user_key(name), *value);
        }
        batch.insert(&self.spaces.meta, REWINDS, rewind.to_le_bytes());
        self.write_durably(batch, "replace facts")?;
        self.rewinds = rewind;
        Ok(out)
    }

    /// Removes facts of `types`, and writes `new`. A key is in the batch once: within a batch there is no
    /// order.
    fn stage_replaced(
        &self,
        batch: &mut OwnedWriteBatch,
        (space, name): (&fjall::Keyspace, &'static str),
        types: &BTreeSet<String>,
        new: BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<(), StoreError> {
        if !types.is_empty() {
            for pair in space.iter() {
                let key = pair.key().during("read facts")?;
                if types.contains(type_of(&key, name)?) && !new.contains_key(&key[..]) {
                    batch.remove(space, key);
                }
            }
        }
        for (key, value) in new {
            batch.insert(space, key, value);
        }
        Ok(())
    }
}

/// The event type in a fact's key: time, symbol, type.
fn type_of<'k>(key: &'k [u8], space: &'static str) -> Result<&'k str, StoreError> {
    let found = text_at(key, 8).and_then(|(_, next)| text_at(key, next));
    found.map(|(event_type, _)| event_type).ok_or_else(|| corrupt(space, key, "no event type in the key"))
}
