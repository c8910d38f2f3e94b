//! Settlements, mark and index prices of a perpetual.

use std::sync::Arc;

use arrow::array::{BinaryArray, UInt16Array, UInt64Array};
use arrow::datatypes::{DataType, Field};

use super::catalog::{Catalog, ExportError, SeriesExport};
use super::columns::Columns;
use super::fixed::decimals;
use super::instruments::Precision;
use backtestd_core::market::{FundingPrint, HOUR_MS, MarkBar, Symbol, Ts};

const MINUTES_PER_HOUR: f64 = 60.0;

/// Brings the settlements (in time order) of a perpetual into the catalog: each with the rate that was paid at its time.
///
/// # Errors
/// When files overlap, or one cannot be written.
pub fn write_funding(
    catalog: &mut Catalog,
    symbol: &Symbol,
    prints: &[FundingPrint],
) -> Result<SeriesExport, ExportError> {
    let known: Vec<&FundingPrint> = prints.iter().filter(|p| paid(p).is_some()).collect();
    let times: Vec<i64> = known.iter().map(|p| p.ts.nanos()).collect();
    let instrument = symbol.nautilus_perp();
    let folder = format!("data/funding_rate_update/{instrument}");
    let mut export = catalog.write_series(&folder, &times, &|range| {
        let rows = &known[range.clone()];
        let mut columns = Columns::of(symbol, folder.clone());
        // The rate is the JSON of a decimal string.
        let rates: Vec<String> = rows.iter().map(|p| format!("\"{}\"", paid(p).unwrap_or(0.0))).collect();
        let rates = BinaryArray::from_iter_values(rates.iter().map(String::as_bytes));
        columns.push(Field::new("rate", DataType::Binary, false), Arc::new(rates));
        let hours = |p: &FundingPrint| Some(p.interval_hours).filter(|h| h.is_finite() && *h > 0.0);
        let minutes =
            UInt16Array::from_iter(rows.iter().map(|p| hours(p).map(|h| (h * MINUTES_PER_HOUR) as u16)));
        columns.push(Field::new("interval", DataType::UInt16, true), Arc::new(minutes));
        let next = |p: &FundingPrint| {
            hours(p).map(|h| Ts(p.ts.0 + (h * HOUR_MS as f64) as i64).nanos().unsigned_abs())
        };
        let next = UInt64Array::from_iter(rows.iter().map(|p| next(p)));
        columns.push(Field::new("next_funding_ns", DataType::UInt64, true), Arc::new(next));
        columns.at(&times[range], &[("instrument_id", instrument.clone())])
    })?;
    export.skipped = prints.len() - known.len();
    Ok(export)
}

/// What a long paid per unit at the settlement: the regular rate and a special one beside it.
fn paid(print: &FundingPrint) -> Option<f64> {
    let known: Vec<f64> = [print.rate, print.special_rate].into_iter().filter(|r| r.is_finite()).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

/// Brings the mark and the index prices at the closes of bars into the catalog.
///
/// # Errors
/// When a number cannot be stored, files overlap, or one cannot be written.
pub fn write_prices(
    catalog: &mut Catalog,
    symbol: &Symbol,
    bars: &[MarkBar],
) -> Result<[SeriesExport; 2], ExportError> {
    let mut one = |name: &str, price: fn(&MarkBar) -> f64| {
        let known: Vec<&MarkBar> = bars.iter().filter(|b| price(b).is_finite()).collect();
        let times: Vec<i64> = known.iter().map(|b| b.bar.close().nanos()).collect();
        let finest = known.iter().map(|b| decimals(price(b))).max().unwrap_or(0);
        let instrument = symbol.nautilus_perp();
        let folder = format!("data/{name}/{instrument}");
        let needed = Precision { price: finest, size: 0 };
        let digits = catalog.fix_precision(&folder, needed).price;
        let metadata = [("instrument_id", instrument), ("price_precision", digits.to_string())];
        let mut export = catalog.write_series(&folder, &times, &|range| {
            let mut columns = Columns::of(symbol, folder.clone());
            let at = &times[range.clone()];
            columns.fixed("value", digits, at, known[range].iter().map(|b| price(b)))?;
            columns.at(at, &metadata)
        })?;
        export.skipped = bars.len() - known.len();
        Ok::<_, ExportError>(export)
    };
    Ok([one("mark_price_update", |b| b.mark)?, one("index_price_update", |b| b.index)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::parse_time;

    #[test]
    fn settlements_and_prices_are_added_once() {
        let root = tempfile::tempdir().unwrap();
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let at = |hour: i64| Ts(parse_time("2020-01-01T00:00:00Z").unwrap().0 + hour * HOUR_MS);
        let prints = [
            FundingPrint::regular(at(0), 1e-4, 8.0),
            FundingPrint::regular(at(8), f64::NAN, 8.0),
            FundingPrint::special(at(9), 2e-4),
        ];
        let mut catalog = Catalog::open(root.path()).unwrap();
        let first = write_funding(&mut catalog, &symbol, &prints).unwrap();
        assert_eq!((first.rows, first.added, first.skipped), (2, 2, 1));
        let again = write_funding(&mut catalog, &symbol, &prints).unwrap();
        assert_eq!((again.added, again.rewritten, again.files), (0, 0, 1));
        let bar = |at: i64, mark: f64| MarkBar {
            bar: parse_time("2020-01-01T00:00:00Z").unwrap().bar() + at,
            mark,
            index: mark - 0.001,
            premium: f64::NAN,
            predicted_rate: f64::NAN,
        };
        let [mark, index] = write_prices(&mut catalog, &symbol, &[bar(0, 100.25), bar(1, f64::NAN)]).unwrap();
        assert_eq!((mark.rows, index.rows, mark.skipped), (1, 1, 1));
    }
}
