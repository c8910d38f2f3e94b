use super::*;
use crate::spec::cost_rules::findings;

fn shipped() -> CostModel {
    let text = include_str!("../../../spec/global_defaults.yaml");
    serde_saphyr::from_str::<crate::spec::GlobalDefaults>(text).unwrap().costs
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn at(text: &str) -> Ts {
    parse_time(text).unwrap()
}

fn change(from: &str, taker_bps: f64, tier: Option<&str>, market: FeeMarket) -> FeeChange {
    FeeChange {
        from: from.to_owned(),
        taker_bps,
        maker_bps: taker_bps / 2.0,
        tier: tier.map(str::to_owned),
        market,
    }
}

/// Two tiers of perpetuals and the spot market.
fn with_schedule(tier: &str) -> CostModel {
    CostModel {
        tier: Some(tier.to_owned()),
        fee_schedule: vec![
            change("2025-01-01", 5.0, Some("vip0"), FeeMarket::Perp),
            change("2025-01-01", 4.0, Some("vip1"), FeeMarket::Perp),
            change("2025-06-01", 4.5, Some("vip0"), FeeMarket::Perp),
            change("2025-06-01", 8.0, None, FeeMarket::Spot),
        ],
        ..shipped()
    }
}

#[test]
fn the_shipped_model_charges_the_twelve_bps_that_it_always_has() {
    let costs = shipped();
    assert_eq!(costs.round_trip_bps(&btc()), 12.0);
    assert_eq!(costs.per_side(&btc(), at("2025-03-01")), [4.0, 2.0]);
    assert!(findings(&costs).is_empty());
}

#[test]
fn fees_are_those_of_the_accounts_tier_and_of_their_time() {
    let fee =
        |costs: &CostModel, time: &str| costs.round_trips(&btc()).parts(at(time), Known::NOTHING).fee_bps;
    let (low, high) = (with_schedule("vip0"), with_schedule("vip1"));
    assert_eq!([fee(&low, "2024-12-31"), fee(&low, "2025-01-01"), fee(&low, "2025-06-01")], [8.0, 10.0, 9.0]);
    assert_eq!(
        [fee(&high, "2024-12-31"), fee(&high, "2025-01-01"), fee(&high, "2025-06-01")],
        [8.0, 8.0, 8.0]
    );
    // Of both sides the spread and the slippage stay.
    assert_eq!(low.per_side(&btc(), at("2025-02-01")), [5.0, 2.0]);
    assert!(findings(&low).is_empty() && findings(&high).is_empty());
}

#[test]
fn a_side_that_makes_pays_the_maker_fee_and_nothing_else() {
    let fills = Fills { entry: Fill::Taker, exit: Fill::Maker };
    let costs = CostModel { fills, maker_fee_bps_per_side: Some(2.0), ..with_schedule("vip0") };
    let trip = |time: &str| costs.round_trips(&btc()).parts(at(time), Known::NOTHING);
    let before = trip("2024-12-31");
    // 4 and 2 of fees, one half spread of 1, one slippage of 1.
    assert_eq!(
        (before.fee_bps, before.spread_bps, before.slippage_bps, before.total()),
        (6.0, 1.0, 1.0, 8.0)
    );
    assert_eq!(trip("2025-01-01").fee_bps, 7.5, "5 and 2.5");
    let unknown = CostModel { maker_fee_bps_per_side: None, ..costs };
    let found: Vec<String> = findings(&unknown).into_iter().map(|f| f.place).collect();
    assert_eq!(found, ["costs.fills.exit"]);
}

#[test]
fn a_spot_leg_pays_its_own_fees_and_a_short_one_interest_by_the_hours_held() {
    let costs = with_schedule("vip0");
    let leg = |time: &str, is_short| costs.spot_leg(at(time), is_short, 4.0 / 24.0).unwrap();
    // Two fees of 10 and two slippages of 2; four hours of 3 bps a day.
    assert_eq!(leg("2025-05-31", false).total(), 24.0);
    assert!((leg("2025-05-31", true).borrow_bps - 0.5).abs() < 1e-12);
    assert!((leg("2025-05-31", true).total() - 24.5).abs() < 1e-12);
    assert_eq!(leg("2025-06-01", false).fee_bps, 16.0);
    assert_eq!(CostModel { spot: None, ..costs.clone() }.spot_leg(at("2025-06-01"), true, 1.0), None);
}

#[test]
fn a_symbol_may_have_a_spread_of_its_own_and_never_more_of_it_than_it_slips() {
    let sol = Symbol::new("SOLUSDT").unwrap();
    let own = |half_spread_bps, slippage| SymbolCosts {
        fee_bps_per_side: None,
        slippage_bps_per_side: Some(slippage),
        half_spread_bps,
    };
    let costs = |of| CostModel { symbols: BTreeMap::from([(sol.clone(), of)]), ..shipped() };
    let parts = |of| {
        let trip = costs(of).round_trips(&sol).parts(at("2025-01-01"), Known::NOTHING);
        (trip.spread_bps, trip.slippage_bps, trip.total())
    };
    assert_eq!(parts(own(Some(4.0), 5.0)), (8.0, 2.0, 18.0));
    assert_eq!(parts(own(None, 0.5)), (1.0, 0.0, 9.0));
    let found: Vec<String> = findings(&costs(own(Some(4.0), 3.0))).into_iter().map(|f| f.place).collect();
    assert_eq!(found, ["costs.symbols.SOLUSDT.half_spread_bps"]);
}

#[test]
fn what_no_trade_pays_is_refused_by_its_place() {
    let mut costs = with_schedule("vip3");
    costs.spread = Some(SpreadCost { half_bps: 2.5, days: 0, min_bars: 289 });
    costs.impact = costs.impact.map(|i| ImpactCost { coefficient: 0.0, order_notional: -1.0, ..i });
    costs.fee_schedule.push(change("2025-02-01", -1.0, Some("vip0"), FeeMarket::Perp));
    let found: Vec<String> = findings(&costs).into_iter().map(|f| f.place).collect();
    assert_eq!(
        found,
        [
            "costs.impact.order_notional",
            "costs.spread.half_bps",
            "costs.spread.days",
            "costs.spread.min_bars",
            "costs.impact.coefficient",
            "costs.fee_schedule[4].from",
            "costs.fee_schedule[4].taker_bps",
            "costs.tier",
        ]
    );
}
