//! Records that are not taken for true: kept in the log, unknown for everything downstream.
//!
//! Whoever writes records has them judged in the same atomic batch, with everything in reach of them, by the
//! rules that the store holds (`judging`). So the verdicts are those of a look at the whole log, whatever the
//! order in which its records came. Reading stretches of the log for computing ([`Store::raw`],
//! [`Store::bars`]) leaves the masked records out; [`Store::series_rows`] shows the log as it is.

use std::collections::{BTreeMap, BTreeSet};

use fjall::OwnedWriteBatch;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::error::During;
use super::kv::quarantine::{self as layout, Entry};
use super::raw::corrupt;
use super::{Judged, Store, StoreError};
use backtestd_core::clean::doubt::Doubt;
use backtestd_core::market::{BarIndex, Columns, Kind, Market, SeriesKey, Symbol, Ts, parse_time};

pub use super::kv::quarantine::Release;

/// A record in quarantine, or one that was released from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The series that it belongs to.
    pub series: SeriesKey,
    /// Its time: a bar number or milliseconds, by kind.
    pub time: i64,
    /// Name of the rule that it breaks.
    pub rule: String,
    /// What is wrong, in words.
    pub reason: String,
    /// The release, where somebody takes it for true all the same.
    pub released: Option<Release>,
}

impl Quarantined {
    /// Its name in lists and commands: market, kind, symbol and time.
    #[must_use]
    pub fn id(&self) -> String {
        let SeriesKey { kind, market, symbol } = &self.series;
        format!("{market}/{}/{symbol}/{}", kind.name(), kind.instant(self.time))
    }

    /// The first row that may read the record: of an instant, the one that closes then.
    #[must_use]
    pub const fn first_row(&self) -> BarIndex {
        row_of(self.series.kind, self.time)
    }

    /// The record that a name means; `None` where it is no such name.
    #[must_use]
    pub fn place(id: &str) -> Option<(SeriesKey, i64)> {
        let [market, kind, symbol, at] = <[&str; 4]>::try_from(id.split('/').collect::<Vec<_>>()).ok()?;
        let market = [Market::Perp, Market::Spot].into_iter().find(|m| m.to_string() == market)?;
        let kind = Kind::from_name(kind)?;
        let symbol = Symbol::new(symbol).ok()?;
        let at = parse_time(at).ok()?;
        let time = if kind.is_bar_like() { at.bar().0 } else { at.0 };
        Some((SeriesKey { kind, market, symbol }, time))
    }
}

pub(super) const fn row_of(kind: Kind, time: i64) -> BarIndex {
    if kind.is_bar_like() { BarIndex(time) } else { Ts(time - 1).bar() }
}

/// Releases records by their ids, all or none: the inner error names the first that is not in quarantine.
///
/// # Errors
/// When the engine fails or stored bytes are damaged.
pub fn release_by_id(
    store: &mut Store,
    ids: &[String],
    reason: &str,
    now: Ts,
) -> Result<Result<Vec<Quarantined>, String>, StoreError> {
    let known = store.quarantine()?;
    let mut places = Vec::new();
    for id in ids {
        let place = Quarantined::place(id);
        match place.filter(|(series, time)| known.iter().any(|q| q.series == *series && q.time == *time)) {
            Some(place) => places.push(place),
            None => {
                return Ok(Err(format!(
                    "{id} is not in quarantine; `backtestd quarantine list` names what is"
                )));
            }
        }
    }
    let mut out = Vec::new();
    for (series, time) in places {
        let release = Release { reason: reason.to_owned(), at_ms: now.0 };
        out.extend(store.release(&series, time, release)?);
    }
    Ok(Ok(out))
}

impl Store {
    /// Every record in quarantine and every released one, by kind, market, symbol and time.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn quarantine(&self) -> Result<Vec<Quarantined>, StoreError> {
        let mut out = Vec::new();
        for pair in self.spaces.quarantine.iter() {
            let (key, value) = pair.into_inner().during("read the quarantine")?;
            let entry = layout::decode_key(&key).zip(layout::decode(&value));
            let ((series, time), entry) =
                entry.ok_or_else(|| corrupt("quarantine", &key, "not a record in quarantine"))?;
            out.push(shown(series, time, entry));
        }
        Ok(out)
    }

    /// Takes a record for true, whatever the rules say of the value that it has now. `None` where it is not
    /// in quarantine.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn release(
        &mut self,
        series: &SeriesKey,
        time: i64,
        release: Release,
    ) -> Result<Option<Quarantined>, StoreError> {
        let Some(mut entry) = self.entries(series, time, time + 1)?.remove(&time) else { return Ok(None) };
        let mut judged = Judged::default();
        if entry.masks() {
            judged.note(series.kind, time, false);
        }
        entry.released = Some(release);
        let mut batch = self.db.batch();
        batch.insert(&self.spaces.quarantine, layout::key(series, time), layout::encode(&entry));
        self.stage_stale(&mut batch, judged.from)?;
        self.write_durably(batch, "release a record")?;
        Ok(Some(shown(series.clone(), time, entry)))
    }

    /// Quarantines stored records for a reason that does not show in them and their neighbours. What is not
    /// stored, or was released with the value that it has, stays as it is.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn set_aside(&mut self, doubts: &[(SeriesKey, i64, Doubt)]) -> Result<Judged, StoreError> {
        let mut out = Judged::default();
        let mut batch = self.db.batch();
        for (series, time, doubt) in doubts {
            let Some(columns) = self.log_rows(series, *time, time + 1)?.remove(time) else { continue };
            let known = self.entries(series, *time, time + 1)?.remove(time);
            out.add(self.stage_verdict(&mut batch, series, *time, &columns, known.as_ref(), Some(doubt)));
        }
        self.stage_stale(&mut batch, out.from)?;
        if !batch.is_empty() {
            self.write_durably(batch, "quarantine records")?;
        }
        Ok(out)
    }

    /// Takes records out of quarantine that turned out to be true.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn acquit(&mut self, records: &[(SeriesKey, i64)]) -> Result<Judged, StoreError> {
        let mut out = Judged::default();
        let mut batch = self.db.batch();
        for (series, time) in records {
            if self.entries(series, *time, time + 1)?.remove(time).is_some_and(|entry| entry.masks()) {
                out.note(series.kind, *time, false);
                batch.remove(&self.spaces.quarantine, layout::key(series, *time));
            }
        }
        self.stage_stale(&mut batch, out.from)?;
        if !batch.is_empty() {
            self.write_durably(batch, "take records out of quarantine")?;
        }
        Ok(out)
    }

    /// Times of the masked records of a series in `[from, to)`.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn masked(&self, series: &SeriesKey, from: i64, to: i64) -> Result<BTreeSet<i64>, StoreError> {
        let entries = self.entries(series, from, to)?;
        Ok(entries.into_iter().filter(|(_, entry)| entry.masks()).map(|(time, _)| time).collect())
    }

    pub(super) fn entries(
        &self,
        series: &SeriesKey,
        from: i64,
        to: i64,
    ) -> Result<BTreeMap<i64, Entry>, StoreError> {
        let mut out = BTreeMap::new();
        if from >= to {
            return Ok(out);
        }
        for pair in self.spaces.quarantine.range(layout::key(series, from)..layout::key(series, to)) {
            let (key, value) = pair.into_inner().during("read the quarantine")?;
            let entry = layout::decode_key(&key).zip(layout::decode(&value));
            let ((_, time), entry) =
                entry.ok_or_else(|| corrupt("quarantine", &key, "not a record in quarantine"))?;
            out.insert(time, entry);
        }
        Ok(out)
    }

    /// The verdict on one record: `known` is what stands, `doubt` what is said now.
    pub(super) fn stage_verdict(
        &self,
        batch: &mut OwnedWriteBatch,
        series: &SeriesKey,
        time: i64,
        columns: &Columns,
        known: Option<&Entry>,
        doubt: Option<&Doubt>,
    ) -> Judged {
        let bits = layout::bits(series.kind, columns);
        // A release is of a value: it holds for as long as the record has that one.
        let released = known.filter(|entry| entry.bits == bits).and_then(|entry| entry.released.clone());
        let new = match doubt {
            Some(doubt) => {
                let (rule, reason) = (doubt.rule.name().to_owned(), doubt.reason.clone());
                Some(Entry { rule, reason, bits, released })
            }
            // It is in order now, but what somebody said of it is kept.
            None => known.filter(|_| released.is_some()).cloned(),
        };
        let mut out = Judged::default();
        let (was, is) = (known.is_some_and(Entry::masks), new.as_ref().is_some_and(Entry::masks));
        if was != is {
            out.note(series.kind, time, is);
        }
        if new.as_ref() != known {
            let key = layout::key(series, time);
            match new {
                Some(entry) => batch.insert(&self.spaces.quarantine, key, layout::encode(&entry)),
                None => batch.remove(&self.spaces.quarantine, key),
            }
        }
        out
    }
}

impl Serialize for Quarantined {
    /// As lists and the API show it.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let SeriesKey { kind, market, symbol } = &self.series;
        let mut out = serializer.serialize_struct("Quarantined", 9)?;
        out.serialize_field("id", &self.id())?;
        out.serialize_field("market", &market.to_string())?;
        out.serialize_field("kind", kind.name())?;
        out.serialize_field("symbol", symbol.as_str())?;
        out.serialize_field("timestamp", &kind.instant(self.time).to_string())?;
        out.serialize_field("rule", &self.rule)?;
        out.serialize_field("reason", &self.reason)?;
        out.serialize_field("released", &self.released.as_ref().map(|release| &release.reason))?;
        let at = self.released.as_ref().map(|release| Ts(release.at_ms).to_string());
        out.serialize_field("released_at", &at)?;
        out.end()
    }
}

fn shown(series: SeriesKey, time: i64, entry: Entry) -> Quarantined {
    Quarantined { series, time, rule: entry.rule, reason: entry.reason, released: entry.released }
}
