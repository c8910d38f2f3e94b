//! The shipped specs as a whole, and how the loader speaks about broken ones.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
mod copy;
mod errors;
mod explain;
mod extend;
mod guide;
mod leaves;
mod new_event;
mod readers;
mod schemas;
mod tree;

use backtestd_store::load_specs;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::recorded::skipped;
use copy::Copy;

use backtestd_core::graph::facts;
use backtestd_core::market::Source;
use backtestd_core::spec::{CompiledSpec, GraphSize, SpecReport, explain};
use backtestd_store::spec_files;

fn shipped_dir() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/spec"))
}

fn shipped() -> CompiledSpec {
    load_specs(shipped_dir()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_shipped_specs_compile_and_are_complete() {
    let spec = shipped();
    let report = SpecReport::of(&spec);
    let families: Vec<(&str, usize)> = report.families.iter().map(|(f, n)| (f.as_str(), *n)).collect();
    assert_eq!(
        families,
        [
            ("LIQUIDITY_DISLOCATION", 8),
            ("VOLATILITY_TRANSITION", 6),
            ("FUNDING_EPISODE", 5),
            ("POSITIONING_EXTREMES", 5),
            ("FORCED_FLOW", 5),
            ("TREND_STRUCTURE", 6),
            ("STATISTICAL_DISLOCATION", 5),
            ("REGIME_TRANSITION", 5),
            ("INFORMATION_DESYNC", 5),
            ("TEMPORAL_STRUCTURE", 4),
            ("EXECUTION_FRICTION", 3),
        ]
    );
    assert_eq!((report.events, report.states, report.features, report.macros), (57, 53, 77, 8));
    assert_eq!(report.findings, Vec::<String>::new());
    assert_eq!(spec.states.iter().filter(|s| s.family_wide).count(), 6);
}

/// The sizes that the catalogue of definitions states for the graph with equal expressions shared.
#[test]
fn equal_expressions_are_shared_across_all_specs() {
    let size = SpecReport::of(&shipped()).graph;
    assert_eq!(
        size,
        GraphSize {
            nodes: size.nodes,
            calls: 702,
            order_statistics: 92,
            order_windows: 53,
            order_window_values: 351_324,
            longest_look_back_rows: 14_834,
        }
    );
    assert!(size.nodes < 1_600, "{} nodes", size.nodes);
}

#[test]
fn metadata_stands_in_the_order_of_the_graph() {
    let spec = shipped();
    let graph = &spec.graph;
    let names: Vec<_> = graph.events.iter().map(|e| (&e.event_type, &e.family)).collect();
    assert_eq!(names, spec.events.iter().map(|e| (&e.event_type, &e.family)).collect::<Vec<_>>());
    assert!(graph.states.iter().zip(&spec.states).all(|(a, b)| a.name == b.id));
    assert!(graph.features.iter().zip(&spec.features).all(|(a, b)| a.name == b.name));
    for (ix, node) in graph.nodes.iter().enumerate() {
        assert!(node.inputs.iter().chain(&node.clock).all(|i| i.ix() < ix), "node {ix} reads a later one");
    }
}

#[test]
fn look_backs_and_needs_are_those_of_the_catalogue() {
    let spec = shipped();
    let all = facts(&spec.graph);
    let feature = |name: &str| {
        let node = spec.graph.features.iter().find(|f| f.name == name).unwrap().node;
        all[node.ix()].look_back.rows
    };
    let rows = [
        ("rng_tod", 5763),
        ("sig_288", 6050),
        ("u", 6051),
        ("vol_ratio", 6062),
        ("rv_pct", 14497),
        ("rv_pct_17280", 23137),
        ("compression", 2975),
        ("stretch", 6194),
        ("rel_strength_288", 4033),
    ];
    for (name, expected) in rows {
        assert_eq!(feature(name), expected, "{name}");
    }
    let event = |name: &str| spec.graph.events.iter().find(|e| e.event_type == name).unwrap();
    let vol_shock = spec.graph.node(event("VOL_SHOCK").detect).inputs[0];
    assert_eq!(all[vol_shock.ix()].look_back.rows, 14702);
    // The first volatility event is possible after 12.6 days.
    assert_eq!(all[vol_shock.ix()].warm_up.rows, 3614);
    let needs = |name: &str| event(name).needs.iter().map(|s| s.name()).collect::<Vec<_>>();
    assert_eq!(needs("VOL_SHOCK"), ["high", "low", "close"]);
    assert_eq!(needs("SPOT_PERP_BASIS_SHOCK"), ["close", "spot_close"]);
    // The predicted rate is optional: the last print stands in.
    assert_eq!(
        needs("FUNDING_TIMESTAMP_EVENT"),
        ["funding_rate", "funding_interval_h", "minutes_to_funding"]
    );
}

#[test]
fn every_name_explains_itself() {
    let spec = shipped();
    let events = spec.events.iter().map(|e| e.event_type.as_str());
    let names: Vec<&str> = events
        .chain(spec.states.iter().map(|s| s.id.as_str()))
        .chain(spec.features.iter().map(|f| f.name.as_str()))
        .collect();
    for name in names {
        let found = explain(&spec, name, false).unwrap();
        assert!(found.text.starts_with(&format!("{name}  (")), "{}", found.text);
        assert!(found.text.contains("look-back") && found.text.contains("graph ("), "{name}");
        assert!(found.dot.starts_with("digraph"), "{name}");
        assert_eq!(found.json["name"], name);
    }
    for name in Source::ALL.iter().map(|s| s.name()).chain(spec.lexicon.names()) {
        assert!(explain(&spec, name, false).unwrap().text.starts_with(name));
    }
    let error = explain(&spec, "VOL_SHOK", false).unwrap_err();
    assert!(error.to_string().ends_with("did you mean 'VOL_SHOCK'?"), "{error}");
}

#[test]
fn an_explanation_says_formula_words_reach_and_sources() {
    let text = explain(&shipped(), "BAND_BREAK", false).unwrap().text;
    let head: String = text.lines().take_while(|l| !l.is_empty()).skip(1).collect::<Vec<_>>().join("\n");
    assert!(head.starts_with("First close outside mean plus or minus 2.5 sd"), "{head}");
    for line in [
        "when       out and lag(held(not out, 12), 1)",
        "           = out and (for 1 hour running [not out]) 1 bar earlier",
        "source      close (perp_bars, lag 0 s, its own bar)",
        "templates   fade, follow",
        "horizons    15m, 60m",
        "prevalence  20 to 200 onsets per 10 000 known rows",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
}

#[test]
fn an_event_that_can_never_be_tested_is_a_finding() {
    let findings = |copy: Copy| SpecReport::of(&copy.load()).findings;
    let never = Copy::new().edit("events/vol_shock.yaml", "horizons: [60m, 4h]", "horizons: [1d]");
    assert_eq!(
        findings(never),
        [
            "events/vol_shock.yaml: VOL_SHOCK is never tested: no window of its horizons (1d) closes on the event's own UTC \
             day; add a shorter one"
        ]
    );
    let partly = Copy::new().edit("events/vol_shock.yaml", "horizons: [60m, 4h]", "horizons: [60m, 1d]");
    assert_eq!(findings(partly), Vec::<String>::new());
}

#[test]
fn an_explanation_names_the_events_that_share_rows_by_construction() {
    let spec = shipped();
    let found = explain(&spec, "RANGE_BREAKOUT", false).unwrap();
    let lines: Vec<&str> = found.text.lines().filter(|l| l.starts_with("overlaps")).collect();
    assert_eq!(
        lines,
        [
            "overlaps    BREAKOUT_TRIGGER: disjoint",
            "overlaps    FALSE_BREAKOUT: follows a channel exit",
            "overlaps    SUPPORT_RESISTANCE_BREAK: outside the channel",
        ]
    );
    assert_eq!(found.json["overlaps"][0]["events"][0], "BREAKOUT_TRIGGER");
    assert!(!explain(&spec, "VOL_SPIKE", false).unwrap().text.contains("overlaps"));
}

#[test]
fn line_ends_do_not_change_the_hash_and_a_threshold_does() {
    let base = shipped();
    let copy = Copy::new();
    for file in spec_files(copy.dir.path()).unwrap() {
        let text = fs::read_to_string(copy.path(&file)).unwrap();
        fs::write(copy.path(&file), text.replace('\n', "\r\n")).unwrap();
    }
    let windows = copy.load();
    assert_eq!(windows.hash, base.hash);
    assert_eq!(windows.graph, base.graph);

    let edited = Copy::new().edit("events/vol_shock.yaml", "0.98", "0.985").load();
    assert_ne!(edited.hash, base.hash);
    let changed: Vec<&str> = base
        .events
        .iter()
        .zip(&edited.events)
        .filter(|(a, b)| a.spec_hash != b.spec_hash)
        .map(|(a, _)| a.event_type.as_str())
        .collect();
    assert_eq!(changed, ["VOL_SHOCK"]);
    // Node hashes also show who else is affected: OVERSHOOT_AFTER_SHOCK reads VOL_SHOCK.
    let (before, after) = (facts(&base.graph), facts(&edited.graph));
    let moved: Vec<&str> = base
        .graph
        .events
        .iter()
        .zip(&edited.graph.events)
        .filter(|(a, b)| before[a.detect.ix()].hash != after[b.detect.ix()].hash)
        .map(|(a, _)| a.event_type.as_str())
        .collect();
    assert_eq!(moved, ["VOL_SHOCK", "OVERSHOOT_AFTER_SHOCK"]);
}

#[test]
fn an_enabled_variant_becomes_an_event_of_its_own() {
    let spec =
        Copy::new().edit("events/forced_flow_exhaustion.yaml", "enabled: false", "enabled: true").load();
    assert_eq!(spec.events.len(), 58);
    let variant = spec.event("FORCED_FLOW_EXHAUSTION.liq").unwrap();
    assert_eq!(variant.family, "FORCED_FLOW");
    let node = spec.graph.events.iter().find(|e| e.event_type == variant.event_type).unwrap();
    assert!(node.needs.contains(&Source::LiqLongUsd));
}

#[test]
fn a_misspelt_name_is_underlined_in_the_yaml_file() {
    let copy = Copy::new().edit("events/vol_shock.yaml", "vol_ratio <= 1.25", "vol_raito <= 1.25");
    insta::assert_snapshot!(copy.refused(), @r"
    error: unknown name 'vol_raito'
      --> spec/events/vol_shock.yaml:10:14
       |
    10 |   exit: held(vol_raito <= 1.25, 3)
       |              ^^^^^^^^^ not a source, feature, state or let-binding
       |
       = help: did you mean 'vol_ratio'?

    1 error in the specs
    ");
}

#[test]
fn a_number_where_a_truth_value_belongs_is_underlined() {
    let copy = Copy::new().edit(
        "events/vol_spike.yaml",
        "rsurp >= tq(rsurp, 0.995)",
        "rsurp and tq(rsurp, 0.995) > 1",
    );
    insta::assert_snapshot!(copy.refused(), @r"
    error: `and` needs truth values, but this is a number
     --> spec/events/vol_spike.yaml:7:9
      |
    7 |   when: rsurp and tq(rsurp, 0.995) > 1
      |         ^^^^^ a number
      |
      = help: compare it with something, as in `x > 0`

    1 error in the specs
    ");
}

#[test]
fn all_errors_are_drawn_at_once_in_file_order() {
    let copy = Copy::new()
        .edit("events/vol_spike.yaml", "tq(rsurp, 0.995)", "tq(rsurp)")
        .edit("features/trend.yaml", "abs(trend_z)", "abs(trend_z")
        .edit("states/trend_structure.yaml", "held(chop <= 0.4, 24)", "held(chop <= 0.4, 0)")
        .edit("events/oi_flush.yaml", "horizons: [60m, 4h]", "horizons: [60m, 7h]");
    insta::assert_snapshot!(copy.refused(), @r"
    error: '7h' is not a horizon of global_defaults.yaml
      --> spec/events/oi_flush.yaml:13:17
       |
    13 | horizons: [60m, 7h]
       |                 ^^
       |
       = help: did you mean '4h'?

    error: the macro tq(x, p) is called without 'p'
     --> spec/events/vol_spike.yaml:7:18
      |
    7 |   when: rsurp >= tq(rsurp)
      |                  ^^
      |
      = help: it is called as `tq(x, p)`

    error: expected ',' or ')', found the end of the expression
      --> spec/features/trend.yaml:13:22
       |
    13 |     expr: abs(trend_z
       |                      ^
       |
       = help: close what is open, or take the last operator away

    error: 'n' of `held` is a whole number, at least 1
      --> spec/states/trend_structure.yaml:32:35
       |
    32 |     expr: latch(held(chop <= 0.4, 0), chop >= 0.8)
       |                                   ^ 0
       |
       = help: it is called as `held(c, n, [on=])`

    4 errors in the specs
    ");
}

#[test]
fn a_cycle_across_files_names_its_members() {
    let copy = Copy::new().edit(
        "features/volatility.yaml",
        "expr: ln(close / lag(close, 1))",
        "expr: ln(close / lag(close, 1)) + 0 * vol_ratio",
    );
    let text = copy.refused();
    assert!(text.contains("'logret_1' is defined by itself: logret_1 -> vol_ratio -> "), "{text}");
    assert!(text.contains("1 error in the specs"), "{text}");
}

#[test]
fn a_file_nobody_registered_and_a_file_nobody_wrote_are_errors() {
    let copy = Copy::new();
    fs::rename(copy.path("events/vol_spike.yaml"), copy.path("events/vol_spikes.yaml")).unwrap();
    let text = copy.refused();
    assert!(text.contains("the file 'events/vol_spike.yaml' of event 'VOL_SPIKE' does not exist"), "{text}");
    assert!(text.contains("this event is not in the registry"), "{text}");
    let copy = Copy::new();
    fs::remove_file(copy.path("sources.yaml")).unwrap();
    assert!(copy.refused().contains("spec/sources.yaml"));
}

#[test]
fn settings_that_contradict_each_other_are_errors() {
    let broken = [
        ("global_defaults.yaml", "entry_lag_bars: 1", "entry_lag_bars: 0", "expected a nonzero u32"),
        ("sources.yaml", "columns: [mark, index]", "columns: [mark]", "the column 'index' has no rule"),
        ("calendars/sessions.yaml", "Asia/Tokyo", "Asia/Tokio", "'Asia/Tokio' is not an IANA time zone"),
        (
            "events/fee_regime_change_event.yaml",
            "[slippage_aware_filter]",
            "[fade]",
            "this event is undirected",
        ),
        (
            "states/trend_structure.yaml",
            "source_event: RANGE_BREAKOUT",
            "source_event: RANGE_BRAKEOUT",
            "did you mean 'RANGE_BREAKOUT'?",
        ),
        (
            "events/vol_shock.yaml",
            "family: VOLATILITY_TRANSITION",
            "family: FORCED_FLOW",
            "the registry has 'VOL_SHOCK' in family 'VOLATILITY_TRANSITION'",
        ),
    ];
    for (file, from, to, expected) in broken {
        let text = Copy::new().edit(file, from, to).refused();
        assert!(text.contains(expected), "{file}: {text}");
    }
}

/// What PyYAML (YAML 1.1) reads, where a Python with it is at hand.
fn pyyaml(files: &[PathBuf]) -> Option<BTreeMap<String, serde_json::Value>> {
    const SCRIPT: &str = "import sys, json, yaml\n\
        print(json.dumps({f: yaml.safe_load(open(f, encoding='utf-8')) for f in sys.argv[1:]}, default=repr))";
    let output = Command::new("python3").arg("-c").arg(SCRIPT).args(files).output().ok()?;
    output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn the_files_mean_the_same_to_a_yaml_1_1_reader() {
    let files: Vec<PathBuf> =
        spec_files(shipped_dir()).unwrap().iter().map(|f| shipped_dir().join(f)).collect();
    let Some(theirs) = pyyaml(&files) else {
        skipped("python3 with PyYAML is not at hand, so YAML 1.1 was not compared");
        return;
    };
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let ours: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(numbers(ours), numbers(theirs[&file.display().to_string()].clone()), "{}", file.display());
    }
}

/// `4.0` and `4` are the same number, whoever writes them.
fn numbers(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(n) => serde_json::json!(n.as_f64()),
        Value::Array(items) => items.into_iter().map(numbers).collect(),
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, numbers(v))).collect(),
        other => other,
    }
}
