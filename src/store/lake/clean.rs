//! Bars on the full grid with what else was known: `ohlcv_clean`.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::{ArrayRef, RecordBatch};

use super::month::write_partition;
use super::{
    LakeError, LakeFile, Month, bool_column, dictionary_column, f64_column, i64_column, table, ts_column,
    ts_column_opt,
};
use crate::{Store, StoreError};
use backtestd_core::clean::{CleanPolicy, Joiner};
use backtestd_core::market::{BARS_PER_DAY, Bar, BarIndex, Market, Source, Symbol, SymbolColumns, Ts};
use backtestd_core::market::{Kind, SeriesKey};

const SCHEMA: &str = "backtestd.ohlcv_clean/1";

/// A stretch without any bar that is longer than this is not written out as gap rows: one bar with a false
/// date would make years of them. A symbol that was away for months is.
const LONGEST_GAP: i64 = 366 * BARS_PER_DAY;

/// Writes the months that `[first, end)` touches of the cleaned bars of one symbol, perp and spot, whole, as
/// far as the store has them and before `now`. Rows before are joined too, so that a funding rate held across
/// `first` is known.
///
/// # Errors
/// When the store cannot be read or a file cannot be written.
pub fn export_clean(
    store: &Store,
    lake: &Path,
    symbol: &Symbol,
    policy: CleanPolicy,
    (first, end): (BarIndex, BarIndex),
    now: Ts,
) -> Result<Vec<LakeFile>, LakeError> {
    let symbols = [symbol.clone()];
    let mut out = Vec::new();
    let mut ranges: Vec<(Market, (BarIndex, BarIndex))> = Vec::new();
    for market in [Market::Perp, Market::Spot] {
        // Nobody has seen a bar that opens after now.
        let last = store.last_bar_before(market, symbol, now.bar().next())?;
        let seen = store.range(market, symbol)?.map(|(from, _)| from).zip(last);
        ranges.extend(seen.map(|range| (market, range)));
    }
    let (Some(from), Some(to)) =
        (ranges.iter().map(|(_, r)| r.0).min(), ranges.iter().map(|(_, r)| r.1.next()).max())
    else {
        return Ok(out);
    };
    let mut joiner = Joiner::new(&symbols, policy, from).map_err(|e| LakeError::format(lake, e))?;
    let lead_in = store.lead_in(&symbols, from, joiner.lead_in_rows())?;
    joiner.prime(&lead_in).map_err(|e| LakeError::format(lake, e))?;
    let mut gap_age: BTreeMap<Market, i64> = BTreeMap::new();
    for month in Month::between(from.open(), (to - 1).open()) {
        let start = joiner.next_bar();
        let stop = month.bars().1.min(to);
        let raw = store.raw(&symbols, start, usize::try_from(stop - start).unwrap_or(0))?;
        let block = joiner.push(&raw).map_err(|e| LakeError::format(lake, e))?;
        let is_wanted = stop > first && month.bars().0 < end;
        for (market, (begin, last)) in &ranges {
            let range = (start.max(*begin), stop.min(last.next()));
            if range.0 >= range.1 {
                continue;
            }
            let ages = gap_age.entry(*market).or_insert(0);
            let rows = Rows { store, symbol, market: *market, start, columns: &block.symbols[0] };
            let (batch, age) = rows.batch(range, *ages)?;
            *ages = age;
            let rows = range.1 - range.0;
            let is_void = age >= rows && longest_gap(store, *market, symbol, range)? > LONGEST_GAP;
            if is_wanted && !is_void {
                let folder = lake.join(format!("cleaned/{market}/{symbol}/5m/ohlcv_clean"));
                out.push(write_partition(month.path(&folder), &batch, SCHEMA)?);
            }
        }
    }
    Ok(out)
}

/// How long the stretch without any bar is that a month lies in.
fn longest_gap(
    store: &Store,
    market: Market,
    symbol: &Symbol,
    month: (BarIndex, BarIndex),
) -> Result<i64, StoreError> {
    let before = store.last_bar_before(market, symbol, month.0)?;
    let after = store.first_bar_from(market, symbol, month.1)?;
    Ok(match (before, after) {
        (Some(before), Some(after)) => after - before - 1,
        _ => 0,
    })
}

/// The joined rows of a month.
struct Rows<'a> {
    store: &'a Store,
    symbol: &'a Symbol,
    market: Market,
    /// First row of `columns`.
    start: BarIndex,
    columns: &'a SymbolColumns,
}

impl Rows<'_> {
    /// The rows of `range`; `age` is the gap's age before the first row, and after the last.
    fn batch(&self, range: (BarIndex, BarIndex), mut age: i64) -> Result<(RecordBatch, i64), LakeError> {
        let sources = match self.market {
            Market::Perp => Source::PERP_BAR,
            Market::Spot => Source::SPOT_BAR,
        };
        let close = sources[3];
        let mut bars = Vec::new();
        let mut ages = Vec::new();
        let mut bar = range.0;
        while bar < range.1 {
            age = if self.value(close, bar).is_nan() { age + 1 } else { 0 };
            bars.push(bar);
            ages.push(age);
            bar = bar.next();
        }
        let count = bars.len();
        let column = |source: Source| f64_column(bars.iter().map(|b| self.value(source, *b)));
        let perp_only = |source| {
            if self.market == Market::Perp { column(source) } else { f64_column(vec![f64::NAN; count]) }
        };
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("timestamp".to_owned(), ts_column(bars.iter().map(|b| b.open()))),
            ("symbol".to_owned(), dictionary_column((0..count).map(|_| Some(self.symbol.as_str())))),
        ];
        columns.extend(
            Bar::NAMES.iter().zip(sources).map(|(name, source)| ((*name).to_owned(), column(source))),
        );
        columns.push(("source".to_owned(), self.origins(&bars)?));
        columns.push(("is_gap".to_owned(), bool_column(ages.iter().map(|a| Some(*a > 0)))));
        columns.push(("gap_age".to_owned(), i64_column(ages.iter().map(|a| Some(*a)))));
        columns.push(("funding_rate".to_owned(), perp_only(Source::FundingRate)));
        columns.push(("funding_interval_hours".to_owned(), perp_only(Source::FundingIntervalH)));
        columns
            .push(("next_funding_ts".to_owned(), ts_column_opt(bars.iter().map(|b| self.next_funding(*b)))));
        columns.push(("mark_price".to_owned(), perp_only(Source::Mark)));
        columns.push(("index_price".to_owned(), perp_only(Source::Index)));
        columns.push(("is_quarantined".to_owned(), self.quarantined(&bars)?));
        Ok((table(columns)?, age))
    }

    fn value(&self, source: Source, bar: BarIndex) -> f64 {
        let row = usize::try_from(bar - self.start).unwrap_or(usize::MAX);
        self.columns.get(source).and_then(|c| c.get(row)).copied().unwrap_or(f64::NAN)
    }

    fn next_funding(&self, bar: BarIndex) -> Option<Ts> {
        let minutes = self.value(Source::MinutesToFunding, bar);
        (self.market == Market::Perp && !minutes.is_nan())
            .then(|| Ts(bar.close().0 + (minutes * 60_000.0) as i64))
    }

    /// Whether the log has a bar that is not taken for true.
    fn quarantined(&self, bars: &[BarIndex]) -> Result<ArrayRef, LakeError> {
        let series = SeriesKey { kind: Kind::Bars, market: self.market, symbol: self.symbol.clone() };
        let ends = bars.first().zip(bars.last());
        let masked = ends.map(|(first, last)| self.store.masked(&series, first.0, last.0 + 1)).transpose()?;
        let masked = masked.unwrap_or_default();
        Ok(bool_column(bars.iter().map(|bar| Some(masked.contains(&bar.0)))))
    }

    fn origins(&self, bars: &[BarIndex]) -> Result<ArrayRef, LakeError> {
        let series = SeriesKey { kind: Kind::Bars, market: self.market, symbol: self.symbol.clone() };
        let (Some(first), Some(last)) = (bars.first(), bars.last()) else {
            return Ok(dictionary_column(std::iter::empty()));
        };
        let rows = self.store.series_rows(&series, first.0, last.0 + 1)?;
        let mut known = rows.times.into_iter().zip(rows.origins).peekable();
        let names = bars.iter().map(|b| known.next_if(|(t, _)| *t == b.0).map(|(_, o)| o.name()));
        Ok(dictionary_column(names))
    }
}
