//! Bars of one instrument.

use super::catalog::{Catalog, ExportError, SeriesExport};
use super::columns::Columns;
use super::instruments::Precision;
use super::layout::Kind;
use backtestd_core::market::{Bar, Market, Symbol};

/// Brings the bars (in time order) of an instrument into the catalog. Bars without prices are left out.
///
/// # Errors
/// When a number cannot be stored, files overlap, or one cannot be written.
pub fn write_bars(
    catalog: &mut Catalog,
    (market, symbol): (Market, &Symbol),
    bars: &[Bar],
    precision: Precision,
) -> Result<SeriesExport, ExportError> {
    let known: Vec<&Bar> = bars.iter().filter(|b| row(b).iter().all(|v| v.is_finite())).collect();
    let instrument = instrument_id(market, symbol);
    let name = format!("{instrument}-5-MINUTE-LAST-EXTERNAL");
    let times: Vec<i64> = known.iter().map(|b| b.bar.close().nanos()).collect();
    let layout = catalog.layout();
    let mut metadata = vec![
        ("bar_type", name.clone()),
        ("instrument_id", instrument),
        ("price_precision", precision.price.to_string()),
        ("size_precision", precision.size.to_string()),
    ];
    metadata.extend(layout.type_name(Kind::Bar));
    let mut export = catalog.write_series(&layout.folder(Kind::Bar, &name), &times, &|range| {
        let (rows, at) = (&known[range.clone()], &times[range]);
        let mut columns = Columns::of(symbol, layout, name.clone());
        for (column, field) in ["open", "high", "low", "close", "volume"].into_iter().enumerate() {
            let digits = if field == "volume" { precision.size } else { precision.price };
            columns.fixed(field, digits, at, rows.iter().map(|bar| row(bar)[column]))?;
        }
        columns.at(at, &metadata)
    })?;
    export.skipped = bars.len() - known.len();
    Ok(export)
}

/// NautilusTrader's name of an instrument.
pub(super) fn instrument_id(market: Market, symbol: &Symbol) -> String {
    match market {
        Market::Perp => symbol.nautilus_perp(),
        Market::Spot => format!("{symbol}.BINANCE"),
    }
}

pub(super) const fn row(bar: &Bar) -> [f64; 5] {
    [bar.open, bar.high, bar.low, bar.close, bar.volume]
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use arrow::array::{Array, Decimal128Array, FixedSizeBinaryArray, TimestampNanosecondArray, UInt64Array};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;
    use crate::nautilus::Layout;
    use backtestd_core::market::{BarIndex, parse_time};

    const FOLDER: &str = "data/bar/BTCUSDT-PERP.BINANCE-5-MINUTE-LAST-EXTERNAL";

    fn bar(at: i64, close: f64) -> Bar {
        let first = parse_time("2020-01-01T00:00:00Z").unwrap().bar();
        Bar::from_values(first + at, [100.5, 101.0, 99.25, close, 12.345, 0.0, 0.0, 0.0, 0.0])
    }

    fn write(root: &Path, bars: &[Bar]) -> Result<SeriesExport, ExportError> {
        let mut catalog = Catalog::open(root, Layout::V1)?;
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let precision = catalog.fix_precision("BTCUSDT-PERP.BINANCE", Precision::of_bars(bars));
        write_bars(&mut catalog, (Market::Perp, &symbol), bars, precision)
    }

    /// Close times of every row of every file, and the price precisions that the files say.
    fn read(root: &Path) -> (Vec<u64>, Vec<String>) {
        let (mut times, mut precisions) = (Vec::new(), Vec::new());
        let mut files: Vec<_> =
            std::fs::read_dir(root.join(FOLDER)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for path in files {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
            precisions.push(reader.schema().metadata()["price_precision"].clone());
            for batch in reader.build().unwrap() {
                let batch = batch.unwrap();
                let column = batch.column(6).as_any().downcast_ref::<UInt64Array>().unwrap();
                times.extend(column.values());
            }
        }
        (times, precisions)
    }

    #[test]
    fn bars_are_named_by_their_close_and_keep_their_decimals() {
        let root = tempfile::tempdir().unwrap();
        let bars = [bar(0, 100.75), bar(1, f64::NAN), bar(2, 100.0)];
        let export = write(root.path(), &bars).unwrap();
        assert_eq!((export.rows, export.added, export.skipped, export.files), (2, 2, 1, 1));
        let path = root
            .path()
            .join(FOLDER)
            .join("2020-01-01T00-05-00-000000000Z_2020-01-01T00-15-00-000000000Z.parquet");
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        let schema = reader.schema().clone();
        assert_eq!(
            (schema.metadata()["price_precision"].as_str(), &*schema.metadata()["size_precision"]),
            ("2", "3")
        );
        assert!(schema.fields().iter().all(|f| !f.is_nullable()));
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        let closes = batch.column(3).as_any().downcast_ref::<FixedSizeBinaryArray>().unwrap();
        assert_eq!(closes.len(), 2);
        assert_eq!(i128::from_le_bytes(closes.value(0).try_into().unwrap()), 1_007_500_000_000_000_000);
        assert_eq!(read(root.path()).0[0], 1_577_837_100_000_000_000);
    }

    #[test]
    fn an_export_adds_only_what_is_missing_before_between_and_after() {
        let root = tempfile::tempdir().unwrap();
        let all: Vec<Bar> = (0..10).map(|at| bar(at, 100.25)).collect();
        let closes: Vec<u64> = all.iter().map(|b| b.bar.close().nanos().unsigned_abs()).collect();
        write(root.path(), &all[2..4]).unwrap();
        let after = write(root.path(), &all[6..8]).unwrap();
        assert_eq!((after.added, after.files), (2, 2));
        let whole = write(root.path(), &all).unwrap();
        assert_eq!((whole.rows, whole.added, whole.rewritten, whole.files), (10, 6, 0, 5));
        assert_eq!(read(root.path()).0, closes, "each bar once, in order");
        let again = write(root.path(), &all).unwrap();
        assert_eq!((again.added, again.rewritten), (0, 0), "nothing is left to do");
    }

    #[test]
    fn what_the_store_has_corrected_is_written_anew_in_its_place() {
        let root = tempfile::tempdir().unwrap();
        let mut bars: Vec<Bar> = (0..6).map(|at| bar(at, 100.25)).collect();
        let late = bars.remove(3);
        write(root.path(), &bars).unwrap();
        bars.insert(3, late);
        let repaired = write(root.path(), &bars).unwrap();
        assert_eq!((repaired.added, repaired.rewritten, repaired.files), (0, 6, 1));
        assert_eq!(read(root.path()).0.len(), 6);
    }

    #[test]
    fn a_finer_price_widens_the_whole_history() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &[bar(0, 100.25), bar(1, 100.25)]).unwrap();
        let all = [bar(0, 100.25), bar(1, 100.25), bar(2, 100.125)];
        let export = write(root.path(), &all).unwrap();
        assert_eq!((export.added, export.rewritten), (1, 2));
        assert_eq!(read(root.path()).1, ["3", "3"]);
        // A stretch of coarse prices alone does not narrow it again.
        write(root.path(), &all[..2]).unwrap();
        assert_eq!(read(root.path()).1, ["3", "3"]);
    }

    #[test]
    fn files_that_overlap_or_are_not_ours_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let all: Vec<Bar> = (0..4).map(|at| bar(at, 100.25)).collect();
        write(root.path(), &all[..2]).unwrap();
        let folder = root.path().join(FOLDER);
        let ours = "2020-01-01T00-05-00-000000000Z_2020-01-01T00-10-00-000000000Z.parquet";
        let theirs = "2020-01-01T00-10-00-000000000Z_2020-01-01T00-20-00-000000000Z.parquet";
        std::fs::copy(folder.join(ours), folder.join(theirs)).unwrap();
        let error = write(root.path(), &all).unwrap_err().to_string();
        assert!(error.contains(ours) && error.contains("read twice"), "{error}");
        std::fs::remove_file(folder.join(ours)).unwrap();
        let error = write(root.path(), &all).unwrap_err().to_string();
        assert!(error.contains(theirs) && error.contains("not written by"), "{error}");
    }

    #[test]
    fn the_second_layout_has_decimals_and_timestamps_and_the_same_numbers() {
        let root = tempfile::tempdir().unwrap();
        let mut catalog = Catalog::open(root.path(), Layout::V2).unwrap();
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let bars = [bar(0, 100.75), bar(1, 100.0)];
        write_bars(&mut catalog, (Market::Perp, &symbol), &bars, Precision::of_bars(&bars)).unwrap();
        catalog.save().unwrap();
        let path = root.path().join("data/bars/BTCUSDT-PERP.BINANCE-5-MINUTE-LAST-EXTERNAL");
        let path = path.join("2020-01-01T00-05-00-000000000Z_2020-01-01T00-10-00-000000000Z.parquet");
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
        assert_eq!(reader.schema().metadata()["type_name"], "Bar");
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        let closes = batch.column(3).as_any().downcast_ref::<Decimal128Array>().unwrap();
        assert_eq!((closes.precision(), closes.scale()), (38, 16));
        assert_eq!(closes.value(0), 1_007_500_000_000_000_000);
        let at = batch.column(6).as_any().downcast_ref::<TimestampNanosecondArray>().unwrap();
        assert_eq!((at.value(0), at.timezone()), (1_577_837_100_000_000_000, Some("UTC")));
        // One folder holds one layout: a reader of the other would find nothing, and not say so.
        let error = Catalog::open(root.path(), Layout::V1).unwrap_err().to_string();
        assert!(error.contains("nautilus-v2") && error.contains("nautilus-v1"), "{error}");
    }

    #[test]
    fn nothing_known_writes_no_file() {
        let root = tempfile::tempdir().unwrap();
        let export = write(root.path(), &[bar(1, f64::NAN)]).unwrap();
        assert_eq!((export.files, export.skipped), (0, 1));
        assert!(!root.path().join(FOLDER).exists());
        let _ = BarIndex(0);
    }
}
