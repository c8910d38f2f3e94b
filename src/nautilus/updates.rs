//! Settlements, mark and index prices of a perpetual.

use std::sync::Arc;

use arrow::array::{BinaryArray, StringArray, UInt16Array, UInt64Array};
use arrow::datatypes::{DataType, Field};

use super::catalog::{Catalog, ExportError, SeriesExport};
use super::columns::Columns;
use super::fixed::decimals;
use super::instruments::Precision;
use super::layout::{Kind, Layout};
use backtestd_core::market::{FundingPrint, HOUR_MS, MarkBar, Symbol, Ts};

const MINUTES_PER_HOUR: f64 = 60.0;

/// Brings the settlements (in time order) of a perpetual into the catalog: each with the rate that was paid
/// at its time.
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
    let layout = catalog.layout();
    let folder = layout.folder(Kind::Funding, &instrument);
    let mut metadata = vec![("instrument_id", instrument)];
    metadata.extend(layout.type_name(Kind::Funding));
    let mut export = catalog.write_series(&folder, &times, &|range| {
        let rows = &known[range.clone()];
        let mut columns = Columns::of(symbol, layout, folder.clone());
        let rates = rows.iter().map(|p| paid(p).unwrap_or(0.0));
        let hours = |p: &FundingPrint| Some(p.interval_hours).filter(|h| h.is_finite() && *h > 0.0);
        let minutes = rows.iter().map(|p| hours(p).map(|h| (h * MINUTES_PER_HOUR) as u16));
        match layout {
            // The rate is the JSON of a decimal string.
            Layout::V1 => {
                let rates: Vec<String> = rates.map(|rate| format!("\"{rate}\"")).collect();
                let rates = BinaryArray::from_iter_values(rates.iter().map(String::as_bytes));
                columns.push(Field::new("rate", DataType::Binary, false), Arc::new(rates));
                let minutes = UInt16Array::from_iter(minutes);
                columns.push(Field::new("interval", DataType::UInt16, true), Arc::new(minutes));
            }
            Layout::V2 => {
                let rates = StringArray::from_iter_values(rates.map(|rate| rate.to_string()));
                columns.push(Field::new("rate", DataType::Utf8, false), Arc::new(rates));
                let minutes = UInt64Array::from_iter(minutes.map(|m| m.map(u64::from)));
                columns.push(Field::new("interval", DataType::UInt64, true), Arc::new(minutes));
            }
        }
        let next = |p: &FundingPrint| hours(p).map(|h| Ts(p.ts.0 + (h * HOUR_MS as f64) as i64).nanos());
        columns.times("next_funding_ns", true, rows.iter().map(|p| next(p)));
        columns.at(&times[range], &metadata)
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
    let layout = catalog.layout();
    let mut one = |kind: Kind, price: fn(&MarkBar) -> f64| {
        let known: Vec<&MarkBar> = bars.iter().filter(|b| price(b).is_finite()).collect();
        let times: Vec<i64> = known.iter().map(|b| b.bar.close().nanos()).collect();
        let finest = known.iter().map(|b| decimals(price(b))).max().unwrap_or(0);
        let instrument = symbol.nautilus_perp();
        let folder = layout.folder(kind, &instrument);
        let needed = Precision { price: finest, size: 0 };
        let digits = catalog.fix_precision(&folder, needed).price;
        let mut metadata = vec![("instrument_id", instrument), ("price_precision", digits.to_string())];
        metadata.extend(layout.type_name(kind));
        let mut export = catalog.write_series(&folder, &times, &|range| {
            let mut columns = Columns::of(symbol, layout, folder.clone());
            let at = &times[range.clone()];
            columns.fixed("value", digits, at, known[range].iter().map(|b| price(b)))?;
            columns.at(at, &metadata)
        })?;
        export.skipped = bars.len() - known.len();
        Ok::<_, ExportError>(export)
    };
    Ok([one(Kind::Mark, |b| b.mark)?, one(Kind::Index, |b| b.index)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::parse_time;

    #[test]
    fn settlements_and_prices_are_added_once() {
        for layout in [Layout::V1, Layout::V2] {
            are_added_once(layout);
        }
    }

    fn are_added_once(layout: Layout) {
        let root = tempfile::tempdir().unwrap();
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let at = |hour: i64| Ts(parse_time("2020-01-01T00:00:00Z").unwrap().0 + hour * HOUR_MS);
        let prints = [
            FundingPrint::regular(at(0), 1e-4, 8.0),
            FundingPrint::regular(at(8), f64::NAN, 8.0),
            FundingPrint::special(at(9), 2e-4),
        ];
        let mut catalog = Catalog::open(root.path(), layout).unwrap();
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
