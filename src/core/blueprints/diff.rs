//! From the current version and a run's blueprints to the next version's lines. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::canonical::canonical_json;
use super::manifest::{Change, Counts, Departed};
use super::overlap::{Groups, OverlapFacts, group};
use super::record::{Blueprint, Monitoring, ScopeMode, Status, SymbolScope};
use crate::discovery::DirectionRule;

/// Where a line comes from: it differs in every run, so on its own it is no change.
const PROVENANCE: [&str; 10] = [
    "revision",
    "rule_revision",
    "discovered_through_ns",
    "monitoring.closed_through",
    "lineage.run_id",
    "lineage.code_version",
    "lineage.data_watermark",
    "lineage.data_watermark_ns",
    "lineage.discovery_end",
    "lineage.first_published",
];
/// Fields of the traded rule: whether, what, when, at what price and how large.
const RULE: [&str; 11] = [
    "bar_type",
    "condition",
    "direction_rule",
    "entry",
    "event_type",
    "exit",
    "fill_convention",
    "max_signal_age_ns",
    "overlap_group",
    "sizing",
    "symbol_scope",
];
/// Below [`RULE`], what is told of the evidence and of the neighbours alone.
const NOT_RULE: [&str; 3] = ["symbol_scope.n_by_symbol", "overlap_group.members", "overlap_group.share"];
/// Fields of the life since publication.
const LIFE: [&str; 3] = ["monitoring", "status", "status_reason"];
/// A reason names at most this many fields.
const FIELDS_NAMED: usize = 6;

/// What a run makes of each hypothesis, by candidate id: why a known blueprint is not in its set.
pub type Standings = BTreeMap<String, Standing>;

/// What a run makes of one hypothesis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The side that the evidence is on now.
    pub direction_rule: DirectionRule,
    /// The blueprint that it became, if it did.
    pub compiled_as: Option<String>,
    /// The status of a known blueprint that would not be published today; `None` leaves it as it is.
    pub weakened: Option<Status>,
    /// What failed, in words; empty where nothing did.
    pub why: String,
}

/// What monitoring says about published blueprints, by id. Without an entry a blueprint was not looked at.
pub type Lives = BTreeMap<String, Life>;

/// What monitoring says about one published blueprint.
#[derive(Clone, Debug, PartialEq)]
pub enum Life {
    /// Its unit is tested as it was.
    Monitored(Monitoring),
    /// Its unit is not tested any more, with the reason: changed or removed.
    Gone(String),
}

/// The next version's lines and how they differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// Lines of the next version, by id.
    pub blueprints: Vec<Blueprint>,
    /// Blueprints whose id is new in this version.
    pub added: Vec<Change>,
    /// Ids with new content.
    pub changed: Vec<Change>,
    /// Ids listed for the last time.
    pub retired: Vec<Change>,
    /// Ids that this version no longer lists.
    pub gone: Vec<String>,
    /// Compiled blueprints that may not be published, with the reason.
    pub held_back: Vec<Change>,
    /// Blueprints by status.
    pub counts: Counts,
    /// Memory of what is gone, carried on.
    pub departed: BTreeMap<String, Departed>,
    /// Which lines trade for others.
    groups: Groups,
}

impl Diff {
    /// Whether a new version is due.
    #[must_use]
    pub fn is_change(&self) -> bool {
        !(self.added.is_empty() && self.changed.is_empty() && self.retired.is_empty() && self.gone.is_empty())
    }
}

/// Compares. `version` is the name of the next version, for `first_published`; `verdicts` say why known
/// blueprints are not in `compiled`, `lives` what became of them since they were published.
///
/// A publication stands: neither a larger q nor a gate that fails later takes it back, only monitoring does,
/// or a unit that is changed or gone. A hypothesis is published once, on one side; what monitoring has
/// retired does not return under the same definition. `overlap` says which lines trade the same moves: of
/// these, one trades.
#[must_use]
pub fn diff(
    version: &str,
    current: &[Blueprint],
    departed: &BTreeMap<String, Departed>,
    compiled: &[Blueprint],
    verdicts: &Standings,
    lives: &Lives,
    overlap: &OverlapFacts,
) -> Diff {
    let compiled: Vec<Blueprint> = compiled.iter().map(|b| with_known_scope(b, current)).collect();
    let overlap = overlap.renamed(&compiled);
    // The lines that stand decide the groups, and the groups are part of the lines.
    let alone = lines(version, current, departed, &compiled, verdicts, lives, &Groups::new());
    let groups = group(&alone.blueprints, current, &overlap);
    lines(version, current, departed, &compiled, verdicts, lives, &groups)
}

/// A blueprint of a pool that is published already keeps the symbols that it was published with: a symbol
/// that came to have evidence, or to lack it, since then makes no other rule.
fn with_known_scope(fresh: &Blueprint, current: &[Blueprint]) -> Blueprint {
    let is_known = |old: &&Blueprint| {
        let mut there = fresh.clone();
        there.symbol_scope.symbols.clone_from(&old.symbol_scope.symbols);
        old.lineage.candidate_id == fresh.lineage.candidate_id && there.identity() == old.id
    };
    let mut line = fresh.clone();
    if fresh.symbol_scope.mode == ScopeMode::MultiSymbol
        && let Some(old) = current.iter().find(is_known)
    {
        let n_by_symbol = std::mem::take(&mut line.symbol_scope.n_by_symbol);
        line.symbol_scope = SymbolScope { n_by_symbol, ..old.symbol_scope.clone() };
        line.bar_type.clone_from(&old.bar_type);
        line.id.clone_from(&old.id);
    }
    line
}

fn lines(
    version: &str,
    current: &[Blueprint],
    departed: &BTreeMap<String, Departed>,
    compiled: &[Blueprint],
    verdicts: &Standings,
    lives: &Lives,
    groups: &Groups,
) -> Diff {
    let mut out = Diff { departed: departed.clone(), groups: groups.clone(), ..Diff::default() };
    let known: BTreeMap<&str, &Blueprint> = current.iter().map(|b| (b.id.as_str(), b)).collect();
    let fresh: BTreeMap<&str, &Blueprint> = compiled.iter().map(|b| (b.id.as_str(), b)).collect();
    for (id, blueprint) in &fresh {
        match known.get(id) {
            Some(old) if old.status == Status::Retired => out.depart(old),
            Some(old) => out.update(old, blueprint, lives.get(*id)),
            None => {}
        }
    }
    for (id, old) in &known {
        if !fresh.contains_key(id) {
            out.lapse(old, verdicts.get(&old.lineage.candidate_id), lives.get(*id));
        }
    }
    for (id, blueprint) in &fresh {
        if !known.contains_key(id) {
            out.add(version, blueprint);
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
        if let Some(why) = self.bar(blueprint) {
            self.held_back.push(Change::told(blueprint.id.clone(), why));
            return;
        }
        let mut line = blueprint.clone();
        let why = match self.departed.remove(&line.id) {
            Some(before) => {
                line.revision = before.revision + 1;
                line.rule_revision = before.rule_revision + 1;
                line.lineage.first_published = Some(before.first_published);
                "passes every gate again"
            }
            None => {
                line.revision = 1;
                line.rule_revision = 1;
                line.lineage.first_published = Some(version.to_owned());
                "passes every gate"
            }
        };
        line.overlap_group = self.groups.get(&line.id).cloned();
        self.added.push(Change::told(line.id.clone(), why.to_owned()));
        self.blueprints.push(line);
    }

    /// Why a blueprint that passes every gate may not be published.
    fn bar(&self, blueprint: &Blueprint) -> Option<String> {
        let unit = &blueprint.lineage.candidate_id;
        let definition = definition_of(blueprint);
        let same = |d: &str| !d.is_empty() && d == definition;
        for other in self.blueprints.iter().filter(|b| b.lineage.candidate_id == *unit) {
            if other.status != Status::Retired {
                return Some(format!(
                    "its hypothesis is published as {} ({}): only monitoring ends that",
                    other.id, other.direction_rule
                ));
            }
            if is_retired_by_monitoring(other) && same(definition_of(other)) {
                return Some(format!("monitoring retires its hypothesis ({}) in this version", other.id));
            }
        }
        let ended = self.departed.iter().find(|(id, d)| {
            d.retired_definition.as_deref().is_some_and(|d| same(d) || (d.is_empty() && **id == blueprint.id))
        });
        ended.map(|(id, _)| {
            format!(
                "monitoring has retired its hypothesis ({id}): it may return under a new definition, in a later cohort"
            )
        })
    }

    /// A blueprint that passes every gate and is known.
    fn update(&mut self, old: &Blueprint, new: &Blueprint, life: Option<&Life>) {
        let mut line = new.clone();
        line.lineage.first_published.clone_from(&old.lineage.first_published);
        line.revision = old.revision;
        line.rule_revision = old.rule_revision;
        let is_another = old.publication.is_some() && definition_of(old) != definition_of(new);
        if is_another {
            // The same names, another trial: published anew, with a life of its own.
            self.settle(old, line);
            return;
        }
        // What stood at the first publication stands; lines of an older program get it now.
        if old.publication.is_some() {
            line.publication.clone_from(&old.publication);
        }
        line.monitoring.clone_from(&old.monitoring);
        live(&mut line, life);
        self.settle(old, line);
    }

    /// A known blueprint that the run would not publish.
    fn lapse(&mut self, old: &Blueprint, verdict: Option<&Standing>, life: Option<&Life>) {
        if old.status == Status::Retired {
            self.depart(old);
            return;
        }
        let mut line = old.clone();
        match (life, verdict) {
            (Some(_), _) | (None, Some(_)) => {
                line.status = Status::Active;
                line.status_reason = None;
                live(&mut line, life);
                if let Some(v) = verdict
                    && let (Status::Active, Some(status)) = (line.status, v.weakened)
                {
                    line.status = status;
                    // Its figures drift with every run; the line changes when the verdict does, not when its
                    // text does.
                    let same =
                        old.status == status && old.monitoring.as_ref().is_none_or(|m| m.reason().is_none());
                    line.status_reason = if same { old.status_reason.clone() } else { Some(v.why.clone()) };
                }
                if life.is_none() && old.monitoring.as_ref().is_some_and(|m| m.status() != Status::Active) {
                    (line.status, line.status_reason) = (old.status, old.status_reason.clone());
                }
            }
            (None, None) => {
                line.status = Status::Retired;
                line.status_reason = Some("the run no longer tests it".to_owned());
            }
        }
        self.settle(old, line);
    }

    /// The line goes into the next version; whether and how it changed.
    fn settle(&mut self, old: &Blueprint, mut line: Blueprint) {
        line.overlap_group = self.groups.get(&line.id).filter(|_| line.status != Status::Retired).cloned();
        let fields = changed_fields(old, &line);
        if fields.is_empty() {
            // The old line stands as it was, byte for byte, with the run that made it.
            self.blueprints.push(old.clone());
            return;
        }
        line.revision += 1;
        let status_changed = line.status != old.status;
        let why = match &line.status_reason {
            Some(reason) if status_changed => reason.clone(),
            _ => name_fields(&fields),
        };
        let mut change = Change::told(line.id.clone(), why);
        for (path, ..) in fields {
            let list = match part_of(&path) {
                Part::Rule => &mut change.rule,
                Part::Evidence => &mut change.evidence,
                Part::Life => &mut change.monitoring,
            };
            list.push(path);
        }
        if !change.rule.is_empty() {
            line.rule_revision += 1;
        }
        if line.status == Status::Retired {
            self.retired.push(change);
        } else {
            self.changed.push(change);
        }
        self.blueprints.push(line);
    }

    fn depart(&mut self, old: &Blueprint) {
        let first_published = old.lineage.first_published.clone().unwrap_or_default();
        let retired_definition = is_retired_by_monitoring(old).then(|| definition_of(old).to_owned());
        let (revision, rule_revision) = (old.revision, old.rule_revision);
        let departed = Departed { revision, rule_revision, first_published, retired_definition };
        self.departed.insert(old.id.clone(), departed);
        self.gone.push(old.id.clone());
    }
}

/// What a field belongs to.
enum Part {
    Rule,
    Evidence,
    Life,
}

fn part_of(path: &str) -> Part {
    let lies_in = |roots: &[&str]| {
        roots
            .iter()
            .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    match () {
        () if lies_in(&LIFE) => Part::Life,
        () if lies_in(&RULE) && !lies_in(&NOT_RULE) => Part::Rule,
        () => Part::Evidence,
    }
}

/// Hash of what was tested; empty in lines of an older program.
fn definition_of(blueprint: &Blueprint) -> &str {
    blueprint.publication.as_ref().map_or("", |p| &p.definition_hash)
}

fn is_retired_by_monitoring(blueprint: &Blueprint) -> bool {
    blueprint.monitoring.as_ref().is_some_and(|m| m.status() == Status::Retired)
}

/// Sets what monitoring decides.
fn live(line: &mut Blueprint, life: Option<&Life>) {
    match life {
        Some(Life::Monitored(monitoring)) => line.monitoring = Some(monitoring.clone()),
        Some(Life::Gone(why)) => {
            line.status = Status::Retired;
            line.status_reason = Some(why.clone());
            return;
        }
        None => {}
    }
    if let Some(monitoring) = &line.monitoring {
        line.status = monitoring.status();
        line.status_reason = monitoring.reason();
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
