//! Publishing, crashes, diffs and triggers, on a blueprint like the contract's example.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::publish::{Step, publish_stepwise};
use super::*;
use crate::discovery::{Candidate, Condition, DirectionRule, PromotionTrack, Scope};
use crate::events::Event;
use crate::market::{BarIndex, Symbol, Ts};
use crate::outcomes::{EntryPrice, Horizon};

/// The contract's example line.
pub(crate) const EXAMPLE: &str = include_str!("example.jsonl");

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

#[test]
fn the_first_publication_may_be_empty_and_says_why() {
    let root = tempfile::tempdir().unwrap();
    let published = publish_version(root.path(), &[], &context(1)).unwrap();
    assert!(published.changed);
    assert_eq!(published.version, "v000001");
    assert_eq!(published.manifest.reasons, ["no candidate passed"]);
    assert!(read_current(root.path()).unwrap().unwrap().blueprints.is_empty());
    assert!(!publish_version(root.path(), &[], &context(2)).unwrap().changed);
}

#[test]
fn a_version_appears_only_when_the_content_changed() {
    let root = tempfile::tempdir().unwrap();
    let mut blueprint = example();
    publish_version(root.path(), std::slice::from_ref(&blueprint), &context(1)).unwrap();
    // A later run with the same content: only its provenance differs.
    blueprint.lineage.run_id = "later".to_owned();
    blueprint.lineage.data_watermark_ns += 1;
    blueprint.discovered_through_ns = blueprint.discovered_through_ns.map(|ns| ns + 1);
    let second = publish_version(root.path(), std::slice::from_ref(&blueprint), &context(2)).unwrap();
    assert!(!second.changed);
    assert_eq!(second.version, "v000001");

    blueprint.evidence.n_events += 1;
    let third = publish_version(root.path(), std::slice::from_ref(&blueprint), &context(3)).unwrap();
    assert!(third.changed);
    assert_eq!(third.manifest.parent.as_deref(), Some("v000001"));
    assert_eq!(third.manifest.changed[0].why, "evidence.n_events 312 -> 313");
    assert_eq!(third.blueprints[0].revision, 2);
    assert_eq!(third.blueprints[0].lineage.first_published.as_deref(), Some("v000001"));
    assert_eq!(third.blueprints[0].lineage.run_id, "later");
}

#[test]
fn a_retired_blueprint_is_listed_once_more_and_then_gone() {
    let root = tempfile::tempdir().unwrap();
    let blueprint = example();
    publish_version(root.path(), std::slice::from_ref(&blueprint), &context(1)).unwrap();
    let second = publish_version(root.path(), &[], &context(2)).unwrap();
    assert_eq!(second.blueprints[0].status, Status::Retired);
    assert_eq!(second.manifest.retired[0].why, "the run no longer tests it");
    assert_eq!(second.manifest.counts.retired, 1);
    let third = publish_version(root.path(), &[], &context(3)).unwrap();
    assert!(third.changed && third.blueprints.is_empty());
    assert!(!publish_version(root.path(), &[], &context(4)).unwrap().changed);
    // Should it return, its revision goes on and it remembers when it was first seen.
    let fourth = publish_version(root.path(), std::slice::from_ref(&blueprint), &context(5)).unwrap();
    assert_eq!(fourth.blueprints[0].revision, 3);
    assert_eq!(fourth.blueprints[0].lineage.first_published.as_deref(), Some("v000001"));
    assert!(fourth.manifest.departed.is_empty());
}

fn verdict(weakened: Option<Status>) -> Verdict {
    Verdict {
        direction_rule: DirectionRule::Fade,
        compiled_as: None,
        weakened,
        why: "ECONOMIC_GATE: x -1 is not >= 0.1".to_owned(),
    }
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

fn monitored(suspended_on: Option<&str>, retired_on: Option<&str>) -> Life {
    Life::Monitored(Monitoring {
        since: "2026-03-01".to_owned(),
        closed_through: "2026-05-01".to_owned(),
        active_days: 40,
        n_events: 90,
        mean_bps: Some(1.0),
        after_cost_bps: Some(-11.0),
        claim_gross_bps: 16.9,
        floor_bps: 12.0,
        e_value: 0.2,
        e_sup: 1.1,
        confirmed_on: None,
        detector: 250.0,
        detector_max: 260.5,
        suspended_on: suspended_on.map(str::to_owned),
        retired_on: retired_on.map(str::to_owned),
    })
}

#[test]
fn a_publication_stands_although_it_would_not_be_made_today() {
    let root = tempfile::tempdir().unwrap();
    let blueprint = published(12);
    publish_version(root.path(), std::slice::from_ref(&blueprint), &context(1)).unwrap();
    let mut weak = context(2);
    weak.verdicts = Verdicts::from([(blueprint.lineage.candidate_id.clone(), verdict(None))]);
    assert!(!publish_version(root.path(), &[], &weak).unwrap().changed, "no gate and no q takes it back");
    // Where the spec asks for it, it is watched for as long as that holds.
    weak.verdicts = Verdicts::from([(blueprint.lineage.candidate_id.clone(), verdict(Some(Status::Watch)))]);
    let second = publish_version(root.path(), &[], &weak).unwrap();
    assert_eq!(second.blueprints[0].status, Status::Watch);
    assert_eq!(second.manifest.changed[0].why, "ECONOMIC_GATE: x -1 is not >= 0.1");
    assert!(!publish_version(root.path(), &[], &weak).unwrap().changed);
    let third = publish_version(root.path(), std::slice::from_ref(&blueprint), &context(3)).unwrap();
    assert_eq!(third.blueprints[0].status, Status::Active);
}

#[test]
fn monitoring_suspends_then_retires_and_what_it_retired_does_not_return_under_its_definition() {
    let root = tempfile::tempdir().unwrap();
    let blueprint = published(12);
    let publish = |compiled: &[Blueprint], at: i64, life: Option<Life>| {
        let mut context = context(at);
        context.lives = life.into_iter().map(|life| (blueprint.id.clone(), life)).collect();
        publish_version(root.path(), compiled, &context).unwrap()
    };
    let same = std::slice::from_ref(&blueprint);
    publish(same, 1, None);
    let second = publish(same, 2, Some(monitored(Some("2026-04-20"), None)));
    assert_eq!(second.blueprints[0].status, Status::Watch, "although it passes every gate");
    assert_eq!(
        second.manifest.changed[0].why,
        "monitoring: suspended on 2026-04-20: the detector of a mean below 12 bps reached 260.5 over 40 active days since \
         2026-03-01"
    );
    assert_eq!(second.blueprints[0].publication, blueprint.publication, "what stood then stands");
    let third = publish(same, 3, Some(monitored(Some("2026-04-20"), Some("2026-05-01"))));
    assert!(third.manifest.retired[0].why.starts_with("monitoring: retired on 2026-05-01"));
    let fourth = publish(same, 4, None);
    assert!(fourth.blueprints.is_empty());
    let again = publish(same, 5, None);
    assert!(!again.changed && again.blueprints.is_empty());
    // The same names under another definition are another trial.
    let mut other = blueprint.clone();
    other.publication.as_mut().unwrap().definition_hash = "definition of another trial".to_owned();
    let fifth = publish(&[other], 6, None);
    assert_eq!(fifth.blueprints[0].status, Status::Active);
    assert_eq!(fifth.manifest.added.len(), 1);
}

#[test]
fn a_hypothesis_is_published_on_one_side_only() {
    let root = tempfile::tempdir().unwrap();
    let blueprint = published(12);
    publish_version(root.path(), std::slice::from_ref(&blueprint), &context(1)).unwrap();
    let mut turned = blueprint.clone();
    turned.direction_rule = DirectionRule::Follow;
    turned.id = turned.identity();
    let mut second = context(2);
    second.verdicts = Verdicts::from([(
        blueprint.lineage.candidate_id,
        Verdict { compiled_as: Some(turned.id.clone()), ..verdict(None) },
    )]);
    let after = publish_version(root.path(), &[turned, published(24)], &second).unwrap();
    let sides: Vec<_> = after.blueprints.iter().map(|b| (b.exit.time_stop_bars, b.direction_rule)).collect();
    assert!(sides.contains(&(12, DirectionRule::Fade)) && !sides.contains(&(12, DirectionRule::Follow)));
    assert!(after.manifest.reasons.iter().any(|r| r.contains("only monitoring ends that")));
}

#[test]
fn a_changed_definition_ends_the_old_publication() {
    let root = tempfile::tempdir().unwrap();
    let blueprint = published(12);
    publish_version(root.path(), std::slice::from_ref(&blueprint), &context(1)).unwrap();
    let mut second = context(2);
    second.lives = Lives::from([(blueprint.id, Life::Gone("the definition has changed".to_owned()))]);
    let after = publish_version(root.path(), &[], &second).unwrap();
    assert_eq!(after.manifest.retired[0].why, "the definition has changed");
}

#[test]
fn a_crash_at_any_step_leaves_the_old_version_or_the_new_one_and_the_next_publication_cleans_up() {
    let steps =
        [Step::FilesWritten, Step::FolderSynced, Step::LinkWritten, Step::FolderRenamed, Step::LinkSwapped];
    let (old, new) = (with_horizon(12), with_horizon(24));
    for crash in steps {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path();
        publish_version(dir, std::slice::from_ref(&old), &context(1)).unwrap();
        let both = [old.clone(), new.clone()];
        let stopped = publish_stepwise(dir, &both, &context(2), &mut |step| {
            if step == crash { Err(io::Error::other("power cut")) } else { Ok(()) }
        });
        assert!(stopped.is_err());
        let seen = read_current(dir).unwrap().unwrap();
        let expected = if crash == Step::LinkSwapped { 2 } else { 1 };
        assert_eq!(seen.blueprints.len(), expected, "after a crash at {crash:?}");

        let after = publish_version(dir, &both, &context(3)).unwrap();
        assert_eq!(after.version, "v000002", "after a crash at {crash:?}");
        // Had the version existed, it is the one in force now; else it was made anew.
        let survived = crash >= Step::FolderRenamed;
        assert_eq!(after.manifest.published_at_ns, if survived { 2_000_000 } else { 3_000_000 });
        assert_eq!(names(dir), [".lock", "current", "v000001", "v000002"]);
        assert_eq!(ids(&read_current(dir).unwrap().unwrap()).len(), 2);
    }
}

#[test]
fn a_crash_during_the_very_first_publication_leaves_no_version() {
    for crash in [Step::FilesWritten, Step::LinkWritten] {
        let root = tempfile::tempdir().unwrap();
        let stopped = publish_stepwise(root.path(), &[example()], &context(1), &mut |step| {
            if step == crash { Err(io::Error::other("power cut")) } else { Ok(()) }
        });
        assert!(stopped.is_err());
        assert!(read_current(root.path()).unwrap().is_none());
        assert_eq!(publish_version(root.path(), &[], &context(2)).unwrap().version, "v000001");
    }
}

#[test]
fn an_operator_who_goes_back_to_an_older_version_is_not_overruled() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path();
    let (old, new) = (with_horizon(12), with_horizon(24));
    publish_version(dir, std::slice::from_ref(&old), &context(1)).unwrap();
    publish_version(dir, &[old.clone(), new], &context(2)).unwrap();
    fs::remove_file(dir.join("current")).unwrap();
    std::os::unix::fs::symlink("v000001", dir.join("current")).unwrap();
    let same = publish_version(dir, std::slice::from_ref(&old), &context(3)).unwrap();
    assert!(!same.changed);
    assert_eq!(same.version, "v000001");
    let third = publish_version(dir, &[with_horizon(3)], &context(4)).unwrap();
    assert_eq!(third.version, "v000003", "a version number is never used twice");
    assert_eq!(third.manifest.parent.as_deref(), Some("v000001"));
}

#[test]
fn a_torn_version_is_refused_with_the_file_and_the_reason() {
    let root = tempfile::tempdir().unwrap();
    publish_version(root.path(), &[example()], &context(1)).unwrap();
    let lines = root.path().join("v000001/blueprints.jsonl");
    let text = fs::read_to_string(&lines).unwrap();
    fs::write(&lines, text.replace("\"n_events\":312", "\"n_events\":999")).unwrap();
    let error = read_current(root.path()).unwrap_err().to_string();
    assert!(error.contains("blueprints.jsonl: sha256 is"), "{error}");
    fs::write(&lines, &text[..text.len() / 2]).unwrap();
    let error = read_current(root.path()).unwrap_err().to_string();
    assert!(error.contains("length is"), "{error}");
    assert!(publish_version(root.path(), &[], &context(2)).is_err(), "nothing is published on damage");
}

#[test]
fn a_backtest_reads_the_version_that_was_in_force_at_its_time() {
    let root = tempfile::tempdir().unwrap();
    publish_version(root.path(), &[], &context(10)).unwrap();
    publish_version(root.path(), &[example()], &context(20)).unwrap();
    let at = |ms: i64| version_as_of(root.path(), Ts(ms).nanos()).unwrap().map(|v| v.manifest.version);
    assert_eq!(at(9), None);
    assert_eq!(at(10).as_deref(), Some("v000001"));
    assert_eq!(at(19).as_deref(), Some("v000001"));
    assert_eq!(at(20).as_deref(), Some("v000002"));
}

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
