//! History by kind: what the exchange has over REST, how much of it is asked for at once, and how.

use super::statistics::endpoints;
use super::{Rest, RestError};
use backtestd_core::market::{BAR_MS, BarIndex, DAY_MS, Kind, Records, SeriesKey, Ts};

/// Bars a page of a series of bars: four requests of the cheapest size.
const BARS_A_PAGE: i64 = 1996;
/// Bars a page of mark prices (three series each).
const MARK_A_PAGE: i64 = 1497;
/// Funding a page, ms: about one request at 8 h settlements.
const FUNDING_A_PAGE: i64 = 300 * DAY_MS;
/// Statistics a page, ms: six requests of each endpoint.
const STATISTICS_A_PAGE: i64 = 10 * DAY_MS;
/// The exchange keeps 30 days of statistics; asking at the very edge is refused.
const STATISTICS_KEPT: i64 = 30 * DAY_MS - 2 * BAR_MS;

/// What came back for a stretch.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryPage {
    /// What the exchange has there, ascending.
    pub records: Records,
    /// Everything before this (a bar number or milliseconds, by kind) has now been asked for.
    pub through: i64,
    /// How many questions agree about what is not there.
    pub answers: u32,
}

impl Rest {
    /// The oldest instant of a statistic that the exchange still has at `now`; none where it keeps
    /// everything.
    #[must_use]
    pub const fn kept_from(kind: Kind, now: Ts) -> Option<Ts> {
        if endpoints(kind).is_empty() { None } else { Some(Ts(now.0 - STATISTICS_KEPT)) }
    }

    /// The longest stretch that [`Rest::history`] is asked for at once, in bars or milliseconds, by kind;
    /// `None` where the exchange has no history.
    #[must_use]
    pub const fn history_page(kind: Kind) -> Option<i64> {
        Some(match kind {
            Kind::Bars => BARS_A_PAGE,
            Kind::Funding => FUNDING_A_PAGE,
            Kind::Mark => MARK_A_PAGE,
            _ if endpoints(kind).is_empty() => return None,
            _ => STATISTICS_A_PAGE,
        })
    }

    /// Requests to `/futures/data` that the newest records of a symbol take.
    #[must_use]
    pub const fn statistics_requests(kind: Kind) -> usize {
        endpoints(kind).len()
    }

    /// Records with times in `[from, to)`, at the time `now` of the exchange.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn history(
        &self,
        series: &SeriesKey,
        from: i64,
        to: i64,
        now: Ts,
    ) -> Result<HistoryPage, RestError> {
        let symbol = &series.symbol;
        let (first, end) = (BarIndex(from), BarIndex(to));
        let page = |records, through| HistoryPage { records, through, answers: 1 };
        Ok(match series.kind {
            Kind::Bars => {
                let range = self.klines(series.market, symbol, first, end).await?;
                let records = Records::Bars(series.market, range.bars);
                HistoryPage { records, through: range.through.0, answers: range.answers }
            }
            Kind::Mark => {
                let range = self.mark_bars(symbol, first, end).await?;
                HistoryPage { records: range.bars.into(), through: range.through.0, answers: range.answers }
            }
            Kind::Funding => {
                let rows = self.funding_rates(symbol, Ts(from), Ts(to)).await?;
                page(rows.into_iter().map(|row| row.print).collect::<Vec<_>>().into(), to)
            }
            kind => {
                let kept = Ts(from.max(now.0 - STATISTICS_KEPT));
                let rows = self.statistics(endpoints(kind), symbol, kept, Ts(to)).await?;
                page(Records::of(kind, series.market, &rows), to)
            }
        })
    }
}
