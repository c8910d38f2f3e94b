//! Runs as text for people.

use std::path::Path;

use serde_json::Value;

use super::diff::{Change, Difference};
use super::files::{Kind, Row, Run};
use super::prune::Pruned;
use crate::cli::table::{self, plain};

/// Changed values of a blueprint that are printed; all of them with --json.
const SHOWN: usize = 8;

pub(super) fn list(runs: &[Run], root: &Path) -> String {
    if runs.is_empty() {
        return format!("no runs below {}; `backtestd research` makes one\n", root.display());
    }
    let head =
        ["run", "kind", "data until", "specs", "code", "tested", "discoveries", "blueprints", "version"];
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let [tested, discoveries, blueprints] = counts(run).map(|n| plain(&n));
            vec![
                run.id.clone(),
                run.kind.name().to_owned(),
                run.seen(),
                short_hash(&run.summary),
                plain(&run.summary["code_version"]),
                tested,
                discoveries,
                blueprints,
                if run.versions.is_empty() { "-".to_owned() } else { run.versions.join(" ") },
            ]
        })
        .collect();
    table::render(&head, &rows)
}

/// Hypotheses with data, discoveries, blueprints: of a walk those of its last look, and all that it
/// published.
fn counts(run: &Run) -> [Value; 3] {
    let s = &run.summary;
    if run.kind != Kind::Walk {
        return ["hypotheses_with_data", "discoveries", "blueprints"].map(|name| s[name].clone());
    }
    let last = s["looks"].as_array().and_then(|looks| looks.last()).unwrap_or(&Value::Null);
    [last["tested"].clone(), last["discoveries"].clone(), s["totals"]["published"].clone()]
}

/// A run for machines: what it says of itself, what kind it is, which published versions name it.
pub(super) fn listed(run: &Run) -> Value {
    let mut out = run.summary.clone();
    if let Some(out) = out.as_object_mut() {
        out.insert("kind".to_owned(), run.kind.name().into());
        out.insert("versions".to_owned(), run.versions.clone().into());
    }
    out
}

pub(super) fn show(run: &Run, stages: &[Value]) -> String {
    if run.kind == Kind::Walk {
        return walk(run);
    }
    let (s, d) = (&run.summary, &run.discovery);
    let mut out = format!("run {}\n", run.id);
    let mut line = |name: &str, value: String| out.push_str(&format!("  {name:<16}{value}\n"));
    line("kind", run.kind.name().to_owned());
    line("history", format!("{} to {}", plain(&s["discovery_start"]), plain(&s["discovery_end"])));
    line("data until", plain(&s["data_watermark"]));
    line("specs", plain(&s["ontology_spec_hash"]));
    line("code", plain(&s["code_version"]));
    line(
        "hypotheses",
        format!("{}, {} with data", plain(&s["hypotheses"]), plain(&s["hypotheses_with_data"])),
    );
    if !d.is_null() {
        line("outcomes", format!("{} rows, {} used", plain(&d["rows"]), plain(&d["rows_used"])));
        line("procedure", format!("{} on {}", plain(&d["publish_with"]), plain(&d["publish_on"])));
        line("survivors", plain(&d["survivors"]));
    }
    line("discoveries", plain(&s["discoveries"]));
    line("blueprints", plain(&s["blueprints"]));
    if !run.versions.is_empty() {
        line("published in", run.versions.join(" "));
    }
    for reason in s["reasons"].as_array().into_iter().flatten() {
        line("said", plain(reason));
    }
    let bridge = s["bridge"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !bridge.is_empty() {
        let rows: Vec<Vec<String>> = bridge.iter().map(bridge_cells).collect();
        out.push('\n');
        let head = ["rule", "blueprint", "trades", "after cost bps", "worst bps", "why not"];
        out.push_str(&table::render(&head, &rows));
    }
    if !stages.is_empty() {
        let rows: Vec<Vec<String>> = stages.iter().map(stage_cells).collect();
        out.push('\n');
        out.push_str(&table::render(&["stage", "seconds", "", "key", "read", "wrote", "why"], &rows));
    }
    for folder in run.folders() {
        out.push_str(&format!("  {}\n", folder.display()));
    }
    out
}

fn stage_cells(stage: &Value) -> Vec<String> {
    let name = plain(&stage["stage"]);
    let how = match (stage["is_cached"].as_bool(), name.as_str()) {
        (Some(true), _) => "from cache",
        (_, "bars") => "read",
        _ => "computed",
    };
    let count = |what: &str| stage[what].as_object().map_or(0, serde_json::Map::len);
    let key: String = stage["key"].as_str().unwrap_or("-").chars().take(8).collect();
    vec![
        name,
        format!("{:.2}", stage["ms"].as_f64().unwrap_or(f64::NAN) / 1000.0),
        how.to_owned(),
        key,
        format!("{} inputs", count("inputs")),
        format!("{} files", count("outputs")),
        plain(&stage["why"]),
    ]
}

/// A walk: what came of each look, and of all of them.
fn walk(run: &Run) -> String {
    let (s, totals) = (&run.summary, &run.summary["totals"]);
    let mut out = format!("walk {}\n", run.id);
    let mut line = |name: &str, value: String| out.push_str(&format!("  {name:<16}{value}\n"));
    line("history", format!("{} to {}", plain(&s["start"]), plain(&s["end"])));
    line("looks", format!("every {} days from {} on", plain(&s["step_days"]), plain(&s["from"])));
    line("specs", plain(&s["ontology_spec_hash"]));
    line("code", plain(&s["code_version"]));
    line(
        "versions",
        format!(
            "{} with {} blueprints, {} of them ended",
            totals["versions"], totals["published"], totals["ended"]
        ),
    );
    let bps = |name: &str| totals[name].as_f64().map_or_else(|| "-".to_owned(), |x| format!("{x:.1}"));
    line(
        "trades",
        format!(
            "{}: {} bps after costs, {} claimed, standard error {}",
            totals["trades"],
            bps("net_bps"),
            bps("claim_net_bps"),
            bps("net_se_bps")
        ),
    );
    line("intervals", format!("{} of {} inside what they stated", totals["inside"], totals["judged"]));
    let share =
        |name: &str| s[name].as_f64().map_or_else(|| "-".to_owned(), |x| format!("{:+.1} %", 100.0 * x));
    line("account", format!("{}, deepest fall {}", share("total_return"), share("max_drawdown")));
    let cells = |look: &Value| {
        let names = |what: &str| look[what].as_array().map_or(0, Vec::len).to_string();
        let mut cells = ["published_at", "version", "tested", "discoveries", "active", "watch"]
            .map(|n| plain(&look[n]))
            .to_vec();
        cells.extend([names("added"), names("retired")]);
        cells
    };
    let rows: Vec<Vec<String>> = s["looks"].as_array().into_iter().flatten().map(cells).collect();
    out.push('\n');
    let head = ["published at", "version", "tested", "discoveries", "active", "watch", "added", "retired"];
    out.push_str(&table::render(&head, &rows));
    for folder in run.folders() {
        out.push_str(&format!("  {}\n", folder.display()));
    }
    out
}

pub(super) fn pruned(found: &Pruned, dry: bool) -> String {
    let verb = if dry { "would remove" } else { "removed" };
    let mut out: String = found.removed.iter().map(|id| format!("{verb} {id}\n")).collect();
    for (id, versions) in &found.held {
        out.push_str(&format!("kept {id}: {} names it\n", versions.join(" ")));
    }
    out.push_str(&format!(
        "{} runs and {} entries of the stage cache {}, {:.1} MB; {} runs are left\n",
        found.removed.len(),
        found.cache_entries,
        if dry { "would go" } else { "are gone" },
        found.bytes as f64 / 1e6,
        found.kept
    ));
    out
}

fn bridge_cells(of: &Value) -> Vec<String> {
    let why = of["fail_reasons"].as_array().into_iter().flatten().map(plain).collect::<Vec<_>>().join("; ");
    let numbers = ["blueprint_id", "trades", "after_cost_bps", "worst_bps"];
    let rule = ["direction_rule", "event_type", "horizon", "symbol", "state_id"].map(|name| plain(&of[name]));
    let mut cells = vec![rule.join(" ").trim_end().to_owned()];
    cells.extend(numbers.map(|name| plain(&of[name])));
    cells.push(why);
    cells
}

pub(super) fn difference(before: &Run, after: &Run, found: &Difference) -> String {
    let mut out = format!("{} -> {}\n", before.id, after.id);
    if found.is_empty() {
        out.push_str(&format!("the same: {} candidates, every number\n", found.candidates.both));
        return out;
    }
    for change in &found.facts {
        out.push_str(&format!("  {}\n", change_text(change)));
    }
    section(&mut out, "read otherwise", found.inputs.iter().cloned());
    for (title, rows) in
        [("discoveries gained", &found.discoveries_gained), ("discoveries lost", &found.discoveries_lost)]
    {
        section(&mut out, title, rows.iter().map(candidate_text));
    }
    section(&mut out, "blueprints added", found.blueprints_added.iter().cloned());
    section(&mut out, "blueprints gone", found.blueprints_gone.iter().cloned());
    let changed = found.blueprints_changed.iter().map(|(id, changes)| {
        let mut texts: Vec<String> = changes.iter().take(SHOWN).map(change_text).collect();
        if changes.len() > SHOWN {
            texts.push(format!("and {} more", changes.len() - SHOWN));
        }
        format!("{id}: {}", texts.join("; "))
    });
    section(&mut out, "blueprints changed", changed);
    let c = &found.candidates;
    let only = [(c.before_only, &before.id), (c.after_only, &after.id)];
    let only: Vec<String> =
        only.iter().filter(|(n, _)| *n > 0).map(|(n, id)| format!(", {n} in {id} only")).collect();
    out.push_str(&format!("candidates: {} in both{}\n", c.both, only.concat()));
    let mut columns: Vec<_> = found.columns.iter().collect();
    columns.sort_by_key(|(name, n)| (std::cmp::Reverse(**n), (*name).clone()));
    let columns: Vec<String> = columns.iter().take(SHOWN).map(|(name, n)| format!("{name} of {n}")).collect();
    if !columns.is_empty() {
        out.push_str(&format!("  other values: {}\n", columns.join(", ")));
    }
    out
}

fn section(out: &mut String, title: &str, lines: impl ExactSizeIterator<Item = String>) {
    if lines.len() == 0 {
        return;
    }
    out.push_str(&format!("{title} ({})\n", lines.len()));
    for line in lines {
        out.push_str(&format!("  {line}\n"));
    }
}

fn change_text(change: &Change) -> String {
    format!("{} {} -> {}", change.name, plain(&change.before), plain(&change.after))
}

fn candidate_text(row: &Row) -> String {
    let cell = |name: &str| row.get(name).map_or("-", String::as_str);
    let rule = ["direction_rule", "event_type", "template_verb", "horizon", "symbol", "state_id"].map(cell);
    let rule = rule.join(" ");
    let numbers = ["n_events", "effect_raw_bps", "q_value"].map(|name| format!("{name} {}", cell(name)));
    format!("{}: {}", rule.trim_end(), numbers.join(", "))
}

fn short_hash(summary: &Value) -> String {
    let hash = summary["ontology_spec_hash"].as_str().unwrap_or("-");
    hash.strip_prefix("sha256:").unwrap_or(hash).chars().take(8).collect()
}
