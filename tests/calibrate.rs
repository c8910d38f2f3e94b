//! Discovery keeps its promises: a small, fixed calibration. `backtestd calibrate` is the large one.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use backtestd_store::load_specs;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backtestd_core::discovery::{DiscoveryConfig, discover};
use backtestd_core::spec::gates::{CatalogueKind, FamiliesFile, GatesSpec, Procedure};
use backtestd_lab::calibrate::{
    Decider, Grade, Lab, Names, PipelineLevel, RunResult, Study, WorldKind, judge, many, simulate, tally,
};
use backtestd_lab::sim::Scenario;

fn gates() -> GatesSpec {
    serde_saphyr::from_str(include_str!("../spec/gates.yaml")).unwrap()
}

fn families() -> FamiliesFile {
    serde_saphyr::from_str(include_str!("../spec/multiplicity/families.yaml")).unwrap()
}

fn study(days: usize) -> Study {
    Study::new(Lab::default().over_days(days), gates(), families()).unwrap()
}

fn runs(study: &Study, kind: WorldKind, seed: u64, n: usize, jobs: usize) -> Vec<RunResult> {
    many(n, jobs, &|i| study.run(seed + i as u64, kind), &|| ())
        .unwrap()
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap()
}

#[test]
fn null_worlds_publish_nothing_their_p_values_are_careful_and_the_canaries_fail() {
    let study = study(300);
    let results = runs(&study, WorldKind::Null, 500, 12, 2);
    let tally = tally(WorldKind::Null, &results, study.lab());
    let production = &tally.deciders[&Decider::Production];
    assert_eq!(production.false_per_run.value, Some(0.0));
    for (level, ratio) in &tally.p_any_ratio {
        let (value, se) = (ratio.value.unwrap(), ratio.se.unwrap());
        assert!(value <= 1.0 + 2.0 * se, "P(p_any <= {level}) / {level} is {value} ± {se}");
    }
    // The harness must be able to see what it looks for: the same worlds, the same evenings, wrong tests.
    let iid = &tally.deciders[&Decider::IidT];
    assert!(iid.any_false.value.unwrap() > 0.5, "{:?}", iid.any_false);
    let cr2 = &tally.deciders[&Decider::DailyCr2];
    assert!(cr2.any_false.value.unwrap() > 0.0, "{:?}", cr2.any_false);
    let worlds = BTreeMap::from([(WorldKind::Null, tally)]);
    let failed: Vec<String> = judge(&worlds, None, &[], study.lab())
        .into_iter()
        .filter(|c| c.verdict == Grade::Fail)
        .map(|c| c.what)
        .collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn planted_edges_are_found_on_their_side_and_what_is_false_with_them_is_within_the_promise() {
    let study = study(500);
    let results = runs(&study, WorldKind::Struct, 900, 8, 2);
    let found: usize = results.iter().map(|r| r.publications.len()).sum();
    assert!(found > results.len(), "planted edges are found in most worlds");
    let mut false_share = 0.0;
    for run in &results {
        assert!(run.nested, "a published hypothesis was taken back");
        assert!(run.agrees, "the daily look and the full conclusion differ");
        let errors = &run.errors[&Decider::Production];
        assert_eq!(run.publications.iter().filter(|p| p.truth_bps <= 0.0).count(), errors.ever.1);
        assert!(run.publications.iter().all(|p| p.raw_bps > 0.0), "{:?}", run.publications);
        false_share += errors.ever.1 as f64 / errors.ever.0.max(1) as f64;
    }
    let mean = false_share / results.len() as f64;
    assert!(mean <= 0.05, "a share of {mean} of what was ever published is false");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let study = study(60);
    for kind in [WorldKind::Skew, WorldKind::Subcost, WorldKind::Retire] {
        assert_eq!(runs(&study, kind, 40, 3, 1), runs(&study, kind, 40, 3, 3), "{kind}");
    }
}

#[test]
fn looking_every_day_publishes_what_one_batch_over_the_history_publishes() {
    let study = study(500);
    let run = runs(&study, WorldKind::Struct, 900, 1, 1).remove(0);
    let lab = Lab::default().over_days(500);
    let names = Names::new(&lab).unwrap();
    let world = simulate(900, WorldKind::Struct, &lab, &names).unwrap();
    let mut gates = gates();
    gates.multiplicity.publish_with = Procedure::Global;
    gates.multiplicity.catalogue = CatalogueKind::Closed;
    let config = DiscoveryConfig {
        gates,
        families: families(),
        catalogue: None,
        closed_through: None,
        entry_lag_bars: 1,
        spec_hash: "".into(),
        excluded: Vec::new(),
        lacking: Vec::new(),
    };
    // Every event type, symbol and horizon of the lab occurs, so that the table's own catalogue is the lab's.
    assert_eq!(config.catalogue(&world.table).units, names.catalogue(&families()).units);
    let batch =
        discover(&world.table, &config).candidates.iter().filter(|c| c.judgement.is_discovery).count();
    assert_eq!(batch, run.publications.len());
}

#[test]
fn the_whole_pipeline_finds_nothing_where_nothing_is() {
    let spec = load_specs(&Path::new(env!("CARGO_MANIFEST_DIR")).join("spec")).unwrap();
    let mut scenario = Scenario { edges: Vec::new(), faults: Vec::new(), ..Scenario::default() };
    scenario.symbols.truncate(2);
    let level = PipelineLevel { spec: Arc::new(spec), scenario, days: 45 };
    let run = level.run(77).unwrap();
    assert!(run.events > 1000 && run.outcomes > run.events, "{run:?}");
    assert_eq!((run.discoveries, run.blueprints), ((0, 0), (0, 0)));
    assert_eq!(run, level.run(77).unwrap(), "the same seed gives the same market");
}
