//! Funding settlements with the interval that each one settles.

use std::collections::BTreeMap;

use super::http::{Budget, Call};
use super::{Rest, RestError};
use crate::wire::{self, FundingRow, RateType};
use backtestd_core::market::HOUR_MS;
use backtestd_core::market::{FundingPrint, Market, Symbol, Ts};

/// Rows per request.
const PAGE_ROWS: usize = 1000;
/// Rows of settlements within this time may come in any order.
const SAME_SECOND_MS: i64 = 1000;
/// A settlement belongs to the minute nearest to its time, which carries some milliseconds of jitter: those
/// of a stretch are looked for this much around it.
const AROUND_MS: i64 = 30_000;
/// Longest funding interval; a wider spacing is a missing settlement, not an interval.
const LONGEST_INTERVAL_HOURS: i64 = 8;

/// A settlement with what the exchange says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct FundingRecord {
    /// Time to the minute, rate, interval.
    pub print: FundingPrint,
    /// Time as sent, with its jitter.
    pub raw_ts: Ts,
    /// Mark price at settlement; NaN on old rows.
    pub mark_price: f64,
    /// Regular or special.
    pub rate_type: RateType,
}

impl Rest {
    /// Settlements in `[from, to)`, ascending, each once.
    ///
    /// The interval is the real distance to the regular settlement before (it changes over time, so today's
    /// table says nothing about the past); NaN for the first one after listing, for special ones, and where
    /// the distance is longer than any interval, or a multiple of the distance before it for the first time:
    /// a settlement may be missing.
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn funding_rates(
        &self,
        symbol: &Symbol,
        from: Ts,
        to: Ts,
    ) -> Result<Vec<FundingRecord>, RestError> {
        // One interval earlier, so that the first settlement of the range has one before it.
        let mut start = (from.0 - LONGEST_INTERVAL_HOURS * HOUR_MS - AROUND_MS).max(0);
        let mut rows: Vec<FundingRow> = Vec::new();
        while start < to.0 + AROUND_MS {
            let page = self.funding_page(Some(symbol), start, to).await?;
            let is_last = page.len() < PAGE_ROWS;
            if let Some(last) = page.last() {
                start = last.raw_ts.0.max(start) + 1;
            }
            rows.extend(page.into_iter().filter(|row| row.symbol == *symbol));
            if is_last {
                break;
            }
        }
        Ok(records(rows, from, to))
    }
}

impl Rest {
    /// Settlements in `[from, to)` of every contract, in one request for each thousand. Their intervals are
    /// unknown: they take the settlements before ([`interval_hours`]).
    ///
    /// # Errors
    /// See [`RestError`].
    pub async fn funding_of_all(
        &self,
        from: Ts,
        to: Ts,
    ) -> Result<BTreeMap<Symbol, Vec<FundingPrint>>, RestError> {
        let mut by_symbol: BTreeMap<Symbol, Vec<FundingRow>> = BTreeMap::new();
        let mut start = (from.0 - AROUND_MS).max(0);
        while start < to.0 + AROUND_MS {
            let page = self.funding_page(None, start, to).await?;
            let (is_last, newest) = (page.len() < PAGE_ROWS, page.iter().map(|row| row.raw_ts.0).max());
            for row in page {
                by_symbol.entry(row.symbol.clone()).or_default().push(row);
            }
            // Settlements of one second come by name: the second that ended the page is asked for once more.
            let next = newest.map_or(start, |newest| newest - SAME_SECOND_MS);
            if is_last || next <= start {
                break;
            }
            start = next;
        }
        let prints = |rows| {
            let known = records(rows, from, to).into_iter();
            known.map(|record| FundingPrint { interval_hours: f64::NAN, ..record.print }).collect()
        };
        Ok(by_symbol.into_iter().map(|(symbol, rows)| (symbol, prints(rows))).collect())
    }

    /// One page of settlements from `start` (ms) on, before `to`: of a contract, or of all of them.
    async fn funding_page(
        &self,
        symbol: Option<&Symbol>,
        start: i64,
        to: Ts,
    ) -> Result<Vec<FundingRow>, RestError> {
        let mut query: Vec<_> = symbol.map(|symbol| ("symbol", symbol.to_string())).into_iter().collect();
        query.extend([
            ("startTime", start.to_string()),
            ("endTime", (to.0 - 1 + AROUND_MS).to_string()),
            ("limit", PAGE_ROWS.to_string()),
        ]);
        let path = "/fapi/v1/fundingRate";
        let call = Call { market: Market::Perp, path, query, budget: Budget::Funding };
        self.http.get(&call, wire::parse_funding_rates).await
    }
}

/// The interval that a settlement `at` settles, given the two before it; unknown where one may be missing.
#[must_use]
pub fn interval_hours(before_that: Option<Ts>, before: Option<Ts>, at: Ts) -> f64 {
    let Some(before) = before else { return f64::NAN };
    let measured = hours_between(before, at);
    let usual = before_that.map_or(f64::NAN, |earlier| hours_between(earlier, before));
    let may_be_missing = measured > usual && measured % usual == 0.0;
    if may_be_missing { f64::NAN } else { measured }
}

/// Sorts, removes repeats (key: minute and type), measures intervals, keeps `[from, to)`.
fn records(mut rows: Vec<FundingRow>, from: Ts, to: Ts) -> Vec<FundingRecord> {
    rows.sort_by_key(|row| (FundingPrint::minute_of(row.raw_ts), row.rate_type, row.raw_ts));
    rows.dedup_by_key(|row| (FundingPrint::minute_of(row.raw_ts), row.rate_type));
    let mut previous: (Option<Ts>, Option<Ts>) = (None, None);
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        let ts = FundingPrint::minute_of(row.raw_ts);
        let mut interval = f64::NAN;
        if row.rate_type == RateType::Regular {
            interval = interval_hours(previous.0, previous.1, ts);
            previous = (previous.1, Some(ts));
        }
        if ts >= from && ts < to {
            records.push(FundingRecord {
                print: match row.rate_type {
                    RateType::Regular => FundingPrint::regular(ts, row.rate, interval),
                    RateType::Special => FundingPrint::special(ts, row.rate),
                },
                raw_ts: row.raw_ts,
                mark_price: row.mark_price,
                rate_type: row.rate_type,
            });
        }
    }
    records
}

/// Whole hours, or NaN when the distance cannot be one interval.
fn hours_between(before: Ts, after: Ts) -> f64 {
    let distance_ms = after.0 - before.0;
    let hours = (distance_ms + HOUR_MS / 2).div_euclid(HOUR_MS);
    let is_interval =
        (1..=LONGEST_INTERVAL_HOURS).contains(&hours) && (distance_ms - hours * HOUR_MS).abs() <= 60_000;
    if is_interval { hours as f64 } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(hour: i64, jitter_ms: i64, rate_type: RateType) -> FundingRow {
        FundingRow {
            symbol: Symbol::new("ORCAUSDT").unwrap(),
            raw_ts: Ts(hour * HOUR_MS + jitter_ms),
            rate: hour as f64 * 1e-6,
            mark_price: f64::NAN,
            rate_type,
        }
    }

    fn intervals(rows: Vec<FundingRow>, from_hour: i64) -> Vec<(i64, f64)> {
        let records = records(rows, Ts(from_hour * HOUR_MS), Ts(i64::MAX));
        records.iter().map(|r| (r.print.ts.0 / HOUR_MS, r.print.interval_hours)).collect()
    }

    #[test]
    fn the_interval_is_the_distance_to_the_settlement_before() {
        let regular = |hour, jitter| row(hour, jitter, RateType::Regular);
        // 8 h, then a switch to 4 h, then to 1 h, with the exchange's jitter of some milliseconds.
        let rows = vec![regular(0, 6), regular(8, 0), regular(12, 31), regular(13, 2)];
        let got = intervals(rows, 0);
        assert!(got[0].1.is_nan());
        assert_eq!(got[1..], [(8, 8.0), (12, 4.0), (13, 1.0)]);
    }

    #[test]
    fn a_missing_settlement_is_not_a_long_interval() {
        let rows = vec![row(0, 0, RateType::Regular), row(16, 0, RateType::Regular)];
        assert!(intervals(rows, 0)[1].1.is_nan());
    }

    #[test]
    fn a_missing_settlement_does_not_double_the_interval() {
        let rows = [0, 4, 8, 16, 20].map(|hour| row(hour, 0, RateType::Regular)).to_vec();
        let got = intervals(rows, 1);
        assert_eq!((got[0], got[1], got[3]), ((4, 4.0), (8, 4.0), (20, 4.0)));
        assert!(got[2].1.is_nan());
        let rows = [0, 4, 8, 16, 24].map(|hour| row(hour, 0, RateType::Regular)).to_vec();
        assert_eq!(intervals(rows, 1)[3], (24, 8.0), "a longer interval is believed the second time");
    }

    #[test]
    fn what_came_before_the_range_serves_only_to_measure() {
        let rows = vec![row(0, 3, RateType::Regular), row(8, 3, RateType::Regular)];
        assert_eq!(intervals(rows, 4), [(8, 8.0)]);
    }

    #[test]
    fn repeats_are_one_and_special_settlements_stand_beside_regular_ones() {
        let rows = vec![
            row(0, 0, RateType::Regular),
            row(8, 6, RateType::Regular),
            row(8, 6, RateType::Regular),
            row(8, 7, RateType::Special),
            row(16, 0, RateType::Regular),
        ];
        let got = intervals(rows, 1);
        assert_eq!(got.len(), 3);
        assert_eq!(got[0], (8, 8.0));
        assert!(got[1].1.is_nan());
        assert_eq!(got[2], (16, 8.0));
    }
}
