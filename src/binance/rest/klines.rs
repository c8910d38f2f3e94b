//! Klines: paging, the open bar, and the proof that nothing is missing.

use std::time::Duration;

use super::http::{Budget, Call};
use super::{Rest, RestError};
use crate::limits::futures_klines_weight;
use crate::wire::{self, KlineRow, Prices};
use backtestd_core::market::{Bar, BarIndex, MarkBar, Market, Symbol, Ts};

/// Rows per USD-M request: the most rows per unit of weight (499 for 2; 1500 would cost 10).
const FUTURES_PAGE_ROWS: i64 = 499;
/// Rows per spot request: its weight is 2 whatever the limit.
const SPOT_PAGE_ROWS: i64 = 1000;
/// A bar that closes within this real time is waited for.
const CLOSE_SOON: Duration = Duration::from_millis(50);
/// Real time by which our clock may be ahead of the exchange's.
const CLOSE_MARGIN: Duration = Duration::from_millis(50);
/// A bar that closed this long ago is certainly closed there too, ms.
const YOUNG_MS: i64 = 1_000;
/// Holes of one stretch that are asked about a second time at once; what is left has one answer.
const HOLES_ASKED_TWICE: usize = 16;

/// Slots `[first, end)` for which the exchange has no bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// First slot without a bar.
    pub first: BarIndex,
    /// First slot after the hole.
    pub end: BarIndex,
}

/// Bars of a stretch together with what is missing from it: `bars` and `holes` cover `[from, through)`
/// exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct KlineRange {
    /// Closed bars, ascending.
    pub bars: Vec<Bar>,
    /// Maximal runs of missing slots, ascending.
    pub holes: Vec<Hole>,
    /// End of the stretch that was closed when it was asked for; at most the `to` of the request.
    pub through: BarIndex,
    /// How many questions agree that the holes are holes.
    pub answers: u32,
}

/// Mark prices of a stretch.
#[derive(Clone, Debug, PartialEq)]
pub struct MarkRange {
    /// Closes of closed bars, ascending.
    pub bars: Vec<MarkBar>,
    /// End of the stretch that was closed when it was asked for.
    pub through: BarIndex,
    /// How many questions agree about what is not there.
    pub answers: u32,
}

/// Which series a kline endpoint serves.
#[derive(Clone, Copy)]
struct Series {
    market: Market,
    path: &'static str,
    name_parameter: &'static str,
    prices: Prices,
}

impl Series {
    const fn page_rows(self) -> i64 {
        match self.market {
            Market::Perp => FUTURES_PAGE_ROWS,
            Market::Spot => SPOT_PAGE_ROWS,
        }
    }
}

const PERP: Series = Series {
    market: Market::Perp,
    path: "/fapi/v1/klines",
    name_parameter: "symbol",
    prices: Prices::Positive,
};
const SPOT: Series = Series {
    market: Market::Spot,
    path: "/api/v3/klines",
    name_parameter: "symbol",
    prices: Prices::Positive,
};
const MARK: Series = Series { path: "/fapi/v1/markPriceKlines", ..PERP };
/// The index belongs to the pair, which for perpetuals has the symbol's name.
const INDEX: Series = Series { path: "/fapi/v1/indexPriceKlines", name_parameter: "pair", ..PERP };
const PREMIUM: Series = Series { path: "/fapi/v1/premiumIndexKlines", prices: Prices::Signed, ..PERP };

impl Rest {
    /// Closed 5-minute bars of `[from, to)`.
    ///
    /// A bar that is still open by the exchange's clock is never asked for, never returned and no hole.
    ///
    /// # Errors
    /// See [`RestError`]; also when the rows are not an ascending run of grid bars inside the range.
    pub async fn klines(
        &self,
        market: Market,
        symbol: &Symbol,
        from: BarIndex,
        to: BarIndex,
    ) -> Result<KlineRange, RestError> {
        let series = match market {
            Market::Perp => PERP,
            Market::Spot => SPOT,
        };
        self.series(series, symbol, from, to).await
    }

    /// Mark, index and premium index closes of the closed bars of `[from, to)`, the end of what was closed,
    /// and how many questions agree about what is not there. Slots without a mark price are left out; a
    /// missing index or premium is NaN. The predicted rate has no history and is NaN.
    ///
    /// # Errors
    /// See [`Rest::klines`].
    pub async fn mark_bars(
        &self,
        symbol: &Symbol,
        from: BarIndex,
        to: BarIndex,
    ) -> Result<MarkRange, RestError> {
        let mark = self.series(MARK, symbol, from, to).await?;
        let index = self.series(INDEX, symbol, from, to).await?;
        let premium = self.series(PREMIUM, symbol, from, to).await?;
        let close_of = |bars: &[Bar], slot: BarIndex| {
            bars.binary_search_by_key(&slot, |b| b.bar).map_or(f64::NAN, |i| bars[i].close)
        };
        let join = |m: &Bar| MarkBar {
            bar: m.bar,
            mark: m.close,
            index: close_of(&index.bars, m.bar),
            premium: close_of(&premium.bars, m.bar),
            predicted_rate: f64::NAN,
        };
        let all = [&mark, &index, &premium];
        let through = all.iter().map(|range| range.through).min().unwrap_or(from);
        let answers = all.iter().map(|range| range.answers).min().unwrap_or(1);
        let bars = mark.bars.iter().filter(|bar| bar.bar < through).map(join).collect();
        Ok(MarkRange { bars, through, answers })
    }

    async fn series(
        &self,
        series: Series,
        symbol: &Symbol,
        from: BarIndex,
        to: BarIndex,
    ) -> Result<KlineRange, RestError> {
        let through = to.min(self.closed_through(series.market, to).await?);
        let mut bars: Vec<Bar> = Vec::new();
        let mut next = from;
        while next < through {
            let limit = series.page_rows().min(through - next);
            let rows = self.page(series, symbol, next, through, limit).await?;
            accept(series.path, &rows, next, through, &mut bars)?;
            next = bars.last().map_or(next, |last| last.bar.next()).max(next);
            let is_short = (rows.len() as i64) < limit;
            if is_short && next < through {
                // The exchange is known to send short and empty pages that it does not mean: is there
                // anything behind?
                let one = self.page(series, symbol, next, through, 1).await?;
                accept(series.path, &one, next, through, &mut bars)?;
                match bars.last().filter(|bar| bar.bar >= next) {
                    Some(behind) => next = behind.bar.next(),
                    None => break,
                }
            }
        }
        let through = through.max(from);
        let all = self.ask_holes_again(series, symbol, from, through, &mut bars).await?;
        let holes = holes(&bars, from, through);
        Ok(KlineRange { bars, holes, through, answers: if all { 2 } else { 1 } })
    }

    /// Asks once more about the holes between bars (what lies behind the last one has been asked twice).
    /// Whether every hole has two answers then.
    async fn ask_holes_again(
        &self,
        series: Series,
        symbol: &Symbol,
        from: BarIndex,
        through: BarIndex,
        bars: &mut Vec<Bar>,
    ) -> Result<bool, RestError> {
        let mut inner = holes(bars, from, through);
        inner.retain(|hole| hole.end < through);
        let is_all = inner.len() <= HOLES_ASKED_TWICE;
        for hole in inner.into_iter().take(HOLES_ASKED_TWICE) {
            let limit = series.page_rows().min(hole.end - hole.first);
            let rows = self.page(series, symbol, hole.first, hole.end, limit).await?;
            accept(series.path, &rows, hole.first, hole.end, bars)?;
        }
        bars.sort_by_key(|bar| bar.bar);
        Ok(is_all)
    }

    async fn page(
        &self,
        series: Series,
        symbol: &Symbol,
        first: BarIndex,
        end: BarIndex,
        limit: i64,
    ) -> Result<Vec<KlineRow>, RestError> {
        let budget = match series.market {
            Market::Perp => Budget::Weight(futures_klines_weight(limit as u32)),
            Market::Spot => Budget::Weight(2),
        };
        let query = vec![
            (series.name_parameter, symbol.to_string()),
            ("interval", "5m".to_owned()),
            ("startTime", first.open().0.to_string()),
            ("endTime", (end.open().0 - 1).to_string()),
            ("limit", limit.to_string()),
        ];
        let call = Call { market: series.market, path: series.path, query, budget };
        self.http.get(&call, |body| wire::parse_klines(body, series.prices)).await
    }

    /// First slot that is not closed by the exchange's clock, or at least `wanted` if that much is known to
    /// be closed.
    ///
    /// Where the client's clock is the exchange's, it is believed, with a moment's respect for the way
    /// between. Else any server time seen before is a lower bound of the present, so history costs one
    /// request in all; only the newest bars need a fresh one. It is asked for *before* the rows: a bar closed
    /// then was final in them.
    async fn closed_through(&self, market: Market, wanted: BarIndex) -> Result<BarIndex, RestError> {
        if let Some(clock) = self.http.trusted_clock() {
            let closed = clock.now().bar();
            if closed + 1 >= wanted {
                tokio::time::sleep(clock.wall_until(wanted.open()).min(CLOSE_SOON)).await;
                let age_ms = clock.now().0 - wanted.open().0;
                if (0..YOUNG_MS).contains(&age_ms) {
                    tokio::time::sleep(CLOSE_MARGIN).await;
                }
            }
            return Ok(clock.now().bar());
        }
        let known = self.latest_server_time(market);
        if known.bar() >= wanted {
            return Ok(known.bar());
        }
        Ok(self.server_time(market).await?.bar())
    }

    pub(super) fn latest_server_time(&self, market: Market) -> Ts {
        Ts(self.server_times[market as usize].load(std::sync::atomic::Ordering::Relaxed))
    }
}

/// Appends a page, or says why it cannot be the answer to what was asked.
fn accept(
    endpoint: &'static str,
    rows: &[KlineRow],
    first: BarIndex,
    end: BarIndex,
    bars: &mut Vec<Bar>,
) -> Result<(), RestError> {
    let mut least = first;
    for row in rows {
        let slot = row.grid_slot().map_err(|source| RestError::Wire { endpoint, source })?;
        if slot < least {
            let detail = format!("bar {slot} came where {least} or later was due: rows must ascend");
            return Err(RestError::Answer { endpoint, detail });
        }
        if slot >= end {
            // The open bar, which a server may append whatever was asked.
            break;
        }
        bars.push(row.bar);
        least = slot.next();
    }
    Ok(())
}

/// The complement of `bars` in `[from, through)`.
fn holes(bars: &[Bar], from: BarIndex, through: BarIndex) -> Vec<Hole> {
    let mut holes = Vec::new();
    let mut next = from;
    for slot in bars.iter().map(|b| b.bar).chain([through]) {
        if slot > next {
            holes.push(Hole { first: next, end: slot });
        }
        next = slot.next();
    }
    holes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(slot: i64) -> KlineRow {
        let slot = BarIndex(slot);
        let bar = Bar::from_values(slot, [1.0; Bar::COLUMNS]);
        KlineRow { open_ts: slot.open(), close_ts: Ts(slot.close().0 - 1), bar }
    }

    #[test]
    fn bars_and_holes_cover_the_stretch_exactly() {
        let bars: Vec<Bar> = [12, 13, 17].map(|s| row(s).bar).to_vec();
        let hole = |a, b| Hole { first: BarIndex(a), end: BarIndex(b) };
        assert_eq!(holes(&bars, BarIndex(10), BarIndex(20)), [hole(10, 12), hole(14, 17), hole(18, 20)]);
        assert_eq!(holes(&[], BarIndex(10), BarIndex(12)), [hole(10, 12)]);
        assert_eq!(holes(&[], BarIndex(10), BarIndex(10)), []);
        assert_eq!(holes(&bars[..2], BarIndex(12), BarIndex(14)), []);
    }

    #[test]
    fn rows_that_go_back_are_refused_and_the_open_bar_is_left_out() {
        let mut bars = Vec::new();
        accept("/x", &[row(5), row(7), row(9)], BarIndex(5), BarIndex(9), &mut bars).unwrap();
        assert_eq!(bars.iter().map(|b| b.bar.0).collect::<Vec<_>>(), [5, 7]);
        for rows in [[row(6), row(5)], [row(6), row(6)], [row(4), row(5)]] {
            let error = accept("/x", &rows, BarIndex(5), BarIndex(9), &mut bars).unwrap_err();
            assert!(error.to_string().contains("rows must ascend"), "{error}");
        }
    }

    #[test]
    fn a_row_off_the_grid_is_refused() {
        let mut off = row(5);
        off.open_ts.0 += 1;
        let error = accept("/x", &[off], BarIndex(5), BarIndex(9), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("multiple of 300000"), "{error}");
        let mut long = row(5);
        long.close_ts.0 += 300_000;
        assert!(accept("/x", &[long], BarIndex(5), BarIndex(9), &mut Vec::new()).is_err());
    }
}
