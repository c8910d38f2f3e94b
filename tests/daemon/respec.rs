//! Specs that change while it runs: what changed is computed again beside the live ticks, and the store ends
//! where a replay of all of history ends.

use backtestd_store::load_specs;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backtestd::daemon::client::Client;
use backtestd_core::graph::EngineOptions;
use backtestd_core::market::{BarIndex, DAY_MS, Source, Symbol, Ts};
use backtestd_core::pipeline::{Pipeline, PipelineConfig};
use backtestd_lab::sim::Scenario;
use backtestd_store::Store;
use serde_json::{Value, json};

use crate::support::{Home, begin, committed, copy_tree, exchange, exchange_of, spec_dir};

const SPEED: f64 = 600.0;
/// Long enough for thresholds over 30 days to be known: they need seven of them, on top of five.
const DAYS: i64 = 13;
/// The very last ticks may still be repaired.
const SETTLED: i64 = 4;

/// Columns that the daemon has for its two symbols, in the order of names.
fn collected() -> Vec<BTreeSet<Source>> {
    let others =
        [Source::FundingRate, Source::IsFundingPrint, Source::FundingIntervalH, Source::Oi, Source::OiValue];
    let all = Source::PERP_BAR.into_iter().chain(Source::SPOT_BAR).chain(others);
    vec![all.collect(); 2]
}

/// What is stored through a bar, and what a replay of the same raw log under the specs in `spec` gives.
fn stored_and_replayed(state: &Path, spec: &Path, through: BarIndex) -> (Vec<String>, Vec<String>) {
    let store = Store::open(state).unwrap();
    let symbols: Vec<Symbol> = ["BTCUSDT", "SOLUSDT"].map(|s| Symbol::new(s).unwrap()).to_vec();
    let first = Ts(begin().0 - DAYS * DAY_MS).bar();
    let end = through.next();
    let mut stored: Vec<String> =
        store.events(first, end).unwrap().iter().map(|x| format!("{x:?}")).collect();
    stored.extend(store.episode_ends(first, end).unwrap().iter().map(|x| format!("{x:?}")));
    stored.extend(store.outcomes(first, end).unwrap().iter().map(|x| format!("{x:?}")));
    let config = PipelineConfig {
        spec: Arc::new(load_specs(spec).unwrap()),
        symbols: symbols.clone(),
        collected: collected(),
        engine: EngineOptions::BATCH,
    };
    let mut pipeline = Pipeline::new(config, first).unwrap();
    pipeline.prime(&store.lead_in(&symbols, first, pipeline.lead_in_rows()).unwrap()).unwrap();
    let raw = store.raw(&symbols, first, (end - first) as usize).unwrap();
    let facts = pipeline.push(&raw).unwrap();
    let mut replayed: Vec<String> = facts.events.iter().map(|x| format!("{x:?}")).collect();
    replayed.extend(facts.ends.iter().map(|x| format!("{x:?}")));
    replayed.extend(facts.outcomes.iter().map(|x| format!("{x:?}")));
    stored.sort();
    replayed.sort();
    (stored, replayed)
}

fn assert_replayed(state: &Path, spec: &Path, through: BarIndex) -> usize {
    let (stored, replayed) = stored_and_replayed(state, spec, through);
    let differs = stored.iter().zip(&replayed).find(|(a, b)| a != b);
    assert!(
        differs.is_none() && stored.len() == replayed.len(),
        "{} stored, {} replayed; {differs:#?}",
        stored.len(),
        replayed.len()
    );
    stored.len()
}

/// A home with specs of its own.
fn home_with_specs(exchange: &backtestd_binance::venue::RunningExchange) -> (Home, std::path::PathBuf) {
    let mut home = Home::new(exchange, SPEED, DAYS);
    let spec = home.path("spec");
    copy_tree(&spec_dir(), &spec);
    home.set("spec", &spec.display().to_string());
    (home, spec)
}

fn edit(spec: &Path, file: &str, from: &str, to: &str) {
    let path = spec.join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no '{from}'");
    std::fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn is_in_force(status: &Value, other_than: &Value) -> bool {
    status["spec"]["hash"] != *other_than && status["spec"]["change"]["state"] == "in_force"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_threshold_that_changes_while_it_runs_recomputes_its_event_and_nothing_else() {
    let exchange = exchange(SPEED, false).await;
    let (mut home, spec) = home_with_specs(&exchange);
    home.set("recompute", "1d");
    home.set("keep-reports", "1");
    let mut daemon = home.start();
    let before = home.wait_until_live().await;
    let hash = before["spec"]["hash"].clone();
    let first_run = home.wait_for("a run", |s| s["discovery"]["last_run_id"].is_string()).await;
    let report = |status: &Value| home.path(status["discovery"]["last_report"].as_str().unwrap());
    assert!(report(&first_run).is_file());

    edit(&spec, "events/vol_spike.yaml", "spacing_bars: ", "spacing_bars: 1");
    let seen_phases = std::sync::Mutex::new(BTreeSet::new());
    let after = home
        .wait_for("the new spec", |s| {
            seen_phases.lock().unwrap().insert(s["state"].as_str().unwrap_or_default().to_owned());
            is_in_force(s, &hash)
        })
        .await;
    assert!(!seen_phases.lock().unwrap().contains("backfilling"), "ticks close all the while");
    let change = &after["spec"]["change"];
    assert!(change["why_everything"].is_null(), "{change}");
    assert_eq!(change["what"]["events_changed"], serde_json::json!(["VOL_SPIKE"]), "{change}");
    let nodes = |key: &str| change["what"][key].as_u64().unwrap();
    assert!(nodes("nodes_kept") > 100 && nodes("nodes_recomputed") < nodes("nodes"), "{change}");
    assert!(change["duration_ms"].is_u64() && change["replaced"]["outcomes_written"].is_u64(), "{change}");
    let second_run = home
        .wait_for("discovery under the new spec", |s| {
            s["discovery"]["last_run_id"].is_string()
                && s["discovery"]["last_run_id"] != first_run["discovery"]["last_run_id"]
        })
        .await;
    home.wait_for("only the newest report", |_| !report(&first_run).exists()).await;
    assert!(report(&second_run).is_file());
    let printed = home.command(&["status", "--socket"]).arg(home.socket()).output().unwrap();
    assert!(String::from_utf8_lossy(&printed.stdout).contains("events changed: VOL_SPIKE"));

    let tick = committed(&after);
    let last = home.wait_for("ticks", |s| committed(s).bar() > tick.bar() + 2 * SETTLED).await;
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
    let compared = assert_replayed(&home.path("state"), &spec, committed(&last).bar() - SETTLED);
    assert!(compared > 500, "only {compared} facts");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_of_a_change_it_comes_back_with_the_facts_of_one_spec() {
    let exchange = exchange(SPEED, false).await;
    let (home, spec) = home_with_specs(&exchange);
    let mut daemon = home.start();
    let mut hash = home.wait_until_live().await["spec"]["hash"].clone();
    let thresholds = ["0.98", "0.97", "0.96", "0.95"];
    for (kill, pair) in thresholds.windows(2).enumerate() {
        let text = |q: &str| format!("tq(vol_ratio, {q})");
        edit(&spec, "events/vol_shock.yaml", &text(pair[0]), &text(pair[1]));
        if kill > 0 {
            // Once before it is noticed, then while it is computed or just after.
            home.wait_for("the change", |s| s["spec"]["change"]["to"].is_string()).await;
        }
        tokio::time::sleep(Duration::from_millis(100 * kill as u64)).await;
        daemon.kill();
        daemon = home.start();
        let now = home.wait_for("live again", |s| s["state"] == "live" || s["state"] == "degraded").await;
        assert_ne!(now["spec"]["hash"], hash, "the tree on disk is in force");
        hash = now["spec"]["hash"].clone();
    }
    let last = home.wait_until_live().await;
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
    assert_replayed(&home.path("state"), &spec, committed(&last).bar() - SETTLED);
}

/// Days after which the planted edge below is published.
const PUBLISHED_AFTER_DAYS: i64 = 45;

/// A market whose one edge nobody can miss.
fn plain_edge() -> Scenario {
    let mut scenario = Scenario::default();
    scenario.faults.clear();
    for edge in &mut scenario.edges {
        edge.drift_bps = if edge.event_type == "VOL_SPIKE" { 300.0 } else { edge.drift_bps };
        edge.injected_per_10k = 60.0;
    }
    scenario
}

/// The manifest of the version in force.
fn manifest(home: &Home) -> Value {
    serde_json::from_slice(&std::fs::read(home.path("data/blueprints/current/manifest.json")).unwrap())
        .unwrap()
}

/// Hashes that the lines of the version in force carry.
fn hashes(home: &Home) -> BTreeSet<String> {
    let text = std::fs::read_to_string(home.path("data/blueprints/current/blueprints.jsonl")).unwrap();
    let line = |line: &str| serde_json::from_str::<Value>(line).unwrap();
    text.lines().map(|l| line(l)["lineage"]["ontology_spec_hash"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edited_spec_becomes_a_new_version_that_carries_its_hash() {
    let exchange = exchange_of(plain_edge(), SPEED).await;
    let mut home = Home::new(&exchange, SPEED, PUBLISHED_AFTER_DAYS);
    let spec = home.path("spec");
    copy_tree(&spec_dir(), &spec);
    home.set("spec", &spec.display().to_string());
    home.set("collect", "funding");
    // The test at one look needs fewer days than the one that holds at every look.
    edit(&spec, "gates.yaml", "publish_on: p_any", "publish_on: cr2_t");
    let mut daemon = home.start();
    let before = home.wait_until_live().await;
    let client = Client::new(&home.socket()).unwrap();
    let first = client.post("/v1/recompute", &json!({ "wait": true, "reason": "first" })).await.unwrap();
    let published = manifest(&home);
    assert_eq!(published["version"], first["version"]);
    assert_eq!(published["ontology_spec_hash"], before["spec"]["hash"]);
    assert!(published["counts"]["active"].as_u64().unwrap() > 0, "nothing to see: {first}");

    edit(&spec, "events/vol_spike.yaml", "spacing_bars: 12", "spacing_bars: 24");
    let after = home.wait_for("the new spec", |s| is_in_force(s, &before["spec"]["hash"])).await;
    let ran = home.wait_for("another version", |s| s["blueprints"]["version"] != first["version"]).await;
    let next = manifest(&home);
    assert_eq!(next["version"], ran["blueprints"]["version"]);
    assert_eq!(next["parent"], first["version"]);
    assert_eq!(next["ontology_spec_hash"], after["spec"]["hash"]);
    assert!(hashes(&home).contains(after["spec"]["hash"].as_str().unwrap()), "{next:#}");
    let runs = client.get("/v1/runs", &[]).await.unwrap();
    let reasons: BTreeSet<&str> =
        runs["runs"].as_array().unwrap().iter().filter_map(|r| r["reason"].as_str()).collect();
    assert_eq!(reasons, BTreeSet::from(["first", "spec change"]));
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_that_come_while_the_specs_are_read_are_answered_once_and_for_all() {
    let exchange = exchange(SPEED, false).await;
    let mut home = Home::new(&exchange, SPEED, 1);
    let spec = home.path("spec");
    copy_tree(&spec_dir(), &spec);
    home.set("spec", &spec.display().to_string());
    let mut daemon = home.start();
    let hash = home.wait_until_live().await["spec"]["hash"].clone();
    edit(&spec, "events/vol_spike.yaml", "spacing_bars: ", "spacing_bars: 1");
    // Far more than one reading lasts: some of these find one under way, and all of them must hear of the
    // next.
    let asked: Vec<_> = (0..6)
        .map(|_| {
            let socket = home.socket();
            tokio::spawn(async move {
                let client = Client::new(&socket).unwrap();
                client.post("/v1/reload", &json!({})).await.unwrap()
            })
        })
        .collect();
    for answer in asked {
        let answer = tokio::time::timeout(Duration::from_secs(60), answer).await.expect("an answer").unwrap();
        assert_ne!(answer["hash"], hash, "{answer}");
    }
    home.wait_for("the edit", |s| is_in_force(s, &hash)).await;
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
}
