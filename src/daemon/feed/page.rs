//! One page of history over REST.

use std::time::Duration;

use super::Stretch;
use backtestd_binance::{Rest, RestError};
use backtestd_core::market::{BAR_MS, BarIndex, DAY_MS, Ts};
use backtestd_core::market::{Kind, Records, SeriesKey};

/// Bars a page of a series of bars: four requests of the cheapest size.
const BARS_A_PAGE: i64 = 1996;
/// Bars a page of mark prices (three series each).
const MARK_A_PAGE: i64 = 1497;
/// Funding a page, ms: about one request at 8 h settlements.
const FUNDING_A_PAGE: i64 = 300 * DAY_MS;
/// Open interest a page, ms: six requests.
const OPEN_INTEREST_A_PAGE: i64 = 10 * DAY_MS;
/// The exchange keeps 30 days of open interest; asking at the very edge is refused.
const OPEN_INTEREST_KEPT: i64 = 30 * DAY_MS - 2 * BAR_MS;
/// Wait before a failed page is asked for again, unless the exchange says how long.
pub(super) const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// Longest stretch that is asked for at once: bars or ms, by kind.
pub(super) const fn page_length(kind: Kind) -> i64 {
    match kind {
        Kind::Funding => FUNDING_A_PAGE,
        Kind::OpenInterest => OPEN_INTEREST_A_PAGE,
        Kind::Mark => MARK_A_PAGE,
        _ => BARS_A_PAGE,
    }
}

/// What came back for a stretch.
#[derive(Debug)]
pub(super) struct PageOf {
    pub records: Records,
    /// What has now been asked for: up to here.
    pub through: i64,
}

impl PageOf {
    pub fn len(&self) -> usize {
        match &self.records {
            Records::Bars(_, r) => r.len(),
            Records::Funding(r) => r.len(),
            Records::OpenInterest(r) => r.len(),
            Records::Mark(r) => r.len(),
            Records::Liquidations(r) => r.len(),
            Records::Quotes(r) => r.len(),
            Records::Depth(r) => r.len(),
        }
    }
}

/// Asks for a stretch.
pub(super) async fn fetch_page(
    rest: &Rest,
    series: &SeriesKey,
    stretch: Stretch,
    now: Ts,
) -> Result<PageOf, RestError> {
    let symbol = &series.symbol;
    let (from_bar, to_bar) = (BarIndex(stretch.from), BarIndex(stretch.to));
    let (from_ts, to_ts) = (Ts(stretch.from), Ts(stretch.to));
    Ok(match series.kind {
        Kind::Funding => {
            let rows = rest.funding_rates(symbol, from_ts, to_ts).await?;
            let prints = rows.into_iter().map(|row| row.print).collect();
            PageOf { records: Records::Funding(prints), through: stretch.to }
        }
        Kind::OpenInterest => {
            let from = Ts(from_ts.0.max(now.0 - OPEN_INTEREST_KEPT));
            let rows = rest.open_interest_hist(symbol, from, to_ts.max(from)).await?;
            PageOf { records: Records::OpenInterest(rows), through: stretch.to }
        }
        Kind::Mark => {
            let rows = rest.mark_bars(symbol, from_bar, to_bar).await?;
            PageOf { records: Records::Mark(rows), through: stretch.to }
        }
        _ => {
            let range = rest.klines(series.market, symbol, from_bar, to_bar).await?;
            PageOf { records: Records::Bars(series.market, range.bars), through: range.through.0 }
        }
    })
}
