//! Putting records into the raw input log: merged with what is there, in one atomic batch.

use std::collections::BTreeMap;

use fjall::{Keyspace, OwnedWriteBatch};

use super::error::During;
use super::kv::series::{self, canonical};
use super::kv::summary;
use super::merge::{LISTED_CONFLICTS, merge};
use super::raw::corrupt;
use super::{Conflict, Delivery, Judged, MergeReport, Store, StoreError, Summary};
use backtestd_core::market::{Bar, Columns, Market, RawPut, Record, Records, SeriesKey, Symbol};

/// Below this many records a put looks each one up; above, it scans the stretch that they cover.
const LOOKUPS: usize = 16;

/// A record on its way in.
pub(super) type Row = (i64, Columns);

impl Store {
    /// Merges records into the log, in one atomic batch: all of it or nothing. The same records twice change nothing.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn put(&mut self, puts: &[RawPut], delivery: Delivery<'_>) -> Result<MergeReport, StoreError> {
        let mut total = MergeReport::default();
        for (_, report) in self.put_each(puts, delivery)? {
            total.add(report);
        }
        Ok(total)
    }

    /// [`Store::put`] with a report for each series. Survives `kill -9`; power loss after [`Store::sync`].
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_each(
        &mut self,
        puts: &[RawPut],
        delivery: Delivery<'_>,
    ) -> Result<Vec<(SeriesKey, MergeReport)>, StoreError> {
        self.put_each_with(puts, delivery, &[])
    }

    /// [`Store::put_each`] with small keyed blobs ([`Store::meta`]) that must move with the records.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub fn put_each_with(
        &mut self,
        puts: &[RawPut],
        delivery: Delivery<'_>,
        meta: &[(String, Vec<u8>)],
    ) -> Result<Vec<(SeriesKey, MergeReport)>, StoreError> {
        let mut batch = self.db.batch();
        let reports = self.stage(&mut batch, puts, delivery)?;
        for (name, value) in meta {
            batch.insert(&self.spaces.meta, super::facts::user_key(name), value.as_slice());
        }
        if !batch.is_empty() {
            batch.commit().during("store raw records")?;
        }
        Ok(reports)
    }

    /// Adds the writes of `puts` to a batch.
    pub(super) fn stage(
        &self,
        batch: &mut OwnedWriteBatch,
        puts: &[RawPut],
        delivery: Delivery<'_>,
    ) -> Result<Vec<(SeriesKey, MergeReport)>, StoreError> {
        let mut by_series: BTreeMap<SeriesKey, Vec<Row>> = BTreeMap::new();
        for put in puts {
            let rows = by_series.entry(put.series()).or_default();
            put.records.rows().each(&mut |time, columns, _| rows.push((time, columns.map(canonical))));
        }
        let mut reports = Vec::new();
        let mut written = BTreeMap::new();
        for (key, rows) in by_series {
            let (report, changed) = self.stage_series(batch, &key, rows, delivery)?;
            written.insert(key.clone(), changed);
            reports.push((key, report));
        }
        let mut judged = Judged::default();
        for (key, report) in &mut reports {
            report.judged = self.stage_judgement(batch, key, &written)?;
            judged.add(report.judged);
        }
        self.stage_stale(batch, judged.from)?;
        Ok(reports)
    }

    fn stage_series(
        &self,
        batch: &mut OwnedWriteBatch,
        key: &SeriesKey,
        mut rows: Vec<Row>,
        delivery: Delivery<'_>,
    ) -> Result<(MergeReport, Vec<Row>), StoreError> {
        let names = key.kind.columns();
        let space = &self.spaces.raw[key.kind.index()];
        let (mut report, mut written) = (MergeReport::default(), Vec::new());
        rows.sort_by_key(|(time, _)| *time);
        let rows = fold_repeats(&mut report, key, rows, delivery);
        debug_assert!(rows.is_sorted_by(|a, b| a.0 < b.0), "a delivery writes each time once, in order");
        let (Some(first), Some(last)) = (rows.first().map(|r| r.0), rows.last().map(|r| r.0)) else {
            return Ok((report, written));
        };
        let mut extent = self.summary(key)?;
        let overlaps = extent.is_some_and(|s| s.first <= last && first <= s.last);
        let mut stored = Stored::new(self, key, overlaps, rows.len(), first, last)?;
        for (time, new) in rows {
            let before = stored.at(time)?;
            let mut columns = before.unwrap_or(new);
            if let Some(before) = &before {
                let merged = merge(&mut columns, &new, names.len());
                list_conflicts(&mut report, key, time, before, &columns, merged.conflicts, delivery);
                if merged.conflicts != 0 {
                    report.conflicts += 1;
                } else if merged.filled {
                    report.filled += 1;
                } else {
                    report.unchanged += 1;
                    continue;
                }
            } else {
                report.inserted += 1;
            }
            let value = series::encode(key.kind, delivery.origin, &columns);
            batch.insert(space, series::key(key.market, &key.symbol, time), value);
            widen(&mut extent, time, before.is_none(), &columns[..names.len()]);
            written.push((time, columns));
        }
        if let (false, Some(extent)) = (report.is_noop(), extent) {
            batch.insert(&self.spaces.summaries, summary::key(key), summary::encode(&extent));
        }
        Ok((report, written))
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

/// What is stored already where a delivery wants to write, handed out in time order.
enum Stored<'a> {
    Nothing,
    Lookup { space: &'a Keyspace, key: &'a SeriesKey },
    Scanned(std::iter::Peekable<std::vec::IntoIter<Row>>),
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
        store.scan(key.kind, key.market, &key.symbol, first, last + 1, |t, c, _| rows.push((t, *c)))?;
        Ok(Self::Scanned(rows.into_iter().peekable()))
    }

    /// The stored columns at `time`; times must rise from call to call.
    fn at(&mut self, time: i64) -> Result<Option<Columns>, StoreError> {
        match self {
            Self::Nothing => Ok(None),
            Self::Lookup { space, key } => {
                let bytes = series::key(key.market, &key.symbol, time);
                let Some(value) = space.get(&bytes).during("look up a raw record")? else { return Ok(None) };
                let (columns, _) =
                    series::decode(key.kind, &value).map_err(|d| corrupt(key.kind.name(), &bytes, &d))?;
                Ok(Some(columns))
            }
            Self::Scanned(rows) => {
                while rows.next_if(|(t, _)| *t < time).is_some() {}
                Ok(rows.next_if(|(t, _)| *t == time).map(|(_, c)| c))
            }
        }
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

/// Merges records that a delivery holds more than once, so that putting it twice changes nothing the second time.
fn fold_repeats(
    report: &mut MergeReport,
    key: &SeriesKey,
    rows: Vec<Row>,
    delivery: Delivery<'_>,
) -> Vec<Row> {
    let mut out: Vec<Row> = Vec::with_capacity(rows.len());
    for (time, new) in rows {
        match out.last_mut() {
            Some((t, columns)) if *t == time => {
                let before = *columns;
                let merged = merge(columns, &new, key.kind.columns().len());
                list_conflicts(report, key, time, &before, columns, merged.conflicts, delivery);
                report.contradictions += u64::from(merged.conflicts != 0);
            }
            _ => out.push((time, new)),
        }
    }
    out
}

fn list_conflicts(
    report: &mut MergeReport,
    key: &SeriesKey,
    time: i64,
    before: &Columns,
    after: &Columns,
    conflicts: u32,
    delivery: Delivery<'_>,
) {
    for (i, field) in key.kind.columns().iter().enumerate() {
        if conflicts & (1 << i) == 0 || report.listed.len() >= LISTED_CONFLICTS {
            continue;
        }
        report.listed.push(Conflict {
            series: key.clone(),
            at: key.kind.instant(time),
            field,
            old: before[i],
            new: after[i],
            label: delivery.label.to_owned(),
        });
    }
}
