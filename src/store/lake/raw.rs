//! The raw log as lake partitions, a file per series and month.

use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, RecordBatch};

use super::month::write_partition;
use super::{
    LakeError, LakeFile, Month, bool_column, dictionary_column, f64_column, table, ts_column, ts_column_opt,
};
use crate::{SeriesRows, Store};
use backtestd_core::market::{BarIndex, Kind, SeriesKey, Symbol};

/// Folder of a raw series under the lake's root.
fn folder(series: &SeriesKey) -> PathBuf {
    let base = PathBuf::from(format!("raw/{}/{}", series.market, series.symbol));
    base.join(series.kind.facts().lake)
}

/// Name and version of a table's layout.
fn schema(kind: Kind) -> String {
    let folder = kind.facts().lake;
    format!("backtestd.{}/1", folder.rsplit('/').next().unwrap_or(folder))
}

/// Writes the months that `[first, end)` touches of every raw series of `symbols` (all of them if empty),
/// whole. Files that already hold their content are left alone.
///
/// # Errors
/// When the store cannot be read or a file cannot be written.
pub fn export_raw(
    store: &Store,
    lake: &Path,
    symbols: &[Symbol],
    first: BarIndex,
    end: BarIndex,
) -> Result<Vec<LakeFile>, LakeError> {
    let mut out = Vec::new();
    for (series, extent) in store.series()? {
        if !symbols.is_empty() && !symbols.contains(&series.symbol) {
            continue;
        }
        let instant = |time| series.kind.instant(time);
        for month in Month::between(instant(extent.first), instant(extent.last)) {
            let (from, to) = month.bars();
            if to <= first || from >= end {
                continue;
            }
            let (from, to) =
                if series.kind.is_bar_like() { (from.0, to.0) } else { (from.open().0, to.open().0) };
            let rows = store.series_rows(&series, from, to)?;
            if rows.times.is_empty() {
                continue;
            }
            let batch = batch(&series, rows)?;
            out.push(write_partition(month.path(&lake.join(folder(&series))), &batch, &schema(series.kind))?);
        }
    }
    Ok(out)
}

fn batch(series: &SeriesKey, rows: SeriesRows) -> Result<RecordBatch, LakeError> {
    let count = rows.times.len();
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("timestamp".to_owned(), ts_column(rows.times.iter().map(|t| series.kind.instant(*t)))),
        ("symbol".to_owned(), dictionary_column((0..count).map(|_| Some(series.symbol.as_str())))),
    ];
    for (name, values) in rows.names.iter().zip(rows.columns) {
        columns.push(((*name).to_owned(), f64_column(values)));
    }
    columns.push(("source".to_owned(), dictionary_column(rows.origins.iter().map(|o| Some(o.name())))));
    columns.push(("made_ts".to_owned(), ts_column_opt(rows.made)));
    if series.kind == Kind::Bars {
        let confirmed = rows.origins.iter().map(|origin| Some(origin.is_confirmed()));
        columns.push(("confirmed".to_owned(), bool_column(confirmed)));
    }
    table(columns)
}
