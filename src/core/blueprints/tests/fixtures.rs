//! Blueprints and candidates like the contract's example. The shell's tests include this file too, hence its
//! paths.

use std::sync::Arc;

use backtestd_core::blueprints::{Blueprint, PublicationFacts};
use backtestd_core::discovery::{
    Candidate, Condition, DirectionRule, Influence, Judgement, Measured, PromotionTrack, Scope,
};
use backtestd_core::market::Symbol;
use backtestd_core::outcomes::Horizon;

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
        measured: Measured {
            candidate_id: "cand_0".to_owned(),
            canonical_family: "VOLATILITY_TRANSITION".into(),
            event_type: "VOL_SHOCK".into(),
            template_verb: "mean_reversion".into(),
            template_aliases: Arc::from(["overshoot_repair".into()]),
            horizon: Horizon::parse("60m").unwrap(),
            state: Some(Condition {
                id: "vol_regime_high".into(),
                expression: "vol_regime == 'high'".into(),
            }),
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
            claim: None,
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
            first_half_bps: Some(18.2),
            second_half_bps: Some(15.7),
            ontology_spec_hash: "sha256:00".into(),
        },
        judgement: Judgement {
            is_discovery: true,
            after_cost_expectancy_bps: Some(4.9),
            stressed_after_cost_expectancy_bps: Some(1.2),
            gate_economic: true,
            gate_economic_conservative: true,
            gate_stability: true,
            gate_state_information: true,
            gate_sample_size: true,
            gate_lfsr: true,
            gate_phase2_final: true,
            promotion_track: PromotionTrack::Standard,
            fail_reasons: Vec::new(),
            checks: Vec::new(),
        },
        bridge: None,
    }
}

pub(crate) fn with_horizon(bars: u32) -> Blueprint {
    let mut blueprint = example();
    blueprint.exit.time_stop_bars = bars;
    blueprint.lineage.candidate_id = format!("cand_{bars}");
    blueprint.id = blueprint.identity();
    blueprint
}

/// Published on a 1st of March, monitored since.
pub(crate) fn published(id: u32) -> Blueprint {
    let mut blueprint = with_horizon(id);
    blueprint.publication = Some(PublicationFacts {
        closed_through: "2026-02-28".to_owned(),
        definition_hash: format!("definition {id}"),
        catalogue_hash: "sha256:cc".to_owned(),
        cohort: 1,
        cohort_trials: 100,
        cohort_budget: 0.6,
        trials: 100,
        procedure: "global".to_owned(),
        max_q_value: 0.05,
        rejected: 3,
        p_threshold: Some(0.001),
        p_any: 0.0004,
        q_value: 0.02,
        claim_gross_bps: 16.9,
        cost_bps: 12.0,
        replay: None,
    });
    blueprint
}
