//! Funding settlements, open interest and taker flow.

use crate::venue::state::Venue;
use backtestd_core::market::{BAR_MS, BarIndex, DAY_MS, Ts};
use backtestd_core::market::{Draws, derive};
use backtestd_lab::sim::SimBar;
use backtestd_lab::sim::{Interval, mark_at};

use super::error::ApiError;
use super::params::TooMany;
use super::{Answer, Request};

const FUNDING_MS: i64 = DAY_MS / 3;

/// What answers a request.
type Handler = fn(&Request<'_>) -> Answer;

/// What is served under `/futures/data`, all of it charged to one pool.
pub(super) const FUTURES_DATA: &[(&str, Handler)] = &[
    ("/futures/data/openInterestHist", open_interest_history),
    ("/futures/data/takerlongshortRatio", taker_ratio),
    ("/futures/data/globalLongShortAccountRatio", |r| long_short_ratio(r, "accounts", 0.35, 0.30)),
    ("/futures/data/topLongShortAccountRatio", |r| long_short_ratio(r, "top accounts", 0.10, 0.25)),
    ("/futures/data/topLongShortPositionRatio", |r| long_short_ratio(r, "top positions", 0.05, 0.15)),
];

/// Stretch between two draws of a long/short ratio; it moves from one to the next in a straight line.
const RATIO_STRETCH_MS: i64 = DAY_MS / 6;

/// Settlements, ascending. The time carries some milliseconds of jitter, as the venue's does.
pub(super) fn funding_rate(request: &Request<'_>) -> Answer {
    let venue = request.venue;
    let range = request.params.range(100, 1000, TooMany::Refuse)?;
    let symbols = match request.params.optional_symbol(venue)? {
        Some(symbol) => vec![symbol],
        None => (0..venue.market.scenario().symbols.len()).collect(),
    };
    let oldest = venue.market.genesis().close().0.div_euclid(FUNDING_MS) + 1;
    let mut rows: Vec<(i64, usize, String)> = Vec::new();
    for symbol in symbols {
        // Jitter moves a row to after the settlement: look one settlement further back than the plain grid.
        let wide = backtestd_lab::sim::Range { start: range.start.map(|s| s - 1000), ..range };
        let Some((first, last)) = wide.steps(oldest, request.now.0.div_euclid(FUNDING_MS), FUNDING_MS) else {
            continue;
        };
        for step in first..=last {
            let settled = Ts(step * FUNDING_MS);
            let at = settled.0 + jitter_ms(venue, symbol, settled);
            if at > request.now.0 || range.start.is_some_and(|s| at < s) || range.end.is_some_and(|e| at > e)
            {
                continue;
            }
            let Some(bar) = venue.market.bar(symbol, BarIndex(settled.bar().0 - 1)) else { continue };
            if bar.settled_rate.is_nan() {
                continue;
            }
            rows.push((
                at,
                symbol,
                format!(
                    "{{\"symbol\":\"{}\",\"fundingTime\":{at},\"fundingRate\":\"{:.8}\",\"markPrice\":\"{:.8}\",\"rateType\":\"Regular\"}}",
                    venue.name(symbol),
                    bar.settled_rate,
                    mark_at(&bar, 1.0),
                ),
            ));
        }
    }
    rows.sort_by_key(|(at, symbol, _)| (at.div_euclid(1000), *symbol));
    let rows: Vec<String> = if range.start.is_some() {
        rows.into_iter().take(range.limit).map(|(_, _, row)| row).collect()
    } else {
        let skip = rows.len().saturating_sub(range.limit);
        rows.into_iter().skip(skip).map(|(_, _, row)| row).collect()
    };
    Ok(format!("[{}]", rows.join(",")))
}

fn jitter_ms(venue: &Venue, symbol: usize, settled: Ts) -> i64 {
    let key = derive(derive(venue.market.seed(), "funding jitter"), venue.name(symbol));
    let mut draws = Draws::numbered(key, settled.0);
    if draws.uniform() < 0.6 { 0 } else { draws.between(1.0, 14.0) as i64 }
}

/// Open interest now: the snapshot of the last finished bar.
pub(super) fn open_interest(request: &Request<'_>) -> Answer {
    let venue = request.venue;
    let symbol = request.params.symbol(venue, "symbol")?;
    let bar = venue.market.finished(symbol, request.now).ok_or(ApiError::InvalidSymbol)?;
    let lot = venue.market.scenario().symbols[symbol].lot_decimals.min(3);
    Ok(format!(
        "{{\"openInterest\":\"{:.lot$}\",\"symbol\":\"{}\",\"time\":{}}}",
        bar.open_interest,
        venue.name(symbol),
        bar.bar.close().0
    ))
}

/// Rows of `/futures/data`: labelled by the END of their period (the snapshot's instant), at most so many days back.
fn history(request: &Request<'_>, write: impl Fn(&Venue, usize, Ts, &[SimBar]) -> Option<String>) -> Answer {
    let venue = request.venue;
    let symbol = request.params.symbol(venue, "symbol")?;
    let period = request.params.text("period").ok_or(ApiError::MissingParameter("period"))?;
    let period = Interval::parse(period)
        .filter(|p| p.ms >= BAR_MS && p.name != "8h")
        .ok_or(ApiError::InvalidPeriod)?;
    let range = request.params.range(30, 500, TooMany::Refuse)?;
    let oldest = request.now.0 - venue.config.futures_data_days * DAY_MS;
    if range.start.is_some_and(|start| start < oldest - DAY_MS) {
        return Err(ApiError::InvalidParameter("startTime"));
    }
    let first_label = (venue.market.genesis().close().0.max(oldest)).div_euclid(period.ms) + 1;
    let newest = request.now.0.div_euclid(period.ms);
    let Some((first, last)) = range.steps(first_label, newest, period.ms) else { return Ok("[]".to_owned()) };
    let bars_each = period.ms / BAR_MS;
    let rows: Vec<String> = (first..=last)
        .filter_map(|step| {
            let label = Ts(step * period.ms);
            let from = label.bar() - bars_each;
            let bars = venue.market.bars(symbol, from, usize::try_from(bars_each).ok()?);
            write(venue, symbol, label, &bars)
        })
        .collect();
    Ok(format!("[{}]", rows.join(",")))
}

fn open_interest_history(request: &Request<'_>) -> Answer {
    history(request, |venue, symbol, label, bars| {
        let bar = bars.last()?;
        Some(format!(
            "{{\"symbol\":\"{}\",\"sumOpenInterest\":\"{:.8}\",\"sumOpenInterestValue\":\"{:.8}\",\
             \"CMCCirculatingSupply\":\"0\",\"timestamp\":{}}}",
            venue.name(symbol),
            bar.open_interest,
            bar.open_interest * mark_at(bar, 1.0),
            label.0
        ))
    })
}

/// A ratio of longs to shorts: its logarithm wanders about `center` with a spread of `spread`, each ratio by itself. It
/// says nothing about prices.
fn long_short_ratio(request: &Request<'_>, name: &str, center: f64, spread: f64) -> Answer {
    history(request, |venue, symbol, label, _| {
        let key = derive(derive(derive(venue.market.seed(), "long/short ratio"), name), venue.name(symbol));
        let draw = |step: i64| Draws::numbered(key, step).normal();
        let (step, past) = (label.0.div_euclid(RATIO_STRETCH_MS), label.0.rem_euclid(RATIO_STRETCH_MS));
        let share = past as f64 / RATIO_STRETCH_MS as f64;
        let wave = draw(step) * (1.0 - share) + draw(step + 1) * share;
        let ratio = libm::exp(center + spread * wave);
        let long = ratio / (1.0 + ratio);
        Some(format!(
            "{{\"symbol\":\"{}\",\"longAccount\":\"{long:.4}\",\"longShortRatio\":\"{ratio:.4}\",\
             \"shortAccount\":\"{:.4}\",\"timestamp\":{}}}",
            venue.name(symbol),
            1.0 - long,
            label.0
        ))
    })
}

fn taker_ratio(request: &Request<'_>) -> Answer {
    history(request, |_, _, label, bars| {
        let buy: f64 = bars.iter().map(|b| b.perp.taker_buy_volume).sum();
        let sell: f64 = bars.iter().map(|b| b.perp.volume).sum::<f64>() - buy;
        let ratio = if sell > 0.0 { buy / sell } else { 0.0 };
        Some(format!(
            "{{\"buySellRatio\":\"{ratio:.4}\",\"sellVol\":\"{sell:.4}\",\"buyVol\":\"{buy:.4}\",\"timestamp\":{}}}",
            label.0
        ))
    })
}
