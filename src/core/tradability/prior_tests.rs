//! Numbers of the prior system that are right, reproduced by what does the same work here. Which ones are wrong, and why, is in
//! docs/prior-vectors.md.

use super::*;
use crate::discovery::seed_compat::{seed_shrinkage, seed_two_stage};
use crate::market::{BarIndex, IntrabarPath, Side, Sizing, StopGapFill, Symbol};
use crate::outcomes::EntryPrice;
use crate::spec::strategies::StrategiesSpec;

fn close(got: f64, wanted: f64, tolerance: f64) {
    assert!((got - wanted).abs() <= tolerance, "{got} is not {wanted}");
}

fn sizing() -> Sizing {
    let text = include_str!("../../../spec/strategies/default.yaml");
    serde_saphyr::from_str::<StrategiesSpec>(text).unwrap().sizing
}

fn rule(entry_lag_bars: u32, time_stop_bars: u32, stop_bps: Option<f64>) -> Rule {
    Rule {
        entry_lag_bars,
        price: EntryPrice::Close,
        time_stop_bars,
        cooldown_bars: 0,
        stop_bps,
        target_bps: None,
        intrabar_path: IntrabarPath::Ohlc,
        stop_gap_fill: StopGapFill::Open,
        sizing: sizing(),
    }
}

fn market(prices: Vec<f64>) -> Market {
    let [open, high, low] = [0, 1, 2].map(|_| prices.clone());
    Market { bars: BarSeries { first: BarIndex(0), open, high, low, close: prices }, funding: None }
}

fn signal(bar: i64, side: Side) -> Signal {
    let symbol = Symbol::new("BTCUSDT").unwrap();
    Signal { symbol, bar: BarIndex(bar), side, sigma_bar: 0.001, cost_bps: 6.0 }
}

#[test]
fn returns_of_a_fade_with_lag_one_over_fifteen_minutes() {
    let rising = market((0..40).map(|i| 101.0 + f64::from(i)).collect());
    // Events at bars 5 (+1), 9 (-1), 10 (+1), 20 (+1), faded.
    let signals =
        [signal(5, Side::Short), signal(9, Side::Long), signal(10, Side::Short), signal(20, Side::Short)];
    let trades = simulate(&rule(1, 3, None), &signals, &rising).trades;
    let returns: Vec<f64> = trades.iter().map(|t| t.gross_bps / 1e4).collect();
    for (got, wanted) in returns.iter().zip([-0.028_037_38, 0.027_027_03, -0.026_785_71, -0.024_590_16]) {
        close(*got, wanted, 5e-9);
    }
    close(returns.iter().sum::<f64>() / 4.0, -0.013_096_56, 5e-9);
}

#[test]
fn a_position_of_ten_bars_after_a_delay_of_two_and_a_stop_that_the_price_has_jumped_over() {
    let flat = market(vec![100.0; 30]);
    let trade = &simulate(&rule(2, 10, None), &[signal(2, Side::Long)], &flat).trades[0];
    // Held over bars 4 to 13, flat at 14.
    assert_eq!((trade.entry.bar(), trade.exit_bar), (BarIndex(5), BarIndex(14)));
    let falling = market((0..30).map(|bar| if bar < 6 { 100.0 } else { 97.0 }).collect());
    let trade = &simulate(&rule(2, 10, Some(100.0)), &[signal(2, Side::Long)], &falling).trades[0];
    assert_eq!((trade.exit_bar, trade.reason), (BarIndex(6), ExitReason::Stop));
    close(trade.gross_bps, -300.0, 1e-9);
}

#[test]
fn a_gross_return_of_eighteen_under_multiples_of_a_cost_of_six() {
    let prices = market(vec![100.0, 100.0, 100.0, 100.0, 100.18, 100.18]);
    let trade = &simulate(&rule(1, 3, None), &[signal(0, Side::Long)], &prices).trades[0];
    close(trade.gross_bps / trade.cost_bps, 3.0, 1e-9);
    for (multiple, wanted) in [(0.5, 15.0), (1.0, 12.0), (1.5, 9.0), (2.0, 6.0)] {
        close(trade.net_bps(multiple), wanted, 1e-9);
    }
}

#[test]
fn shrinkage_of_three_symbols_and_families_in_two_stages() {
    let c = seed_shrinkage(&[(120.0, 0.004, 0.02), (200.0, 0.001, 0.02), (80.0, -0.001, 0.02)]);
    close(c.mean, 0.0015, 1e-12);
    close(c.lambda, 123.0769, 5e-5);
    for (got, wanted) in c.weights.iter().zip([0.493_671, 0.619_048, 0.393_939]) {
        close(*got, wanted, 5e-7);
    }
    for (got, wanted) in c.shrunk.iter().zip([0.002_734_18, 0.001_190_48, 0.000_515_15]) {
        close(*got, wanted, 5e-9);
    }
    for (got, wanted) in c.p2.iter().zip([0.136_893, 0.400_914, 0.818_390]) {
        close(*got, wanted, 5e-6);
    }
    let found = seed_two_stage(&[vec![0.004, 0.03, 0.6], vec![0.02, 0.021], vec![0.3], vec![0.9]], 0.05);
    for (got, wanted) in found.simes.iter().zip([0.012, 0.021, 0.3, 0.9]) {
        close(*got, wanted, 1e-12);
    }
    for (got, wanted) in found.q_family.iter().zip([0.042, 0.042, 0.4, 0.9]) {
        close(*got, wanted, 1e-12);
    }
    for (got, wanted) in found.q.concat().iter().zip([0.012, 0.045, 0.6, 0.021, 0.021, 1.0, 1.0]) {
        close(*got, wanted, 1e-12);
    }
}
