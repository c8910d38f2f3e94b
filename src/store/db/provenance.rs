//! The register of deliveries: which file or endpoint each record came with.

use std::collections::BTreeMap;

use fjall::OwnedWriteBatch;

use super::error::During;
use super::kv::delivery;
use super::law::{Said, Says};
use super::raw::corrupt;
use super::{Delivery, Origin, Store, StoreError};
use backtestd_core::market::{HOUR_MS, MAX_COLUMNS, Ts};

/// What is known of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// Kind of source.
    pub origin: Origin,
    /// When it was made, where it says so; answers to the hour.
    pub at: Option<Ts>,
    /// File or endpoint; empty where it was not kept.
    pub label: String,
}

impl Store {
    /// A delivery by its number.
    ///
    /// # Errors
    /// When the engine fails, or no such delivery is known.
    pub(super) fn delivery(&self, id: u32) -> Result<Made, StoreError> {
        let unnamed =
            u8::try_from(id).ok().filter(|_| id < delivery::FIRST_ID).and_then(delivery::origin_from);
        if let Some(origin) = unnamed {
            return Ok(Made { origin, at: None, label: String::new() });
        }
        let key = delivery::key(id);
        let value = self.spaces.deliveries.get(key).during("look up a delivery")?;
        let known = value.as_deref().and_then(delivery::decode);
        let (origin, at, label) = known.ok_or_else(|| corrupt("deliveries", &key, "no such delivery"))?;
        Ok(Made { origin, at, label: label.to_owned() })
    }
}

/// Looks deliveries up, and enters new ones into a batch.
pub(super) struct Register<'s> {
    store: &'s Store,
    known: BTreeMap<u32, Said>,
    /// New ones of this batch, by the key of their index entry.
    fresh: BTreeMap<Vec<u8>, u32>,
}

impl<'s> Register<'s> {
    pub(super) const fn new(store: &'s Store) -> Self {
        Self { store, known: BTreeMap::new(), fresh: BTreeMap::new() }
    }

    /// What is said by a delivery; a new one gets a number in the batch.
    pub(super) fn enter(
        &mut self,
        batch: &mut OwnedWriteBatch,
        delivery: &Delivery<'_>,
    ) -> Result<Said, StoreError> {
        let origin = delivery.origin;
        // An answer an hour: else each would be a delivery of its own.
        let is_answer = matches!(origin, Origin::Rest | Origin::Stream);
        let made =
            delivery.made.map(|at| if is_answer { Ts(at.0.div_euclid(HOUR_MS) * HOUR_MS) } else { at });
        if delivery.label.is_empty() && made.is_none() {
            return Ok(Said { id: u32::from(delivery::origin_code(origin)), origin, made });
        }
        let value = delivery::encode(origin, made, delivery.label);
        let index = delivery::index_key(&value);
        let space = &self.store.spaces.deliveries;
        let stored = match space.get(&index).during("look up a delivery")? {
            Some(id) => {
                Some(delivery::index_id(&id).ok_or_else(|| corrupt("deliveries", &index, "not a number"))?)
            }
            None => self.fresh.get(&index).copied(),
        };
        let id = match stored {
            Some(id) => id,
            None => {
                let id = self.next_id()?;
                batch.insert(space, delivery::key(id), value);
                batch.insert(space, index.clone(), id.to_le_bytes());
                self.fresh.insert(index, id);
                id
            }
        };
        let said = Said { id, origin, made };
        self.known.insert(id, said);
        Ok(said)
    }

    fn next_id(&self) -> Result<u32, StoreError> {
        let last = self.store.spaces.deliveries.range(delivery::key(0)..=delivery::key(u32::MAX)).next_back();
        let stored = match last {
            Some(pair) => delivery::id_of(&pair.key().during("number a delivery")?),
            None => None,
        };
        let last = stored.max(self.fresh.values().copied().max()).unwrap_or(delivery::FIRST_ID - 1);
        last.checked_add(1).ok_or_else(|| StoreError::Unstorable {
            what: "a delivery".to_owned(),
            detail: "all numbers are taken".to_owned(),
        })
    }

    /// What was said of a stored record.
    pub(super) fn says(&mut self, ids: &[u32; MAX_COLUMNS]) -> Result<Says, StoreError> {
        let mut known = ids.iter().copied().filter(|id| *id != 0);
        let Some(first) = known.next() else {
            return Ok(Says::One(Said { id: 0, origin: Origin::Table, made: None }));
        };
        let one = self.said(first)?;
        if known.all(|id| id == first) {
            return Ok(Says::One(one));
        }
        let mut all = [one; MAX_COLUMNS];
        for (slot, id) in all.iter_mut().zip(ids).filter(|(_, id)| **id != 0) {
            *slot = self.said(*id)?;
        }
        Ok(Says::Each(Box::new(all)))
    }

    fn said(&mut self, id: u32) -> Result<Said, StoreError> {
        if let Some(said) = self.known.get(&id) {
            return Ok(*said);
        }
        let made = self.store.delivery(id)?;
        let said = Said { id, origin: made.origin, made: made.at };
        self.known.insert(id, said);
        Ok(said)
    }
}
