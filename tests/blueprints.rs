//! Blueprints end to end: candidates to lines to a published directory, against the JSON Schema.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "common/mod.rs"]
mod common;
#[path = "blueprints/stops.rs"]
mod stops;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backtestd::publish::{PublishContext, PublishError, publish_version, read_current, write_run};
use backtestd_core::blueprints::{
    Blueprint, CompileInputs, Compiled, Lives, RunFacts, SelectionFacts, SideCosts, compile, match_event,
};
use backtestd_core::discovery::{
    Candidate, Claim, Condition, DirectionRule, EVENT_QUALITY_GATE, FailReason, Influence, Judgement,
    Measured, PromotionTrack, Scope, candidate_id, label_condition, negated_condition,
};
use backtestd_core::market::{BarIndex, Symbol, Ts};
use backtestd_core::outcomes::{CostParts, EntryPrice, Event, Horizon, Outcome};
use backtestd_core::spec::gates::GatesSpec;
use backtestd_core::spec::strategies::StrategiesSpec;
use backtestd_core::tradability::{BridgeInputs, apply};
use backtestd_store::read_files;
use serde_json::Value;

const SPEC_HASH: &str = "sha256:11";

fn gates() -> GatesSpec {
    read_spec("gates.yaml")
}

fn read_spec<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec").join(name);
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn symbols(names: &[&str]) -> Vec<Symbol> {
    names.iter().map(|n| Symbol::new(n).unwrap()).collect()
}

fn candidate(event_type: &str, scope: Scope, state: Option<Condition>, q_value: f64) -> Candidate {
    let state_id = state.as_ref().map_or("", |s| &s.id);
    Candidate {
        measured: Measured {
            candidate_id: candidate_id(event_type, "15m", state_id, scope.label(), 1),
            canonical_family: "VOLATILITY_TRANSITION".into(),
            event_type: event_type.into(),
            template_verb: "continuation".into(),
            template_aliases: Arc::from([]),
            horizon: Horizon::parse("15m").unwrap(),
            state,
            scope,
            direction_rule: DirectionRule::Follow,
            entry_lag_bars: 1,
            n_events: 120,
            n_clusters: 80,
            effective_n: Some(75.5),
            n_purged: 0,
            n_dropped: 0,
            cost_bps: Some(12.0),
            effect_raw_bps: Some(25.0),
            se_bps: Some(4.0),
            t_stat: Some(6.0),
            df: Some(70.0),
            p_value: 1e-6,
            effect_shrunk_family_bps: Some(3.0),
            effect_shrunk_event_bps: Some(9.0),
            effect_shrunk_state_bps: Some(20.0),
            shrinkage_weight_family: Some(0.5),
            shrinkage_weight_event: Some(0.6),
            shrinkage_weight_state: Some(0.7),
            posterior_mean_bps: Some(21.0),
            posterior_sd_bps: Some(3.0),
            ci_low_bps: Some(15.0),
            ci_high_bps: Some(27.0),
            claim: Some(Claim { gross_bps: 22.0, sd_bps: 2.5, low_bps: 18.0, high_bps: 26.0 }),
            lfsr: Some(0.001),
            lfsr_net: Some(0.01),
            e_value: f64::INFINITY,
            e_sym: 1.0,
            e_bet: 1.0,
            e_sup: 100.0,
            p_any: 0.01,
            e_pair: 1.0,
            e_value_gross: 1.0,
            p_any_gross: 0.01,
            anytime_lower_bps: None,
            skewness: None,
            worst_score: None,
            quarantined: false,
            influence: Influence::default(),
            weight_sum: 1e5,
            e_sup_date: Some("2026-02-28".into()),
            is_tied: false,
            definition_hash: "ab".into(),
            cohort: 1,
            p_threshold: Some(0.001),
            group_id: "g".into(),
            q_value_group: q_value,
            q_value_global: q_value,
            q_value_by: q_value,
            q_value_ebh: q_value,
            q_value_seed: None,
            q_value,
            first_half_bps: Some(24.0),
            second_half_bps: Some(26.0),
            ontology_spec_hash: SPEC_HASH.into(),
        },
        judgement: Judgement {
            is_discovery: q_value <= 0.05,
            after_cost_expectancy_bps: Some(9.0),
            stressed_after_cost_expectancy_bps: Some(3.0),
            gate_economic: true,
            gate_economic_conservative: true,
            gate_stability: true,
            gate_state_information: true,
            gate_sample_size: true,
            gate_lfsr: true,
            gate_phase2_final: q_value <= 0.05,
            promotion_track: if q_value <= 0.05 { PromotionTrack::Standard } else { PromotionTrack::None },
            fail_reasons: Vec::new(),
            checks: Vec::new(),
        },
        bridge: None,
    }
}

fn outcomes(event_type: &str, symbol: &str, n: i64, forward_return: f64) -> Vec<Outcome> {
    (0..n)
        .map(|i| Outcome {
            event: Arc::new(Event {
                event_type: event_type.into(),
                family: "VOLATILITY_TRANSITION".into(),
                symbol: Symbol::new(symbol).unwrap(),
                bar: BarIndex(5_000_000 + i * 50),
                direction: if i % 2 == 0 { 1 } else { -1 },
                severity: 1.0,
                states: Arc::from([i8::from(i % 3 > 0)]),
                vol_regime: 1,
                carry_state: 0,
                sigma_bar: 0.001,
                sigma_event: 0.001,
                features: Vec::new(),
            }),
            horizon: Horizon::parse("15m").unwrap(),
            entry_lag_bars: 1,
            entry_price: EntryPrice::Close,
            forward_return: if i % 2 == 0 { forward_return } else { -forward_return },
            midnight_return: f64::NAN,
            mfe_bps: 0.0,
            mae_bps: 0.0,
            funding_paid: 0.0,
            cost_bps_round_trip: 12.0,
            costs: CostParts::whole(12.0),
        })
        .collect()
}

struct Run {
    candidates: Vec<Candidate>,
    bridge: BTreeMap<usize, backtestd_core::tradability::BridgeResult>,
    compiled: Compiled,
    facts: RunFacts,
}

fn run(mut candidates: Vec<Candidate>, booked: &[Outcome]) -> Run {
    let gates = gates();
    let strategies: StrategiesSpec = read_spec("strategies/default.yaml");
    let inputs = BridgeInputs {
        gate: &gates.gate_v1_bridge,
        strategies: &strategies,
        price: EntryPrice::Close,
        end: BarIndex(6_000_000),
    };
    let bridge = apply(&mut candidates, booked, &["CALM"], &inputs, &mut BTreeMap::new()).unwrap();
    let facts = RunFacts {
        run_id: "run-1".to_owned(),
        code_version: "0.1.0+test".to_owned(),
        data_watermark: Ts(1_772_366_400_000),
        discovery_start: Ts(1_672_531_200_000),
        discovery_end: Ts(1_772_366_400_000),
    };
    let compiled = compile(
        &candidates,
        &bridge,
        &CompileInputs {
            ontology_spec_hash: SPEC_HASH,
            strategies: &strategies,
            price: EntryPrice::Close,
            costs: &|_| SideCosts { fee_bps: 4.0, slippage_bps: 2.0 },
            event_spec_hash: &|_| Some("sha256:22".to_owned()),
            run: &facts,
            selection: &SelectionFacts::default(),
        },
    )
    .unwrap();
    Run { candidates, bridge, compiled, facts }
}

fn context(run: &Run, at: Ts) -> PublishContext {
    PublishContext {
        published_at: at,
        run_id: run.facts.run_id.clone(),
        ontology_spec_hash: SPEC_HASH.to_owned(),
        data_watermark: run.facts.data_watermark,
        code_version: run.facts.code_version.clone(),
        verdicts: run.compiled.verdicts.clone(),
        lives: Lives::new(),
        overlap: backtestd_core::blueprints::OverlapFacts::default(),
        reasons: run.compiled.reasons.clone(),
        memory: None,
    }
}

fn single() -> Scope {
    Scope::Single(Symbol::new("BTCUSDT").unwrap())
}

fn calm() -> Option<Condition> {
    Some(Condition { id: "CALM".into(), expression: "CALM".into() })
}

fn discovered() -> Run {
    let pooled = Scope::Pooled(symbols(&["BTCUSDT", "SOLUSDT"]).into());
    let mut booked = outcomes("VOL_SHOCK", "BTCUSDT", 120, 0.0025);
    booked.extend(outcomes("VOL_SHOCK", "SOLUSDT", 120, 0.0030));
    run(
        vec![
            candidate("VOL_SHOCK", single(), None, 0.01),
            candidate("VOL_SHOCK", single(), calm(), 0.02),
            candidate("VOL_SHOCK", pooled, None, 0.03),
            candidate("VOL_SPIKE", single(), None, 0.4),
        ],
        &booked,
    )
}

#[test]
fn discoveries_become_lines_that_the_schema_accepts() {
    let run = discovered();
    assert_eq!(run.compiled.blueprints.len(), 3, "{:?}", run.compiled.reasons);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/spec/schemas/blueprint.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for blueprint in &run.compiled.blueprints {
        let line: Value = serde_json::from_str(&blueprint.line()).unwrap();
        let problems = schema_problems(&schema, &schema, &line, "$");
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(serde_json::from_value::<Blueprint>(line).unwrap(), *blueprint);
        assert_eq!(blueprint.id, blueprint.identity());
        assert_eq!(blueprint.entry.cooldown_bars, 3, "the cool-down that the bridge simulated");
        assert!(blueprint.exit.stop.is_none() && blueprint.exit.intrabar_path.is_none());
        assert_eq!(blueprint.evidence.e_value, None, "what is not finite is null");
    }
}

#[test]
fn the_schema_check_of_this_test_can_fail() {
    let run = discovered();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/spec/schemas/blueprint.schema.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut line: Value = serde_json::from_str(&run.compiled.blueprints[0].line()).unwrap();
    line["entry"]["entry_lag_bars"] = Value::from(0);
    line["status"] = Value::from("maybe");
    line.as_object_mut().unwrap().remove("lineage");
    assert_eq!(schema_problems(&schema, &schema, &line, "$").len(), 3);
}

#[test]
fn scopes_conditions_and_costs_are_those_of_the_candidate() {
    let run = discovered();
    let of = |wanted: &dyn Fn(&Blueprint) -> bool| {
        run.compiled.blueprints.iter().find(|b| wanted(b)).expect("a blueprint")
    };
    let pooled = of(&|b| b.symbol_scope.symbols.len() == 2);
    assert_eq!(pooled.symbol_scope.instruments, ["BTCUSDT-PERP.BINANCE", "SOLUSDT-PERP.BINANCE"]);
    assert_eq!(pooled.condition, "all");
    assert!(pooled.entry.conditions.is_empty());
    let state = of(&|b| b.state_id == "CALM");
    assert_eq!(state.entry.conditions, ["CALM"]);
    assert_eq!(state.evidence.bridge.unwrap().trades, 80, "events in the state only");
    assert_eq!(state.costs.round_trip_bps, 12.0);
    assert!(state.costs.funding_included);
    assert_eq!(state.bar_type.as_deref(), Some("BTCUSDT-PERP.BINANCE-5-MINUTE-LAST-EXTERNAL"));
}

#[test]
fn a_negated_state_is_simulated_as_it_is_tested_and_its_parts_are_the_conditions_of_the_entry() {
    let booked = outcomes("VOL_SHOCK", "BTCUSDT", 120, 0.0025);
    let not_calm = Condition::all(vec![negated_condition("CALM"), label_condition("vol_regime", "mid")]);
    let run = run(vec![candidate("VOL_SHOCK", single(), not_calm, 0.01)], &booked);
    let line: Value = serde_json::from_str(&run.compiled.blueprints[0].line()).unwrap();
    assert_eq!(line["state_id"], "not_CALM_and_vol_regime_mid");
    assert_eq!(line["condition"], "not CALM and vol_regime == 'mid'");
    assert_eq!(line["entry"]["conditions"], serde_json::json!(["not CALM", "vol_regime == 'mid'"]));
    assert_eq!(run.bridge[&0].columns.trades, 40, "every third event is not calm");
    let triggers = |event: &Event| {
        let matched = match_event(event, &["CALM"], &run.compiled.blueprints, event.detected());
        matched.blueprints.len() + matched.not_traded.len() == 1
    };
    let fresh = |states: [i8; 1]| Event {
        states: Arc::from(states),
        bar: Ts(1_772_366_400_000).bar() + 1,
        ..(*booked[0].event).clone()
    };
    assert_eq!([0, 1, -1].map(|calm| triggers(&fresh([calm]))), [true, false, false]);
}

/// The folder of a run that compiled to this.
fn written(root: &Path, run: &Run, compiled: &Compiled) -> Result<PathBuf, PublishError> {
    let by = (SPEC_HASH, &gates().monitoring);
    write_run(root, by, &run.facts, 9, &run.candidates, &run.bridge, compiled)
}

#[test]
fn a_run_and_a_version_are_written_and_the_same_run_again_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let run = discovered();
    let folder = written(root.path(), &run, &run.compiled).unwrap();
    let lines = std::fs::read(folder.join("blueprints.jsonl")).unwrap();
    assert_eq!(written(root.path(), &run, &run.compiled).unwrap(), folder);
    assert_eq!(std::fs::read(folder.join("blueprints.jsonl")).unwrap(), lines);
    let summary: Value =
        serde_json::from_slice(&std::fs::read(folder.join("blueprint_summary.json")).unwrap()).unwrap();
    assert_eq!(summary["blueprints"], 3);
    assert_eq!((&summary["hypotheses"], &summary["hypotheses_with_data"]), (&9.into(), &4.into()));
    let bridge = summary["bridge"].as_array().unwrap();
    assert_eq!(bridge.len(), 3);
    // Every gate with its number, and the trades that show the rule.
    let checks = bridge[0]["gates"].as_array().unwrap();
    assert!(checks.iter().any(|c| c["gate"] == "BRIDGE_TRADES_GATE" && c["passed"] == true), "{checks:?}");
    let net = |name: &str| bridge[0]["examples"][name]["net_bps"].as_f64().unwrap();
    assert!(net("worst") <= net("first") && net("last") <= net("best"));
    assert_eq!(summary["monitoring"]["retire_at"], gates().monitoring.retire_at);

    let dir = root.path().join("blueprints");
    let first = publish_version(&dir, &run.compiled.blueprints, &context(&run, Ts(1))).unwrap();
    assert_eq!((first.changed, first.manifest.added.len()), (true, 3));
    assert!(!publish_version(&dir, &run.compiled.blueprints, &context(&run, Ts(2))).unwrap().changed);
    let read = read_current(&dir).unwrap().unwrap();
    assert_eq!(read.blueprints.len(), 3);
    assert!(read.blueprints.iter().all(|b| b.lineage.first_published.as_deref() == Some("v000001")));
}

#[test]
fn a_run_with_other_content_under_the_same_id_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let run = discovered();
    written(root.path(), &run, &run.compiled).unwrap();
    let mut other = run.compiled.clone();
    other.blueprints.pop();
    let error = written(root.path(), &run, &other).unwrap_err().to_string();
    assert!(error.contains("a run is immutable"), "{error}");
}

#[test]
fn nothing_discovered_publishes_an_empty_version_with_reasons() {
    let root = tempfile::tempdir().unwrap();
    let run = run(vec![candidate("VOL_SPIKE", single(), None, 0.4)], &[]);
    let first = publish_version(root.path(), &run.compiled.blueprints, &context(&run, Ts(1))).unwrap();
    assert!(first.changed && first.blueprints.is_empty());
    assert_eq!(
        first.manifest.reasons,
        [
            "1 hypotheses with data, 0 discoveries, 0 passed every gate and the bridge, 0 blueprints",
            "the smallest q is 0.4: VOL_SPIKE follow 15m on BTCUSDT",
        ]
    );
}

#[test]
fn a_publication_stands_although_its_bridge_and_its_q_would_refuse_it_today() {
    let root = tempfile::tempdir().unwrap();
    let good = run(
        vec![candidate("VOL_SHOCK", single(), None, 0.01)],
        &outcomes("VOL_SHOCK", "BTCUSDT", 120, 0.0025),
    );
    publish_version(root.path(), &good.compiled.blueprints, &context(&good, Ts(1))).unwrap();
    for q in [0.01, 0.3] {
        let poor = run(
            vec![candidate("VOL_SHOCK", single(), None, q)],
            &outcomes("VOL_SHOCK", "BTCUSDT", 120, 0.0010),
        );
        assert!(poor.compiled.blueprints.is_empty());
        let verdict = poor.compiled.verdicts.values().next().unwrap();
        assert!(verdict.why.contains(if q < 0.05 { "BRIDGE_AFTER_COST_GATE" } else { "no discovery" }));
        let after = publish_version(root.path(), &poor.compiled.blueprints, &context(&poor, Ts(2))).unwrap();
        assert!(!after.changed);
        assert_eq!(after.manifest.counts.active, 1);
    }
    // A run that does not test it at all ends it.
    let other = run(vec![candidate("VOL_SPIKE", single(), None, 0.3)], &[]);
    let last = publish_version(root.path(), &other.compiled.blueprints, &context(&other, Ts(3))).unwrap();
    assert_eq!(last.manifest.retired[0].why, "the run no longer tests it");
}

#[test]
fn a_published_rule_whose_detector_is_unfit_goes_on_watch_with_the_count_and_does_not_vanish() {
    let root = tempfile::tempdir().unwrap();
    let booked = outcomes("VOL_SHOCK", "BTCUSDT", 120, 0.0025);
    let good = run(vec![candidate("VOL_SHOCK", single(), None, 0.01)], &booked);
    publish_version(root.path(), &good.compiled.blueprints, &context(&good, Ts(1))).unwrap();
    let mut unfit = candidate("VOL_SHOCK", single(), None, 1.0);
    unfit.judgement.is_discovery = false;
    unfit.judgement.gate_phase2_final = false;
    unfit.judgement.promotion_track = PromotionTrack::None;
    unfit.judgement.fail_reasons = vec![FailReason {
        gate: EVENT_QUALITY_GATE,
        metric: "onsets_per_10k",
        value: Some(612.0),
        relation: "<=",
        threshold: 500.0,
    }];
    let after = run(vec![unfit], &booked);
    let second = publish_version(root.path(), &after.compiled.blueprints, &context(&after, Ts(2))).unwrap();
    assert_eq!((second.manifest.counts.active, second.manifest.counts.watch), (0, 1));
    assert_eq!(second.manifest.changed[0].why, "EVENT_QUALITY_GATE: onsets_per_10k 612 is not <= 500");
}

#[test]
fn candidates_of_other_specs_are_refused_naming_both() {
    let strategies: StrategiesSpec = read_spec("strategies/default.yaml");
    let run = discovered();
    let error = compile(
        &run.candidates,
        &run.bridge,
        &CompileInputs {
            ontology_spec_hash: "sha256:99",
            strategies: &strategies,
            price: EntryPrice::Close,
            costs: &|_| SideCosts { fee_bps: 4.0, slippage_bps: 2.0 },
            event_spec_hash: &|_| None,
            run: &run.facts,
            selection: &SelectionFacts::default(),
        },
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("sha256:11") && error.contains("sha256:99"), "{error}");
}

/// The keywords of JSON Schema that the blueprint schema uses.
fn schema_problems(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(target) = schema["$ref"].as_str() {
        return schema_problems(root, root.pointer(target.trim_start_matches('#')).unwrap(), value, at);
    }
    let mut problems = Vec::new();
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_kind = |t: &Value| t == kind || (t == "number" && kind == "integer");
    let fits = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(is_kind),
        one => is_kind(one),
    };
    let mut check = |ok: bool, what: &str| {
        if !ok {
            problems.push(format!("{at}: {value} breaks {what}"));
        }
    };
    check(fits, "type");
    check(schema.get("const").is_none_or(|c| c == value), "const");
    check(schema["enum"].as_array().is_none_or(|e| e.contains(value)), "enum");
    check(schema["minimum"].as_f64().is_none_or(|m| value.as_f64().is_some_and(|v| v >= m)), "minimum");
    let items = value.as_array();
    check(schema["minItems"].as_u64().is_none_or(|m| items.is_some_and(|i| i.len() as u64 >= m)), "minItems");
    // Of a pattern, its literal end or beginning.
    if let Some(pattern) = schema["pattern"].as_str() {
        let text = value.as_str().unwrap_or_default();
        let literal = pattern.trim_matches(['^', '$']).trim_start_matches(".+").replace("\\.", ".");
        let literal = literal.split('[').next().unwrap_or_default();
        check(text.contains(literal), "pattern");
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        check(value.is_null() || value.get(name).is_some(), &format!("required {name}"));
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            problems.extend(schema_problems(root, property, value, &format!("{at}.{name}")));
        }
    }
    for (i, item) in items.into_iter().flatten().enumerate() {
        problems.extend(schema_problems(root, &schema["items"], item, &format!("{at}[{i}]")));
    }
    problems
}
