//! The comparison with the exchange's public archive: what is due, and what the files correct.

use serde::{Deserialize, Serialize};

use super::StorageError;
use super::job::PutDone;
use super::worker::Worker;
use crate::daemon::feed::Stretch;
use crate::daemon::feed::archive::{self, DueFile, Said, Told};
use crate::daemon::feed::covered::News;
use crate::daemon::feed::ledger::mark;
use crate::daemon::status::LastFile;
use backtestd_binance::archive::plan;
use backtestd_core::market::{BAR_MS, DAY_MS, Kind, Records, SeriesKey, Ts};
use backtestd_core::spec::ArchiveRules;
use backtestd_store::{Delivery, Lot, MergeReport, Origin, WouldPut};

/// Name of the comparison in ledger and log.
const AUDIT: &str = "archive audit";
/// Files that are handed out at once.
const FILES: usize = 64;
/// Under this name the store keeps which file was compared last.
const LAST: &str = "archive_audit/last";

/// Files to ask for.
#[derive(Clone, Debug)]
pub struct DueFiles {
    /// The newest day first, of a day bars first.
    pub files: Vec<DueFile>,
    /// When the next one is due, where these are none.
    pub next: Option<Ts>,
    /// How fast they may be asked for.
    pub rules: ArchiveRules,
}

/// What came of a file.
#[derive(Clone, Debug)]
pub struct Compared {
    /// What the put changed.
    pub put: PutDone,
    /// The file, if it was compared.
    pub last: Option<LastFile>,
}

/// The last file, as the store keeps it.
#[derive(Serialize, Deserialize)]
struct Kept {
    path: String,
    at: Ts,
    corrected: u64,
    filled: u64,
}

impl Worker {
    /// The files that are due: of days that lie in the history of their series, and are over for long enough.
    pub(super) fn archive_due(&mut self, now: Ts) -> Result<DueFiles, StorageError> {
        let (follow, spec) = (self.follow.clone(), self.facts.spec.clone());
        let rules = spec.sources.live.audit.archive.clone();
        let mut due = DueFiles { files: Vec::new(), next: None, rules };
        for day in archive::days(&due.rules, now) {
            for series in &follow.history {
                let (first, _) = self.reach_of(series);
                if Ts(day * DAY_MS) < first.open() {
                    continue;
                }
                for set in plan::daily_sets(series.kind) {
                    self.look_at_file(&mut due, (series, set), day, now)?;
                }
            }
            if due.files.len() >= FILES {
                due.files.truncate(FILES);
                break;
            }
        }
        Ok(due)
    }

    fn look_at_file(
        &mut self,
        due: &mut DueFiles,
        (series, set): (&SeriesKey, &'static str),
        day: i64,
        now: Ts,
    ) -> Result<(), StorageError> {
        let days = archive::days(&due.rules, now);
        let shelf = self.shelves.of(&self.store, (series, set), days)?;
        match archive::due_at(&due.rules, day, shelf.get(&day).copied()) {
            Some(at) if at <= now => {
                let file = plan::daily(series, set, day);
                if let Some(same) = due.files.iter_mut().rev().find(|known| known.file.path == file.path) {
                    same.series.push(series.clone());
                    return Ok(());
                }
                let note = self.store.meta(&plan::note(&file.path))?;
                let known = note.and_then(|sum| String::from_utf8(sum).ok());
                due.files.push(DueFile { file, series: vec![series.clone()], known });
            }
            Some(at) => due.next = due.next.into_iter().chain([at]).min(),
            None => {}
        }
        Ok(())
    }

    /// Takes in what the archive said of a file: its records by the law by which all records meet, and the
    /// note that it was compared, in one batch.
    pub(super) fn archive_told(&mut self, told: Told, now: Ts) -> Result<Compared, StorageError> {
        let Told { due, said } = told;
        let spec = self.facts.spec.clone();
        let rules = &spec.sources.live.audit.archive;
        let oldest = archive::days(rules, now).last().unwrap_or_else(|| now.day());
        let mut marks: Vec<_> = self.shelves.note(&due, &said, now, oldest).into_iter().collect();
        let path = due.file.path;
        let Said::Records { sha256, mut puts, made } = said else {
            let done = self.put_touching(&[], Delivery::new(Origin::ArchiveDaily, &path), &marks, None)?;
            return Ok(Compared { put: done, last: None });
        };
        let delivery = Delivery { made, noted: Some(now), ..Delivery::new(Origin::ArchiveDaily, &path) };
        self.store.tell_time(self.shared.clock.now());
        self.store.tell_bands(self.shared.price_bands());
        let lot = Lot { puts: &puts, delivery, completes: None };
        let (mut touched, mut kept) = (None, Kept { path: path.clone(), at: now, corrected: 0, filled: 0 });
        let mut says_more = false;
        for WouldPut { series, report, records } in self.store.would_put(&[lot])? {
            says_more |= !is_repeated(&report);
            let news = News::of(&series, &records, &self.store)?;
            let told = puts.iter().filter(|put| put.series() == series).map(|put| &put.records);
            let told: Vec<Stretch> = told.flat_map(runs).collect();
            let (committed, facts) = (self.facts.next(), &self.facts);
            let ledger = self.ledgers.of(&self.store, &series)?;
            let before = ledger.clone();
            news.note(ledger, |time| facts.first_row_at(series.kind, time) < committed, AUDIT, now);
            told.into_iter().for_each(|stretch| ledger.cover(stretch));
            if *ledger != before {
                marks.push(mark(&series, ledger));
            }
            let changed = news.fresh.first().into_iter().chain(news.other.first()).min();
            let row = changed.map(|time| facts.first_row_at(series.kind, *time));
            touched = touched.into_iter().chain(row).min();
            kept.corrected += news.other.len() as u64;
            kept.filled += news.fresh.len() as u64;
        }
        if !says_more {
            // A delivery that says what is stored already leaves no trace in the store but its note.
            puts.clear();
        }
        marks.push((plan::note(&path), sha256.into_bytes()));
        marks.push((LAST.to_owned(), serde_json::to_vec(&kept).unwrap_or_default()));
        let put = self.put_touching(&puts, delivery, &marks, touched)?;
        Ok(Compared { put, last: Some(kept.into()) })
    }

    /// Shows which file was compared last, before this start too.
    pub(super) fn show_last_file(&self) -> Result<(), StorageError> {
        let kept = self.store.meta(LAST)?.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        self.shared.update(|s| s.archive.last = kept.map(LastFile::from));
        Ok(())
    }
}

impl From<Kept> for LastFile {
    fn from(kept: Kept) -> Self {
        let Kept { path, at, corrected, filled } = kept;
        Self { path, at, corrected, filled }
    }
}

/// Whether every record says what is stored, from where it is stored.
const fn is_repeated(report: &MergeReport) -> bool {
    report.is_noop() && report.kept == 0 && report.confirmed == 0
}

/// The stretches of a ledger that records answer for. A mark comes from three files: REST says when it is
/// whole.
fn runs(records: &Records) -> Vec<Stretch> {
    let kind = records.kind();
    let mut runs: Vec<Stretch> = Vec::new();
    if kind == Kind::Mark {
        return runs;
    }
    records.rows().each(&mut |time, _, _| {
        let (from, to) = if kind.is_bar_like() {
            (time, time + 1)
        } else {
            // The label of the period that ends here, however late it is.
            let end = Ts(time + BAR_MS / 2).bar().open().0;
            (end - BAR_MS + 1, end.max(time) + 1)
        };
        match runs.last_mut().filter(|last| from <= last.to) {
            Some(last) => last.to = last.to.max(to),
            None => runs.push(Stretch { from, to }),
        }
    });
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::{Bar, BarIndex, Market, OpenInterest};

    #[test]
    fn records_answer_for_their_own_slots_and_labels_and_for_no_other() {
        let bars = [5, 6, 9].map(|n| Bar::from_values(BarIndex(n), [1.0; 9])).to_vec();
        let at = |from, to| Stretch { from, to };
        assert_eq!(runs(&Records::Bars(Market::Perp, bars)), [at(5, 7), at(9, 10)]);
        let label = |n: i64, late: i64| {
            let ts = Ts(n * BAR_MS + late);
            OpenInterest { ts, contracts: 1.0, value: 1.0 }
        };
        let told = runs(&vec![label(1000, 0), label(1001, 1500), label(1003, 0)].into());
        assert_eq!(
            told,
            [at(999 * BAR_MS + 1, 1001 * BAR_MS + 1501), at(1002 * BAR_MS + 1, 1003 * BAR_MS + 1)]
        );
    }
}
