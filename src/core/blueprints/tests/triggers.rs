//! Which events trigger a blueprint, and how large its position is.

use super::*;
use crate::discovery::Condition;
use crate::market::{BarIndex, Side, Sizing, SizingMode, Ts};
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

/// What is to be traded at the close of the deciding bar.
fn triggered(event: &Event, states: &[&str], blueprints: &[Blueprint]) -> Vec<Triggered> {
    match_event(event, states, blueprints, event.detected()).blueprints
}

#[test]
fn an_event_triggers_the_blueprints_whose_condition_is_known_and_true() {
    let states = ["A", "B", "C"];
    let blueprints = [example()];
    let match_event = |event: &Event| triggered(event, &states, &blueprints);
    let hit = match_event(&shock(1, 2));
    assert_eq!(hit.len(), 1);
    assert_eq!(hit[0].side, Side::Short, "a fade sells an upward shock");
    assert_eq!(hit[0].entry_at_ns, BarIndex(10_000_001).close().nanos());
    assert_eq!(hit[0].exit_at_ns, BarIndex(10_000_013).close().nanos());
    assert_eq!(match_event(&shock(-1, 2))[0].side, Side::Long);
    assert!(match_event(&shock(1, 1)).is_empty(), "another regime");
    assert!(match_event(&shock(1, -1)).is_empty(), "an unknown regime");
    assert!(match_event(&shock(0, 2)).is_empty(), "no direction, no side");
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
        triggered(&shock(1, 2), &["A", "B", "C"], &[blueprint]).len()
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
fn what_is_not_to_be_traded_is_named_with_every_reason() {
    let event = shock(1, 2);
    let mut blueprint = example();
    blueprint.max_signal_age_ns = Some(240_000_000_000);
    let at =
        |now: Ts, blueprint: &Blueprint| match_event(&event, &[""], std::slice::from_ref(blueprint), now);
    let why = |now: Ts, blueprint: &Blueprint| {
        let matched = at(now, blueprint);
        assert!(matched.blueprints.is_empty());
        matched.not_traded[0].why_not.clone()
    };
    let detected = event.detected();
    let fresh = at(detected, &blueprint);
    assert_eq!((fresh.blueprints.len(), fresh.not_traded.len(), fresh.is_stale()), (1, 0, false));
    assert_eq!(fresh.blueprints[0].expires_ns, Ts(detected.0 + 240_000).nanos());
    assert_eq!(fresh.blueprints[0].primary, blueprint.id);
    assert_eq!(at(Ts(detected.0 + 240_000), &blueprint).blueprints.len(), 1, "at its last moment");
    assert_eq!(why(Ts(detected.0 + 240_001), &blueprint), [NotTraded::Late]);
    assert!(at(Ts(detected.0 + 240_001), &blueprint).is_stale());

    blueprint.discovered_through_ns = Some(detected.nanos());
    blueprint.status = Status::Watch;
    assert_eq!(why(detected, &blueprint), [NotTraded::InSample, NotTraded::Watch]);
    blueprint.discovered_through_ns = Some(detected.nanos() - 1);
    blueprint.status = Status::Active;
    blueprint.overlap_group = Some(OverlapGroup {
        id: "og_1".to_owned(),
        role: OverlapRole::Member,
        primary: "bp_1".to_owned(),
        members: vec![blueprint.id.clone()],
        share: Some(0.9),
    });
    assert_eq!(why(detected, &blueprint), [NotTraded::Member]);
    assert_eq!(at(detected, &blueprint).not_traded[0].triggered.primary, "bp_1");
    blueprint.status = Status::Retired;
    assert_eq!(at(detected, &blueprint), Matched::default(), "a retired one triggers nothing");
}

#[test]
fn a_record_of_a_detection_holds_what_a_trade_needs() {
    let (event, blueprints) = (shock(1, 2), [example()]);
    let context = SignalContext {
        states: &["A", "B", "C"],
        version: Some("v000002"),
        blueprints: &blueprints,
        reference_close: Some(38_114.5),
        now: event.detected(),
    };
    let record = signal_record(&event, &context);
    assert_eq!(record["states"], serde_json::json!({"A": true, "B": false, "C": null}));
    assert_eq!((&record["sigma_bar"], &record["reference_close"]), (&0.001.into(), &38_114.5.into()));
    assert_eq!((&record["version"], &record["stale"]), (&"v000002".into(), &false.into()));
    let triggered = &record["blueprints"][0];
    assert_eq!(triggered["revision"], blueprints[0].revision);
    // One trade's sd over 12 bars is 0.001 sqrt(12); 0.003 of equity may be lost to it; annual volatility
    // binds.
    let scale = triggered["scale"].as_f64().unwrap();
    assert!((scale - blueprints[0].sizing.scale(0.001, 12)).abs() < 1e-15 && scale > 0.0);
    assert_eq!(record["not_traded"], serde_json::json!([]));
    let unknown =
        signal_record(&event, &SignalContext { reference_close: Some(f64::NAN), version: None, ..context });
    assert!(unknown["reference_close"].is_null() && unknown["version"].is_null());
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
