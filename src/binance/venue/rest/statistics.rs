//! Open interest, taker flow, long/short ratios, basis.

use crate::venue::state::Venue;
use backtestd_core::market::{BAR_MS, DAY_MS, Ts};
use backtestd_core::market::{Draws, derive};
use backtestd_lab::sim::SimBar;
use backtestd_lab::sim::{Interval, mark_at};

use super::error::ApiError;
use super::params::TooMany;
use super::{Answer, Request};

/// What answers a request.
type Handler = fn(&Request<'_>) -> Answer;

/// What is served under `/futures/data`, all of it charged to one pool.
pub(super) const FUTURES_DATA: &[(&str, Handler)] = &[
    ("/futures/data/openInterestHist", open_interest_history),
    ("/futures/data/takerlongshortRatio", taker_ratio),
    ("/futures/data/globalLongShortAccountRatio", |r| long_short_ratio(r, "accounts")),
    ("/futures/data/topLongShortAccountRatio", |r| long_short_ratio(r, "top accounts")),
    ("/futures/data/basis", basis),
    ("/futures/data/topLongShortPositionRatio", |r| long_short_ratio(r, "top positions")),
];

/// Stretch between two draws of a long/short ratio; it moves from one to the next in a straight line.
const RATIO_STRETCH_MS: i64 = DAY_MS / 6;

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

/// Rows of `/futures/data`: labelled by the END of their period (the snapshot's instant), at most so many
/// days back.
fn history(request: &Request<'_>, write: impl Fn(&Venue, usize, Ts, &[SimBar]) -> Option<String>) -> Answer {
    let symbol = request.params.symbol(request.venue, "symbol")?;
    history_of(request, symbol, write)
}

fn history_of(
    request: &Request<'_>,
    symbol: usize,
    write: impl Fn(&Venue, usize, Ts, &[SimBar]) -> Option<String>,
) -> Answer {
    let venue = request.venue;
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
            if !venue.is_trading(symbol, Ts(label.0 - 1)) {
                return None;
            }
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

/// The ratios of longs to shorts: name, where the logarithm wanders about, how far.
const RATIOS: [(&str, f64, f64); 3] =
    [("accounts", 0.35, 0.30), ("top accounts", 0.10, 0.25), ("top positions", 0.05, 0.15)];

/// A ratio of longs to shorts: its logarithm wanders, each ratio by itself. It says nothing about prices.
pub(crate) fn ratio(venue: &Venue, symbol: usize, label: Ts, name: &str) -> f64 {
    let Some((_, center, spread)) = RATIOS.iter().find(|ratio| ratio.0 == name) else { return f64::NAN };
    let key = derive(derive(derive(venue.market.seed(), "long/short ratio"), name), venue.name(symbol));
    let draw = |step: i64| Draws::numbered(key, step).normal();
    let (step, past) = (label.0.div_euclid(RATIO_STRETCH_MS), label.0.rem_euclid(RATIO_STRETCH_MS));
    let share = past as f64 / RATIO_STRETCH_MS as f64;
    let wave = draw(step) * (1.0 - share) + draw(step + 1) * share;
    libm::exp(center + spread * wave)
}

fn long_short_ratio(request: &Request<'_>, name: &str) -> Answer {
    history(request, |venue, symbol, label, _| {
        let ratio = ratio(venue, symbol, label, name);
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

/// Futures over index, by pair.
fn basis(request: &Request<'_>) -> Answer {
    let pair = request.params.symbol(request.venue, "pair")?;
    if request.params.text("contractType").ok_or(ApiError::MissingParameter("contractType"))? != "PERPETUAL" {
        return Err(ApiError::InvalidParameter("contractType"));
    }
    history_of(request, pair, |venue, symbol, label, bars| {
        let bar = bars.last()?;
        let (index, price) = (bar.index.1, bar.perp.close);
        Some(format!(
            "{{\"indexPrice\":\"{index:.8}\",\"contractType\":\"PERPETUAL\",\"basisRate\":\"{:.4}\",\"futuresPrice\":\
             \"{price:.8}\",\"annualizedBasisRate\":\"\",\"basis\":\"{:.8}\",\"pair\":\"{}\",\"timestamp\":{}}}",
            price / index - 1.0,
            price - index,
            venue.name(symbol),
            label.0
        ))
    })
}
