//! The comparison with the exchange's public archive: which daily files are due, and what is known of each.
//!
//! ```text
//!    due some hours after the end of its day
//!        │ not there ──► asked again later, in hours, then daily
//!        ▼
//!    there: fetched, held against its checksum, compared; the checksum is noted under `archive/<path>`
//!        │ some days later the checksum is asked for once more
//!        ├── the same ──► nothing
//!        └── another one ──► published anew: fetched and compared again
//! ```
//! All of it is in the store: a restart asks for nothing that has been answered, and `backfill` and a daemon
//! for no file that the other has.

mod ask;

pub use ask::{Said, Told, ask};

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use backtestd_binance::archive::plan::{self, ArchiveFile};
use backtestd_core::market::{DAY_MS, Market, SeriesKey, Symbol, Ts};
use backtestd_core::spec::ArchiveRules;
use backtestd_store::{Store, StoreError};

/// What the store says of a shelf: this version, and a map by day.
const VERSION: u8 = 1;

/// What is known of the file of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// When it was last asked for.
    pub at: Ts,
    /// How often it was not there, or could not be read, one time after the other.
    pub missed: u32,
    /// Its records are in the store, as far as they stand.
    pub is_taken: bool,
}

/// The daily files of a set of one symbol, by UTC day.
pub type Shelf = BTreeMap<i64, Asked>;

/// Which files lie on a shelf.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShelfKey {
    market: Market,
    set: &'static str,
    symbol: Symbol,
}

/// A file that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueFile {
    /// Where it lies.
    pub file: ArchiveFile,
    /// The followed series that it holds, the first of which names its shelf.
    pub series: Vec<SeriesKey>,
    /// The checksum under which its records were taken before.
    pub known: Option<String>,
}

impl ShelfKey {
    /// The shelf of a set of a series.
    #[must_use]
    pub fn new(series: &SeriesKey, set: &'static str) -> Self {
        Self { market: series.market, set, symbol: series.symbol.clone() }
    }

    fn name(&self) -> String {
        format!("archive_asked/{}/{}/{}", self.market, self.set, self.symbol)
    }
}

/// When the file of a day is due; `None`: not any more.
#[must_use]
pub fn due_at(rules: &ArchiveRules, day: i64, asked: Option<Asked>) -> Option<Ts> {
    let later = |at: Ts, seconds: u32| Ts(at.0 + i64::from(seconds) * 1000);
    let end = Ts((day + 1) * DAY_MS);
    match asked {
        None => Some(later(end, rules.after_midnight_s)),
        Some(asked) if !asked.is_taken => {
            let step = (asked.missed.max(1) as usize).min(rules.again_after_s.len());
            // Without rules whoever comes next asks again.
            let wait = step.checked_sub(1).map_or(0, |at| rules.again_after_s[at]);
            Some(later(asked.at, wait))
        }
        Some(asked) => {
            let looks = rules.checksum_again_days.iter().map(|days| Ts(end.0 + i64::from(*days) * DAY_MS));
            looks.filter(|at| *at > asked.at).min()
        }
    }
}

/// The days whose files are compared, the newest first.
pub fn days(rules: &ArchiveRules, now: Ts) -> impl Iterator<Item = i64> + use<> {
    let today = now.day();
    (1..=i64::from(rules.days)).map(move |back| today - back)
}

/// The shelves that a process works with, read once each.
#[derive(Debug, Default)]
pub struct Shelves(BTreeMap<ShelfKey, Shelf>);

impl Shelves {
    /// The shelf of a set of a series, as the store or this process knows it; of days that nobody has asked
    /// for, whether a backfill has taken their file, or that of their month.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn of(
        &mut self,
        store: &Store,
        (series, set): (&SeriesKey, &'static str),
        days: impl Iterator<Item = i64>,
    ) -> Result<&mut Shelf, StoreError> {
        let key = ShelfKey::new(series, set);
        if !self.0.contains_key(&key) {
            let mut shelf = load(store, &key)?;
            for day in days {
                let is_taken = shelf.get(&day).is_some_and(|asked| asked.is_taken);
                if let Some(asked) = if is_taken { None } else { taken(store, series, set, day)? } {
                    shelf.insert(day, asked);
                }
            }
            self.0.insert(key.clone(), shelf);
        }
        Ok(self.0.entry(key).or_default())
    }

    /// Takes note of what was said of a file, and drops days before `oldest`: name and value under which the
    /// store keeps it.
    pub fn note(&mut self, due: &DueFile, said: &Said, now: Ts, oldest: i64) -> Option<(String, Vec<u8>)> {
        let key = ShelfKey::new(due.series.first()?, due.file.set);
        let shelf = self.0.entry(key.clone()).or_default();
        let before = shelf.get(&due.file.from.day());
        let is_taken = before.is_some_and(|asked| asked.is_taken);
        let missed = before.map_or(0, |asked| asked.missed);
        let asked = match said {
            Said::Nothing | Said::Unreadable(_) => Asked { at: now, missed: missed + 1, is_taken },
            Said::Known | Said::Records { .. } => Asked { at: now, missed: 0, is_taken: true },
        };
        shelf.insert(due.file.from.day(), asked);
        *shelf = shelf.split_off(&oldest);
        let mut value = vec![VERSION];
        // Plain numbers: there is nothing in a shelf that postcard refuses.
        value.extend(postcard::to_allocvec(&*shelf).unwrap_or_default());
        Some((key.name(), value))
    }
}

/// Bytes of another version count as nothing known: the worst is to ask again.
fn load(store: &Store, key: &ShelfKey) -> Result<Shelf, StoreError> {
    let Some(bytes) = store.meta(&key.name())? else { return Ok(Shelf::new()) };
    let [VERSION, rest @ ..] = &bytes[..] else { return Ok(Shelf::new()) };
    Ok(postcard::from_bytes(rest).unwrap_or_default())
}

/// What a backfill has left of a day.
fn taken(
    store: &Store,
    series: &SeriesKey,
    set: &'static str,
    day: i64,
) -> Result<Option<Asked>, StoreError> {
    let file = plan::daily(series, set, day);
    let asked = |at: Ts| Asked { at, missed: 0, is_taken: true };
    if store.meta(&plan::note(&file.path))?.is_some() {
        return Ok(Some(asked(file.to)));
    }
    let Some(month) = file.month(series) else { return Ok(None) };
    // There is no checksum of the day to compare with.
    Ok(store.meta(&plan::note(&month.path))?.map(|_| asked(Ts(i64::MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::{HOUR_MS, Kind};
    use backtestd_store::Fsync;

    fn rules() -> ArchiveRules {
        let spec = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("spec");
        backtestd_store::load_specs(&spec).unwrap().sources.live.audit.archive
    }

    fn series() -> SeriesKey {
        SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol: Symbol::new("BTCUSDT").unwrap() }
    }

    const DAY: i64 = 20_000;

    fn after(hours: i64) -> Ts {
        Ts((DAY + 1) * DAY_MS + hours * HOUR_MS)
    }

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_with(dir.path(), Fsync::Never).unwrap();
        (dir, store)
    }

    fn due() -> DueFile {
        DueFile { file: plan::daily(&series(), "klines", DAY), series: vec![series()], known: None }
    }

    fn records() -> Said {
        Said::Records { sha256: "0f".repeat(32), puts: Vec::new(), made: None }
    }

    #[test]
    fn a_file_is_due_hours_after_its_day_and_while_it_is_not_there_in_hours_then_daily() {
        let rules = rules();
        assert_eq!(due_at(&rules, DAY, None), Some(after(3)));
        let missed = |missed, hours| {
            let asked = Asked { at: after(hours), missed, is_taken: false };
            due_at(&rules, DAY, Some(asked))
        };
        assert_eq!(missed(1, 3), Some(after(6)));
        assert_eq!(missed(2, 6), Some(after(12)));
        assert_eq!((missed(3, 12), missed(9, 12)), (Some(after(36)), Some(after(36))));
    }

    #[test]
    fn the_checksum_of_a_file_that_was_taken_is_asked_for_again_some_days_later_and_then_no_more() {
        let rules = rules();
        let taken = |hours| {
            let asked = Asked { at: after(hours), missed: 0, is_taken: true };
            due_at(&rules, DAY, Some(asked))
        };
        assert_eq!(taken(3), Some(after(3 * 24)));
        assert_eq!(taken(3 * 24), Some(after(8 * 24)), "asked on the minute: the next look is the later one");
        assert_eq!(taken(5 * 24), Some(after(8 * 24)), "a look that was slept through is made up for once");
        assert_eq!(taken(8 * 24 + 1), None);
    }

    #[test]
    fn the_days_before_today_are_compared_the_newest_first() {
        let rules = ArchiveRules { days: 3, ..rules() };
        assert_eq!(days(&rules, after(1)).collect::<Vec<_>>(), [DAY, DAY - 1, DAY - 2]);
        assert_eq!(days(&ArchiveRules { days: 0, ..rules }, after(1)).count(), 0);
    }

    #[test]
    fn what_was_said_of_a_file_survives_a_restart_and_old_days_are_forgotten() {
        let (_dir, mut store) = store();
        let key = (&series(), "klines");
        let mut shelves = Shelves::default();
        let mut say = |store: &mut Store, said: Said, hours| {
            let (name, value) = shelves.note(&due(), &said, after(hours), DAY - 5).unwrap();
            store.put_meta(&name, &value).unwrap();
        };
        let known = |store: &Store| {
            let mut anew = Shelves::default();
            anew.of(store, key, [DAY].into_iter()).unwrap().get(&DAY).copied()
        };
        assert_eq!(known(&store), None);
        say(&mut store, Said::Nothing, 3);
        say(&mut store, Said::Unreadable("cut".to_owned()), 6);
        assert_eq!(known(&store), Some(Asked { at: after(6), missed: 2, is_taken: false }));
        say(&mut store, records(), 12);
        assert_eq!(known(&store), Some(Asked { at: after(12), missed: 0, is_taken: true }));
        say(&mut store, Said::Nothing, 80);
        assert_eq!(
            known(&store),
            Some(Asked { at: after(80), missed: 1, is_taken: true }),
            "what is taken stays taken, though the archive has lost it"
        );
        let (_, value) = shelves.note(&due(), &records(), after(90), DAY + 1).unwrap();
        assert_eq!(postcard::from_bytes::<Shelf>(&value[1..]).unwrap(), Shelf::new());
    }

    #[test]
    fn what_a_backfill_has_taken_is_not_fetched_again() {
        let (_dir, mut store) = store();
        let rules = rules();
        let of = |store: &Store, day: i64| {
            let mut shelves = Shelves::default();
            let shelf = shelves.of(store, (&series(), "klines"), [day].into_iter()).unwrap();
            due_at(&rules, day, shelf.get(&day).copied())
        };
        let file = due().file;
        assert_eq!(of(&store, DAY), Some(after(3)));
        store.put_meta(&plan::note(&file.path), b"aa").unwrap();
        assert_eq!(of(&store, DAY), Some(after(3 * 24)), "only its checksum is looked at again");
        let month = plan::daily(&series(), "klines", DAY + 40).month(&series()).unwrap();
        store.put_meta(&plan::note(&month.path), b"bb").unwrap();
        assert_eq!(of(&store, DAY + 40), None, "its month was taken");
    }
}
