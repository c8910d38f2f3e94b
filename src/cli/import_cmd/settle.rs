//! Where a file meets what other files brought for the same bars.
//!
//! Sums over a bar (quotes, liquidations) cannot be merged column by column as bars of trades can: two files
//! that each hold a part of a bar would leave whichever came last. Quotes of a bar at the end of a file and
//! the minutes of a bar that is not whole are therefore kept beside the log until a neighbouring file
//! completes the bar, and so are the orders behind each sum of liquidations. Of two sums that cannot be
//! joined the one that covers more of the bar stays.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use backtestd_binance::aggregate::{OLDEST_QUOTE_MS, QuoteSeconds};
use backtestd_binance::archive::{BarOrders, BarParts, FileContent, Finding, QuoteEdge};
use backtestd_core::market::{BarIndex, LiquidationBar, Market, QuoteBar, Symbol};
use backtestd_core::market::{Kind, RawPut, Records, SeriesKey};
use backtestd_store::{Store, StoreError};

/// A file's records as they are to be stored.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Raw records to be written to the store.
    pub puts: Vec<RawPut>,
    /// Quotes to keep for a neighbouring file, by their name in the store; empty: no longer needed.
    pub kept: Vec<(String, Vec<u8>)>,
    /// Records among `puts` that replace one of less coverage.
    pub completed: BTreeSet<(SeriesKey, i64)>,
}

/// Decides what of a file is stored.
pub(super) fn settle(store: &Store, content: &mut FileContent, label: &str) -> Result<Settled, StoreError> {
    let mut out = Settled::default();
    out.minutes(store, content, label)?;
    let mut orders: BTreeMap<(Symbol, BarIndex), BarOrders> = BTreeMap::new();
    for (symbol, of_bar) in std::mem::take(&mut content.orders) {
        match orders.entry((symbol, of_bar.bar)) {
            Entry::Vacant(slot) => {
                slot.insert(of_bar);
            }
            Entry::Occupied(mut slot) => slot.get_mut().union(&of_bar),
        }
    }
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
            Records::Liquidations(bars) => {
                Records::Liquidations(out.liquidations(store, &series, bars, &orders)?)
            }
            other => other,
        };
        out.puts.push(RawPut { symbol: put.symbol, records });
    }
    Ok(out)
}

/// Records of bars at the ends of files, summed up from all that is kept of them; whether another file had a
/// part.
type Joined = BTreeMap<Symbol, BTreeMap<BarIndex, (QuoteBar, bool)>>;

impl Settled {
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
            let unstorable = |detail| StoreError::Unstorable { what: name.clone(), detail };
            let bytes = quotes.to_bytes().map_err(|error| unstorable(error.to_string()))?;
            self.kept.push((name, bytes));
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

    /// Completes bars whose parts lie in several files; what is still incomplete is kept, and told.
    fn minutes(&mut self, store: &Store, content: &mut FileContent, label: &str) -> Result<(), StoreError> {
        for (symbol, market, mut parts) in std::mem::take(&mut content.parts) {
            let bar = parts.bar;
            let name = format!("kline_parts/{market}/{symbol}/{}/{}", bar.0, parts.width_ms);
            let kept = store.meta(&name)?.and_then(|bytes| BarParts::from_bytes(bar, &bytes));
            let before = parts.clone();
            if let Some(kept) = &kept {
                parts.union(kept);
            }
            if let Some(made) = parts.finish() {
                self.kept.push((name, Vec::new()));
                content.puts.push(RawPut { symbol, records: Records::Bars(market, vec![made]) });
                continue;
            }
            if !store.bars(market, &symbol, bar, bar.next())?.is_empty() {
                continue;
            }
            if kept.as_ref() != Some(&parts) {
                self.kept.push((name, parts.to_bytes()));
            }
            let (have, need) = parts.count();
            let earlier = if parts == before { "" } else { " (with those of files before it)" };
            content.findings.push(Finding {
                file: label.to_owned(),
                line: None,
                what: format!(
                    "the 5-minute bar of {bar} has {have} of its {need} parts{earlier} and is left out until the rest comes"
                ),
            });
        }
        Ok(())
    }

    fn liquidations(
        &mut self,
        store: &Store,
        series: &SeriesKey,
        bars: Vec<LiquidationBar>,
        orders: &BTreeMap<(Symbol, BarIndex), BarOrders>,
    ) -> Result<Vec<LiquidationBar>, StoreError> {
        let (Some(first), Some(last)) = (bars.iter().map(|b| b.bar).min(), bars.iter().map(|b| b.bar).max())
        else {
            return Ok(bars);
        };
        let stored = stored(store, series, first, last)?;
        let mut out = Vec::with_capacity(bars.len());
        for mut new in bars {
            let mut is_joined = false;
            if let Some(seen) = orders.get(&(series.symbol.clone(), new.bar)) {
                let name = format!("liquidation_orders/{}/{}", series.symbol, new.bar.0);
                let kept = store.meta(&name)?.and_then(|bytes| BarOrders::from_bytes(new.bar, &bytes));
                is_joined = kept.is_some();
                let mut all = kept.clone().unwrap_or_else(|| BarOrders::new(new.bar, f64::NAN));
                all.union(seen);
                new = all.sum();
                if kept.as_ref().is_none_or(|kept| kept.to_bytes() != all.to_bytes()) {
                    self.kept.push((name, all.to_bytes()));
                }
            }
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
            if coverage.is_nan() && new.coverage.is_nan() && !is_joined {
                // Both are lower bounds of the same sums: the larger one is the better bound.
                new.long_usd = new.long_usd.max(long_usd);
                new.short_usd = new.short_usd.max(short_usd);
                new.long_n = new.long_n.max(long_n);
                new.short_n = new.short_n.max(short_n);
            }
            let is_repair = is_joined || coverage.is_nan() || rank(new.coverage) > rank(coverage);
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
