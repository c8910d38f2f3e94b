//! Runs as text for people.

use std::path::Path;

use serde_json::Value;

use super::diff::{Change, Difference};
use super::files::{Row, Run};
use crate::cli::table::{self, plain};

/// Changed values of a blueprint that are printed; all of them with --json.
const SHOWN: usize = 8;

pub(super) fn list(runs: &[Run], root: &Path) -> String {
    if runs.is_empty() {
        return format!("no runs below {}; `backtestd research` makes one\n", root.display());
    }
    let head = ["run", "data until", "specs", "code", "tested", "discoveries", "blueprints"];
    let rows: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let facts = ["code_version", "hypotheses_with_data", "discoveries", "blueprints"];
            let mut cells =
                vec![run.id.clone(), plain(&run.summary["data_watermark"]), short_hash(&run.summary)];
            cells.extend(facts.map(|name| plain(&run.summary[name])));
            cells
        })
        .collect();
    table::render(&head, &rows)
}

pub(super) fn show(run: &Run) -> String {
    let (s, d) = (&run.summary, &run.discovery);
    let mut out = format!("run {}\n", run.id);
    let mut line = |name: &str, value: String| out.push_str(&format!("  {name:<16}{value}\n"));
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
    for reason in s["reasons"].as_array().into_iter().flatten() {
        line("why none", plain(reason));
    }
    let bridge = s["bridge"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !bridge.is_empty() {
        let rows: Vec<Vec<String>> = bridge.iter().map(bridge_cells).collect();
        out.push('\n');
        let head = ["rule", "blueprint", "trades", "after cost bps", "worst bps", "why not"];
        out.push_str(&table::render(&head, &rows));
    }
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
