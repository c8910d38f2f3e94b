//! Every key of every spec file means something: a changed value is refused, or changes what the program
//! computes with.
//!
//! The schemas say which scalars a file may have; each is there at least once in the specs that are walked
//! (the shipped ones, with every variant enabled and with the optional keys that they leave out). Each is
//! then changed in its file's text. What it changes is looked for in the compiled specs without their hashes
//! and texts; that what is compiled is also read is asked of the sources, field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::schemas::schema_kind;
use backtestd_core::spec::{CompiledSpec, SourceFile, schemas};
use backtestd_store::read_files;
use rayon::prelude::*;
use serde_json::Value;

use crate::shipped_dir;
use crate::tree::{Leaf, leaves, paths};

/// Texts for people: where they are shown, and that nothing is computed from them.
const TEXTS: [(&str, &str); 15] = [
    ("event.confounders", "shown by `spec explain`"),
    ("event.doc", "shown by `spec explain` and in reports"),
    ("event.measured_per_10k", "a note of what was measured when the definition was written"),
    ("event.proxy.doc", "shown by `spec explain`"),
    ("event.variants.*.doc", "shown by `spec explain`"),
    ("features.features.*.doc", "shown by `spec explain`"),
    ("features.features.*.unit", "shown by `spec explain`"),
    ("lexicon.filters.*.doc", "shown by `spec explain`"),
    ("lexicon.tests.*.doc", "shown by `spec explain`"),
    ("releases.releases[].name", "says which release an entry is"),
    ("sources.groups[].describes", "shown by `spec explain`"),
    ("sources.groups[].unit", "shown by `spec explain`"),
    ("sources.groups[].unknown_when", "shown by `spec explain`"),
    ("states.states.*.doc", "shown by `spec explain`"),
    ("taxonomy.relations[].relation", "shown by `spec explain` with each of the events"),
];

/// Optional keys that the shipped files leave out, written where they belong.
const ADDED: [(&str, &str, &str); 21] = [
    (
        "global_defaults.yaml",
        "fee_schedule: []",
        "fee_schedule: [{ from: \"2025-03-01\", taker_bps: 4.5, maker_bps: 1.8, tier: vip1, market: perp }]",
    ),
    ("global_defaults.yaml", "tier: null", "tier: vip1"),
    ("global_defaults.yaml", "maker_fee_bps_per_side: null", "maker_fee_bps_per_side: 2.0"),
    (
        "global_defaults.yaml",
        "  symbols: {}",
        "  symbols: { SOLUSDT: { fee_bps_per_side: 3.0, slippage_bps_per_side: 5.0, half_spread_bps: 2.0 } }",
    ),
    ("global_defaults.yaml", "interest_rate_8h: 0.0\n", "interest_rate_8h: 0.0\n      interval_hours: 4.0\n"),
    ("gates.yaml", "min_capacity: null", "min_capacity: 1000.0"),
    ("gates.yaml", "min_worst_month_bps: null", "min_worst_month_bps: -500.0"),
    ("gates.yaml", "max_top_symbol_share: null", "max_top_symbol_share: 0.9"),
    ("gates.yaml", "max_top_day_share: null", "max_top_day_share: 0.5"),
    ("gates.yaml", "max_daily_turnover: null", "max_daily_turnover: 9.0"),
    ("gates.yaml", "min_threshold_share: null", "min_threshold_share: 0.1"),
    ("strategies/default.yaml", "threshold_shift: null", "threshold_shift: 0.1"),
    ("strategies/default.yaml", "min_deflated_sharpe: null", "min_deflated_sharpe: 0.9"),
    ("strategies/default.yaml", "max_overfitting: null", "max_overfitting: 0.3"),
    ("strategies/default.yaml", "stop_bps: null", "stop_bps: 200.0"),
    ("strategies/default.yaml", "target_bps: null", "target_bps: 300.0"),
    ("strategies/default.yaml", "min_delayed_after_cost_bps: null", "min_delayed_after_cost_bps: -5.0"),
    (
        "gates.yaml",
        "OI_SPIKE_NEGATIVE: { ",
        "OI_SPIKE_NEGATIVE: { max_lfsr: 0.06, min_clusters: 20, min_information_weight_state: 0.1, min_sample_size: 40, ",
    ),
    (
        "events/vol_shock.yaml",
        "prevalence_per_10k:",
        "variants:\n  other: { enabled: true, doc: another side, direction: move(6), severity: rv_pct, exit: rv_pct < 0.5, \
         let: { calm: rv_pct < 0.2 }, when: base and calm, relative: { own: spot, hedge: index, ratio: beta_2016 } }\n\
         draft: false\n\
         relative: { own: spot, hedge: index, ratio: beta_2016 }\nprevalence_per_10k:",
    ),
    (
        "events/vol_spike.yaml",
        "prevalence_per_10k:",
        "proxy: { enabled: true, doc: another side, direction: move(6), severity: rv_pct, exit: rv_pct < 0.5, \
         let: { calm: rv_pct < 0.2 }, when: base and calm, relative: { own: spot, hedge: index, ratio: beta_2016 } }\n\
         relative: { hedge: spot }\nprevalence_per_10k:",
    ),
    ("events/vol_shock.yaml", "confounders: ", "undirected: false\nconfounders: "),
];

/// How many of the scalars of one path are changed: all of those of the settings that a run decides by, a few
/// of the many that definitions and lists hold.
fn walked(path: &str) -> usize {
    let kind = path.split('.').next().unwrap_or(path);
    match kind {
        "gates" | "global_defaults" | "strategies" | "families" | "lexicon" | "sessions" => usize::MAX,
        _ => 3,
    }
}

type Files = BTreeMap<String, SourceFile>;

/// The specs that are walked.
fn specs() -> Files {
    let mut files = read_files(shipped_dir()).unwrap();
    for file in files.values_mut() {
        file.text = file.text.replace("enabled: false", "enabled: true").into();
    }
    for (path, from, to) in ADDED {
        let file = files.get_mut(path).unwrap();
        assert!(file.text.contains(from), "{path} has no {from:?}");
        file.text = file.text.replacen(from, to, 1).into();
    }
    files
}

fn compile(files: &Files) -> Result<CompiledSpec, String> {
    CompiledSpec::from_files(Path::new("spec"), files).map_err(|errors| errors.to_string())
}

fn with(files: &Files, path: &str, text: String) -> Files {
    let mut files = files.clone();
    files.get_mut(path).unwrap().text = text.into();
    files
}

/// The compiled specs without hashes and without what is only read by people.
fn meaning(mut spec: CompiledSpec) -> CompiledSpec {
    spec.hash.clear();
    spec.files.clear();
    for event in &mut spec.events {
        event.spec_hash.clear();
        event.doc.clear();
        event.confounders.clear();
        event.parts.clear();
    }
    for (doc, expr) in spec.states.iter_mut().map(|s| (&mut s.doc, &mut s.expr)) {
        doc.clear();
        expr.clear();
    }
    for feature in &mut spec.features {
        let texts = [&mut feature.doc, &mut feature.unit, &mut feature.expr];
        texts.into_iter().for_each(String::clear);
    }
    for group in &mut spec.sources.groups {
        let texts = [&mut group.unit, &mut group.describes, &mut group.unknown_when];
        texts.into_iter().for_each(String::clear);
    }
    spec.lexicon.tests.values_mut().for_each(|test| test.doc.clear());
    spec.lexicon.filters.values_mut().for_each(|filter| filter.doc.clear());
    spec.multiplicity.taxonomy.relations.iter_mut().for_each(|relation| relation.relation.clear());
    spec.calendars.releases.releases.iter_mut().for_each(|release| release.name.clear());
    spec
}

fn is_same(a: &CompiledSpec, b: &CompiledSpec) -> bool {
    // The program is the definitions as they were parsed, for explanations: the graph is what is computed.
    a.graph == b.graph
        && a.events == b.events
        && a.states == b.states
        && a.features == b.features
        && a.defaults == b.defaults
        && a.sources == b.sources
        && a.gates == b.gates
        && a.multiplicity == b.multiplicity
        && a.lexicon == b.lexicon
        && a.calendars == b.calendars
        && a.strategies == b.strategies
}

fn all_leaves(files: &Files) -> Vec<Leaf> {
    let schemas: BTreeMap<&str, Value> = schemas().into_iter().map(|s| (s.kind, s.schema)).collect();
    let of = |(path, file): (&String, &SourceFile)| {
        let kind = schema_kind(path).unwrap();
        leaves(path, kind, &file.text, &schemas[kind])
    };
    files.iter().flat_map(of).collect()
}

/// At most as many of each path as are wanted, from different places of the list.
fn sample(all: Vec<Leaf>) -> Vec<Leaf> {
    let mut by_path: BTreeMap<String, Vec<Leaf>> = BTreeMap::new();
    all.into_iter().for_each(|leaf| by_path.entry(leaf.path.clone()).or_default().push(leaf));
    let mut out = Vec::new();
    for (path, mut leaves) in by_path {
        let wanted = walked(&path).min(leaves.len());
        let mut rng = crate::common::Rng(path.len() as u64);
        for _ in 0..wanted {
            let at = (rng.unit() * leaves.len() as f64) as usize;
            out.push(leaves.swap_remove(at));
        }
    }
    out
}

/// Other values in the place of a scalar, as YAML, the most telling first.
fn others(leaf: &Leaf) -> Vec<String> {
    let quoted = |text: String| Value::from(text).to_string();
    match &leaf.value {
        Value::Bool(is) => vec![(!is).to_string()],
        Value::Number(number) => {
            let x = number.as_f64().unwrap();
            let steps = [x * 1.25, x + 1.0, x * 0.5, x - 1.0, x + 0.25];
            let integer = leaf.value.is_i64() || leaf.value.is_u64();
            let write = |y: f64| if integer { format!("{}", y.round()) } else { decimal(y) };
            steps.map(write).into_iter().filter(|text| *text != write(x)).collect()
        }
        Value::String(text) => {
            let choices = leaf.choices.iter().filter(|c| *c != text).cloned().map(quoted);
            let digits = text.char_indices().rfind(|(_, c)| c.is_ascii_digit());
            let bumped = digits.map(|(at, c)| {
                let next = if c == '8' { '7' } else { char::from(b'0' + (c as u8 - b'0' + 1) % 10) };
                quoted(format!("{}{next}{}", &text[..at], &text[at + 1..]))
            });
            let expressions = [format!("({text}) + 1"), format!("not ({text})")].map(quoted);
            choices.chain(expressions).chain(bumped).chain([quoted(format!("{text}x"))]).collect()
        }
        other => panic!("{}: {} is {other}", leaf.file, leaf.place),
    }
}

/// Without a power of ten, which a YAML 1.1 reader takes for text.
fn decimal(x: f64) -> String {
    let text = format!("{x}");
    if text.contains('.') { text } else { format!("{text}.0") }
}

fn edited(files: &Files, leaf: &Leaf, other: &str) -> Files {
    let mut text = files[&leaf.file].text.to_string();
    text.replace_range(leaf.bytes.clone(), other);
    with(files, &leaf.file, text)
}

/// What became of a changed scalar.
#[derive(Debug, PartialEq)]
enum Fate {
    Changed,
    Refused,
    Nothing(String),
}

fn fate(files: &Files, base: &CompiledSpec, leaf: &Leaf) -> Fate {
    let mut fate = Fate::Refused;
    for other in others(leaf) {
        let Ok(compiled) = compile(&edited(files, leaf, &other)) else { continue };
        if !is_same(&meaning(compiled), base) {
            return Fate::Changed;
        }
        fate = Fate::Nothing(other);
        // One value that is taken and ignored is enough, but an expression may mean the same by accident.
        if !leaf.value.is_string() {
            break;
        }
    }
    fate
}

fn is_text(path: &str) -> bool {
    TEXTS.iter().any(|(text, _)| *text == path)
}

#[test]
fn every_scalar_that_a_file_may_have_is_walked() {
    let there: BTreeSet<String> = all_leaves(&specs()).into_iter().map(|leaf| leaf.path).collect();
    let possible: BTreeSet<String> = schemas().iter().flat_map(|s| paths(s.kind, &s.schema)).collect();
    let missing: Vec<&String> = possible.difference(&there).collect();
    assert!(missing.is_empty(), "write these into the specs of this test (ADDED): {missing:#?}");
    for (text, _) in TEXTS {
        assert!(possible.contains(text), "{text} is no key any more");
    }
}

/// The edits of this test mean what they say: written anew as it is, no scalar changes anything.
#[test]
fn a_scalar_written_in_another_way_changes_nothing() {
    let files = specs();
    let base = meaning(compile(&files).unwrap_or_else(|errors| panic!("{errors}")));
    let mut same = files.clone();
    let mut leaves = all_leaves(&files);
    leaves.sort_by_key(|leaf| std::cmp::Reverse(leaf.bytes.start));
    for leaf in leaves {
        let text = match &leaf.value {
            Value::Number(x) if x.is_f64() => decimal(x.as_f64().unwrap()),
            other => other.to_string(),
        };
        same = edited(&same, &leaf, &text);
    }
    let same = compile(&same).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(is_same(&meaning(same), &base));
}

#[test]
fn a_changed_scalar_is_refused_or_changes_what_is_computed() {
    let files = specs();
    let base = meaning(compile(&files).unwrap_or_else(|errors| panic!("{errors}")));
    let fates: Vec<(Leaf, Fate)> = sample(all_leaves(&files))
        .into_par_iter()
        .map(|leaf| {
            let f = fate(&files, &base, &leaf);
            (leaf, f)
        })
        .collect();
    let mut wrong = Vec::new();
    let mut by_path: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (leaf, fate) in &fates {
        let what = match (fate, is_text(&leaf.path)) {
            (Fate::Changed, false) => "changed",
            (Fate::Refused, _) => "refused",
            (Fate::Nothing(_), true) => "text",
            (Fate::Nothing(other), false) => {
                wrong.push(format!("{}: {} = {} is taken and changes nothing", leaf.file, leaf.place, other));
                continue;
            }
            (Fate::Changed, true) => {
                wrong.push(format!(
                    "{}: {} is listed as a text, but changes something",
                    leaf.file, leaf.place
                ));
                continue;
            }
        };
        by_path.entry(&leaf.path).or_default().insert(what);
    }
    assert!(wrong.is_empty(), "{} scalars:\n{}", wrong.len(), wrong.join("\n"));
    // A path on which every change is refused has a single value that works, which needs a reason.
    let fixed: Vec<&str> = by_path
        .iter()
        .filter(|(_, fates)| !fates.contains("changed") && !fates.contains("text"))
        .map(|(p, _)| *p)
        .collect();
    insta::assert_snapshot!(fixed.join("\n"));
}
