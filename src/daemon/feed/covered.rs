//! What is still to be asked for of a series, from its ledger and from what is stored.
//!
//! A bar that only a stream has told is not known yet: it is asked for like one that is missing. A bar of a
//! file is: files are imported while no daemon runs, and whoever comes next finds them in the store.

use super::ledger::{self, Change, Ledger, Repair, Stretch, Told, missing};
use backtestd_binance::interval_hours;
use backtestd_core::market::{BAR_MS, BarIndex, FundingPrint, HOUR_MS, Kind, Records, SeriesKey, Ts};
use backtestd_store::{Origin, Store, StoreError};

/// Slots looked at in one read.
const SCAN_SLOTS: i64 = 8192;
/// Imported instants that begin this close to the wanted start count as reaching it.
const START_TOLERANCE_MS: i64 = 8 * HOUR_MS;
/// So far back the settlements before a stretch are looked for: the last two of them, so that one that was
/// lost before the stretch is noticed with the first one in it.
const SETTLEMENTS_BACK_MS: i64 = 17 * HOUR_MS;

/// What the exchange said when it was asked for a stretch.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The series that was asked for.
    pub series: SeriesKey,
    /// The part of it that has been answered for.
    pub asked: Stretch,
    /// What the exchange has there, and perhaps around it.
    pub records: Records,
    /// How often it was asked, with the same answer.
    pub answers: u32,
    /// Endpoint and occasion, for messages and the ledger.
    pub how: &'static str,
}

impl Answer {
    /// The parts of what was asked that ought to have a record and have none, given the rows that are known
    /// beside those of the answer.
    fn missing(&self, stored: &[i64]) -> Vec<Stretch> {
        let kind = self.series.kind;
        let mut times = stored.to_vec();
        self.records.rows().each(&mut |time, columns, _| {
            if kind != Kind::Mark || is_whole_mark(columns.iter().copied()) {
                times.push(time);
            }
        });
        let first = if kind == Kind::Funding { i64::MIN } else { self.asked.from };
        times.retain(|time| (first..self.asked.to).contains(time));
        times.sort_unstable();
        times.dedup();
        missing(kind, self.asked, &times)
    }

    /// Gives settlements whose interval the answer could not tell the one that the stored settlements before
    /// them tell.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn measure_intervals(&mut self, store: &Store) -> Result<(), StoreError> {
        let Records::Funding(prints) = &mut self.records else { return Ok(()) };
        let is_regular = |print: &FundingPrint| !print.rate.is_nan();
        let Some(first) = prints.iter().find(|p| is_regular(p) && p.interval_hours.is_nan()) else {
            return Ok(());
        };
        let from = first.ts.0 - SETTLEMENTS_BACK_MS;
        let rows = store.series_rows(&self.series, from, first.ts.0)?;
        let rates = rows.columns.first().into_iter().flatten();
        let mut before: Vec<Ts> =
            rows.times.iter().zip(rates).filter(|(_, rate)| !rate.is_nan()).map(|(ms, _)| Ts(*ms)).collect();
        for print in prints.iter_mut().filter(|print| is_regular(print)) {
            let earlier = |n: usize| before.len().checked_sub(n).map(|at| before[at]);
            if print.interval_hours.is_nan() {
                print.interval_hours = interval_hours(earlier(2), earlier(1), print.ts);
            }
            before.retain(|ts| *ts < print.ts);
            before.push(print.ts);
        }
        Ok(())
    }

    /// Takes the answer into a ledger; what it lacks is asked for again with `patience_s`. Call it before the
    /// records are stored.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn settle(
        &self,
        ledger: &mut Ledger,
        store: &Store,
        now: Ts,
        patience_s: &[u32],
    ) -> Result<(), StoreError> {
        let back = if self.series.kind == Kind::Funding { SETTLEMENTS_BACK_MS } else { 0 };
        let stored = known(store, &self.series, self.asked.from - back, self.asked.to)?;
        let missing = self.missing(&stored);
        let from = missing.first().map_or(self.asked.from, |gap| gap.from.min(self.asked.from));
        let told = Told { answers: self.answers, now, patience_s };
        ledger.settle(Stretch { from, ..self.asked }, &missing, told);
        Ok(())
    }

    /// The times of its records that are not stored yet, and of those that are stored with other values.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn news(&self, store: &Store) -> Result<News, StoreError> {
        News::of(&self.series, &self.records, store)
    }
}

impl News {
    /// Holds records against what is stored of their series.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn of(series: &SeriesKey, records: &Records, store: &Store) -> Result<Self, StoreError> {
        let mut rows = Vec::new();
        records.rows().each(&mut |time, columns, _| rows.push((time, *columns)));
        rows.sort_by_key(|(time, _)| *time);
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(News::default()) };
        let stored = store.series_rows(series, first.0, last.0 + 1)?;
        let mut news = News::default();
        for (time, columns) in rows {
            let Ok(at) = stored.times.binary_search(&time) else {
                news.fresh.push(time);
                continue;
            };
            let differs = |(column, new): (&Vec<f64>, &f64)| {
                let old = column[at];
                !new.is_nan() && (new + 0.0).to_bits() != old.to_bits()
            };
            if stored.columns.iter().zip(&columns).any(differs) {
                news.other.push(time);
            }
        }
        Ok(news)
    }
}

/// What an answer would change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Times of records that were not stored, ascending.
    pub fresh: Vec<i64>,
    /// Times of records that were stored with other values, ascending.
    pub other: Vec<i64>,
}

impl News {
    /// Writes into the ledger what changed behind the present: what belongs to rows that were committed
    /// already, as `is_committed` says of its time. Each of them may make an event another one than was
    /// announced. Whether there was any.
    pub fn note(&self, ledger: &mut Ledger, is_committed: impl Fn(i64) -> bool, how: &str, now: Ts) -> bool {
        let mut is_any = false;
        for (change, times) in [(Change::Filled, &self.fresh), (Change::Corrected, &self.other)] {
            let late = &times[..times.partition_point(|time| is_committed(*time))];
            if let (Some(first), Some(last)) = (late.first(), late.last()) {
                let at = Stretch { from: *first, to: last + 1 };
                let records = late.len() as u64;
                ledger.note_repair(Repair { at, change, records, how: how.to_owned(), when: now });
                is_any = true;
            }
        }
        is_any
    }
}

/// A part of a series that a file has answered for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The series that the file is about.
    pub series: SeriesKey,
    /// The part of it that the file covers.
    pub stretch: Stretch,
}

/// Remembers that a file has answered for a stretch of instants: nothing says which of them there ought to
/// be.
///
/// # Errors
/// When the engine fails.
pub fn extend(store: &mut Store, covered: &Covered) -> Result<(), StoreError> {
    let mut ledger = ledger::load(store, &covered.series)?;
    ledger.cover(covered.stretch);
    let (name, value) = ledger::mark(&covered.series, &ledger);
    store.put_meta(&name, &value)
}

/// What was asked for, ascending.
///
/// # Errors
/// When the engine fails.
pub fn asked(store: &Store, series: &SeriesKey) -> Result<Vec<Stretch>, StoreError> {
    Ok(ledger::load(store, series)?.settled().to_vec())
}

/// What a daemon wants of a series: from `first` to `end`, of instants also those of the `lead_in_rows`
/// before, which hold on the first rows.
#[must_use]
pub const fn wanted(kind: Kind, first: BarIndex, lead_in_rows: usize, end: i64) -> Stretch {
    let from = if kind.is_bar_like() { first.0 } else { first.open().0 + 1 - lead_in_rows as i64 * BAR_MS };
    Stretch { from, to: end }
}

/// Instants that were imported from the first row on count as answered for up to their end.
///
/// # Errors
/// When the engine fails.
pub fn take_in_imported(
    store: &Store,
    ledger: &mut Ledger,
    series: &SeriesKey,
    first: BarIndex,
    end: i64,
) -> Result<(), StoreError> {
    let start = first.open().0 + 1;
    if series.kind.is_bar_like() || ledger.is_settled(start) {
        return Ok(());
    }
    let found = store.summary(series)?;
    if let Some(s) = found.filter(|s| s.first <= start + START_TOLERANCE_MS && s.last >= start) {
        ledger.cover(Stretch { from: start, to: end.min(s.last + 1) });
    }
    Ok(())
}

/// The next stretch of `wanted`, `at_most` long, that neither the exchange nor a file has answered for; then
/// the holes that are due to be asked about again, those of bars whole.
///
/// # Errors
/// When the engine fails.
pub fn next_unasked(
    store: &Store,
    ledger: &mut Ledger,
    series: &SeriesKey,
    wanted: Stretch,
    at_most: i64,
    now: Ts,
) -> Result<Option<Stretch>, StoreError> {
    let is_bar_like = series.kind.is_bar_like();
    while let Some(open) = ledger.open(wanted).first().copied() {
        let unknown = if is_bar_like { first_unknown(store, series, open)? } else { Some(open.from) };
        // What a file or an earlier answer has told needs no question.
        ledger.cover(Stretch { to: unknown.unwrap_or(open.to), ..open });
        if let Some(from) = unknown {
            return Ok(Some(Stretch { from, to: open.to.min(from.saturating_add(at_most)) }));
        }
    }
    let due = ledger.due_hole(wanted, now).and_then(|hole| hole.at.common(wanted));
    let limit = if is_bar_like { i64::MAX } else { at_most };
    Ok(due.map(|hole| Stretch { to: hole.to.min(hole.from.saturating_add(limit)), ..hole }))
}

/// The slots of `[from, to)` that have a record, of a bar-like series.
///
/// # Errors
/// When the engine fails.
pub fn slots(
    store: &Store,
    series: &SeriesKey,
    from: BarIndex,
    to: BarIndex,
) -> Result<Vec<BarIndex>, StoreError> {
    Ok(store.series_rows(series, from.0, to.0)?.times.into_iter().map(BarIndex).collect())
}

/// Times of the records of `[from, to)` that not only a stream has told.
fn known(store: &Store, series: &SeriesKey, from: i64, to: i64) -> Result<Vec<i64>, StoreError> {
    let rows = store.series_rows(series, from, to)?;
    let is_known = |row: &usize| match rows.origins[*row] {
        Origin::Stream => false,
        Origin::Rest if series.kind == Kind::Mark => {
            is_whole_mark(rows.columns.iter().map(|column| column[*row]))
        }
        _ => true,
    };
    Ok((0..rows.times.len()).filter(is_known).map(|row| rows.times[row]).collect())
}

/// Whether mark, index and premium of a record are known: they come from three endpoints, each of which may
/// lack it. A mark without index or premium is half a record.
fn is_whole_mark(mut columns: impl Iterator<Item = f64>) -> bool {
    columns.by_ref().take(3).all(|value| !value.is_nan())
}

/// The first slot of a stretch that has no record, or one that only a stream has told.
fn first_unknown(store: &Store, series: &SeriesKey, open: Stretch) -> Result<Option<i64>, StoreError> {
    let mut next = open.from;
    while next < open.to {
        let to = open.to.min(next + SCAN_SLOTS);
        for slot in known(store, series, next, to)? {
            if slot != next {
                return Ok(Some(next));
            }
            next += 1;
        }
        if next < to {
            return Ok(Some(next));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::{MarkBar, Market, RawPut, Symbol};
    use backtestd_store::{Delivery, Fsync};

    const PATIENCE_S: [u32; 2] = [0, 600];

    #[test]
    fn a_settlement_that_was_lost_before_the_stretch_is_asked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open_with(dir.path(), Fsync::Never).unwrap();
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let series = SeriesKey { kind: Kind::Funding, market: Market::Perp, symbol: symbol.clone() };
        let at = |hour: i64| Ts(20_000 * 24 * HOUR_MS + hour * HOUR_MS);
        let mut ledger = Ledger::default();
        let mut answer = |ledger: &mut Ledger, from: i64, to: i64, hours: &[i64]| {
            let prints = hours.iter().map(|hour| FundingPrint::regular(at(*hour), 1e-4, 8.0));
            let records: Records = prints.collect::<Vec<_>>().into();
            let asked = Stretch { from, to };
            let said = Answer { series: series.clone(), asked, records, answers: 1, how: "test" };
            said.settle(ledger, &store, Ts(to), &PATIENCE_S).unwrap();
            let put = RawPut { symbol: symbol.clone(), records: said.records };
            store.put(&[put], Delivery::new(Origin::Rest, "test")).unwrap();
        };
        // The settlement of 8:00 is left out by an answer that ends with it.
        answer(&mut ledger, at(-8).0, at(8).0 + 1, &[-8, 0]);
        answer(&mut ledger, at(8).0 + 1, at(14).0, &[]);
        let hole = ledger.due_hole(Stretch { from: 0, to: at(14).0 }, at(14)).unwrap().at;
        assert!(hole.from < at(8).0 && at(8).0 < hole.to && ledger.is_settled(hole.from), "{hole:?}");
        answer(&mut ledger, hole.from, hole.to, &[8]);
        assert_eq!(ledger.holes(), []);
    }

    #[test]
    fn a_mark_whose_premium_the_exchange_left_out_twice_is_still_missing() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open_with(dir.path(), Fsync::Never).unwrap();
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let series = SeriesKey { kind: Kind::Mark, market: Market::Perp, symbol: symbol.clone() };
        let bar = BarIndex(6_000_000);
        let asked = Stretch { from: bar.0, to: bar.0 + 1 };
        let mark = |premium| {
            Records::Mark(vec![MarkBar { bar, mark: 100.0, index: 100.1, premium, predicted_rate: f64::NAN }])
        };
        let answer = |premium, answers| Answer {
            series: series.clone(),
            asked,
            records: mark(premium),
            answers,
            how: "test",
        };
        let (mut ledger, now) = (Ledger::default(), (bar + 10).close());
        for _ in 0..2 {
            answer(f64::NAN, 1).settle(&mut ledger, &store, now, &PATIENCE_S).unwrap();
            assert!(ledger.is_hole(bar.0), "half a record answers nothing");
            let put = RawPut { symbol: symbol.clone(), records: mark(f64::NAN) };
            store.put(&[put], Delivery::new(Origin::Rest, "test")).unwrap();
        }
        answer(0.0001, 1).settle(&mut ledger, &store, now, &PATIENCE_S).unwrap();
        assert!(!ledger.is_hole(bar.0));
    }
}
