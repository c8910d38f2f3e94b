//! Accounts worked by hand.

use super::*;
use crate::spec::strategies::OrderFilters;
use crate::tradability::OrderRules;

fn position(entry: i64, way: &[[f64; 2]], side: Side, scale: f64) -> Position {
    Position {
        blueprint: format!("bp_{entry}"),
        event_id: format!("E:BTCUSDT:{entry}"),
        reason: ExitReason::Time,
        family: "F".to_owned(),
        symbol: Symbol::new("BTCUSDT").unwrap(),
        side,
        entry_bar: BarIndex(entry),
        exit_bar: BarIndex(entry + way.len() as i64),
        entry: BarIndex(entry).close(),
        entry_price: 100.0,
        exit_price: 100.0 * (1.0 + side.sign() * way.last().unwrap()[0]),
        orders: OrderRules::default(),
        scale,
        cost: 0.0012,
        way: way.to_vec(),
    }
}

fn free() -> PortfolioSpec {
    PortfolioSpec {
        equity: 1000.0,
        max_gross: f64::INFINITY,
        max_net: f64::INFINITY,
        max_symbol: f64::INFINITY,
        max_family: f64::INFINITY,
        drawdown_begin: 1.0,
        drawdown_end: 2.0,
        order_filters: OrderFilters::Exchange,
        min_notional: 0.0,
    }
}

#[test]
fn equity_is_the_start_with_price_and_funding_less_costs() {
    let ways: [&[[f64; 2]]; 3] =
        [&[[0.01, 0.0], [0.03, 0.0001]], &[[-0.02, 0.0]], &[[0.0, 0.0], [0.005, -0.0002], [0.001, -0.0002]]];
    let positions: Vec<Position> =
        ways.iter().enumerate().map(|(at, way)| position(at as i64 * 2, way, Side::Long, 0.5)).collect();
    let account = run(&positions, &free());
    let t = account.totals;
    assert_eq!(t.trades, 3);
    assert!((account.end_equity - (1000.0 + t.price + t.funding - t.costs)).abs() < 1e-9);
    // By hand, 500 each: prices 15 - 10 + 0.5, funding -0.05 + 0.1, costs 3 x 0.6.
    assert!((t.price - 5.5).abs() < 1e-9 && (t.funding - 0.05).abs() < 1e-9 && (t.costs - 1.8).abs() < 1e-9);
    let sums: f64 = account.closed.iter().map(Closed::pnl).sum();
    assert!((sums - (account.end_equity - 1000.0)).abs() < 1e-9);
    assert!((account.symbols.values().map(Totals::pnl).sum::<f64>() - sums).abs() < 1e-9);
    assert!((account.months.iter().map(|m| m.totals.pnl()).sum::<f64>() - sums).abs() < 1e-9);
}

#[test]
fn without_caps_the_account_is_the_plain_sum_of_its_positions() {
    let positions: Vec<Position> = (0..40)
        .map(|at| {
            let gain = f64::from((at * 7 % 13) - 6) / 1000.0;
            let side = if at % 3 == 0 { Side::Short } else { Side::Long };
            position(
                i64::from(at),
                &[[gain / 2.0, 0.0], [gain, 0.0001]],
                side,
                0.1 + f64::from(at % 5) / 10.0,
            )
        })
        .collect();
    let account = run(&positions, &free());
    let plain: f64 = positions
        .iter()
        .map(|p| {
            let [gain, paid] = p.way[1];
            p.scale * 1000.0 * (gain - paid - p.cost)
        })
        .sum();
    assert!((account.end_equity - 1000.0 - plain).abs() < 1e-9);
    assert!((account.allocated - 1.0).abs() < 1e-12);
    assert_eq!(account.left_out, 0);
}

/// By hand: price 100, steps of 0.5, orders of 100 at least, 1000 of equity.
#[test]
fn orders_are_whole_steps_and_what_is_too_small_is_counted_by_its_reason() {
    let orders = OrderRules { tick: None, step: Some(0.5), min_notional: Some(100.0) };
    let way = [[0.01, 0.0002]];
    let positions: Vec<Position> = [0.37, 0.12, 0.08, 0.04, f64::NAN]
        .into_iter()
        .enumerate()
        .map(|(at, scale)| Position { orders, ..position(at as i64 * 2, &way, Side::Long, scale) })
        .collect();
    let account = run(&positions, &free());
    // 370 is 3.7 pieces: 3.5. 120 is 1.2: 1. 80 is 0.5 and worth 50: below 100. 40 is less than half a piece.
    // One has no size.
    let quantities: Vec<f64> = account.closed.iter().map(|c| c.quantity).collect();
    assert_eq!(quantities, [3.5, 1.0]);
    assert_eq!(
        account.unplaced,
        Unplaced { risk_unknown: 1, below_step: 1, below_min_notional: 1, ..Unplaced::default() }
    );
    assert_eq!(account.left_out, 3);
    let why: Vec<Unfit> = account.not_placed.iter().map(|n| n.why).collect();
    assert_eq!(why, [Unfit::BelowMinNotional, Unfit::BelowStep, Unfit::RiskUnknown]);
    assert!((account.allocated - 450.0 / 610.0).abs() < 1e-12);
    // 450 earn 1 %, pay 2 bps of funding and 12 of costs.
    let t = account.totals;
    assert!((t.price - 4.5).abs() < 1e-9 && (t.funding + 0.09).abs() < 1e-9 && (t.costs - 0.54).abs() < 1e-9);
    assert!((account.end_equity - (1000.0 + t.pnl())).abs() < 1e-9);
    // What caps make too small is too small as well, and what they leave nothing of has no room.
    let none = run(&positions[..1], &PortfolioSpec { max_gross: 0.06, ..free() });
    assert_eq!(none.unplaced, Unplaced { below_min_notional: 1, ..Unplaced::default() });
    let two = [positions[0].clone(), Position { entry_bar: BarIndex(0), ..positions[1].clone() }];
    assert_eq!(run(&two, &PortfolioSpec { max_gross: f64::MIN_POSITIVE, ..free() }).unplaced.total(), 2);
}

#[test]
fn exposure_is_what_is_open_at_once_and_an_exit_makes_room_at_its_own_bar() {
    let held = [[0.0, 0.0]; 4];
    let positions = [
        position(0, &held, Side::Long, 0.6),
        position(2, &held, Side::Long, 0.6),
        position(4, &held, Side::Long, 0.6),
    ];
    let uncapped = run(&positions, &free());
    assert!((uncapped.peak_gross - 1.2).abs() < 1e-12);
    let capped = run(&positions, &PortfolioSpec { max_gross: 1.0, ..free() });
    assert!((capped.peak_gross - 1.0).abs() < 1e-12);
    let sizes: Vec<f64> = capped.closed.iter().map(|c| c.notional).collect();
    // The first leaves at bar 4, when the third comes: 0.6, 0.4, 0.6.
    for (size, wanted) in sizes.iter().zip([600.0, 400.0, 600.0]) {
        assert!((size - wanted).abs() < 1e-9, "{sizes:?}");
    }
    assert!((capped.allocated - 1600.0 / 1800.0).abs() < 1e-12);
}

#[test]
fn a_drawdown_throttles_what_comes_after_it_and_not_what_brings_it_about() {
    let spec = PortfolioSpec { drawdown_begin: 0.0, drawdown_end: 0.25, ..free() };
    let fall = position(0, &[[-0.2, 0.0]], Side::Long, 0.5);
    let after = |entry| {
        run(&[Position { cost: 0.0, ..fall.clone() }, position(entry, &[[0.0, 0.0]], Side::Long, 0.5)], &spec)
    };
    // The loss of 10 % is booked at bar 1: a position at that very close does not know it yet.
    assert!((after(1).closed[1].notional - 500.0).abs() < 1e-9);
    // The prior system's pinned example: a limit of 25 % and a fall of 10 % leave 0.6.
    let mut waiting = vec![Position { cost: 0.0, ..fall.clone() }];
    waiting.push(Position { cost: 0.0, ..position(0, &[[0.0, 0.0]; 3], Side::Long, 0.0) });
    waiting.push(position(2, &[[0.0, 0.0]], Side::Long, 0.5));
    let account = run(&waiting, &spec);
    assert!((account.closed.last().unwrap().notional - 300.0).abs() < 1e-9, "{:?}", account.closed);
    assert!((account.max_drawdown - 0.1).abs() < 1e-3);
}
