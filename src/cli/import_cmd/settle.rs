//! Where a file meets what other files brought for the same bars.
//!
//! Sums over a bar (quotes, liquidations) cannot be merged column by column as bars of trades can: two files that each
//! hold a part of a bar would leave whichever came last. Quotes of a bar at the end of a file are therefore kept beside
//! the log until a neighbouring file completes the bar, and of two sums that cannot be joined the one that covers more
//! of the bar stays.

use std::collections::{BTreeMap, BTreeSet};

use backtestd_binance::aggregate::{OLDEST_QUOTE_MS, QuoteSeconds};
use backtestd_binance::archive::{FileContent, QuoteEdge};
use backtestd_core::market::{BarIndex, LiquidationBar, Market, QuoteBar, Symbol};
use backtestd_core::market::{Kind, RawPut, Records, SeriesKey};
use backtestd_store::{MergeReport, Store, StoreError};

/// A file's records as they are to be stored.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Raw records to be written to the store.
    pub puts: Vec<RawPut>,
    /// Quotes to keep for a neighbouring file, by their name in the store; empty: no longer needed.
    pub kept: Vec<(String, Vec<u8>)>,
    /// Records among `puts` that replace one of less coverage.
    completed: BTreeSet<(SeriesKey, i64)>,
}

/// Decides what of a file is stored.
pub(super) fn settle(store: &Store, content: &mut FileContent) -> Result<Settled, StoreError> {
    let mut out = Settled::default();
    let mut joined = Joined::new();
    for edge in std::mem::take(&mut content.edges) {
        out.join(store, &mut joined, edge)?;
    }
    for put in std::mem::take(&mut content.puts) {
        let series = put.series();
        let records = match put.records {
            Records::Quotes(bars) => {
                let ends = joined.remove(&put.symbol).unwrap_or_default();
                Records::Quotes(out.quotes(store, &series, bars, ends)?)
            }
            Records::Liquidations(bars) => Records::Liquidations(out.liquidations(store, &series, bars)?),
            other => other,
        };
        out.puts.push(RawPut { symbol: put.symbol, records });
    }
    Ok(out)
}

/// Records of bars at the ends of files, summed up from all that is kept of them; whether another file had a part.
type Joined = BTreeMap<Symbol, BTreeMap<BarIndex, (QuoteBar, bool)>>;

impl Settled {
    /// Moves replacements that were expected from the conflicts to the filled ones.
    pub(super) fn explain(&self, series: &SeriesKey, report: &mut MergeReport) {
        let expected = self.completed.iter().filter(|(s, _)| s == series).count() as u64;
        let expected = expected.min(report.conflicts);
        report.conflicts -= expected;
        report.filled += expected;
        let time = |at: backtestd_core::market::Ts| if series.kind.is_bar_like() { at.bar().0 } else { at.0 };
        report.listed.retain(|c| !self.completed.contains(&(c.series.clone(), time(c.at))));
    }

    fn join(&mut self, store: &Store, joined: &mut Joined, edge: QuoteEdge) -> Result<(), StoreError> {
        let name = format!("quote_edge/{}/{}", edge.symbol, edge.bar.0);
        let kept = store.meta(&name)?.and_then(|bytes| QuoteSeconds::from_bytes(&bytes));
        let (has_other, mut quotes) = (kept.is_some(), kept.unwrap_or_default());
        let before = quotes.clone();
        quotes.union(&edge.quotes);
        if quotes.spans(edge.bar) {
            if has_other {
                self.kept.push((name, Vec::new()));
            }
        } else if quotes != before {
            self.kept.push((name, quotes.to_bytes()));
        }
        if quotes.reaches(edge.bar) {
            let record = quotes.summarise(edge.bar, OLDEST_QUOTE_MS);
            joined.entry(edge.symbol).or_default().insert(edge.bar, (record, has_other));
        }
        Ok(())
    }

    fn quotes(
        &mut self,
        store: &Store,
        series: &SeriesKey,
        mut bars: Vec<QuoteBar>,
        ends: BTreeMap<BarIndex, (QuoteBar, bool)>,
    ) -> Result<Vec<QuoteBar>, StoreError> {
        for (bar, (record, has_other)) in ends {
            bars.retain(|b| b.bar != bar);
            let stored = stored(store, series, bar, bar)?.remove(&bar.0);
            let coverage = stored.as_ref().and_then(|columns| columns.last().copied());
            if coverage.is_some_and(|c| c > record.coverage) {
                continue;
            }
            if has_other && stored.is_some_and(|old| differs(&old, &quote_columns(&record))) {
                self.completed.insert((series.clone(), bar.0));
            }
            bars.push(record);
        }
        Ok(bars)
    }

    fn liquidations(
        &mut self,
        store: &Store,
        series: &SeriesKey,
        bars: Vec<LiquidationBar>,
    ) -> Result<Vec<LiquidationBar>, StoreError> {
        let (Some(first), Some(last)) = (bars.iter().map(|b| b.bar).min(), bars.iter().map(|b| b.bar).max())
        else {
            return Ok(bars);
        };
        let stored = stored(store, series, first, last)?;
        let mut out = Vec::with_capacity(bars.len());
        for mut new in bars {
            let Some([long_usd, short_usd, long_n, short_n, coverage]) =
                stored.get(&new.bar.0).and_then(|c| <[f64; 5]>::try_from(c.as_slice()).ok())
            else {
                out.push(new);
                continue;
            };
            // Unknown coverage is the least.
            let rank = |coverage: f64| if coverage.is_nan() { -1.0 } else { coverage };
            if rank(coverage) > rank(new.coverage) {
                continue;
            }
            if coverage.is_nan() && new.coverage.is_nan() {
                // Both are lower bounds of the same sums: the larger one is the better bound.
                new.long_usd = new.long_usd.max(long_usd);
                new.short_usd = new.short_usd.max(short_usd);
                new.long_n = new.long_n.max(long_n);
                new.short_n = new.short_n.max(short_n);
            }
            let is_repair = coverage.is_nan() || rank(new.coverage) > rank(coverage);
            let old = [long_usd, short_usd, long_n, short_n, coverage];
            let now = [new.long_usd, new.short_usd, new.long_n, new.short_n, new.coverage];
            if is_repair && differs(&old, &now) {
                self.completed.insert((series.clone(), new.bar.0));
            }
            out.push(new);
        }
        Ok(out)
    }
}

/// Whether a known value is replaced by another one: what a merge counts as a conflict.
fn differs(old: &[f64], new: &[f64]) -> bool {
    old.iter().zip(new).any(|(old, new)| !old.is_nan() && !new.is_nan() && old != new)
}

const fn quote_columns(q: &QuoteBar) -> [f64; 8] {
    [
        q.spread_bps_mean,
        q.spread_bps_max,
        q.spread_bps_last,
        q.bid_depth_usd,
        q.ask_depth_usd,
        q.imb_mean,
        q.imb_last,
        q.coverage,
    ]
}

/// Stored records of `[first, last]` by bar number; the coverage is their last column.
fn stored(
    store: &Store,
    series: &SeriesKey,
    first: BarIndex,
    last: BarIndex,
) -> Result<BTreeMap<i64, Vec<f64>>, StoreError> {
    debug_assert!(matches!(series.kind, Kind::Quotes | Kind::Liquidations) && series.market == Market::Perp);
    let rows = store.series_rows(series, first.0, last.0 + 1)?;
    let record = |i: usize| rows.columns.iter().map(|column| column[i]).collect();
    Ok(rows.times.iter().enumerate().map(|(i, time)| (*time, record(i))).collect())
}
