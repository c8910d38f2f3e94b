//! The market behind it: what is planted, and nothing else.

use backtestd_core::market::{BARS_PER_DAY, BarIndex};
use backtestd_lab::sim::{Scenario, SimBar};

/// Forward return in bps over `bars` after the entry close, signed by `direction`.
fn forward(closes: &[f64], event: usize, direction: f64, bars: usize) -> Option<f64> {
    let (entry, exit) = (closes.get(event + 1)?, closes.get(event + 1 + bars)?);
    Some(direction * (exit / entry - 1.0) * 10_000.0)
}

fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

#[test]
fn the_planted_drift_follows_its_pattern_and_nothing_else_drifts() {
    let mut scenario = Scenario::default();
    // Larger than the shipped ones: three hundred days tell them from nothing.
    for (edge, drift_bps) in scenario.edges.iter_mut().zip([90.0, 60.0, 70.0]) {
        edge.drift_bps = drift_bps;
    }
    let edge = |event: &str| scenario.edges.iter().find(|e| e.event_type == event).unwrap().clone();
    let (basis_edge, flush_edge) = (edge("SPOT_PERP_BASIS_SHOCK"), edge("OI_FLUSH"));
    let thin_edge = edge("VOL_SPIKE");
    let market = backtestd_lab::sim::Market::new(11, std::sync::Arc::new(scenario));
    let bars = 300 * BARS_PER_DAY as usize;
    let (mut after_jump, mut after_flush, mut after_breakout) = (Vec::new(), Vec::new(), Vec::new());
    let (mut after_thin_spike, mut after_busy_spike) = (Vec::new(), Vec::new());
    for symbol in 0..3 {
        let data = market.bars(symbol, market.genesis(), bars);
        let closes: Vec<f64> = data.iter().map(|b| b.perp.close).collect();
        let basis: Vec<f64> =
            data.iter().map(|b| libm::log(b.perp.close / b.spot.unwrap().close) * 10_000.0).collect();
        let (mut last, mut last_flush, mut last_spike) = (0, 0, 0);
        for i in 400..closes.len() {
            // Six times the day's usual range, on the day's usual turnover or on far more than that.
            let day = &data[i - 288..i];
            let typical =
                |f: &dyn Fn(&SimBar) -> f64| day.iter().map(|b| libm::log(f(b))).sum::<f64>() / 288.0;
            let range = |b: &SimBar| libm::log(b.perp.high / b.perp.low).max(1e-5);
            let turnover = |b: &SimBar| b.perp.quote_volume.max(1.0);
            let spike = libm::log(range(&data[i])) - typical(&range) >= libm::log(6.0);
            if spike && i - last_spike > 40 {
                last_spike = i;
                let busy = libm::log(turnover(&data[i])) - typical(&turnover);
                let direction = (closes[i] - closes[i - 1]).signum();
                let after = if busy <= 0.4 { &mut after_thin_spike } else { &mut after_busy_spike };
                if busy <= 0.4 || busy >= 1.2 {
                    after.extend(forward(&closes, i, -direction, 12));
                }
            }
            let jump = basis[i] - basis[i - 3];
            if jump.abs() >= basis_edge.threshold && i - last > 40 {
                last = i;
                after_jump.extend(forward(&closes, i, -jump.signum(), 12));
            }
            // Known one bar later, as the snapshot is published after the close.
            let fall = libm::log(data[i].open_interest / data[i - 12].open_interest);
            if fall <= -flush_edge.threshold && i - last_flush > 40 && i + 1 < closes.len() {
                last_flush = i;
                let direction = (closes[i + 1] - closes[i - 11]).signum();
                after_flush.extend(forward(&closes, i + 1, -direction, 12));
            }
            // A pattern that no edge mentions: a new extreme of the close over eight hours.
            let window = &closes[i - 96..i];
            let (high, low) =
                window.iter().fold((0.0, f64::MAX), |(h, l): (f64, f64), c| (h.max(*c), l.min(*c)));
            if i % 12 == 0 && (closes[i] > high || closes[i] < low) {
                let direction = if closes[i] > high { 1.0 } else { -1.0 };
                after_breakout.extend(forward(&closes, i, direction, 12));
            }
        }
    }
    let (thin, thin_error) = mean_and_error(&after_thin_spike);
    let (busy, busy_error) = mean_and_error(&after_busy_spike);
    assert!(after_thin_spike.len() > 150 && after_busy_spike.len() > 50);
    assert!(
        thin > 50.0 && (thin - thin_edge.drift_bps).abs() < 4.0 * thin_error + 20.0,
        "{thin} ± {thin_error}"
    );
    assert!(busy.abs() < 4.0 * busy_error, "{busy} ± {busy_error}");
    let (jump, jump_error) = mean_and_error(&after_jump);
    let (flush, flush_error) = mean_and_error(&after_flush);
    assert!((flush - flush_edge.drift_bps).abs() < 4.0 * flush_error, "{flush} ± {flush_error}");
    assert!(after_flush.len() > 120 && flush > 25.0, "{flush} ± {flush_error}, {}", after_flush.len());
    let (breakout, breakout_error) = mean_and_error(&after_breakout);
    assert!(after_jump.len() > 150, "{}", after_jump.len());
    assert!((jump - basis_edge.drift_bps).abs() < 4.0 * jump_error, "{jump} ± {jump_error}");
    assert!(jump_error < 8.0 && jump > 15.0, "{jump} ± {jump_error}");
    assert!(breakout.abs() < 4.0 * breakout_error + 2.5, "{breakout} ± {breakout_error}");
}

#[test]
fn without_edges_the_market_is_a_martingale_with_a_market_s_volatility() {
    let scenario = Scenario { edges: Vec::new(), ..Scenario::default() };
    let market = backtestd_lab::sim::Market::new(5, std::sync::Arc::new(scenario));
    for symbol in 0..6 {
        let data = market.bars(symbol, market.genesis(), 200 * BARS_PER_DAY as usize);
        let returns: Vec<f64> = data.iter().map(|b| (b.perp.close / b.perp.open - 1.0) * 10_000.0).collect();
        let (mean, error) = mean_and_error(&returns);
        assert!(mean.abs() < 4.0 * error, "{mean} ± {error}");
        let sd = error * (returns.len() as f64).sqrt();
        assert!((9.0..40.0).contains(&sd), "sd of a bar: {sd} bps");
        let products: Vec<f64> = returns.windows(2).map(|w| w[0] * w[1]).collect();
        let (covariance, error) = mean_and_error(&products);
        assert!(covariance.abs() < 4.0 * error, "{covariance} ± {error}");
        let fourth = returns.iter().map(|r| (r / sd).powi(4)).sum::<f64>() / returns.len() as f64;
        assert!(fourth > 4.5, "tails are fat: {fourth}");
    }
    let btc = market.bars(0, BarIndex(market.genesis().0), 60_000);
    let eth = market.bars(1, BarIndex(market.genesis().0), 60_000);
    let ret = |b: &SimBar| b.perp.close / b.perp.open - 1.0;
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in btc.iter().map(ret).zip(eth.iter().map(ret)) {
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    let correlation = ab / (aa * bb).sqrt();
    assert!((0.4..0.95).contains(&correlation), "{correlation}");
}
