use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::blueprints::tests::candidate;
use crate::market::BarIndex;
use crate::outcomes::{CostParts, Event};
use crate::spec::gates::{BridgeGate, GatesSpec};
use crate::tradability::{BarSeries, DetectedAgain, Market, OtherThresholds, PromotionReport, Sample, Split};

fn gates() -> GatesSpec {
    serde_saphyr::from_str(include_str!("../../../spec/gates.yaml")).unwrap()
}

fn strategies() -> StrategiesSpec {
    serde_saphyr::from_str(include_str!("../../../spec/strategies/default.yaml")).unwrap()
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

/// `n` upward shocks in the high-volatility regime, 100 bars apart, that a fade earns `bps` gross on.
fn outcomes(name: &str, n: i64, bps: f64) -> Vec<Outcome> {
    (0..n)
        .map(|i| Outcome {
            event: Arc::new(Event {
                event_type: "VOL_SHOCK".into(),
                family: "VOLATILITY_TRANSITION".into(),
                symbol: symbol(name),
                bar: BarIndex(1000 + i * 100),
                direction: 1,
                severity: 1.0,
                states: Arc::from([]),
                vol_regime: 2,
                carry_state: 0,
                sigma_bar: 0.001,
                sigma_event: 0.001,
                features: Vec::new(),
            }),
            horizon: crate::outcomes::Horizon::parse("60m").unwrap(),
            entry_lag_bars: 1,
            entry_price: EntryPrice::Close,
            forward_return: -bps / 1e4,
            midnight_return: f64::NAN,
            mfe_bps: 0.0,
            mae_bps: 0.0,
            funding_paid: 0.000_1,
            cost_bps_round_trip: 12.0,
            costs: CostParts::whole(12.0),
        })
        .collect()
}

fn judge(outcomes: &[Outcome], strategies: &StrategiesSpec) -> (Candidate, BridgeResult) {
    judge_over(outcomes, strategies, &mut BTreeMap::new())
}

fn judge_over(
    outcomes: &[Outcome],
    strategies: &StrategiesSpec,
    markets: &mut dyn Markets,
) -> (Candidate, BridgeResult) {
    judge_by(&gates().gate_v1_bridge, outcomes, strategies, markets)
}

fn judge_by(
    gate: &BridgeGate,
    outcomes: &[Outcome],
    strategies: &StrategiesSpec,
    markets: &mut dyn Markets,
) -> (Candidate, BridgeResult) {
    let inputs = BridgeInputs { gate, strategies, price: EntryPrice::Close, end: BarIndex(6000) };
    let mut candidates = [candidate()];
    let results = apply(&mut candidates, outcomes, &[""; 0], &inputs, markets).unwrap();
    let [candidate] = candidates;
    (candidate, results[&0].clone())
}

/// The price falls by 30 bps on the second bar after each event, the entry being at the close of the first,
/// then stays: entering one bar later than the rule earns nothing.
fn falling_market() -> BTreeMap<Symbol, Market> {
    let mut close = vec![100.0];
    for bar in 1..6000_i64 {
        let previous = close[bar as usize - 1];
        let falls = bar >= 1000 && bar % 100 == 2;
        close.push(if falls { previous * 0.997 } else { previous });
    }
    let bars =
        BarSeries { first: BarIndex(0), open: close.clone(), high: close.clone(), low: close.clone(), close };
    BTreeMap::from([(symbol("BTCUSDT"), Market { bars, funding: Some(Vec::new()), ..Market::default() })])
}

#[test]
fn a_trade_pays_the_full_round_trip_and_receives_or_pays_funding() {
    let (candidate, result) = judge(&outcomes("BTCUSDT", 40, 20.0), &strategies());
    let close =
        |value: Option<f64>, wanted: f64| assert!((value.unwrap() - wanted).abs() < 1e-9, "{value:?}");
    close(result.columns.gross_bps, 20.0);
    // 20 gross, 12 cost, and the short side receives 1 bps of funding.
    close(result.columns.after_cost_bps, 9.0);
    close(result.columns.stressed_bps, 3.0);
    close(result.at_cost_multiples[2].1, -3.0);
    close(result.columns.edge_cost_ratio, 20.0 / 12.0);
    assert!(result.columns.tradable && result.funding_included);
    assert_eq!(candidate.judgement.promotion_track, PromotionTrack::Standard);
    assert_eq!(candidate.bridge, Some(result.columns));
    assert_eq!(result.delayed, None, "without bars a delay cannot be told");
}

#[test]
fn what_does_not_pay_under_stress_loses_the_track_and_says_why() {
    let (candidate, result) = judge(&outcomes("BTCUSDT", 40, 14.0), &strategies());
    assert!(result.columns.gate_after_cost_positive && !result.columns.gate_stressed_positive);
    assert_eq!(candidate.judgement.promotion_track, PromotionTrack::None);
    let reasons: Vec<String> = candidate.judgement.fail_reasons.iter().map(ToString::to_string).collect();
    assert_eq!(reasons, ["BRIDGE_STRESSED_GATE: bridge_stressed_bps -3 is not > 0"]);
}

#[test]
fn too_few_trades_are_not_enough_however_good() {
    let (candidate, result) = judge(&outcomes("BTCUSDT", 19, 200.0), &strategies());
    assert!(!result.columns.gate_has_trades && !result.columns.tradable);
    assert_eq!(candidate.judgement.fail_reasons[0].gate, "BRIDGE_TRADES_GATE");
}

#[test]
fn only_events_of_the_tested_symbol_state_and_horizon_count() {
    let mut mixed = outcomes("BTCUSDT", 30, 20.0);
    mixed.extend(outcomes("SOLUSDT", 30, -500.0));
    for (i, outcome) in mixed.iter_mut().enumerate().take(5) {
        let mut event = (*outcome.event).clone();
        event.vol_regime = if i % 2 == 0 { 1 } else { -1 };
        outcome.event = Arc::new(event);
    }
    mixed[5].horizon = crate::outcomes::Horizon::parse("15m").unwrap();
    let (_, result) = judge(&mixed, &strategies());
    assert_eq!(result.columns.trades, 24);
    assert_eq!(result.symbols.len(), 1);
}

#[test]
fn positions_do_not_overlap_under_the_shipped_cooldown() {
    let mut dense = outcomes("BTCUSDT", 60, 20.0);
    for (i, outcome) in dense.iter_mut().enumerate() {
        let mut event = (*outcome.event).clone();
        event.bar = BarIndex(1000 + i as i64 * 6);
        outcome.event = Arc::new(event);
    }
    let (_, result) = judge(&dense, &strategies());
    assert_eq!((result.columns.trades, result.cooled_down), (30, 30));
    assert_eq!(result.columns.turnover, Some(0.5));
}

#[test]
fn without_bars_a_rule_with_a_stop_cannot_pass_and_that_is_the_reason() {
    let mut stopped = strategies();
    stopped.exit.stop_bps = Some(50.0);
    let (candidate, result) = judge(&outcomes("BTCUSDT", 40, 20.0), &stopped);
    assert_eq!((result.columns.trades, result.dropped), (0, 40));
    assert!(!result.columns.tradable);
    let reasons: Vec<String> = candidate.judgement.fail_reasons.iter().map(ToString::to_string).collect();
    let why = "BRIDGE_BARS_GATE: bridge_symbols_with_bars 0 is not >= 1";
    assert!(reasons.iter().any(|r| r == why), "{reasons:?}");
}

#[test]
fn with_bars_the_rule_and_later_entries_are_traded_on_them_and_without_the_booked_outcomes_stand_in() {
    let booked = outcomes("BTCUSDT", 40, 20.0);
    let (_, without) = judge(&booked, &strategies());
    let (_, with) = judge_over(&booked, &strategies(), &mut falling_market());
    let delayed = with.delayed.clone().unwrap();
    assert_eq!(delayed.iter().map(|d| d.bars).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert!((delayed[0].after_cost_bps.unwrap() + 12.0).abs() < 1e-6);
    // The booked outcomes of this test say 20 bps and a funding; its bars say 30 and none.
    assert!((with.columns.gross_bps.unwrap() - 30.0).abs() < 1e-6);
    assert!((without.columns.gross_bps.unwrap() - 20.0).abs() < 1e-9);
    assert_eq!((with.columns.trades, without.columns.trades, without.delayed.is_none()), (40, 40, true));
}

#[test]
fn a_later_entry_that_must_pay_is_a_gate() {
    let mut asked = strategies();
    let booked = outcomes("BTCUSDT", 40, 30.0);
    for (threshold, passes) in [(-9999.0, true), (-11.0, false)] {
        asked.robustness.min_delayed_after_cost_bps = Some(threshold);
        let (candidate, result) = judge_over(&booked, &asked, &mut falling_market());
        assert_eq!(result.columns.tradable, passes, "{:?}", candidate.judgement.fail_reasons);
    }
    let (candidate, _) = judge(&booked, &asked);
    assert_eq!(candidate.judgement.fail_reasons[0].gate, "BRIDGE_BARS_GATE");
}

#[test]
fn a_stop_and_a_target_are_traded_on_the_bars() {
    // A fade sells at the close of the first bar after the event and gains 30 bps on the next.
    let mut barred = strategies();
    barred.exit.target_bps = Some(20.0);
    let (_, result) = judge_over(&outcomes("BTCUSDT", 40, 30.0), &barred, &mut falling_market());
    assert_eq!((result.summary.trades, result.summary.at_target), (40, 40));
    assert!((result.columns.gross_bps.unwrap() - 20.0).abs() < 1e-6, "a target fills at its price");
}

/// Bars of which every day's returns are turned.
struct Turned(BTreeMap<Symbol, Market>);

impl Markets for Turned {
    fn market(&mut self, of: &Symbol, first: BarIndex, end: BarIndex) -> Result<Option<Market>, MarketError> {
        self.0.market(of, first, end)
    }

    fn is_turned(&self, _day: i64) -> bool {
        true
    }
}

#[test]
fn on_turned_days_a_position_fares_as_the_opposite_one() {
    let mut barred = strategies();
    barred.exit.stop_bps = Some(20.0);
    let (_, result) = judge_over(&outcomes("BTCUSDT", 40, 30.0), &barred, &mut Turned(falling_market()));
    assert_eq!(result.summary.stopped, 40, "a long is stopped by the fall");
}

#[test]
fn an_unknown_condition_is_an_error_that_names_it() {
    let mut foreign = candidate();
    foreign.measured.state =
        Some(crate::discovery::Condition { id: "GONE".into(), expression: "GONE".into() });
    let error = Sample::of_candidate(&foreign, &[], &["HERE"]).unwrap_err();
    assert!(error.to_string().contains("'GONE' is no state"), "{error}");
}

/// The gates that rejected, in words, of forty trades that each earn 19 bps net, under a gate that is asked
/// besides.
fn rejected(asked: impl Fn(&mut BridgeGate), markets: &mut dyn Markets) -> (Vec<String>, BridgeResult) {
    let mut booked = outcomes("BTCUSDT", 40, 30.0);
    for outcome in &mut booked {
        outcome.costs = CostParts { impact_per_root: 0.5, ..outcome.costs };
    }
    let mut gate = gates().gate_v1_bridge;
    asked(&mut gate);
    let mut strategies = strategies();
    strategies.robustness.threshold_shift = Some(0.1);
    let (candidate, result) = judge_by(&gate, &booked, &strategies, markets);
    // What a gate says is told among the gates that were asked, and a rejected candidate is not published.
    let as_reason = |c: &Check| {
        let Check { gate, metric, value, relation, threshold, .. } = *c;
        FailReason { gate, metric, value, relation, threshold }
    };
    let failed: Vec<FailReason> = result.gates.iter().filter(|g| !g.passed).map(as_reason).collect();
    assert_eq!(failed, result.fail_reasons);
    assert_eq!(candidate.judgement.fail_reasons, result.fail_reasons);
    assert_eq!(result.columns.tradable, failed.is_empty());
    assert_eq!(candidate.judgement.promotion_track == PromotionTrack::Standard, failed.is_empty());
    let reasons = result.fail_reasons.iter().map(|r| {
        let value = r.value.map_or_else(|| "undefined".to_owned(), |v| format!("{v:.4}"));
        format!("{} {value} {} {}", r.gate, r.relation, r.threshold)
    });
    (reasons.collect(), result)
}

#[test]
fn each_further_gate_rejects_with_its_number_and_its_threshold_and_is_off_by_default() {
    let none = &mut BTreeMap::new();
    let (reasons, result) = rejected(|_| (), none);
    assert!(reasons.is_empty(), "{reasons:?}");
    // 19 bps are left and one unit moves .5 a trip: (19 / .5) squared. All trades are in January 1970, three
    // on its best day.
    let robust = &result.robustness;
    assert!((robust.capacity.unwrap() - 1444.0).abs() < 1e-6);
    assert_eq!(robust.worst_month.as_ref().unwrap().0, "1970-01");
    // Notional in and out: 40 trades over the 17 days from the first event (day 3) to the end (day 20).
    let turnover = 2.0 * 40.0 * result.trades[0].scale / 17.0;
    assert!((robust.daily_turnover.unwrap() - turnover).abs() < 1e-9);
    assert_eq!((robust.top_symbol_share, robust.thresholds.clone()), (Some(1.0), None));

    type Ask = fn(&mut BridgeGate);
    let cases: [(Ask, String); 5] = [
        (|g| g.min_capacity = Some(1500.0), "BRIDGE_CAPACITY_GATE 1444.0000 >= 1500".to_owned()),
        (|g| g.min_worst_month_bps = Some(800.0), "BRIDGE_MONTH_GATE 760.0000 >= 800".to_owned()),
        (|g| g.max_top_day_share = Some(0.05), "BRIDGE_TOP_DAY_GATE 0.0750 <= 0.05".to_owned()),
        (|g| g.max_daily_turnover = Some(0.5), format!("BRIDGE_DAILY_TURNOVER_GATE {turnover:.4} <= 0.5")),
        // Nobody detected again.
        (|g| g.min_threshold_share = Some(0.0), "BRIDGE_THRESHOLDS_GATE undefined >= 0".to_owned()),
    ];
    for (ask, wanted) in cases {
        assert_eq!(rejected(ask, none).0, [wanted]);
    }
    // A rule that traded one symbol is not asked to spread over several.
    assert!(rejected(|g| g.max_top_symbol_share = Some(0.5), none).0.is_empty());
    let passed: [Ask; 4] = [
        |g| g.min_capacity = Some(1443.0),
        |g| g.min_worst_month_bps = Some(759.0),
        |g| g.max_top_day_share = Some(0.08),
        |g| g.max_daily_turnover = Some(5.0),
    ];
    for ask in passed {
        assert!(rejected(ask, none).0.is_empty());
    }
}

#[test]
fn two_symbols_of_which_one_earns_all_are_too_few() {
    let mut both = outcomes("BTCUSDT", 40, 30.0);
    both.extend(outcomes("SOLUSDT", 40, 12.0));
    let mut pooled = candidate();
    pooled.measured.scope = crate::discovery::Scope::Pooled([symbol("BTCUSDT"), symbol("SOLUSDT")].into());
    let gate = BridgeGate { max_top_symbol_share: Some(0.9), ..gates().gate_v1_bridge };
    let strategies = strategies();
    let inputs =
        BridgeInputs { gate: &gate, strategies: &strategies, price: EntryPrice::Close, end: BarIndex(6000) };
    let mut candidates = [pooled];
    let results = apply(&mut candidates, &both, &[""; 0], &inputs, &mut BTreeMap::new()).unwrap();
    // 19 a trade of BTC, 1 of SOL.
    let reasons: Vec<String> = results[&0].fail_reasons.iter().map(ToString::to_string).collect();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(reasons[0].starts_with("BRIDGE_TOP_SYMBOL_GATE: bridge_top_symbol_share 0.95"), "{reasons:?}");
}

/// A history whose detectors, with other thresholds, find events that earn other amounts gross: with lower
/// ones, with higher ones.
struct Again([f64; 2]);

impl Markets for Again {
    fn market(&mut self, _: &Symbol, _: BarIndex, _: BarIndex) -> Result<Option<Market>, MarketError> {
        Ok(None)
    }

    fn detect_again(&mut self, asked: &OtherThresholds<'_>) -> Result<Option<DetectedAgain>, MarketError> {
        assert_eq!(asked.events.iter().copied().collect::<Vec<_>>(), ["VOL_SHOCK"]);
        let [lower, higher] = self.0;
        let bps = if asked.factor < 1.0 { lower } else { higher };
        Ok(Some(DetectedAgain { outcomes: outcomes("BTCUSDT", 50, bps), states: Vec::new() }))
    }
}

#[test]
fn what_a_rule_earns_at_other_thresholds_is_measured_and_its_sign_may_be_asked() {
    let asked = |g: &mut BridgeGate| g.min_threshold_share = Some(0.0);
    // 14 and -2 after costs, of 19: the worse is minus 2 / 19 of it.
    let (reasons, result) = rejected(asked, &mut Again([25.0, 9.0]));
    assert_eq!(reasons, ["BRIDGE_THRESHOLDS_GATE -0.1053 >= 0"]);
    let found = result.robustness.thresholds.unwrap();
    assert_eq!(found.iter().map(|s| (s.factor, s.trades)).collect::<Vec<_>>(), [(0.9, 50), (1.1, 50)]);
    assert!((found[0].after_cost_bps.unwrap() - 14.0).abs() < 1e-9);
    assert!((found[1].after_cost_bps.unwrap() + 2.0).abs() < 1e-9);
    assert!(rejected(asked, &mut Again([25.0, 12.0])).0.is_empty());
    assert_eq!(
        rejected(|g| g.min_threshold_share = Some(0.5), &mut Again([25.0, 12.0])).0,
        ["BRIDGE_THRESHOLDS_GATE 0.0526 >= 0.5"]
    );
    // What fails another gate is not detected again.
    let (_, result) = rejected(|g| g.min_trades = 41, &mut Again([25.0, 25.0]));
    assert_eq!(result.robustness.thresholds, None);
}

#[test]
fn later_entries_and_dearer_costs_by_hand() {
    // The price falls by 10 bps on each of the six bars after the entry bar and then stands still: entering d
    // bars late misses d of them.
    let mut close = vec![100.0];
    for bar in 1..6000_i64 {
        let falls = bar >= 1000 && (2..8).contains(&(bar % 100));
        close.push(close[bar as usize - 1] * if falls { 0.999 } else { 1.0 });
    }
    let bars =
        BarSeries { first: BarIndex(0), open: close.clone(), high: close.clone(), low: close.clone(), close };
    let mut market = BTreeMap::from([(
        symbol("BTCUSDT"),
        Market { bars, funding: Some(Vec::new()), ..Market::default() },
    )]);
    let (_, result) = judge_over(&outcomes("BTCUSDT", 40, 0.0), &strategies(), &mut market);
    let gross = |missed: i32| (1.0 - 0.999_f64.powi(6 - missed)) * 1e4;
    for (delayed, wanted) in result.delayed.unwrap().iter().zip(1..) {
        assert_eq!(delayed.bars, wanted as u32);
        assert!((delayed.after_cost_bps.unwrap() - (gross(wanted) - 12.0)).abs() < 1e-6, "{wanted}");
    }
    for (multiple, net) in result.at_cost_multiples {
        assert!((net.unwrap() - (gross(0) - 12.0 * multiple)).abs() < 1e-6, "{multiple}");
    }
}

#[test]
fn where_promotion_is_required_the_test_part_of_the_record_decides_too() {
    // Trades of days 3 to 20, of which the last eleven, after the embargo of the test part, lose 6 bps each.
    let mut booked = outcomes("BTCUSDT", 39, 30.0);
    booked.extend(outcomes("BTCUSDT", 50, 5.0).into_iter().skip(39));
    let judged_if = |is_found: bool, asked: &dyn Fn(&mut crate::spec::strategies::PromotionSpec)| {
        let mut spec = strategies().promotion;
        asked(&mut spec);
        let (candidate, result) = judge(&booked, &strategies());
        let before: BTreeSet<String> =
            is_found.then(|| candidate.measured.candidate_id.clone()).into_iter().collect();
        let (mut candidates, mut results) = ([candidate], BTreeMap::from([(0, result)]));
        let split = Split::new(crate::market::Ts(0), BarIndex(6000).open(), &spec);
        let report = PromotionReport::of(&candidates, &results, &split, &before, (5000, &spec));
        crate::tradability::promote(&mut candidates, &mut results, &report, &spec);
        let [candidate] = candidates;
        let reasons: Vec<String> = results[&0].fail_reasons.iter().map(ToString::to_string).collect();
        assert_eq!(candidate.bridge.as_ref().unwrap().tradable, reasons.is_empty());
        assert_eq!(candidate.judgement.promotion_track == PromotionTrack::Standard, reasons.is_empty());
        assert_eq!(candidate.judgement.fail_reasons, results[&0].fail_reasons);
        (reasons, results[&0].gates.iter().filter(|g| g.gate.starts_with("PROMOTION")).count())
    };
    let judged = |asked: &dyn Fn(&mut crate::spec::strategies::PromotionSpec)| judged_if(true, asked);
    assert_eq!(judged(&|_| ()), (Vec::new(), 0), "off by default");
    let (reasons, _) = judged_if(false, &|spec| {
        (spec.required, spec.min_test_after_cost_bps) = (true, -10.0);
    });
    assert_eq!(reasons, ["PROMOTION_SELECTION_GATE: promotion_found_before_test 0 is not >= 1"]);
    let (reasons, asked) = judged(&|spec| spec.required = true);
    assert_eq!((reasons.len(), asked), (1, 3), "{reasons:?}");
    assert!(reasons[0].starts_with("PROMOTION_TEST_GATE: promotion_test_after_cost_bps -6"), "{reasons:?}");
    let (reasons, asked) = judged(&|spec| {
        (spec.required, spec.min_test_trades, spec.min_test_after_cost_bps) = (true, 12, -10.0);
        (spec.min_deflated_sharpe, spec.max_overfitting) = (Some(0.999), Some(0.5));
    });
    assert_eq!(asked, 5);
    assert_eq!(reasons[0], "PROMOTION_TEST_TRADES_GATE: promotion_test_trades 11 is not >= 12");
    let overfitting = "PROMOTION_OVERFITTING_GATE: promotion_overfitting is undefined, wanted <= 0.5";
    assert!(
        reasons.iter().any(|reason| reason == overfitting),
        "one rule was not chosen from several: {reasons:?}"
    );
}
