//! Publishing, crashes, diffs and triggers, on a blueprint like the contract's example.

mod lives;
mod triggers;
mod versions;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::discovery::{Candidate, Condition, DirectionRule, Influence, PromotionTrack, Scope};
use crate::market::{Symbol, Ts};
use crate::outcomes::{EntryPrice, Horizon};

pub(crate) use lives::published;

/// The contract's example line.
pub(crate) const EXAMPLE: &str = include_str!("../example.jsonl");

pub(crate) fn example() -> Blueprint {
    let mut blueprint: Blueprint = serde_json::from_str(EXAMPLE).unwrap();
    blueprint.state_id = "vol_regime_high".to_owned();
    blueprint.id = blueprint.identity();
    blueprint
}

/// A discovered fade of BTCUSDT volatility shocks in the high-volatility regime over an hour.
pub(crate) fn candidate() -> Candidate {
    Candidate {
        candidate_id: "cand_0".to_owned(),
        canonical_family: "VOLATILITY_TRANSITION".into(),
        event_type: "VOL_SHOCK".into(),
        template_verb: "mean_reversion".into(),
        template_aliases: Arc::from(["overshoot_repair".into()]),
        horizon: Horizon::parse("60m").unwrap(),
        state: Some(Condition { id: "vol_regime_high".into(), expression: "vol_regime == 'high'".into() }),
        scope: Scope::Single(Symbol::new("BTCUSDT").unwrap()),
        direction_rule: DirectionRule::Fade,
        entry_lag_bars: 1,
        n_events: 312,
        n_clusters: 188,
        effective_n: Some(170.0),
        n_purged: 3,
        n_dropped: 1,
        cost_bps: Some(12.0),
        effect_raw_bps: Some(21.4),
        se_bps: Some(4.8),
        t_stat: Some(4.46),
        df: Some(187.0),
        p_value: 1.4e-5,
        effect_shrunk_family_bps: Some(3.0),
        effect_shrunk_event_bps: Some(9.0),
        effect_shrunk_state_bps: Some(16.0),
        shrinkage_weight_family: Some(0.62),
        shrinkage_weight_event: Some(0.71),
        shrinkage_weight_state: Some(0.79),
        posterior_mean_bps: Some(16.9),
        posterior_sd_bps: Some(4.0),
        ci_low_bps: Some(9.9),
        ci_high_bps: Some(23.8),
        lfsr: Some(0.004),
        lfsr_net: Some(0.01),
        e_value: 41.0,
        e_sym: 30.0,
        e_bet: 42.0,
        e_sup: 50.0,
        p_any: 0.0004,
        e_pair: 20.0,
        e_value_gross: 100.0,
        p_any_gross: 0.0001,
        anytime_lower_bps: Some(2.2),
        skewness: Some(0.1),
        worst_score: Some(-3.0),
        quarantined: false,
        influence: Influence::default(),
        weight_sum: 1e5,
        e_sup_date: Some("2026-02-28".into()),
        is_tied: false,
        definition_hash: "ab".into(),
        cohort: 1,
        p_threshold: Some(0.001),
        group_id: "VOLATILITY_TRANSITION|VOL_SHOCK|mean_reversion|60m".into(),
        q_value_group: 0.02,
        q_value_global: 0.031,
        q_value_by: 0.2,
        q_value_ebh: 0.3,
        q_value_seed: None,
        q_value: 0.031,
        is_discovery: true,
        after_cost_expectancy_bps: Some(4.9),
        stressed_after_cost_expectancy_bps: Some(1.2),
        first_half_bps: Some(18.2),
        second_half_bps: Some(15.7),
        gate_economic: true,
        gate_economic_conservative: true,
        gate_stability: true,
        gate_state_information: true,
        gate_sample_size: true,
        gate_lfsr: true,
        gate_phase2_final: true,
        bridge: None,
        promotion_track: PromotionTrack::Standard,
        fail_reasons: Vec::new(),
        ontology_spec_hash: "sha256:00".into(),
    }
}

fn with_horizon(bars: u32) -> Blueprint {
    let mut blueprint = example();
    blueprint.exit.time_stop_bars = bars;
    blueprint.lineage.candidate_id = format!("cand_{bars}");
    blueprint.id = blueprint.identity();
    blueprint
}

pub(crate) fn context(at: i64) -> PublishContext {
    PublishContext {
        published_at: Ts(at),
        run_id: format!("run-{at}"),
        ontology_spec_hash: "sha256:00".to_owned(),
        data_watermark: Ts(at),
        code_version: "test".to_owned(),
        verdicts: Verdicts::new(),
        lives: Lives::new(),
        reasons: vec!["no candidate passed".to_owned()],
    }
}

fn ids(version: &Version) -> Vec<&str> {
    version.blueprints.iter().map(|b| b.id.as_str()).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_example_of_the_contract_parses_and_prints_itself_sorted() {
    let blueprint: Blueprint = serde_json::from_str(EXAMPLE).unwrap();
    assert_eq!(blueprint.entry.entry_lag_bars, 1);
    let again: Blueprint = serde_json::from_str(&blueprint.line()).unwrap();
    assert_eq!(again, blueprint);
    assert!(blueprint.line().starts_with(r#"{"canonical_family":"VOLATILITY_TRANSITION","condition":"#));
}

#[test]
fn a_number_that_is_read_and_written_again_stays_what_it_was() {
    let mut blueprint = published(1);
    // Read by a fast parser this comes out one bit lower.
    blueprint.publication.as_mut().unwrap().p_any = 1.962_342_324_989_496_2e-5;
    assert_eq!(serde_json::from_str::<Blueprint>(&blueprint.line()).unwrap(), blueprint);
}

#[test]
fn the_id_is_the_hash_of_what_the_rule_is() {
    let blueprint = example();
    let mut same = blueprint.clone();
    same.revision = 9;
    same.evidence.n_events = 1;
    same.entry.cooldown_bars = 3;
    assert_eq!(same.identity(), blueprint.id);
    let mut other = blueprint.clone();
    other.entry.price = EntryPrice::Open;
    assert_ne!(other.identity(), blueprint.id);
    // The text that is hashed, spelled out: any language can check an id.
    let text = r#"{"condition":"vol_regime == 'high'","direction_rule":"fade","entry_lag_bars":1,"entry_price":"close","event_type":"VOL_SHOCK","horizon_bars":12,"symbol_scope_mode":"single_symbol","symbols":["BTCUSDT"]}"#;
    assert_eq!(blueprint.id, format!("bp_{}", &sha256_hex(text.as_bytes())[..16]));
}
