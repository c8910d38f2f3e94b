use std::sync::Arc;

use super::*;
use crate::blueprints::tests::candidate;
use crate::market::BarIndex;
use crate::outcomes::{CostParts, Event};
use crate::spec::gates::GatesSpec;
use crate::tradability::{BarSeries, Market, Sample};

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
    let gates = gates();
    let inputs = BridgeInputs {
        gate: &gates.gate_v1_bridge,
        strategies,
        price: EntryPrice::Close,
        end: BarIndex(6000),
    };
    let mut candidates = [candidate()];
    let results = apply(&mut candidates, outcomes, &[""; 0], &inputs, markets).unwrap();
    let [candidate] = candidates;
    (candidate, results[&0].clone())
}

/// The price falls by 30 bps on the second bar after each event, the entry being at the close of the first, then stays:
/// entering one bar later than the rule earns nothing.
fn falling_market() -> BTreeMap<Symbol, Market> {
    let mut close = vec![100.0];
    for bar in 1..6000_i64 {
        let previous = close[bar as usize - 1];
        let falls = bar >= 1000 && bar % 100 == 2;
        close.push(if falls { previous * 0.997 } else { previous });
    }
    let bars =
        BarSeries { first: BarIndex(0), open: close.clone(), high: close.clone(), low: close.clone(), close };
    BTreeMap::from([(symbol("BTCUSDT"), Market { bars, funding: Some(Vec::new()) })])
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
