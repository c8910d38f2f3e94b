//! Funding settlements and their intervals.

use std::fmt::Write;

use crate::venue::state::Venue;
use backtestd_core::market::{BAR_MS, BarIndex, DAY_MS, Draws, Ts, derive};
use backtestd_lab::sim::{FaultKind, Listing, Range, SimBar, mark_at};

use super::params::TooMany;
use super::{Answer, Request};

const HOUR_MS: i64 = DAY_MS / 24;
/// Times of settlements carry at most so many milliseconds of jitter.
const MOST_JITTER_MS: i64 = 1000;

/// One settlement of one contract.
struct Settlement {
    at: i64,
    symbol: usize,
    rate: f64,
    mark: f64,
    is_special: bool,
}

/// Settlements, ascending; without a symbol those of all contracts. The time carries some milliseconds of
/// jitter, as the venue's does.
pub(super) fn history(request: &Request<'_>) -> Answer {
    let venue = request.venue;
    let range = request.params.range(100, 1000, TooMany::Refuse)?;
    let symbols: Vec<usize> = match request.params.optional_symbol(venue)? {
        Some(symbol) => vec![symbol],
        None => (0..venue.market.scenario().symbols.len()).collect(),
    };
    let mut found = settlements(venue, &symbols, range, request.now);
    found.sort_by_key(|s| (s.at.div_euclid(MOST_JITTER_MS), s.symbol, s.at));
    if range.start.is_none() {
        found.drain(..found.len().saturating_sub(range.limit));
    }
    let mut out = String::from("[");
    for settlement in found.iter().take(range.limit) {
        if out.len() > 1 {
            out.push(',');
        }
        let _ = write!(
            out,
            "{{\"symbol\":\"{}\",\"fundingTime\":{},\"fundingRate\":\"{:.8}\",\"markPrice\":\"{:.8}\",\"rateType\":\"{}\"}}",
            venue.name(settlement.symbol),
            settlement.at,
            settlement.rate,
            settlement.mark,
            if settlement.is_special { "Special" } else { "Regular" },
        );
    }
    out.push(']');
    Ok(out)
}

/// Time, interval in hours and rate of the regular settlements between two instants.
pub(crate) fn settled(venue: &Venue, symbol: usize, from: Ts, to: Ts) -> Vec<(i64, i64, f64)> {
    let range = Range { start: Some(from.0), end: Some(to.0), limit: usize::MAX / 4 };
    let found = settlements(venue, &[symbol], range, to).into_iter().filter(|s| !s.is_special);
    found.map(|s| (s.at, venue.funding_hours(symbol, Ts(s.at - BAR_MS)), s.rate)).collect()
}

/// Hour by hour, in the direction in which the answer is filled, until it is full.
fn settlements(venue: &Venue, symbols: &[usize], range: Range, now: Ts) -> Vec<Settlement> {
    let oldest = venue.market.genesis().close().0.div_euclid(HOUR_MS) + 1;
    // Jitter moves a row to after the settlement: look a little further back than the plain grid.
    let wide = Range { start: range.start.map(|s| s - MOST_JITTER_MS), limit: usize::MAX / 4, ..range };
    let Some((first, last)) = wide.steps(oldest, now.0.div_euclid(HOUR_MS), HOUR_MS) else {
        return Vec::new();
    };
    let newest_first = range.start.is_none();
    let hours = (0..=last - first).map(|n| if newest_first { last - n } else { first + n });
    let mut found = Vec::new();
    for hour in hours {
        for &symbol in symbols {
            found.extend(at_hour(venue, symbol, Ts(hour * HOUR_MS)));
        }
        found.retain(|s: &Settlement| {
            s.at <= now.0
                && range.start.is_none_or(|start| s.at >= start)
                && range.end.is_none_or(|end| s.at <= end)
        });
        if found.len() >= range.limit {
            break;
        }
    }
    found
}

/// What a contract settles at a whole hour: its regular rate, and a special one where the scenario says so.
fn at_hour(venue: &Venue, symbol: usize, settled: Ts) -> Vec<Settlement> {
    let bar = BarIndex(settled.bar().0 - 1);
    let hours = venue.funding_hours(symbol, bar.open());
    let is_regular = settled.0 % (hours * HOUR_MS) == 0;
    let special = venue.market.scenario().faults_at(FaultKind::SpecialSettlement, bar.open());
    let special = special.filter(|fault| fault.hits(Some(venue.key(symbol)))).count() > 0;
    if !(is_regular || special) || venue.listing(symbol, bar.open()) != Listing::Trading {
        return Vec::new();
    }
    let Some(sim) = venue.market.bar(symbol, bar) else { return Vec::new() };
    let key = derive(derive(venue.market.seed(), "funding jitter"), venue.name(symbol));
    let mut draws = Draws::numbered(key, settled.0);
    let jitter = if draws.uniform() < 0.6 { 0 } else { draws.between(1.0, 14.0) as i64 };
    let row = |rate: f64, sim: &SimBar, is_special| Settlement {
        at: settled.0 + jitter,
        symbol,
        rate,
        mark: mark_at(sim, 1.0),
        is_special,
    };
    let regular = (is_regular && !sim.settled_rate.is_nan()).then(|| row(sim.settled_rate, &sim, false));
    regular.into_iter().chain(special.then(|| row(sim.predicted_rate / 2.0, &sim, true))).collect()
}

/// The contracts whose interval or cap is not the usual one. Who is not listed here settles every eight
/// hours.
pub(super) fn info(request: &Request<'_>) -> Answer {
    let (venue, now) = (request.venue, request.now);
    let rows: Vec<String> = venue
        .trading(now)
        .filter_map(|symbol| {
            let hours = venue.funding_hours(symbol, now);
            (hours != 8).then(|| {
                format!(
                    "{{\"symbol\":\"{}\",\"adjustedFundingRateCap\":\"0.02000000\",\"adjustedFundingRateFloor\":\
                     \"-0.02000000\",\"fundingIntervalHours\":{hours},\"disclaimer\":false,\"updateTime\":{}}}",
                    venue.name(symbol),
                    venue.market.genesis().open().0,
                )
            })
        })
        .collect();
    Ok(format!("[{}]", rows.join(",")))
}
