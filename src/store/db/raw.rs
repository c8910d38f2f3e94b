//! The raw input log: what a record is, and reading stretches of it (`put` writes them).

use super::error::During;
use super::kv::series;
use super::kv::{summary, time_at_end};
use super::provenance::Register;
use super::{Origin, Store, StoreError, Summary};
use backtestd_core::market::FundingPrint;
use backtestd_core::market::hex;
use backtestd_core::market::{
    Bar, BarIndex, Columns, Kind, Log, Market, RawBlock, RawSymbol, Record, SeriesKey, Source, Symbol, Ts,
};

/// A stretch of a raw series, by column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesRows {
    /// Names of the columns.
    pub names: &'static [&'static str],
    /// Bar numbers or milliseconds, by kind.
    pub times: Vec<i64>,
    /// One column per name.
    pub columns: Vec<Vec<f64>>,
    /// Where each record came from: the least trusted origin of its columns.
    pub origins: Vec<Origin>,
    /// When that source was made, where it says so.
    pub made: Vec<Option<Ts>>,
}

/// A stretch of one symbol's log.
struct Stretch<'a> {
    store: &'a Store,
    symbol: &'a Symbol,
    first: BarIndex,
    end: BarIndex,
}

impl Log for Stretch<'_> {
    type Error = StoreError;

    fn list<R: Record>(&self, market: Market) -> Result<Vec<R>, StoreError> {
        let (from, to) = if R::KIND.is_bar_like() {
            (self.first.0, self.end.0)
        } else {
            (self.first.open().0 + 1, self.end.open().0 + 1)
        };
        self.store.records(market, self.symbol, from, to)
    }
}

impl Store {
    /// Extent and known columns of a series.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn summary(&self, series: &SeriesKey) -> Result<Option<Summary>, StoreError> {
        let key = summary::key(series);
        let Some(value) = self.spaces.summaries.get(&key).during("read a series summary")? else {
            return Ok(None);
        };
        summary::decode(&value).map(Some).ok_or_else(|| corrupt("summaries", &key, "not a summary"))
    }

    /// Every raw series with its extent, ordered by kind, market and symbol.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn series(&self) -> Result<Vec<(SeriesKey, Summary)>, StoreError> {
        let mut out = Vec::new();
        for pair in self.spaces.summaries.iter() {
            let (key, value) = pair.into_inner().during("list the series")?;
            let entry = summary::decode_key(&key).zip(summary::decode(&value));
            out.push(entry.ok_or_else(|| corrupt("summaries", &key, "not a summary"))?);
        }
        Ok(out)
    }

    /// Symbols with bars in `market`, by name.
    ///
    /// # Errors
    /// As [`Store::series`].
    pub fn symbols(&self, market: Market) -> Result<Vec<Symbol>, StoreError> {
        let all = self.series()?;
        Ok(all
            .into_iter()
            .filter(|(k, _)| k.kind == Kind::Bars && k.market == market)
            .map(|(k, _)| k.symbol)
            .collect())
    }

    /// First and last bar of a symbol, those in quarantine left out: a bar of next year makes no year of
    /// gaps.
    ///
    /// # Errors
    /// As [`Store::summary`].
    pub fn range(&self, market: Market, symbol: &Symbol) -> Result<Option<(BarIndex, BarIndex)>, StoreError> {
        let key = SeriesKey { kind: Kind::Bars, market, symbol: symbol.clone() };
        let Some(extent) = self.summary(&key)? else { return Ok(None) };
        let masked = self.masked(&key, extent.first, extent.last + 1)?;
        if !masked.contains(&extent.first) && !masked.contains(&extent.last) {
            return Ok(Some((BarIndex(extent.first), BarIndex(extent.last))));
        }
        let space = &self.spaces.raw[Kind::Bars.index()];
        let all = series::key(market, symbol, extent.first)..series::key(market, symbol, extent.last + 1);
        let stands = |pair: fjall::Guard| {
            let key = pair.key().during("read the raw log");
            key.map(|key| time_at_end(&key).filter(|time| !masked.contains(time))).transpose()
        };
        let first = space.range(all.clone()).find_map(stands).transpose()?;
        let last = space.range(all).rev().find_map(stands).transpose()?;
        Ok(first.zip(last).map(|(first, last)| (BarIndex(first), BarIndex(last))))
    }

    /// Source columns for which the store has at least one known value of this symbol. What is not listed is
    /// unavailable, rather than unknown.
    ///
    /// # Errors
    /// As [`Store::summary`].
    pub fn coverage(&self, symbol: &Symbol) -> Result<Vec<Source>, StoreError> {
        let mut out = Vec::new();
        let spot: &[Source] = &Source::SPOT_BAR;
        let perp = Kind::ALL.iter().map(|k| (*k, Market::Perp, k.sources()));
        for (kind, market, sources) in perp.chain([(Kind::Bars, Market::Spot, spot)]) {
            let key = SeriesKey { kind, market, symbol: symbol.clone() };
            let Some(found) = self.summary(&key)? else { continue };
            out.extend(
                sources.iter().enumerate().filter(|(i, _)| found.known & (1 << i) != 0).map(|(_, s)| *s),
            );
            out.extend(kind.facts().derived);
        }
        out.sort_unstable();
        out.dedup();
        Ok(out)
    }

    /// A stretch of the log for `symbols`, in their order, by [`RawBlock`]'s rule for what belongs where.
    /// Records in quarantine are left out, here and in [`Store::bars`] and [`Store::funding`].
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn raw(&self, symbols: &[Symbol], first: BarIndex, rows: usize) -> Result<RawBlock, StoreError> {
        let end = first + i64::try_from(rows).unwrap_or(i64::MAX);
        let one = |symbol: &Symbol| RawSymbol::read(&Stretch { store: self, symbol, first, end });
        let symbols: Vec<RawSymbol> = symbols.iter().map(one).collect::<Result<_, _>>()?;
        debug_assert!(
            symbols.iter().all(|s| s.perp.len() <= rows && s.perp.is_sorted_by(|a, b| a.bar < b.bar)),
            "the log has a bar a slot, in order"
        );
        Ok(RawBlock { first, rows, symbols })
    }

    /// The `rows` of the log before `first`: what a pipeline that begins there holds on its first rows.
    ///
    /// # Errors
    /// As [`Store::raw`].
    pub fn lead_in(&self, symbols: &[Symbol], first: BarIndex, rows: usize) -> Result<RawBlock, StoreError> {
        self.raw(symbols, first - i64::try_from(rows).unwrap_or(i64::MAX), rows)
    }

    /// Bars of `[first, end)`.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn bars(
        &self,
        market: Market,
        symbol: &Symbol,
        first: BarIndex,
        end: BarIndex,
    ) -> Result<Vec<Bar>, StoreError> {
        self.records(market, symbol, first.0, end.0)
    }

    /// The last bar of a series before `bar`.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn last_bar_before(
        &self,
        market: Market,
        symbol: &Symbol,
        bar: BarIndex,
    ) -> Result<Option<BarIndex>, StoreError> {
        let range = series::key(market, symbol, i64::MIN)..series::key(market, symbol, bar.0);
        self.bar_of(self.spaces.raw[Kind::Bars.index()].range(range).next_back())
    }

    /// The first bar of a series from `bar` on.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn first_bar_from(
        &self,
        market: Market,
        symbol: &Symbol,
        bar: BarIndex,
    ) -> Result<Option<BarIndex>, StoreError> {
        let range = series::key(market, symbol, bar.0)..=series::key(market, symbol, i64::MAX);
        self.bar_of(self.spaces.raw[Kind::Bars.index()].range(range).next())
    }

    fn bar_of(&self, found: Option<fjall::Guard>) -> Result<Option<BarIndex>, StoreError> {
        let Some(pair) = found else { return Ok(None) };
        let key = pair.key().during("look for a bar")?;
        let time = time_at_end(&key).ok_or_else(|| corrupt(Kind::Bars.name(), &key, "key too short"))?;
        Ok(Some(BarIndex(time)))
    }

    /// Settlements of `first.open() < ts <= end.open()`.
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn funding(
        &self,
        symbol: &Symbol,
        first: BarIndex,
        end: BarIndex,
    ) -> Result<Vec<FundingPrint>, StoreError> {
        self.records(Market::Perp, symbol, first.open().0 + 1, end.open().0 + 1)
    }

    /// Records of a series with times in `[from, to)`, by column, with the place each came from: the log as
    /// it is, with what is in quarantine ([`Store::masked`]).
    ///
    /// # Errors
    /// When the engine fails or stored bytes are damaged.
    pub fn series_rows(&self, series: &SeriesKey, from: i64, to: i64) -> Result<SeriesRows, StoreError> {
        let names = series.kind.columns();
        let mut out = SeriesRows { names, columns: vec![Vec::new(); names.len()], ..SeriesRows::default() };
        let mut register = Register::new(self);
        self.scan_values(series.kind, series.market, &series.symbol, from, to, |time, value| {
            let (values, origin) = series::decode(series.kind, value)?;
            let says = register.says(&series::decode_ids(series.kind, value)?).map_err(|e| e.to_string())?;
            out.times.push(time);
            out.origins.push(origin);
            out.made.push((0..names.len()).find_map(|i| {
                let said = says.of(i);
                said.made.filter(|_| said.origin == origin && !values[i].is_nan())
            }));
            for (column, value) in out.columns.iter_mut().zip(values) {
                column.push(value);
            }
            Ok(())
        })?;
        debug_assert!(out.times.is_sorted_by(|a, b| a < b), "the log is in order of time");
        debug_assert!(out.columns.iter().all(|c| c.len() == out.times.len()), "columns are of one length");
        Ok(out)
    }

    fn records<R: Record>(
        &self,
        market: Market,
        symbol: &Symbol,
        from: i64,
        to: i64,
    ) -> Result<Vec<R>, StoreError> {
        let mut out = Vec::new();
        let series = SeriesKey { kind: R::KIND, market, symbol: symbol.clone() };
        let masked = self.masked(&series, from, to)?;
        self.scan(R::KIND, market, symbol, from, to, |time, c, _| {
            if !masked.contains(&time) {
                out.push(R::from_columns(time, c));
            }
        })?;
        Ok(out)
    }

    pub(super) fn scan(
        &self,
        kind: Kind,
        market: Market,
        symbol: &Symbol,
        from: i64,
        to: i64,
        mut each: impl FnMut(i64, &Columns, Origin),
    ) -> Result<(), StoreError> {
        self.scan_values(kind, market, symbol, from, to, |time, value| {
            let (columns, origin) = series::decode(kind, value)?;
            each(time, &columns, origin);
            Ok(())
        })
    }

    /// Stored values of a stretch; what `each` finds wrong with one is damage.
    pub(super) fn scan_values(
        &self,
        kind: Kind,
        market: Market,
        symbol: &Symbol,
        from: i64,
        to: i64,
        mut each: impl FnMut(i64, &[u8]) -> Result<(), String>,
    ) -> Result<(), StoreError> {
        if from >= to {
            return Ok(());
        }
        let range = series::key(market, symbol, from)..series::key(market, symbol, to);
        for pair in self.spaces.raw[kind.index()].range(range) {
            let (key, value) = pair.into_inner().during("read the raw log")?;
            let time = time_at_end(&key).ok_or_else(|| corrupt(kind.name(), &key, "key too short"))?;
            each(time, &value).map_err(|detail| corrupt(kind.name(), &key, &detail))?;
        }
        Ok(())
    }
}

pub(super) fn corrupt(keyspace: &'static str, key: &[u8], detail: &str) -> StoreError {
    StoreError::Corrupt { keyspace, key: hex(key), detail: detail.to_owned() }
}
