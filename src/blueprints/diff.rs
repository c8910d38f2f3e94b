//! From the current version and a run's blueprints to the next version's lines. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::canonical::canonical_json;
use super::manifest::{Change, Counts, Departed};
use super::record::{Blueprint, Status};
use crate::discovery::DirectionRule;

/// Where a line comes from: it differs in every run, so on its own it is no change.
const PROVENANCE: [&str; 8] = [
    "revision",
    "discovered_through_ns",
    "lineage.run_id",
    "lineage.code_version",
    "lineage.data_watermark",
    "lineage.data_watermark_ns",
    "lineage.discovery_end",
    "lineage.first_published",
];
/// A reason names at most this many fields.
const FIELDS_NAMED: usize = 6;

/// What a run makes of each hypothesis, by candidate id: why a known blueprint is not in its set.
pub type Verdicts = BTreeMap<String, Verdict>;

/// What a run makes of one hypothesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The side that the evidence is on now.
    pub direction_rule: DirectionRule,
    /// The blueprint that it became, if it did.
    pub compiled_as: Option<String>,
    /// Its discovery stands although it did not become one: keep a known blueprint as `watch`.
    pub keep_watching: bool,
    /// What failed.
    pub why: String,
}

impl Verdict {
    /// Whether to go on watching a known blueprint that is not compiled any more, and what to say about it.
    fn on(&self, old: &Blueprint) -> (bool, String) {
        match &self.compiled_as {
            _ if self.direction_rule != old.direction_rule => {
                (false, format!("the evidence now points the other way ({})", self.direction_rule))
            }
            Some(id) => (false, format!("replaced by {id}: the rule itself changed")),
            None => (self.keep_watching, self.why.clone()),
        }
    }
}

/// The next version's lines and how they differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// Lines of the next version, by id.
    pub blueprints: Vec<Blueprint>,
    /// New ids.
    pub added: Vec<Change>,
    /// Ids with new content.
    pub changed: Vec<Change>,
    /// Ids listed for the last time.
    pub retired: Vec<Change>,
    /// Ids that this version no longer lists.
    pub gone: Vec<String>,
    /// Blueprints by status.
    pub counts: Counts,
    /// Memory of what is gone, carried on.
    pub departed: BTreeMap<String, Departed>,
}

impl Diff {
    /// Whether a new version is due.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !(self.added.is_empty() && self.changed.is_empty() && self.retired.is_empty() && self.gone.is_empty())
    }
}

/// Compares. `version` is the name of the next version, for `first_published`; `verdicts` say why known
/// blueprints are not in `compiled`.
#[must_use]
pub fn diff(
    version: &str,
    current: &[Blueprint],
    departed: &BTreeMap<String, Departed>,
    compiled: &[Blueprint],
    verdicts: &Verdicts,
) -> Diff {
    let mut out = Diff { departed: departed.clone(), ..Diff::default() };
    let known: BTreeMap<&str, &Blueprint> = current.iter().map(|b| (b.id.as_str(), b)).collect();
    let fresh: BTreeMap<&str, &Blueprint> = compiled.iter().map(|b| (b.id.as_str(), b)).collect();
    for (id, blueprint) in &fresh {
        match known.get(id) {
            Some(old) => out.update(old, blueprint),
            None => out.add(version, blueprint),
        }
    }
    for (id, old) in known {
        if !fresh.contains_key(id) {
            out.lapse(old, verdicts.get(&old.lineage.candidate_id));
        }
    }
    out.blueprints.sort_by(|a, b| a.id.cmp(&b.id));
    for changes in [&mut out.added, &mut out.changed, &mut out.retired] {
        changes.sort_by(|a, b| a.id.cmp(&b.id));
    }
    out.counts = count(&out.blueprints);
    out
}

/// Blueprints by status.
#[must_use]
pub fn count(blueprints: &[Blueprint]) -> Counts {
    let of = |status| blueprints.iter().filter(|b| b.status == status).count() as u64;
    Counts {
        total: blueprints.len() as u64,
        active: of(Status::Active),
        watch: of(Status::Watch),
        retired: of(Status::Retired),
    }
}

impl Diff {
    fn add(&mut self, version: &str, blueprint: &Blueprint) {
        let mut line = blueprint.clone();
        let why = match self.departed.remove(&line.id) {
            Some(before) => {
                line.revision = before.revision + 1;
                line.lineage.first_published = Some(before.first_published);
                "passes every gate again"
            }
            None => {
                line.revision = 1;
                line.lineage.first_published = Some(version.to_owned());
                "passes every gate"
            }
        };
        self.added.push(Change { id: line.id.clone(), why: why.to_owned() });
        self.blueprints.push(line);
    }

    fn update(&mut self, old: &Blueprint, new: &Blueprint) {
        let mut line = new.clone();
        line.lineage.first_published.clone_from(&old.lineage.first_published);
        line.revision = old.revision;
        let fields = changed_fields(old, &line);
        if fields.is_empty() {
            // The old line stands as it was, byte for byte, with the run that made it.
            self.blueprints.push(old.clone());
            return;
        }
        line.revision += 1;
        self.changed.push(Change { id: line.id.clone(), why: name_fields(&fields) });
        self.blueprints.push(line);
    }

    fn lapse(&mut self, old: &Blueprint, verdict: Option<&Verdict>) {
        if old.status == Status::Retired {
            let first_published = old.lineage.first_published.clone().unwrap_or_default();
            self.departed.insert(old.id.clone(), Departed { revision: old.revision, first_published });
            self.gone.push(old.id.clone());
            return;
        }
        let (watch, why) =
            verdict.map_or_else(|| (false, "the run no longer tests it".to_owned()), |v| v.on(old));
        if watch && old.status == Status::Watch {
            // Its figures drift with every run; the line changes when the verdict does, not when its text does.
            self.blueprints.push(old.clone());
            return;
        }
        let mut line = old.clone();
        line.status = if watch { Status::Watch } else { Status::Retired };
        line.status_reason = Some(why.clone());
        line.revision += 1;
        let change = Change { id: line.id.clone(), why };
        if watch {
            self.changed.push(change);
        } else {
            self.retired.push(change);
        }
        self.blueprints.push(line);
    }
}

/// Dotted paths of the leaves that differ, except where a line comes from.
fn changed_fields(old: &Blueprint, new: &Blueprint) -> Vec<(String, String, String)> {
    let leaves = |b: &Blueprint| {
        let mut out = BTreeMap::new();
        collect(&serde_json::to_value(b).unwrap_or(Value::Null), "", &mut out);
        out
    };
    let (before, after) = (leaves(old), leaves(new));
    let absent = || "absent".to_owned();
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| !PROVENANCE.contains(&path.as_str()) && before.get(*path) != after.get(*path))
        .map(|path| {
            let side = |m: &BTreeMap<String, String>| m.get(path).cloned().unwrap_or_else(absent);
            (path.clone(), side(&before), side(&after))
        })
        .collect()
}

fn collect(value: &Value, path: &str, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(value, &path, out);
            }
        }
        leaf => {
            out.insert(path.to_owned(), canonical_json(leaf));
        }
    }
}

fn name_fields(fields: &[(String, String, String)]) -> String {
    let named: Vec<String> =
        fields.iter().take(FIELDS_NAMED).map(|(path, old, new)| format!("{path} {old} -> {new}")).collect();
    let rest = fields.len().saturating_sub(FIELDS_NAMED);
    if rest == 0 { named.join(", ") } else { format!("{}, and {rest} more", named.join(", ")) }
}
