//! Putting records into the raw input log: merged with what is there, in one atomic batch.

use std::collections::BTreeMap;

use fjall::{Keyspace, OwnedWriteBatch};

use super::error::During;
use super::kv::series::{self, canonical};
use super::kv::summary;
use super::law::{Held, Merged, Says};
use super::ledger::Ledger;
use super::likelier::Likelier;
use super::merge::LISTED_CONFLICTS;
use super::provenance::Register;
use super::raw::corrupt;
use super::{Conflict, Delivery, Judged, Lot, MergeReport, Prefer, Store, StoreError, Summary};
use backtestd_core::market::{Bar, Columns, Market, RawPut, Record, Records, SeriesKey, Symbol};

/// Below this many records a put looks each one up; above, it scans the stretch that they cover.
const LOOKUPS: usize = 16;

/// What a put would write of a series.
#[derive(Clone, Debug)]
pub struct WouldPut {
    /// The series that it is about.
    pub series: SeriesKey,
    /// What the put would report of it.
    pub report: MergeReport,
    /// The records that would be written, merged with what is there: new ones, others, and those that only
    /// get a better origin.
    pub records: Records,
}

/// A record on its way in.
pub(super) type Row = (i64, Columns);

/// The reports of a batch, and the records that it writes.
type Staged = (Vec<(SeriesKey, MergeReport)>, BTreeMap<SeriesKey, Vec<Row>>);

/// A record on its way in, and what it came with.
struct Incoming<'l> {
    time: i64,
    held: Held,
    delivery: &'l Delivery<'l>,
    /// It is known to complete what is stored.
    completes: bool,
}

impl Store {
    /// Merges records into the log, in one atomic batch: all of it or nothing. The same records twice change
    /// nothing.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn put(&mut self, puts: &[RawPut], delivery: Delivery<'_>) -> Result<MergeReport, StoreError> {
        let mut total = MergeReport::default();
        for (_, report) in self.put_lots(&[Lot { puts, delivery, completes: None }], &[])? {
            total.add(report);
        }
        Ok(total)
    }

    /// [`Store::put`] of several lots in one batch, with a report for each series, and with small keyed blobs
    /// ([`Store::meta`]) that must move with the records. Survives `kill -9`; power loss after
    /// [`Store::sync`].
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_lots(
        &mut self,
        lots: &[Lot<'_>],
        meta: &[(String, Vec<u8>)],
    ) -> Result<Vec<(SeriesKey, MergeReport)>, StoreError> {
        let mut batch = self.db.batch();
        let reports = self.stage(&mut batch, lots)?;
        for (name, value) in meta {
            batch.insert(&self.spaces.meta, super::facts::user_key(name), value.as_slice());
        }
        if !batch.is_empty() {
            batch.commit().during("store raw records")?;
        }
        Ok(reports)
    }

    /// What [`Store::put_lots`] would write, by series: the records as they would stand, in order of time,
    /// and the counts. Nothing is written.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn would_put(&self, lots: &[Lot<'_>]) -> Result<Vec<WouldPut>, StoreError> {
        let (reports, mut written) = self.stage_all(&mut self.db.batch(), lots)?;
        let told = |(series, report): (SeriesKey, MergeReport)| {
            let rows = written.remove(&series).unwrap_or_default();
            let records = Records::of(series.kind, series.market, &rows);
            WouldPut { series, report, records }
        };
        Ok(reports.into_iter().map(told).collect())
    }

    /// Adds the writes of `lots` to a batch.
    pub(super) fn stage(
        &self,
        batch: &mut OwnedWriteBatch,
        lots: &[Lot<'_>],
    ) -> Result<Vec<(SeriesKey, MergeReport)>, StoreError> {
        Ok(self.stage_all(batch, lots)?.0)
    }

    fn stage_all(&self, batch: &mut OwnedWriteBatch, lots: &[Lot<'_>]) -> Result<Staged, StoreError> {
        let mut register = Register::new(self);
        let mut by_series: BTreeMap<SeriesKey, Vec<Incoming<'_>>> = BTreeMap::new();
        for lot in lots {
            if lot.puts.iter().all(|put| put.records.rows().is_empty()) {
                continue;
            }
            let said = register.enter(batch, &lot.delivery)?;
            for put in lot.puts {
                let series = put.series();
                let completes = lot.completes.filter(|all| all.iter().any(|(s, _)| *s == series));
                let rows = by_series.entry(series.clone()).or_default();
                put.records.rows().each(&mut |time, columns, _| {
                    let completes = completes.is_some_and(|all| all.contains(&(series.clone(), time)));
                    let held = Held { columns: columns.map(canonical), says: Says::One(said) };
                    rows.push(Incoming { time, held, delivery: &lot.delivery, completes });
                });
            }
        }
        let mut ledger = Ledger::new(self);
        let mut reports = Vec::new();
        let mut written = BTreeMap::new();
        for (key, rows) in by_series {
            let likelier = Likelier::new(self, &key, Vec::new());
            let report = MergeReport::default();
            let mut series = Series { key: &key, ledger: &mut ledger, likelier, report };
            let changed = self.stage_series(batch, &mut series, rows, &mut register)?;
            let report = series.report;
            written.insert(key.clone(), changed);
            reports.push((key, report));
        }
        ledger.finish(batch)?;
        let mut judged = Judged::default();
        for (key, report) in &mut reports {
            report.judged = self.stage_judgement(batch, key, &written)?;
            judged.add(report.judged);
        }
        self.stage_stale(batch, judged.from)?;
        Ok((reports, written))
    }

    fn stage_series<'s>(
        &'s self,
        batch: &mut OwnedWriteBatch,
        into: &mut Series<'s, '_>,
        mut rows: Vec<Incoming<'_>>,
        register: &mut Register<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        let key = into.key;
        let mut written = Vec::new();
        let width = key.kind.columns().len();
        rows.sort_by_key(|row| row.time);
        let (Some(first), Some(last)) = (rows.first().map(|r| r.time), rows.last().map(|r| r.time)) else {
            return Ok(written);
        };
        let mut extent = self.summary(key)?;
        let overlaps = extent.is_some_and(|s| s.first <= last && first <= s.last);
        if overlaps || rows.windows(2).any(|pair| pair[0].time == pair[1].time) {
            let delivered = rows.iter().map(|row| (row.time, row.held.columns)).collect();
            into.likelier = Likelier::new(self, key, delivered);
        }
        let rows = into.fold_repeats(batch, rows)?;
        debug_assert!(rows.is_sorted_by(|a, b| a.time < b.time), "a batch writes each time once, in order");
        let mut stored = Stored::new(self, key, overlaps, rows.len(), first, last)?;
        for row in rows {
            let before = stored.at(row.time, register)?;
            let is_new = before.is_none();
            let held = match before {
                None => {
                    into.report.inserted += 1;
                    row.held
                }
                Some(before) => match into.meet(batch, before, &row)? {
                    Some(held) => held,
                    None => continue,
                },
            };
            let (origin, ids) = held.provenance(width);
            let value = series::encode(key.kind, origin, &held.columns, &ids);
            batch.insert(
                &self.spaces.raw[key.kind.index()],
                series::key(key.market, &key.symbol, row.time),
                value,
            );
            widen(&mut extent, row.time, is_new, &held.columns[..width]);
            written.push((row.time, held.columns));
        }
        if let (false, Some(extent)) = (into.report.is_noop(), extent) {
            batch.insert(&self.spaces.summaries, summary::key(key), summary::encode(&extent));
        }
        Ok(written)
    }
}

/// Where the rows of one series go.
struct Series<'k, 's> {
    key: &'k SeriesKey,
    ledger: &'k mut Ledger<'s>,
    likelier: Likelier<'k>,
    report: MergeReport,
}

impl Series<'_, '_> {
    /// A record meets the stored one; `None` when nothing of it has to be written.
    fn meet(
        &mut self,
        batch: &mut OwnedWriteBatch,
        before: Held,
        row: &Incoming<'_>,
    ) -> Result<Option<Held>, StoreError> {
        let prefer = if row.completes { Prefer::New } else { row.delivery.prefer };
        let (held, merged) = self.likelier.merge(row.time, &before, &row.held, prefer)?;
        if row.completes {
            self.report.filled += u64::from(merged.filled || merged.won != 0);
            self.report.unchanged += u64::from(!merged.filled && merged.won == 0);
        } else {
            self.note(batch, row, (&before, &row.held), merged)?;
            if merged.won != 0 {
                self.report.conflicts += 1;
            } else if merged.kept != 0 {
                self.report.kept += 1;
            } else if merged.filled {
                self.report.filled += 1;
            } else {
                self.report.unchanged += 1;
                self.report.confirmed += u64::from(merged.confirmed);
            }
        }
        let is_written = merged.won != 0 || merged.filled || merged.confirmed;
        Ok(is_written.then_some(held))
    }

    /// Merges records that a batch holds more than once, so that putting it twice changes nothing the second
    /// time.
    fn fold_repeats<'l>(
        &mut self,
        batch: &mut OwnedWriteBatch,
        rows: Vec<Incoming<'l>>,
    ) -> Result<Vec<Incoming<'l>>, StoreError> {
        let mut out: Vec<Incoming<'l>> = Vec::with_capacity(rows.len());
        for row in rows {
            match out.last_mut() {
                Some(last) if last.time == row.time => {
                    let before = last.held.clone();
                    let merged;
                    (last.held, merged) =
                        self.likelier.merge(row.time, &before, &row.held, Prefer::Better)?;
                    self.note(batch, &row, (&before, &row.held), merged)?;
                    self.report.contradictions += u64::from(merged.won | merged.kept != 0);
                    last.completes |= row.completes;
                }
                _ => out.push(row),
            }
        }
        Ok(out)
    }

    /// Lists the conflicts of two records, and enters them into the ledger.
    fn note(
        &mut self,
        batch: &mut OwnedWriteBatch,
        row: &Incoming<'_>,
        (old, new): (&Held, &Held),
        merged: Merged,
    ) -> Result<(), StoreError> {
        for (columns, new_stands) in [(merged.won, true), (merged.kept, false)] {
            if columns == 0 {
                continue;
            }
            for (i, field) in self.key.kind.columns().iter().enumerate() {
                if columns & (1 << i) == 0 || self.report.listed.len() >= LISTED_CONFLICTS {
                    continue;
                }
                self.report.listed.push(Conflict {
                    series: self.key.clone(),
                    at: self.key.kind.instant(row.time),
                    field,
                    old: (old.columns[i], old.says.of(i).origin),
                    new: (new.columns[i], new.says.of(i).origin),
                    new_stands,
                    label: row.delivery.label.to_owned(),
                });
            }
            let noted = row.delivery.noted;
            self.ledger.note(batch, (self.key, row.time), (old, new), (columns, new_stands), noted)?;
        }
        Ok(())
    }
}

impl Store {
    /// [`Store::put`] for one series beside bars.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_records<R: Record>(
        &mut self,
        symbol: &Symbol,
        records: &[R],
        delivery: Delivery<'_>,
    ) -> Result<MergeReport, StoreError>
    where
        Records: From<Vec<R>>,
    {
        let records = Records::from(records.to_vec());
        self.put(&[RawPut { symbol: symbol.clone(), records }], delivery)
    }

    /// Merges bars.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_bars(
        &mut self,
        market: Market,
        symbol: &Symbol,
        bars: &[Bar],
        delivery: Delivery<'_>,
    ) -> Result<MergeReport, StoreError> {
        self.put(
            &[RawPut { symbol: symbol.clone(), records: Records::Bars(market, bars.to_vec()) }],
            delivery,
        )
    }
}

/// A stored record: time, columns and the deliveries of these.
type Found = (i64, Vec<u8>);

/// What is stored already where a delivery wants to write, handed out in time order.
enum Stored<'a> {
    Nothing,
    Lookup { space: &'a Keyspace, key: &'a SeriesKey },
    Scanned { key: &'a SeriesKey, rows: std::iter::Peekable<std::vec::IntoIter<Found>> },
}

impl<'a> Stored<'a> {
    fn new(
        store: &'a Store,
        key: &'a SeriesKey,
        overlaps: bool,
        count: usize,
        first: i64,
        last: i64,
    ) -> Result<Self, StoreError> {
        if !overlaps {
            return Ok(Self::Nothing);
        }
        if count <= LOOKUPS {
            return Ok(Self::Lookup { space: &store.spaces.raw[key.kind.index()], key });
        }
        let mut rows = Vec::new();
        store.scan_values(key.kind, key.market, &key.symbol, first, last + 1, |time, value| {
            rows.push((time, value.to_vec()));
            Ok(())
        })?;
        Ok(Self::Scanned { key, rows: rows.into_iter().peekable() })
    }

    /// The stored record at `time`; times must rise from call to call.
    fn at(&mut self, time: i64, register: &mut Register<'_>) -> Result<Option<Held>, StoreError> {
        let (key, value) = match self {
            Self::Nothing => return Ok(None),
            Self::Lookup { space, key } => {
                let bytes = series::key(key.market, &key.symbol, time);
                let Some(value) = space.get(&bytes).during("look up a raw record")? else { return Ok(None) };
                (&**key, value.to_vec())
            }
            Self::Scanned { key, rows } => {
                while rows.next_if(|(t, _)| *t < time).is_some() {}
                let Some((_, value)) = rows.next_if(|(t, _)| *t == time) else { return Ok(None) };
                (&**key, value)
            }
        };
        let damaged =
            |detail: String| corrupt(key.kind.name(), &series::key(key.market, &key.symbol, time), &detail);
        let (columns, _) = series::decode(key.kind, &value).map_err(damaged)?;
        let ids = series::decode_ids(key.kind, &value).map_err(damaged)?;
        Ok(Some(Held { columns, says: register.says(&ids)? }))
    }
}

fn widen(extent: &mut Option<Summary>, time: i64, is_new: bool, columns: &[f64]) {
    let s = extent.get_or_insert(Summary { first: time, last: time, records: 0, known: 0 });
    s.first = s.first.min(time);
    s.last = s.last.max(time);
    s.records += u64::from(is_new);
    for (i, v) in columns.iter().enumerate() {
        if !v.is_nan() {
            s.known |= 1 << i;
        }
    }
}
