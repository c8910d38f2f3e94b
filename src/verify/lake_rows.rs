//! The lake against its own list of files, and against the store that it was made from: no month is lost, no
//! row too many or too few, and a gap is a gap in both.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, TimestampNanosecondType};

use super::Area;
use backtestd_core::market::{BAR_MS, BarIndex, Kind, Market, SeriesKey, Symbol, Ts};
use backtestd_store::lake::{
    Month, ParquetTable, file_list_path, read_file_list, read_parquet, stated_content_sha256,
};
use backtestd_store::{Store, StoreError};

const EXPORT: &str = "`backtestd export lake` writes the month again";

/// Which table of the lake a file is a month of.
struct Partition {
    series: SeriesKey,
    is_cleaned: bool,
    month: Month,
}

impl Partition {
    /// By the path of a file below the lake's root.
    fn of(path: &Path) -> Option<Self> {
        let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
        let [layer, market, symbol, table @ .., year, month, _] = &parts[..] else { return None };
        let market = [Market::Perp, Market::Spot].into_iter().find(|m| m.to_string() == *market)?;
        let table = table.join("/");
        let kind = match *layer {
            "raw" => Kind::ALL.iter().copied().find(|kind| kind.facts().lake == table)?,
            "cleaned" if table == "5m/ohlcv_clean" => Kind::Bars,
            _ => return None,
        };
        let number = |text: &str, name: &str| text.strip_prefix(name)?.parse().ok();
        let month =
            Month { year: number(year, "year=")?, month: i8::try_from(number(month, "month=")?).ok()? };
        let series = SeriesKey { kind, market, symbol: Symbol::new(symbol).ok()? };
        Some(Self { series, is_cleaned: *layer == "cleaned", month })
    }
}

/// Checks the files of a lake. `progress` hears each of them.
///
/// # Errors
/// When the store cannot be read.
pub fn check_lake_rows(
    store: Option<&Store>,
    lake: &Path,
    files: &[PathBuf],
    progress: &mut dyn FnMut(&Path),
) -> Result<Area, StoreError> {
    let mut area = Area::new("lake_rows");
    let present: BTreeSet<String> = files.iter().filter_map(|file| below(lake, file)).collect();
    listed(&mut area, lake, &present);
    area.checked = format!("{} files against the list of files", present.len());
    let Some(store) = store else { return Ok(area) };
    let known: BTreeSet<SeriesKey> = store.series()?.into_iter().map(|(key, _)| key).collect();
    let (mut compared, mut behind) = (0, Behind::default());
    for file in files {
        progress(file);
        let Some(partition) = file.strip_prefix(lake).ok().and_then(Partition::of) else { continue };
        if !known.contains(&partition.series) {
            behind.foreign.insert(partition.series.symbol.to_string());
            continue;
        }
        // What cannot be read is a finding of the files themselves.
        let Ok(rows) = read_parquet(file) else { continue };
        let name = file.display().to_string();
        if partition.is_cleaned {
            cleaned(&mut area, store, &name, &partition, &rows)?;
        } else {
            raw(&mut area, store, &name, &partition, &rows, &mut behind)?;
        }
        compared += 1;
    }
    area.checked = format!("{compared} months of the lake held against the store");
    area.note = behind.note();
    Ok(area)
}

fn below(lake: &Path, file: &Path) -> Option<String> {
    Some(file.strip_prefix(lake).ok()?.to_string_lossy().replace('\\', "/"))
}

/// The list of files against the files.
fn listed(area: &mut Area, lake: &Path, present: &BTreeSet<String>) {
    let path = file_list_path(lake);
    let list = match read_file_list(lake) {
        Ok(Some(list)) => list,
        Ok(None) => {
            return interior_months(area, lake, present);
        }
        Err(error) => {
            area.find(path.display().to_string(), "file", "the list of files that was written", error);
            return interior_months(area, lake, present);
        }
    };
    for (name, listed) in &list {
        let path = lake.join(name);
        let subject = path.display().to_string();
        if !present.contains(name) {
            let found = if path.exists() { "not a parquet file" } else { "absent" };
            area.find(subject, "file", format!("{} rows ({EXPORT})", listed.rows), found);
            continue;
        }
        // What cannot be read is a finding of the files themselves.
        let Ok(found) = stated_content_sha256(&path) else { continue };
        if found.as_ref() != Some(&listed.content_sha256) {
            let found = found.unwrap_or_else(|| "absent".to_owned());
            area.find(subject, "content_sha256, as in files.json", &listed.content_sha256, found);
        }
    }
}

/// Without a list: months that are missing between others of the same table.
fn interior_months(area: &mut Area, lake: &Path, present: &BTreeSet<String>) {
    let mut tables: BTreeMap<String, BTreeSet<Month>> = BTreeMap::new();
    for name in present {
        let Some(partition) = Partition::of(Path::new(name)) else { continue };
        let table = name.split("/year=").next().unwrap_or_default();
        tables.entry(table.to_owned()).or_default().insert(partition.month);
    }
    for (table, months) in tables {
        let (Some(first), Some(last)) = (months.first(), months.last()) else { continue };
        for month in Month::between(first.start(), last.start()).filter(|month| !months.contains(month)) {
            let path = month.path(&lake.join(&table));
            area.find(
                path.display().to_string(),
                "file",
                format!("a month between others ({EXPORT})"),
                "absent",
            );
        }
    }
}

/// What the store has and the lake does not have yet: no fault.
#[derive(Default)]
struct Behind {
    months: u64,
    records: u64,
    changed: u64,
    foreign: BTreeSet<String>,
}

impl Behind {
    fn note(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.records > 0 {
            parts.push(format!("{} records of {} months came after the export", self.records, self.months));
        }
        if self.changed > 0 {
            parts.push(format!("{} records read differently in the store since", self.changed));
        }
        if !parts.is_empty() {
            parts.push("`backtestd export lake` brings it up to date".to_owned());
        }
        if !self.foreign.is_empty() {
            let names = self.foreign.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            parts.push(format!("not in this store and not compared: {names}"));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// A month of the raw log, row by row.
fn raw(
    area: &mut Area,
    store: &Store,
    name: &str,
    partition: &Partition,
    file: &ParquetTable,
    behind: &mut Behind,
) -> Result<(), StoreError> {
    let kind = partition.series.kind;
    let (first, end) = partition.month.bars();
    let (from, to) = if kind.is_bar_like() { (first.0, end.0) } else { (first.open().0, end.open().0) };
    let stored = store.series_rows(&partition.series, from, to)?;
    let instants: Vec<Ts> = stored.times.iter().map(|time| kind.instant(*time)).collect();
    let rows = Rows::of(file, kind.columns());
    let times: BTreeMap<Ts, usize> = rows.times.iter().enumerate().map(|(row, time)| (*time, row)).collect();
    if times.len() != rows.times.len() {
        area.find(
            name,
            "rows",
            format!("{} times, each once", times.len()),
            format!("{} rows", rows.times.len()),
        );
    }
    let known: BTreeSet<Ts> = instants.iter().copied().collect();
    let alien: Vec<&Ts> = times.keys().filter(|time| !known.contains(time)).collect();
    if let Some(first) = alien.first() {
        area.find(
            name,
            format!("row of {first}"),
            "a record of the store",
            format!("{} rows that it lacks", alien.len()),
        );
    }
    let last = times.keys().next_back();
    let (mut missing, mut late) = (Vec::new(), 0);
    for (at, time) in instants.iter().enumerate() {
        let Some(row) = times.get(time) else {
            if last.is_some_and(|last| time < last) {
                missing.push(time);
            } else {
                late += 1;
            }
            continue;
        };
        let differs = stored.columns.iter().zip(&rows.columns).any(|(store, file)| {
            let (a, b) = (store[at], file.get(*row).copied().unwrap_or(f64::NAN));
            a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan())
        });
        behind.changed += u64::from(differs);
    }
    if let Some(first) = missing.first() {
        let found = format!("absent, and {} rows in all ({EXPORT})", missing.len());
        area.find(name, format!("row of {first}"), "present, as in the store", found);
    }
    behind.records += late;
    behind.months += u64::from(late > 0);
    Ok(())
}

/// A month on the full grid: every slot is there, and a gap is where the store has no bar.
fn cleaned(
    area: &mut Area,
    store: &Store,
    name: &str,
    partition: &Partition,
    file: &ParquetTable,
) -> Result<(), StoreError> {
    let rows = Rows::of(file, &["close"]);
    let off_grid = rows.times.windows(2).find(|pair| pair[1].0 - pair[0].0 != BAR_MS);
    if let Some(pair) = off_grid {
        area.find(name, format!("row after {}", pair[0]), Ts(pair[0].0 + BAR_MS), pair[1]);
    }
    let SeriesKey { market, symbol, .. } = &partition.series;
    let (first, end) = partition.month.bars();
    let bars: BTreeSet<BarIndex> =
        store.bars(*market, symbol, first, end)?.into_iter().map(|bar| bar.bar).collect();
    let is_gap = rows.gaps.as_deref().unwrap_or_default();
    let invented: Vec<Ts> = rows
        .times
        .iter()
        .zip(is_gap)
        .filter(|(time, gap)| **gap == bars.contains(&time.bar()))
        .map(|(time, _)| *time)
        .collect();
    let Some(first) = invented.first() else { return Ok(()) };
    let is_bar = bars.contains(&first.bar());
    let text = |is_bar: bool| if is_bar { "a bar" } else { "a gap" };
    let found = format!("{}, and {} such rows in all ({EXPORT})", text(!is_bar), invented.len());
    area.find(name, format!("row of {first}"), format!("{}, as in the store", text(is_bar)), found);
    Ok(())
}

/// The rows of a file, by column.
#[derive(Default)]
struct Rows {
    times: Vec<Ts>,
    columns: Vec<Vec<f64>>,
    gaps: Option<Vec<bool>>,
}

impl Rows {
    fn of(file: &ParquetTable, names: &[&str]) -> Self {
        let mut out = Self { columns: vec![Vec::new(); names.len()], ..Self::default() };
        for batch in &file.batches {
            out.add(batch, names);
        }
        out
    }

    fn add(&mut self, batch: &RecordBatch, names: &[&str]) {
        let column = |name: &str| batch.column_by_name(name);
        if let Some(times) = column("timestamp").and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>())
        {
            self.times.extend(times.values().iter().map(|ns| Ts(ns.div_euclid(1_000_000))));
        }
        for (name, out) in names.iter().zip(&mut self.columns) {
            match column(name).and_then(|c| c.as_primitive_opt::<Float64Type>()) {
                Some(values) => out.extend(values.iter().map(|v| v.unwrap_or(f64::NAN))),
                None => out.resize(out.len() + batch.num_rows(), f64::NAN),
            }
        }
        if let Some(gaps) = column("is_gap").and_then(|c| c.as_boolean_opt()) {
            self.gaps.get_or_insert_default().extend(gaps.iter().map(|gap| gap.unwrap_or(false)));
        }
    }
}
