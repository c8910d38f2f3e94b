//! What differs between two runs.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::files::{Row, Whole};

/// Inputs and counts that are compared, as `blueprint_summary.json` and `walk_forward.json` name them.
const FACTS: [&str; 16] = [
    "code_version",
    "ontology_spec_hash",
    "data_watermark",
    "discovery_start",
    "discovery_end",
    "hypotheses",
    "hypotheses_with_data",
    "discoveries",
    "blueprints",
    "start",
    "from",
    "end",
    "step_days",
    "trials",
    "total_return",
    "max_drawdown",
];
/// Of a walk: the record, all together.
const TOTALS: &str = "totals";
/// Parts of a blueprint that are another run's by nature.
const LINEAGE: &str = "lineage";

/// The second run against the first.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Difference {
    /// Inputs and counts that are not the same: name, before, after.
    pub facts: Vec<Change>,
    /// What the stages read that is not the same, by name: records of the log by symbol, files of the specs,
    /// the program.
    pub inputs: Vec<String>,
    /// Candidates that are discoveries in the second run only.
    pub discoveries_gained: Vec<Row>,
    /// Candidates that were discoveries in the first run only.
    pub discoveries_lost: Vec<Row>,
    /// Blueprints that only the second run has.
    pub blueprints_added: Vec<String>,
    /// Blueprints that only the first run has.
    pub blueprints_gone: Vec<String>,
    /// Blueprints of both with the values that differ, lineage aside.
    pub blueprints_changed: BTreeMap<String, Vec<Change>>,
    /// Candidates of the first run only, of the second only, and of both.
    pub candidates: Shared,
    /// For each column, how many candidates of both runs hold another value.
    pub columns: BTreeMap<String, usize>,
}

/// One value that differs.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Change {
    /// Its name, with dots between levels.
    pub name: String,
    /// In the first run.
    pub before: Value,
    /// In the second run.
    pub after: Value,
}

/// How many things each of two sets has.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Shared {
    /// Only the first has them.
    pub before_only: usize,
    /// Only the second has them.
    pub after_only: usize,
    /// Both have them.
    pub both: usize,
}

impl Difference {
    /// Compares two runs.
    pub(super) fn between(before: &Whole, after: &Whole) -> Self {
        let mut out = Self::default();
        for name in FACTS {
            let (old, new) = (&before.summary[name], &after.summary[name]);
            if old != new {
                out.facts.push(Change { name: name.to_owned(), before: old.clone(), after: new.clone() });
            }
        }
        compare(TOTALS, &before.summary[TOTALS], &after.summary[TOTALS], &mut out.facts);
        out.compare_inputs(before, after);
        out.compare_blueprints(before, after);
        out.compare_candidates(before, after);
        out
    }

    /// Whether the runs say the same.
    pub(super) fn is_empty(&self) -> bool {
        let shared = Shared { both: self.candidates.both, ..Shared::default() };
        *self == Self { candidates: shared, ..Self::default() }
    }

    /// Only where both runs say what they read: an older run, or one of the daemon, does not.
    fn compare_inputs(&mut self, before: &Whole, after: &Whole) {
        if before.inputs.is_empty() || after.inputs.is_empty() {
            return;
        }
        let (old, new) = (&before.inputs, &after.inputs);
        let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
        self.inputs = names.filter(|name| old.get(*name) != new.get(*name)).cloned().collect();
    }

    fn compare_blueprints(&mut self, before: &Whole, after: &Whole) {
        for (id, old) in &before.blueprints {
            let Some(new) = after.blueprints.get(id) else {
                self.blueprints_gone.push(id.clone());
                continue;
            };
            let mut changes = Vec::new();
            compare("", old, new, &mut changes);
            if !changes.is_empty() {
                self.blueprints_changed.insert(id.clone(), changes);
            }
        }
        let added = after.blueprints.keys().filter(|id| !before.blueprints.contains_key(*id));
        self.blueprints_added = added.cloned().collect();
    }

    fn compare_candidates(&mut self, before: &Whole, after: &Whole) {
        for (id, old) in &before.candidates {
            let Some(new) = after.candidates.get(id) else {
                self.candidates.before_only += 1;
                if is_discovery(old) {
                    self.discoveries_lost.push(old.clone());
                }
                continue;
            };
            self.candidates.both += 1;
            match (is_discovery(old), is_discovery(new)) {
                (true, false) => self.discoveries_lost.push(old.clone()),
                (false, true) => self.discoveries_gained.push(new.clone()),
                _ => {}
            }
            for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
                if old.get(name) != new.get(name) {
                    *self.columns.entry(name.clone()).or_default() += 1;
                }
            }
        }
        for (id, new) in &after.candidates {
            if !before.candidates.contains_key(id) {
                self.candidates.after_only += 1;
                if is_discovery(new) {
                    self.discoveries_gained.push(new.clone());
                }
            }
        }
    }
}

fn is_discovery(row: &Row) -> bool {
    row.get("is_discovery").is_some_and(|text| text == "true")
}

/// Walks two JSON values and notes the leaves that differ.
fn compare(path: &str, before: &Value, after: &Value, out: &mut Vec<Change>) {
    if before == after || path == LINEAGE {
        return;
    }
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        out.push(Change { name: path.to_owned(), before: before.clone(), after: after.clone() });
        return;
    };
    for name in old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let value = |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or(Value::Null);
        compare(&path, &value(old), &value(new), out);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(id: &str, is_discovery: bool, q: &str) -> (String, Row) {
        let cells =
            [("candidate_id", id), ("is_discovery", if is_discovery { "true" } else { "false" }), ("q", q)];
        (id.to_owned(), cells.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }

    fn whole(discoveries: u64, blueprint: Value, candidates: &[(String, Row)]) -> Whole {
        let id = blueprint["id"].as_str().unwrap().to_owned();
        Whole {
            summary: json!({ "discoveries": discoveries, "run_id": blueprint["lineage"] }),
            inputs: [("log/A".to_owned(), "1".to_owned())].into(),
            blueprints: [(id, blueprint)].into(),
            candidates: candidates.iter().cloned().collect(),
        }
    }

    #[test]
    fn two_runs_that_say_the_same_differ_in_nothing_but_their_lineage() {
        let bp = |run: &str| json!({ "id": "bp_1", "evidence": { "n": 3 }, "lineage": { "run_id": run } });
        let candidates = [row("a", true, "0.01")];
        let found = Difference::between(&whole(1, bp("x"), &candidates), &whole(1, bp("y"), &candidates));
        assert!(found.is_empty(), "{found:?}");
        assert_eq!(found.candidates.both, 1);
    }

    #[test]
    fn two_walks_differ_in_their_totals() {
        let walk = |trades: u64| Whole {
            summary: json!({ "totals": { "trades": trades, "versions": 3 } }),
            inputs: BTreeMap::new(),
            blueprints: BTreeMap::new(),
            candidates: BTreeMap::new(),
        };
        let found = Difference::between(&walk(1), &walk(2));
        let change = Change { name: "totals.trades".to_owned(), before: json!(1), after: json!(2) };
        assert_eq!(found.facts, [change]);
    }

    #[test]
    fn what_was_gained_lost_and_changed_is_told_apart() {
        let bp = |id: &str, n: u64| json!({ "id": id, "evidence": { "n": n }, "lineage": {} });
        let before = whole(
            2,
            bp("bp_1", 3),
            &[row("a", true, "0.01"), row("b", true, "0.02"), row("c", false, "0.5")],
        );
        let mut after =
            whole(2, bp("bp_1", 4), &[row("a", true, "0.01"), row("c", true, "0.03"), row("d", false, "1")]);
        after.blueprints.insert("bp_2".to_owned(), bp("bp_2", 1));
        after.inputs.insert("spec/gates.yaml".to_owned(), "2".to_owned());
        let found = Difference::between(&before, &after);
        assert!(!found.is_empty());
        assert_eq!(found.facts, []);
        assert_eq!(found.inputs, ["spec/gates.yaml"]);
        assert_eq!(found.blueprints_added, ["bp_2"]);
        let change = Change { name: "evidence.n".to_owned(), before: json!(3), after: json!(4) };
        assert_eq!(found.blueprints_changed, [("bp_1".to_owned(), vec![change])].into());
        let ids = |rows: &[Row]| rows.iter().map(|r| r["candidate_id"].clone()).collect::<Vec<_>>();
        assert_eq!(
            (ids(&found.discoveries_gained), ids(&found.discoveries_lost)),
            (vec!["c".into()], vec!["b".into()])
        );
        assert_eq!(found.candidates, Shared { before_only: 1, after_only: 1, both: 2 });
        assert_eq!(found.columns, [("is_discovery".to_owned(), 1), ("q".to_owned(), 1)].into());
    }
}
