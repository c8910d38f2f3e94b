//! Reading everything back: does each record decode, and do the summaries say what the records are.
//!
//! The engine checks a checksum of each block it reads; what it refuses is reported like what does not
//! decode.

use backtestd_core::market::hex;
use std::collections::BTreeMap;

use super::kv::event::Interner;
use super::kv::{blob, conflict, delivery, event, outcome, quarantine, series, summary, time_at_end};
use super::{Store, StoreError, Summary};
use backtestd_core::market::{BarIndex, Symbol};
use backtestd_core::market::{Kind, SeriesKey};

/// A record that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Keyspace of the damaged record.
    pub keyspace: &'static str,
    /// Key, readable where it has a meaning, else hexadecimal.
    pub key: String,
    /// What of it.
    pub field: String,
    /// What belongs there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// Counts of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Records read, by keyspace.
    pub records: BTreeMap<&'static str, u64>,
    /// What was found.
    pub damages: Vec<Damage>,
}

impl Store {
    /// Reads and decodes every record. `progress` hears the number of records read so far.
    ///
    /// # Errors
    /// When the list of series cannot be read at all.
    pub fn verify(&self, progress: &mut dyn FnMut(u64)) -> Result<Decoded, StoreError> {
        let mut check = Check { out: Decoded::default(), read: 0, progress };
        let known: BTreeMap<SeriesKey, Summary> = self.series()?.into_iter().collect();
        let mut extents: BTreeMap<SeriesKey, Summary> = BTreeMap::new();
        for kind in Kind::ALL.iter().copied() {
            check.raw(&self.spaces.raw[kind.index()], kind, &mut extents);
        }
        check.summaries(&known, &extents);
        let mut names = Interner::default();
        check.each(&self.spaces.events, "events", |k, v| event::decode(k, v, &mut names).is_some());
        check.each(&self.spaces.episode_ends, "episode_ends", |k, v| {
            event::decode_end(k, v, &mut names).is_some()
        });
        check.each(&self.spaces.outcomes, "outcomes", |k, v| outcome::event_key(k).is_some() && v.len() > 1);
        check.each(&self.spaces.revisions, "revisions", |k, v| {
            event::decode_revision(v).is_some_and(|(_, old)| event::decode(k, old, &mut names).is_some())
        });
        check.each(&self.spaces.deliveries, "deliveries", |k, v| match delivery::id_of(k) {
            Some(_) => delivery::decode(v).is_some(),
            None => delivery::index_id(v).is_some(),
        });
        check.each(&self.spaces.conflicts, "conflicts", |k, v| match conflict::seq_of(k) {
            Some(_) => conflict::decode(v).is_some_and(|c| summary::decode_key(&c.series).is_some()),
            None => conflict::number(v).is_some(),
        });
        check.each(&self.spaces.checkpoints, "checkpoints", |k, v| {
            time_at_end(k).is_some() && blob::unwrap(v).is_some()
        });
        let numbered = |k: &[u8], v: &[u8]| blob::seq(k).is_some() && blob::unwrap(v).is_some();
        check.each(&self.spaces.signals, "signals", numbered);
        check.each(&self.spaces.updates, "updates", numbered);
        check.each(&self.spaces.runs, "runs", |_, v| blob::unwrap(v).is_some());
        check.each(&self.spaces.arrivals, "arrivals", |_, v| {
            blob::unwrap(v).is_some_and(|bytes| bytes.len() == 8)
        });
        check.each(&self.spaces.quarantine, "quarantine", |k, v| {
            quarantine::decode_key(k).is_some() && quarantine::decode(v).is_some()
        });
        Ok(check.out)
    }
}

/// Records between two reports of progress.
const REPORT_EVERY: u64 = 4096;

struct Check<'a> {
    out: Decoded,
    read: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Check<'_> {
    /// One more record of a keyspace; `None` when the engine cannot read on.
    fn step(&mut self, name: &'static str, pair: fjall::Guard) -> Option<(Vec<u8>, Vec<u8>)> {
        self.read += 1;
        if self.read.is_multiple_of(REPORT_EVERY) {
            (self.progress)(self.read);
        }
        match pair.into_inner() {
            Ok((key, value)) => {
                *self.out.records.entry(name).or_default() += 1;
                Some((key.to_vec(), value.to_vec()))
            }
            Err(error) => {
                self.damage(name, "-".to_owned(), "block", "readable".to_owned(), error.to_string());
                None
            }
        }
    }

    fn damage(&mut self, keyspace: &'static str, key: String, field: &str, expected: String, found: String) {
        self.out.damages.push(Damage { keyspace, key, field: field.to_owned(), expected, found });
    }

    fn each(
        &mut self,
        space: &fjall::Keyspace,
        name: &'static str,
        mut is_sound: impl FnMut(&[u8], &[u8]) -> bool,
    ) {
        self.out.records.entry(name).or_default();
        for pair in space.iter() {
            let Some((key, value)) = self.step(name, pair) else { return };
            if !is_sound(&key, &value) {
                let found = format!("{} bytes that do not decode", value.len());
                self.damage(name, hex(&key), "record", "decodable".to_owned(), found);
            }
        }
    }

    fn raw(&mut self, space: &fjall::Keyspace, kind: Kind, extents: &mut BTreeMap<SeriesKey, Summary>) {
        let name = kind.name();
        let columns = kind.columns();
        self.out.records.entry(name).or_default();
        for pair in space.iter() {
            let Some((key, value)) = self.step(name, pair) else { return };
            let Some((series, time)) = series_of(kind, &key) else {
                self.damage(name, hex(&key), "key", "market, symbol, time".to_owned(), hex(&key));
                continue;
            };
            let at = format!("{} {} {}", series.market, series.symbol, kind.instant(time));
            let values = match series::decode(kind, &value) {
                Ok((values, _)) => values,
                Err(problem) => {
                    self.damage(name, at, "record", "decodable".to_owned(), problem);
                    continue;
                }
            };
            if kind == Kind::Bars
                && let Some((field, expected)) = implausible(&values)
            {
                self.damage(name, at, columns[field], expected, values[field].to_string());
            }
            let extent =
                extents.entry(series).or_insert(Summary { first: time, last: time, records: 0, known: 0 });
            extent.last = time;
            extent.records += 1;
            for (i, v) in values.iter().take(columns.len()).enumerate() {
                extent.known |= u32::from(!v.is_nan()) << i;
            }
        }
    }

    fn summaries(&mut self, known: &BTreeMap<SeriesKey, Summary>, found: &BTreeMap<SeriesKey, Summary>) {
        let keys: std::collections::BTreeSet<&SeriesKey> = known.keys().chain(found.keys()).collect();
        let text = |s: Option<&Summary>, kind: Kind| {
            s.map_or_else(
                || "no records".to_owned(),
                |s| format!("{} records, {} to {}", s.records, kind.instant(s.first), kind.instant(s.last)),
            )
        };
        for key in keys {
            let (says, is) = (known.get(key), found.get(key));
            if says != is {
                let name = format!("{} {} {}", key.kind.name(), key.market, key.symbol);
                self.damage("summaries", name, "extent", text(is, key.kind), text(says, key.kind));
            }
        }
    }
}

fn series_of(kind: Kind, key: &[u8]) -> Option<(SeriesKey, i64)> {
    let (symbol, next) = super::kv::text_at(key, 1)?;
    if key.len() != next + 8 {
        return None;
    }
    let market = super::kv::market_from(*key.first()?)?;
    let series = SeriesKey { kind, market, symbol: Symbol::new(symbol).ok()? };
    Some((series, time_at_end(key)?))
}

/// The price of a bar that contradicts the others, and what it should be.
fn implausible(values: &[f64]) -> Option<(usize, String)> {
    let [open, high, low, close, ..] = *values else { return None };
    let (top, bottom) = (open.max(close), open.min(close));
    if high < top {
        return Some((1, format!("at least {top}")));
    }
    (low > bottom).then(|| (2, format!("at most {bottom}")))
}

impl Store {
    /// Keys of outcomes whose event is not there, of those that matured on bars of `[first, end)`.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn orphan_outcomes(&self, first: BarIndex, end: BarIndex) -> Result<Vec<String>, StoreError> {
        use super::commit::from_bar;
        use super::error::During;
        let mut orphans = Vec::new();
        for pair in self.spaces.outcomes.range(from_bar(first)..from_bar(end)) {
            let key = pair.key().during("read outcomes")?;
            let Some(event_key) = outcome::event_key(&key) else { continue };
            if !self.spaces.events.contains_key(&event_key).during("look up an event")? {
                orphans.push(hex(&key));
            }
        }
        Ok(orphans)
    }
}
