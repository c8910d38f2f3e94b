//! What is on disk about a blueprint: its lines in every version, and what the run behind its newest line
//! left.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::bail;
use serde_json::{Value, json};

use crate::publish::{Version, current_version, list_versions, read_version, version_name};
use backtestd_core::blueprints::Blueprint;

/// Ids that are named where none fits.
const NEAR: usize = 5;

/// Everything about the blueprint whose id is `wanted`, or the only one whose id holds it.
///
/// # Errors
/// When nothing was published in `dir`, no id fits, or several do.
pub(super) fn explain(dir: &Path, root: &Path, wanted: &str) -> anyhow::Result<Value> {
    let mut notes = Vec::new();
    let versions = read_all(dir, &mut notes)?;
    let id = identify(&versions, dir, wanted)?;
    let mut lines = versions.iter().filter_map(|v| Some((v, v.blueprints.iter().find(|b| b.id == id)?)));
    let Some((listed_in, blueprint)) = lines.next_back() else {
        bail!("{id} is named by a manifest of {}, but no line of it is left", dir.display())
    };
    let in_force = current_version(dir)?.map(version_name);
    let is_listed = versions
        .iter()
        .any(|v| Some(&v.manifest.version) == in_force.as_ref() && v.blueprints.iter().any(|b| b.id == id));
    let history: Vec<Value> = versions.iter().filter_map(|version| change_in(version, &id)).collect();

    let run_id = &blueprint.lineage.run_id;
    let reports = root.join("reports");
    let summary = reports.join("strategy_blueprints").join(run_id).join("blueprint_summary.json");
    let promotion = reports.join("promotions").join(run_id).join("promotion.json");
    let phase2 = reports.join("phase2").join(run_id).join(&blueprint.event_type);
    let run = read_json(&summary, &mut notes);
    let as_traded = of_candidate(&run["bridge"], &blueprint.lineage.candidate_id);
    if !run.is_null() && as_traded["checks"].is_null() {
        notes
            .push(format!("{}: written by a version that kept no gates and trades there", summary.display()));
    }
    let promoted = read_json(&promotion, &mut notes);
    Ok(json!({
        "id": id,
        "blueprint": blueprint,
        "in_force": in_force,
        "is_listed": is_listed,
        "published_in": listed_in.manifest.version,
        "published_at": listed_in.manifest.published_at,
        "versions": history,
        "as_traded": as_traded,
        "promotion": of_candidate(&promoted["candidates"], &blueprint.lineage.candidate_id),
        "monitoring_rule": run["monitoring"],
        "files": {
            "version": dir.join(&listed_in.manifest.version),
            "run": summary.parent(),
            "candidates": phase2.join("phase2_candidates.parquet"),
            "report": reports.join("research").join(run_id).join("report.html"),
        },
        "notes": notes,
    }))
}

/// Every version that can be read, the oldest first.
fn read_all(dir: &Path, notes: &mut Vec<String>) -> anyhow::Result<Vec<Version>> {
    let numbers = list_versions(dir)?;
    if numbers.is_empty() {
        bail!(
            "nothing is published in {}; name the directory with --blueprints DIR, or the daemon's with --state DIR",
            dir.display()
        );
    }
    let mut versions = Vec::new();
    for number in numbers {
        match read_version(dir, number) {
            Ok(version) => versions.push(version),
            Err(error) => notes.push(error.to_string()),
        }
    }
    Ok(versions)
}

/// The one id that fits.
fn identify(versions: &[Version], dir: &Path, wanted: &str) -> anyhow::Result<String> {
    // The newest line of each id.
    let lines = versions.iter().flat_map(|version| &version.blueprints);
    let known: BTreeMap<&str, &Blueprint> = lines.map(|b| (b.id.as_str(), b)).collect();
    if known.contains_key(wanted) {
        return Ok(wanted.to_owned());
    }
    let partly: Vec<&str> =
        known.keys().copied().filter(|id| !wanted.is_empty() && id.contains(wanted)).collect();
    let named = |ids: &[&str]| -> String {
        let line = |id: &&str| format!("\n  {id}  {}", known.get(id).map_or_else(String::new, |b| rule(b)));
        ids.iter().map(line).collect()
    };
    match partly.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] if known.is_empty() => bail!("the versions in {} list no blueprint at all", dir.display()),
        [] => {
            let mut near: Vec<&str> = known.keys().copied().collect();
            near.sort_by_key(|id| (distance(wanted, id), *id));
            near.truncate(NEAR);
            bail!("no blueprint {wanted} was ever published in {}; near it:{}", dir.display(), named(&near))
        }
        several => bail!("{wanted} is a part of several ids:{}", named(several)),
    }
}

/// A rule in a few words.
pub(super) fn rule(b: &Blueprint) -> String {
    let side = format!("{:?}", b.direction_rule).to_lowercase();
    let condition = if b.condition == "all" { String::new() } else { format!(" while {}", b.condition) };
    let symbols = match b.symbol_scope.symbols.as_slice() {
        [one] => format!("on {one}"),
        several => format!("on {} symbols", several.len()),
    };
    format!("{side} {}{condition} for {} {symbols}", b.event_type, b.exit.horizon)
}

/// How many letters must be put in, taken out or replaced to make one text the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let best = (before + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            before = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// What a version did with a blueprint; `None` where it left it as it was.
fn change_in(version: &Version, id: &str) -> Option<Value> {
    let manifest = &version.manifest;
    let lists = [("added", &manifest.added), ("changed", &manifest.changed), ("retired", &manifest.retired)];
    lists.into_iter().find_map(|(what, list)| {
        let change = list.iter().find(|change| change.id == id)?;
        Some(json!({
            "version": manifest.version, "published_at": manifest.published_at, "what": what, "why": change.why,
            "rule": change.rule, "evidence": change.evidence, "monitoring": change.monitoring,
        }))
    })
}

fn of_candidate(list: &Value, candidate: &str) -> Value {
    let of = list.as_array().into_iter().flatten().find(|entry| entry["candidate_id"] == candidate);
    of.cloned().unwrap_or(Value::Null)
}

fn read_json(path: &Path, notes: &mut Vec<String>) -> Value {
    let read = fs::read(path).map_err(|e| e.to_string());
    let value = read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|e| e.to_string()));
    value.unwrap_or_else(|why| {
        notes.push(format!("{}: {why}", path.display()));
        Value::Null
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::publish_version;
    use crate::publish::tests::{context, example, with_horizon};

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("blueprints");
        publish_version(&dir, &[example()], &context(1)).unwrap();
        let mut next = [example(), with_horizon(24)];
        next[0].evidence.n_events += 1;
        next.sort_by(|a, b| a.id.cmp(&b.id));
        publish_version(&dir, &next, &context(2)).unwrap();
        root
    }

    #[test]
    fn a_blueprint_is_found_by_its_id_or_a_part_of_it_with_every_version_that_changed_it() {
        let root = root();
        let dir = root.path().join("blueprints");
        let id = example().id;
        for wanted in [id.as_str(), &id[3..], &id[5..12]] {
            let found = explain(&dir, root.path(), wanted).unwrap();
            assert_eq!(found["id"], id.as_str());
            assert_eq!((&found["published_in"], &found["is_listed"]), (&"v000002".into(), &true.into()));
            let what: Vec<_> =
                found["versions"].as_array().unwrap().iter().map(|v| v["what"].clone()).collect();
            assert_eq!(what, ["added", "changed"]);
            assert_eq!(found["versions"][1]["evidence"][0], "evidence.n_events");
        }
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is_near() {
        let root = root();
        let dir = root.path().join("blueprints");
        let other = with_horizon(24).id;
        let near = format!("{}{}", &other[..other.len() - 1], if other.ends_with('0') { '1' } else { '0' });
        let error = explain(&dir, root.path(), &near).unwrap_err().to_string();
        let first = error.lines().nth(1).unwrap();
        assert!(first.contains(&other) && first.contains("fade VOL_SHOCK"), "{error}");
        let error = explain(&dir, root.path(), "bp_").unwrap_err().to_string();
        assert!(error.starts_with("bp_ is a part of several ids:"), "{error}");
        let error = explain(&root.path().join("none"), root.path(), "bp_1").unwrap_err().to_string();
        assert!(error.contains("nothing is published in"), "{error}");
    }

    #[test]
    fn files_that_are_gone_are_named_and_the_rest_is_told() {
        let root = root();
        let found = explain(&root.path().join("blueprints"), root.path(), &example().id).unwrap();
        let notes = found["notes"].as_array().unwrap();
        assert!(notes.iter().any(|n| n.as_str().unwrap().contains("blueprint_summary.json")), "{notes:?}");
        assert_eq!(found["as_traded"], Value::Null);
        let text = super::super::text::explanation(&found);
        assert!(text.contains("fade") && text.contains("blueprint_summary.json"), "{text}");
    }

    #[test]
    fn a_distance_counts_letters() {
        for (a, b, n) in
            [("", "", 0), ("bp_1", "bp_1", 0), ("bp_1", "bp_2", 1), ("bp_12", "bp_2", 1), ("", "abc", 3)]
        {
            assert_eq!(distance(a, b), n, "{a} {b}");
        }
    }
}
