//! Shifted thresholds in a whole research run: what a run says of an event with every threshold lower and
//! higher is what runs say whose specs were written so.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backtestd::research::{Request, run};
use backtestd_core::market::{Bar, Market, RawPut, Records, Symbol, Ts};
use backtestd_core::spec::CompiledSpec;
use backtestd_lab::sim::{Market as Simulated, Scenario};
use backtestd_store::{Delivery, Fsync, Origin, Store, read_files};
use serde_json::Value;

use super::common::spec_dir;

const DAYS: usize = 90;
const WHEN: &str = "rsurp >= tq(rsurp, 0.995)";

/// A market of three symbols with one edge, on `VOL_SPIKE`, that three months suffice for.
fn scenario() -> Scenario {
    let mut scenario = Scenario::default();
    scenario.symbols.truncate(3);
    scenario.faults.clear();
    scenario.edges.retain(|edge| edge.event_type == "VOL_SPIKE");
    let edge = scenario.edges.first_mut().unwrap();
    (edge.drift_bps, edge.injected_per_10k) = (240.0, 110.0);
    scenario
}

fn names(scenario: &Scenario) -> Vec<Symbol> {
    let mut names: Vec<Symbol> = scenario.symbols.iter().map(|s| s.name.clone()).collect();
    names.sort();
    names
}

/// The log that the exchange's archive would leave.
fn fill(store: &mut Store, scenario: &Scenario, simulated: &Simulated) {
    for listed in &scenario.symbols {
        let at = simulated.position(&listed.name).unwrap();
        let rows = simulated.bars(at, simulated.genesis(), DAYS * 288);
        let perp = rows.iter().map(|row| Bar {
            bar: row.bar,
            open: row.perp.open,
            high: row.perp.high,
            low: row.perp.low,
            close: row.perp.close,
            volume: row.perp.volume,
            quote_volume: row.perp.quote_volume,
            trades: row.perp.trades,
            taker_buy_volume: row.perp.taker_buy_volume,
            taker_buy_quote: row.perp.taker_buy_quote,
        });
        let put =
            RawPut { symbol: listed.name.clone(), records: Records::Bars(Market::Perp, perp.collect()) };
        store.put(&[put], Delivery::new(Origin::Archive, "test")).unwrap();
    }
}

/// What a run says of every candidate of `VOL_SPIKE` that the bridge traded, by candidate and side.
fn research(
    root: &Path,
    store: &mut Store,
    name: &str,
    edits: &[(&str, &str, &str)],
) -> BTreeMap<String, Value> {
    let mut files = read_files(&spec_dir()).unwrap();
    for (path, from, to) in edits {
        let file = files.get_mut(*path).unwrap();
        assert!(file.text.contains(from), "{path} has {from}");
        file.text = file.text.replacen(from, to, 1).into();
    }
    let spec = CompiledSpec::from_files(&spec_dir(), &files).unwrap_or_else(|errors| panic!("{errors}"));
    let first = scenario().genesis_bar();
    let bars = first..first + (DAYS * 288) as i64;
    let request = Request::plain(&Arc::new(spec), names(&scenario()), bars, root.join(name));
    let summary = run(store, &request, Ts(0), &mut |_, _, _| {}).unwrap();
    let file = root.join(name).join("reports/strategy_blueprints").join(&summary.run_id);
    let text = std::fs::read_to_string(file.join("blueprint_summary.json")).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    let lines = written["bridge"].as_array().unwrap().iter().filter(|l| l["event_type"] == "VOL_SPIKE");
    let key = |l: &Value| format!("{} {}", l["candidate_id"], l["direction_rule"]);
    lines.map(|l| (key(l), l.clone())).collect()
}

#[test]
fn a_whole_run_with_shifted_thresholds_says_what_runs_with_these_thresholds_say() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open_with(&dir.path().join("state"), Fsync::Never).unwrap();
    fill(&mut store, &scenario(), &Simulated::new(1, Arc::new(scenario())));
    let shift = ("strategies/default.yaml", "threshold_shift: null", "threshold_shift: 0.1");
    let shifted = research(dir.path(), &mut store, "shifted", &[shift]);
    let mut compared = 0;
    for (factor, when) in
        [("x0.9", "rsurp >= 0.9 * tq(rsurp, 0.995)"), ("x1.1", "rsurp >= 1.1 * tq(rsurp, 0.995)")]
    {
        let edited = ("events/vol_spike.yaml", WHEN, when);
        let other = research(dir.path(), &mut store, factor, &[edited]);
        for (candidate, line) in &shifted {
            let said = &line["after_cost_bps_by_threshold_factor"][factor];
            // With other events the other side may be the likelier one.
            let (Some(said), Some(other)) = (said.as_f64(), other.get(candidate)) else { continue };
            let found = other["after_cost_bps"].as_f64().unwrap();
            assert!((said - found).abs() < 1e-9, "{candidate} {factor}: {said}, and by itself {found}");
            assert!(
                (said - line["after_cost_bps"].as_f64().unwrap()).abs() > 1e-6,
                "{candidate}: other events"
            );
            compared += 1;
        }
    }
    assert!(compared >= 1, "{compared} of {} compared", shifted.len());
    // And as a gate, which nothing passes that asks for more than there was.
    let gate = ("gates.yaml", "min_threshold_share: null", "min_threshold_share: 0.999");
    let gated = research(dir.path(), &mut store, "gated", &[shift, gate]);
    for (candidate, line) in gated.iter().filter(|(_, l)| l["threshold_share"].is_number()) {
        let share = line["threshold_share"].as_f64().unwrap();
        let has_failed = line["fail_reasons"].to_string().contains("BRIDGE_THRESHOLDS_GATE");
        assert_eq!(has_failed, share < 0.999, "{candidate}: {share}");
        assert_eq!(line["blueprint_id"].is_null(), has_failed, "{candidate}");
    }
    assert!(gated.values().any(|l| l["threshold_share"].is_number()));
}
