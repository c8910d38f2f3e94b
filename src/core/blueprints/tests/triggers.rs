//! Which events trigger a blueprint, and how large its position is.

use super::*;
use crate::discovery::Condition;
use crate::market::{BarIndex, Side, Sizing, SizingMode};
use crate::outcomes::Event;

fn shock(direction: i8, vol_regime: i8) -> Event {
    Event {
        event_type: "VOL_SHOCK".into(),
        family: "VOLATILITY_TRANSITION".into(),
        symbol: Symbol::new("BTCUSDT").unwrap(),
        bar: BarIndex(10_000_000),
        direction,
        severity: 2.0,
        states: Arc::from([1_i8, 0, -1]),
        vol_regime,
        carry_state: 0,
        sigma_bar: 0.001,
        sigma_event: 0.001,
        features: Vec::new(),
    }
}

#[test]
fn an_event_triggers_the_blueprints_whose_condition_is_known_and_true() {
    let states = ["A", "B", "C"];
    let blueprints = [example()];
    let hit = match_event(&shock(1, 2), &states, &blueprints);
    assert_eq!(hit.len(), 1);
    assert_eq!(hit[0].side, Side::Short, "a fade sells an upward shock");
    assert_eq!(hit[0].entry_at_ns, BarIndex(10_000_001).close().nanos());
    assert_eq!(hit[0].exit_at_ns, BarIndex(10_000_013).close().nanos());
    assert_eq!(match_event(&shock(-1, 2), &states, &blueprints)[0].side, Side::Long);
    assert!(match_event(&shock(1, 1), &states, &blueprints).is_empty(), "another regime");
    assert!(match_event(&shock(1, -1), &states, &blueprints).is_empty(), "an unknown regime");
    assert!(match_event(&shock(0, 2), &states, &blueprints).is_empty(), "no direction, no side");
}

#[test]
fn a_state_must_be_true_and_a_foreign_state_never_is() {
    let with_state = |id: &str| {
        let mut blueprint = example();
        blueprint.entry.conditions = Condition { id: id.into(), expression: id.into() }
            .parts()
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        match_event(&shock(1, 2), &["A", "B", "C"], &[blueprint]).len()
    };
    assert_eq!(with_state("A"), 1);
    assert_eq!(with_state("B"), 0, "false");
    assert_eq!(with_state("C"), 0, "unknown");
    assert_eq!(with_state("D"), 0, "not in these specs");
    assert_eq!(with_state(""), 1);
    assert_eq!(with_state("not B"), 1);
    assert_eq!(with_state("not A"), 0);
    assert_eq!(with_state("not C"), 0, "unknown");
    assert_eq!(with_state("A and not B"), 1);
    assert_eq!(with_state("A and not C"), 0, "unknown");
}

#[test]
fn only_active_blueprints_trigger_and_only_after_what_their_evidence_saw() {
    let event = shock(1, 2);
    let mut blueprint = example();
    for status in [Status::Watch, Status::Retired] {
        blueprint.status = status;
        assert!(match_event(&event, &[""], std::slice::from_ref(&blueprint)).is_empty());
    }
    blueprint.status = Status::Active;
    blueprint.discovered_through_ns = Some(event.detected().nanos());
    assert!(match_event(&event, &[""], std::slice::from_ref(&blueprint)).is_empty());
    blueprint.discovered_through_ns = Some(event.detected().nanos() - 1);
    assert_eq!(match_event(&event, &[""], &[blueprint]).len(), 1);
}

#[test]
fn size_is_bounded_by_volatility_by_risk_and_by_the_cap() {
    let sizing = Sizing {
        mode: SizingMode::VolTarget,
        risk_per_trade: 0.003,
        target_vol: 0.12,
        max_position_scale: 1.0,
    };
    // Annual volatility 0.6: 0.12/0.6 = 0.2; one trade's sd over 12 bars is 0.00641: 0.003/0.00641 = 0.468.
    let sigma = 0.6 / 105_120_f64.sqrt();
    assert!((sizing.scale(sigma, 12) - 0.2).abs() < 1e-12);
    assert!((sizing.scale(sigma, 288) - 0.003 / (sigma * 288_f64.sqrt())).abs() < 1e-12);
    assert_eq!(sizing.scale(1e-6, 1), 1.0);
    assert_eq!(sizing.scale(f64::NAN, 12), 0.0, "an unknown risk is not taken");
}
