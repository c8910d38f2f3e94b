use super::*;
use crate::market::Ts;
use crate::market::{Sizing, SizingMode};

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn rule() -> Rule {
    Rule {
        entry_lag_bars: 1,
        price: EntryPrice::Close,
        time_stop_bars: 3,
        cooldown_bars: 0,
        stop_bps: None,
        target_bps: None,
        intrabar_path: IntrabarPath::Ohlc,
        stop_gap_fill: StopGapFill::Open,
        sizing: Sizing {
            mode: SizingMode::Fixed,
            risk_per_trade: 0.003,
            target_vol: 0.12,
            max_position_scale: 1.0,
        },
    }
}

/// Rows of open, high, low, close from bar 100 on.
fn market(rows: &[[f64; 4]]) -> Market {
    let column = |i: usize| rows.iter().map(|r| r[i]).collect();
    let bars = BarSeries {
        first: BarIndex(100),
        open: column(0),
        high: column(1),
        low: column(2),
        close: column(3),
    };
    Market { bars, funding: Some(Vec::new()), ..Market::default() }
}

fn flat(price: f64) -> [f64; 4] {
    [price; 4]
}

fn signal(bar: i64, side: Side) -> Signal {
    Signal { symbol: btc(), bar: BarIndex(bar), side, sigma_bar: 0.001, cost_bps: 12.0 }
}

fn only(simulation: &Simulation) -> &Trade {
    assert_eq!(simulation.trades.len(), 1, "{simulation:?}");
    &simulation.trades[0]
}

#[test]
fn entry_is_at_the_close_after_the_lag_and_the_time_exit_a_holding_time_later() {
    // Event on bar 100, entry at the close of 101, exit at the close of 104.
    let rows = [flat(90.0), [95.0, 101.0, 90.0, 100.0], flat(1.0), flat(1.0), [1.0, 200.0, 1.0, 102.0]];
    let simulation = simulate(&rule(), &[signal(100, Side::Long)], &market(&rows));
    let trade = only(&simulation);
    assert_eq!(trade.exit_bar, BarIndex(104));
    assert_eq!(trade.entry, BarIndex(101).close());
    assert!((trade.gross_bps - 200.0).abs() < 1e-9);
    assert!((trade.net_bps(1.5) - 182.0).abs() < 1e-9);
    let short = simulate(&rule(), &[signal(100, Side::Short)], &market(&rows));
    assert!((only(&short).gross_bps + 200.0).abs() < 1e-9);
}

#[test]
fn an_open_price_rule_enters_and_leaves_at_opens() {
    let rows = [flat(90.0), [100.0, 1.0, 1.0, 1.0], flat(1.0), flat(1.0), [101.0, 1.0, 1.0, 1.0]];
    let open = Rule { price: EntryPrice::Open, ..rule() };
    let simulation = simulate(&open, &[signal(100, Side::Long)], &market(&rows));
    assert!((only(&simulation).gross_bps - 100.0).abs() < 1e-9);
    assert_eq!(only(&simulation).entry, BarIndex(101).open());
}

#[test]
fn barriers_wait_for_the_bar_after_the_entry_bar() {
    // The entry bar itself trades far below the stop before its close.
    let rows = [flat(100.0), [100.0, 100.0, 50.0, 100.0], flat(100.0), flat(100.0), flat(100.0)];
    let stopped = Rule { stop_bps: Some(100.0), ..rule() };
    let simulation = simulate(&stopped, &[signal(100, Side::Long)], &market(&rows));
    assert_eq!(only(&simulation).reason, ExitReason::Time);
}

#[test]
fn a_stop_fills_at_its_trigger_inside_a_bar_and_at_the_open_beyond_it() {
    let inside = [flat(100.0), flat(100.0), [100.0, 100.0, 98.0, 99.0], flat(100.0), flat(100.0)];
    let stopped = Rule { stop_bps: Some(100.0), ..rule() };
    let simulation = simulate(&stopped, &[signal(100, Side::Long)], &market(&inside));
    assert_eq!((only(&simulation).reason, only(&simulation).exit_bar), (ExitReason::Stop, BarIndex(102)));
    assert!((only(&simulation).gross_bps + 100.0).abs() < 1e-9);

    let gap = [flat(100.0), flat(100.0), [97.0, 99.5, 96.0, 99.0], flat(100.0), flat(100.0)];
    let at_open = simulate(&stopped, &[signal(100, Side::Long)], &market(&gap));
    assert!((only(&at_open).gross_bps + 300.0).abs() < 1e-9);
    let optimistic = Rule { stop_gap_fill: StopGapFill::Trigger, ..stopped };
    let at_trigger = simulate(&optimistic, &[signal(100, Side::Long)], &market(&gap));
    assert!((only(&at_trigger).gross_bps + 100.0).abs() < 1e-9);
}

#[test]
fn the_path_decides_which_barrier_comes_first_in_one_bar() {
    // Open 100, high 102, low 98.5: both barriers inside. The low is nearer to the open.
    let rows = [flat(100.0), flat(100.0), [100.0, 102.0, 98.5, 100.0], flat(100.0), flat(100.0)];
    let both = Rule { stop_bps: Some(100.0), target_bps: Some(100.0), ..rule() };
    let reason = |rule: &Rule, side| only(&simulate(rule, &[signal(100, side)], &market(&rows))).reason;
    assert_eq!(reason(&both, Side::Long), ExitReason::Target, "OHLC: a long sees the high first");
    assert_eq!(reason(&both, Side::Short), ExitReason::Stop, "OHLC: a short sees the high first");
    let adaptive = Rule { intrabar_path: IntrabarPath::Adaptive, ..both };
    assert_eq!(reason(&adaptive, Side::Long), ExitReason::Stop);
    assert_eq!(reason(&adaptive, Side::Short), ExitReason::Target);
}

#[test]
fn a_target_that_the_open_jumped_over_fills_at_its_price() {
    let rows = [flat(100.0), flat(100.0), flat(105.0), flat(100.0), flat(100.0)];
    let target = Rule { target_bps: Some(100.0), ..rule() };
    let simulation = simulate(&target, &[signal(100, Side::Long)], &market(&rows));
    assert!((only(&simulation).gross_bps - 100.0).abs() < 1e-9);
}

#[test]
fn a_gap_at_the_entry_or_at_an_exit_with_no_bar_after_it_drops_the_trade_and_one_in_between_does_not() {
    for (gap, kept) in [(1, 0), (2, 1), (3, 1), (4, 0)] {
        let mut rows = [flat(100.0); 5];
        rows[gap] = [f64::NAN; 4];
        let barred = Rule { stop_bps: Some(50.0), ..rule() };
        for rule in [rule(), barred] {
            let simulation = simulate(&rule, &[signal(100, Side::Long)], &market(&rows));
            assert_eq!(simulation.trades.len(), kept, "gap at row {gap}");
            assert_eq!(simulation.dropped as usize, 1 - kept);
        }
    }
}

#[test]
fn a_rule_with_a_stop_leaves_at_the_next_bar_that_there_is() {
    // Due on bar 104, which is a gap like the next one; bar 106 trades 100, 101, 99.6, 100.5.
    let gap = [f64::NAN; 4];
    let rows = [flat(100.0), flat(100.0), flat(100.0), flat(100.0), gap, gap, [100.0, 101.0, 99.6, 100.5]];
    let stopped = Rule { stop_bps: Some(50.0), ..rule() };
    let trade = |rule: &Rule| only(&simulate(rule, &[signal(100, Side::Long)], &market(&rows))).clone();
    let late = trade(&stopped);
    assert_eq!((late.exit_bar, late.reason), (BarIndex(106), ExitReason::Time));
    assert!((late.gross_bps - 50.0).abs() < 1e-9, "at the close of that bar");
    // It is still open on that bar, so its stop is alive until the close, and gone at an open exit.
    let tight = Rule { stop_bps: Some(30.0), ..rule() };
    assert_eq!(trade(&tight).reason, ExitReason::Stop);
    let open = Rule { price: EntryPrice::Open, ..tight };
    assert_eq!((trade(&open).reason, trade(&open).gross_bps), (ExitReason::Time, 0.0));
}

#[test]
fn the_cooldown_counts_from_the_last_taken_event_of_the_symbol() {
    let rows = [flat(100.0); 20];
    let cooled = Rule { cooldown_bars: 3, ..rule() };
    // 100 taken; 102 skipped; 103 taken although 102 would have blocked it; 105 skipped.
    let signals: Vec<Signal> = [105, 100, 103, 102].map(|bar| signal(bar, Side::Long)).to_vec();
    let simulation = simulate(&cooled, &signals, &market(&rows));
    let taken: Vec<i64> = simulation.trades.iter().map(|t| t.event_bar.0).collect();
    assert_eq!(taken, [100, 103]);
    assert_eq!((simulation.signals, simulation.cooled_down), (4, 2));
}

#[test]
fn funding_counts_strictly_inside_the_holding_window_and_has_the_sides_sign() {
    let mut market = market(&[flat(100.0); 6]);
    let (entry, exit) = (BarIndex(101).close(), BarIndex(104).close());
    let prints = vec![(entry, 0.5), (Ts(entry.0 + 1), 0.0001), (exit, 0.5)];
    market.funding = Some(prints);
    let paid = |side| only(&simulate(&rule(), &[signal(100, side)], &market)).funding_bps;
    assert!((paid(Side::Long) - 1.0).abs() < 1e-9);
    assert!((paid(Side::Short) + 1.0).abs() < 1e-9);
    market.funding = None;
    assert!(only(&simulate(&rule(), &[signal(100, Side::Long)], &market)).funding_bps.is_nan());
}

#[test]
fn booked_outcomes_replay_to_the_same_trades_as_the_bars() {
    // A deterministic zigzag with gaps, events on every third bar, both sides.
    let rows: Vec<[f64; 4]> = (0..300)
        .map(|i| {
            let price = 100.0 + f64::from((i * 37) % 23) * 0.1;
            if i % 41 == 7 { [f64::NAN; 4] } else { flat(price) }
        })
        .collect();
    let market = market(&rows);
    let rule = Rule { cooldown_bars: 4, ..rule() };
    let signals: Vec<Signal> =
        (0..90).map(|i| signal(100 + i * 3, if i % 2 == 0 { Side::Long } else { Side::Short })).collect();
    let outcomes: Vec<(f64, f64)> = signals
        .iter()
        .map(|s| {
            let close = |bar: i64| rows[(bar - 100) as usize][3];
            (close(s.bar.0 + 4) / close(s.bar.0 + 1) - 1.0, 0.0)
        })
        .collect();
    let simulated = simulate(&rule, &signals, &market);
    let replayed = replay(&rule, &signals, &outcomes);
    let is_late = |t: &&Trade| t.exit_bar > t.event_bar + 4;
    let late = simulated.trades.iter().filter(is_late).count();
    let in_time: Vec<Trade> = simulated.trades.iter().filter(|t| !is_late(t)).cloned().collect();
    assert_eq!(in_time, replayed.trades, "outcomes do not know an exit after a gap");
    assert_eq!(simulated.cooled_down, replayed.cooled_down);
    assert_eq!(simulated.dropped + late as u64, replayed.dropped);
    assert!(in_time.len() > 40 && late > 0 && simulated.dropped > 0 && simulated.cooled_down > 0);
}
