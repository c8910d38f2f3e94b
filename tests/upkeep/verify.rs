//! Every kind of damage is found and named.

use backtestd_store::load_specs;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use backtestd::publish::{PublishContext, publish_version};
use backtestd::verify::{
    Area, FactsRange, check_blueprints, check_facts, check_lake, check_store, parquet_files,
};
use backtestd_core::graph::EngineOptions;
use backtestd_core::market::{BarIndex, FundingPrint, Market, Source, Ts};
use backtestd_core::market::{RawPut, Records};
use backtestd_core::pipeline::{Facts, Pipeline, PipelineConfig};
use backtestd_core::spec::CompiledSpec;
use backtestd_store::lake::export_raw;
use backtestd_store::{Delivery, FACTS_FIRST, Fsync, Lot, Origin, Store, TickCommit};
use serde_json::Value;

use crate::common::{START, market, spec_dir, symbols};

const ROWS: usize = 2200;
const FILE: Delivery<'_> = Delivery::new(Origin::Archive, "test");

fn spec() -> Arc<CompiledSpec> {
    Arc::new(load_specs(&spec_dir()).unwrap())
}

/// A store as a daemon leaves it: raw log, facts in chunks of 500, checkpoints. `tamper` sees facts before
/// they are committed.
fn build(dir: &Path, tamper: impl FnMut(&mut Facts)) -> Store {
    build_from(dir, true, tamper)
}

/// [`build`], with or without what was known before the first bar.
fn build_from(dir: &Path, primed: bool, mut tamper: impl FnMut(&mut Facts)) -> Store {
    let mut store = Store::open_with(dir, Fsync::Never).unwrap();
    let names = symbols(2);
    for (symbol, raw) in names.iter().zip(market(7, 2, ROWS).symbols) {
        let put = |records| RawPut { symbol: symbol.clone(), records };
        let puts: Vec<RawPut> = raw.into_records().into_iter().map(put).collect();
        store.put(&puts, FILE).unwrap();
        // What a store holds of the time before the facts: the settlement at their first bar's open and the
        // one before.
        let before = [8, 0]
            .map(|hours| FundingPrint::regular(Ts(START.open().0 - hours * 3_600_000), 0.0004, f64::NAN));
        store.put(&[put(Records::Funding(before.to_vec()))], FILE).unwrap();
    }
    store.put_meta(FACTS_FIRST, &START.0.to_le_bytes()).unwrap();
    let collected: BTreeSet<Source> = Source::ALL.iter().copied().collect();
    let config = PipelineConfig {
        spec: spec(),
        symbols: names.clone(),
        collected: vec![collected; 2],
        engine: EngineOptions { slack_rows: 64, threads: false },
    };
    let mut pipeline = Pipeline::new(config, START).unwrap();
    if primed {
        pipeline.prime(&store.lead_in(&names, START, pipeline.lead_in_rows()).unwrap()).unwrap();
    }
    while pipeline.next_bar() < START + ROWS as i64 {
        let first = pipeline.next_bar();
        let rows = 500.min((START + ROWS as i64 - first) as usize);
        let mut facts = pipeline.push(&store.raw(&names, first, rows).unwrap()).unwrap();
        tamper(&mut facts);
        let checkpoint = pipeline.checkpoint().unwrap();
        store
            .commit(&TickCommit {
                through: pipeline.next_bar() - 1,
                events: &facts.events,
                episode_ends: &facts.ends,
                outcomes: &facts.outcomes,
                checkpoint: Some(&checkpoint),
                ..TickCommit::default()
            })
            .unwrap();
    }
    store
}

fn facts(store: &Store, range: FactsRange) -> Area {
    check_facts(store, &spec(), range, &mut |_, _| {}).unwrap()
}

fn lines(area: &Area) -> Vec<String> {
    area.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_sound_store_is_proved_whole_and_from_a_checkpoint_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = build(dir.path(), |_| {});
    let area = check_store(&store, &mut |_| {}).unwrap();
    assert_eq!(lines(&area), [""; 0]);
    let whole = facts(&store, FactsRange::default());
    assert_eq!(lines(&whole), [""; 0]);
    assert!(whole.checked.contains("events") && !whole.checked.starts_with("0 events"), "{}", whole.checked);
    let tail = facts(&store, FactsRange { from: Some(START + 1700), end: None });
    assert_eq!(lines(&tail), [""; 0]);
    assert!(tail.checked.contains(&(START + 1500).to_string()), "from the checkpoint: {}", tail.checked);
}

#[test]
fn facts_that_begin_without_the_settlement_before_them_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = f64::NAN;
    let store = build_from(dir.path(), false, |facts| {
        let column = facts.columns.symbols[0].get(Source::FundingRate).unwrap();
        if facts.first == START {
            seen = column[0];
        }
    });
    assert!(seen.is_nan(), "the first row of a pipeline that knows nothing of the time before");
    assert_ne!(lines(&facts(&store, FactsRange::default())), [""; 0]);
}

#[test]
fn a_tampered_event_a_lost_outcome_and_a_foreign_end_are_named_with_both_values() {
    let dir = tempfile::tempdir().unwrap();
    let mut changed: Vec<String> = Vec::new();
    let store = build(dir.path(), |facts| {
        if facts.first == START + 1000 {
            let event = facts.events.iter_mut().find(|e| e.severity.is_finite()).unwrap();
            changed.push(format!("{}: severity: expected {:?}, found 123.5", event.id(), event.severity));
            event.severity = 123.5;
            let lost = facts.outcomes.remove(3);
            changed.push(format!(
                "{} {}: record: expected present, found absent",
                lost.event.id(),
                lost.horizon.label
            ));
            let end = facts.ends.last().unwrap().clone();
            let foreign = backtestd_core::outcomes::EpisodeEnd { onset: end.onset - 1, ..end };
            let id = backtestd_core::outcomes::event_id(&foreign.event_type, &foreign.symbol, foreign.onset);
            changed.push(format!("{id} exit {}: record: expected absent, found present", foreign.exit));
            facts.ends.push(foreign);
        }
    });
    let mut found = lines(&facts(&store, FactsRange::default()));
    found.sort();
    changed.sort();
    assert_eq!(found, changed);
    let elsewhere = FactsRange { from: Some(START + 1600), end: None };
    assert_eq!(lines(&facts(&store, elsewhere)), [""; 0]);
}

#[test]
fn history_that_changes_behind_the_facts_marks_them_stale_and_is_not_held_against_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = build(dir.path(), |_| {});
    let name = symbols(2).remove(1);
    let at = START + 1800;
    let mut bar = store.bars(Market::Perp, &name, at, at.next()).unwrap().remove(0);
    let delivery = Delivery::new(Origin::Archive, "again");
    let put = |bar| [RawPut { symbol: name.clone(), records: Records::Bars(Market::Perp, vec![bar]) }];
    store.put_history(&[Lot { puts: &put(bar), delivery, completes: None }], &[]).unwrap();
    assert_eq!(store.facts_dirty().unwrap(), None, "the same bar again changes nothing");
    bar.close *= 1.0001;
    bar.high = bar.high.max(bar.close);
    store.put_history(&[Lot { puts: &put(bar), delivery, completes: None }], &[]).unwrap();
    assert_eq!(store.facts_dirty().unwrap(), Some(at));
    let area = facts(&store, FactsRange::default());
    assert_eq!(lines(&area), [""; 0]);
    assert!(area.note.unwrap().contains(&at.to_string()));
}

#[test]
fn facts_of_other_specs_are_a_finding_that_names_both_hashes() {
    let dir = tempfile::tempdir().unwrap();
    let store = build(&dir.path().join("state"), |_| {});
    let tree = dir.path().join("spec");
    crate::support::copy_tree(&spec_dir(), &tree);
    let gates = std::fs::read_to_string(tree.join("gates.yaml")).unwrap();
    std::fs::write(
        tree.join("gates.yaml"),
        gates.replace("max_clustering_5b: 0.20", "max_clustering_5b: 0.21"),
    )
    .unwrap();
    let other = Arc::new(load_specs(&tree).unwrap());
    let area = check_facts(&store, &other, FactsRange::default(), &mut |_, _| {}).unwrap();
    let finding = &area.findings[0];
    assert_eq!((finding.field.as_str(), &finding.expected), ("ontology_spec_hash", &other.hash));
    assert_eq!(finding.found, spec().hash);
}

fn exported(dir: &Path) -> Vec<PathBuf> {
    let store = build(&dir.join("state"), |_| {});
    export_raw(&store, &dir.join("data/lake"), &[], BarIndex(0), BarIndex(i64::MAX / 2)).unwrap();
    parquet_files(&dir.join("data")).unwrap()
}

#[test]
fn a_flipped_byte_anywhere_in_a_parquet_file_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let files = exported(dir.path());
    assert!(files.len() >= 12, "{files:?}");
    assert_eq!(lines(&check_lake(&files, false, &mut |_, _| {})), [""; 0]);
    let file = files.iter().find(|f| f.to_string_lossy().contains("BTCUSDT/funding")).unwrap();
    let good = std::fs::read(file).unwrap();
    for at in (0..good.len()).step_by(23).chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(file, &bad).unwrap();
        let area = check_lake(std::slice::from_ref(file), false, &mut |_, _| {});
        assert_eq!(area.count(), 1, "byte {at} of {}", good.len());
        assert_eq!(area.findings[0].subject, file.display().to_string());
    }
}

fn publish(dir: &Path, at_ms: i64) {
    let context = PublishContext {
        published_at: Ts(at_ms),
        run_id: format!("run-{at_ms}"),
        ontology_spec_hash: "sha256:00".to_owned(),
        data_watermark: Ts(at_ms),
        code_version: "test".to_owned(),
        verdicts: backtestd_core::blueprints::Standings::default(),
        lives: backtestd_core::blueprints::Lives::new(),
        overlap: backtestd_core::blueprints::OverlapFacts::default(),
        reasons: Vec::new(),
        memory: None,
    };
    publish_version(&dir.join("blueprints"), &[], &context).unwrap();
}

#[test]
fn a_changed_line_and_a_current_that_points_elsewhere_are_found() {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), 1_772_000_000_000);
    assert_eq!(lines(&check_blueprints(dir.path())), [""; 0]);
    let lines_file = dir.path().join("blueprints/v000001/blueprints.jsonl");
    std::fs::write(&lines_file, "{}\n").unwrap();
    let area = check_blueprints(dir.path());
    assert_eq!(area.findings[0].subject, lines_file.display().to_string());
    assert_eq!((area.findings[0].field.as_str(), area.findings[0].expected.as_str()), ("length", "0"));
    std::fs::write(&lines_file, "").unwrap();
    let current = dir.path().join("blueprints/current");
    std::fs::remove_file(&current).unwrap();
    assert_eq!(check_blueprints(dir.path()).findings[0].found, "no link");
    std::os::unix::fs::symlink("v000009", &current).unwrap();
    let finding = &check_blueprints(dir.path()).findings[0];
    assert_eq!((finding.expected.as_str(), finding.found.as_str()), ("v000001", "v000009"));
}

#[test]
fn the_command_exits_with_0_when_sound_and_with_3_and_the_place_when_not() {
    let dir = tempfile::tempdir().unwrap();
    let files = exported(dir.path());
    publish(&dir.path().join("data"), 1_772_000_000_000);
    let verify = |flags: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_backtestd"))
            .args(["verify", "--json", "--state"])
            .arg(dir.path().join("state"))
            .arg("--data-root")
            .arg(dir.path().join("data"))
            .arg("--spec")
            .arg(spec_dir())
            .args(flags)
            .output()
            .unwrap();
        let json: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), json)
    };
    let (code, json) = verify(&[]);
    assert_eq!((code, &json["sound"]), (Some(0), &Value::Bool(true)), "{json:#}");
    assert_eq!(verify(&["--quick"]).0, Some(0));
    let mut bytes = std::fs::read(&files[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&files[0], bytes).unwrap();
    let (code, json) = verify(&["--quick"]);
    assert_eq!(code, Some(3));
    let lake = json["areas"].as_array().unwrap().iter().find(|a| a["area"] == "lake").unwrap();
    assert_eq!(lake["findings"][0]["subject"], files[0].display().to_string());
}
