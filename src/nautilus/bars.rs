//! Bars of one instrument as a catalog file.

#[expect(clippy::disallowed_types, reason = "Arrow's schema metadata is one")]
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::fixed::{FixedError, decimals, to_fixed};
use backtestd_core::market::bar_type;
use backtestd_core::market::{Bar, Symbol, Ts};
use backtestd_store::lake::{LakeError, write_atomically};

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarExport {
    /// The file; absent when there was no bar.
    pub path: Option<PathBuf>,
    /// Bars in it.
    pub bars: usize,
    /// Bars left out because a price or the volume is unknown.
    pub skipped: usize,
    /// Decimals of the prices: one per instrument for the whole history.
    pub price_precision: u32,
    /// Decimals of the volumes.
    pub size_precision: u32,
}

/// An export that failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A number that cannot be stored.
    #[error("{symbol} bar {open}: {source}")]
    Number {
        /// Symbol of the bar.
        symbol: Symbol,
        /// Open time of the bar.
        open: Ts,
        /// What is wrong.
        source: FixedError,
    },
    /// A file that cannot be written.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

const WIDTH: i32 = 16;

/// Writes the bars (in time order) of a perpetual into the catalog.
///
/// # Errors
/// When a number cannot be stored or the file not be written.
pub fn write_bars(catalog: &Path, symbol: &Symbol, bars: &[Bar]) -> Result<BarExport, ExportError> {
    let known: Vec<&Bar> = bars.iter().filter(|b| row(b).iter().all(|v| v.is_finite())).collect();
    let most = |f: &dyn Fn(&Bar) -> u32| known.iter().map(|b| f(b)).max().unwrap_or(0);
    let price_precision =
        most(&|b| [b.open, b.high, b.low, b.close].map(decimals).into_iter().max().unwrap_or(0));
    let size_precision = most(&|b| decimals(b.volume));
    let mut export = BarExport {
        path: None,
        bars: known.len(),
        skipped: bars.len() - known.len(),
        price_precision,
        size_precision,
    };
    let (Some(first), Some(last)) = (known.first(), known.last()) else { return Ok(export) };

    let name = bar_type(symbol);
    let file = format!("{}_{}.parquet", stamp(first.bar.close()), stamp(last.bar.close()));
    let path = catalog.join("data").join("bar").join(&name).join(file);
    let metadata = HashMapMetadata::from([
        ("bar_type".to_owned(), name),
        ("instrument_id".to_owned(), symbol.nautilus_perp()),
        ("price_precision".to_owned(), price_precision.to_string()),
        ("size_precision".to_owned(), size_precision.to_string()),
    ]);
    let batch = batch(symbol, &known, price_precision, size_precision, &path, metadata)?;
    let fail = |e: &dyn std::fmt::Display| LakeError::Format { path: path.clone(), detail: e.to_string() };
    write_atomically(&path, |out| {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut writer =
            ArrowWriter::try_new(&mut *out, batch.schema(), Some(properties)).map_err(|e| fail(&e))?;
        writer.write(&batch).map_err(|e| fail(&e))?;
        writer.close().map_err(|e| fail(&e))
    })?;
    export.path = Some(path);
    Ok(export)
}

#[expect(clippy::disallowed_types, reason = "Arrow's schema metadata is one; it is written sorted")]
type HashMapMetadata = HashMap<String, String>;

const fn row(bar: &Bar) -> [f64; 5] {
    [bar.open, bar.high, bar.low, bar.close, bar.volume]
}

fn batch(
    symbol: &Symbol,
    bars: &[&Bar],
    price_precision: u32,
    size_precision: u32,
    path: &Path,
    metadata: HashMapMetadata,
) -> Result<RecordBatch, ExportError> {
    let format =
        |e: arrow::error::ArrowError| LakeError::Format { path: path.to_owned(), detail: e.to_string() };
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (at, name) in ["open", "high", "low", "close", "volume"].into_iter().enumerate() {
        let digits = if name == "volume" { size_precision } else { price_precision };
        let values: Vec<[u8; 16]> = bars
            .iter()
            .map(|bar| {
                let fixed = to_fixed(row(bar)[at], digits);
                fixed.map(i128::to_le_bytes).map_err(|source| ExportError::Number {
                    symbol: symbol.clone(),
                    open: bar.bar.open(),
                    source,
                })
            })
            .collect::<Result<_, _>>()?;
        let column = FixedSizeBinaryArray::try_from_iter(values.into_iter()).map_err(format)?;
        fields.push(Field::new(name, DataType::FixedSizeBinary(WIDTH), false));
        columns.push(Arc::new(column));
    }
    for name in ["ts_event", "ts_init"] {
        let times = bars.iter().map(|bar| bar.bar.close().nanos().unsigned_abs());
        fields.push(Field::new(name, DataType::UInt64, false));
        columns.push(Arc::new(UInt64Array::from_iter_values(times)));
    }
    let schema = Schema::new_with_metadata(fields, metadata);
    Ok(RecordBatch::try_new(Arc::new(schema), columns).map_err(format)?)
}

/// The time as file names carry it, `2020-01-01T00-05-00-000000000Z`
fn stamp(ts: Ts) -> String {
    let text = ts.rfc3339();
    let (whole, milliseconds) =
        text.trim_end_matches('Z').split_once('.').unwrap_or((text.trim_end_matches('Z'), ""));
    format!("{}-{milliseconds:0<9}Z", whole.replace(':', "-"))
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use backtestd_core::market::BarIndex;

    fn bar(at: i64, close: f64) -> Bar {
        Bar::from_values(BarIndex(at), [100.5, 101.0, 99.25, close, 12.345, 0.0, 0.0, 0.0, 0.0])
    }

    #[test]
    fn bars_are_named_by_their_close_and_keep_their_decimals() {
        let root = tempfile::tempdir().unwrap();
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let first = backtestd_core::market::parse_time("2020-01-01T00:00:00Z").unwrap().bar();
        let bars = [bar(first.0, 100.75), bar(first.0 + 1, f64::NAN), bar(first.0 + 2, 100.0)];
        let export = write_bars(root.path(), &symbol, &bars).unwrap();
        assert_eq!((export.bars, export.skipped), (2, 1));
        assert_eq!((export.price_precision, export.size_precision), (2, 3));
        let path = export.path.unwrap();
        assert!(path.ends_with(
            "data/bar/BTCUSDT-PERP.BINANCE-5-MINUTE-LAST-EXTERNAL/2020-01-01T00-05-00-000000000Z_2020-01-01T00-15-00-000000000Z.parquet"
        ));

        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
        let schema = Arc::clone(reader.schema());
        assert_eq!(schema.metadata()["price_precision"], "2");
        assert_eq!(schema.metadata()["instrument_id"], "BTCUSDT-PERP.BINANCE");
        assert!(schema.fields().iter().all(|f| !f.is_nullable()));
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        let closes = batch.column(3).as_any().downcast_ref::<FixedSizeBinaryArray>().unwrap();
        assert_eq!(closes.len(), 2);
        assert_eq!(i128::from_le_bytes(closes.value(0).try_into().unwrap()), 1_007_500_000_000_000_000);
        let times = batch.column(6).as_any().downcast_ref::<UInt64Array>().unwrap();
        assert_eq!(times.value(0), 1_577_837_100_000_000_000);
    }

    #[test]
    fn nothing_known_writes_no_file() {
        let root = tempfile::tempdir().unwrap();
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let export = write_bars(root.path(), &symbol, &[bar(1, f64::NAN)]).unwrap();
        assert_eq!((export.path, export.skipped), (None, 1));
    }
}
