//! A trace as text and as JSON: the verdict, then every node's value as a tree down to the sources.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::formula::formula;
use super::trace::Trace;
use crate::graph::ops::is_true;
use crate::graph::{NodeId, Op, Type, op_text};

/// What the inputs of a detector are for.
const ROLES: [&str; 4] = ["when", "exit", "direction", "severity"];

/// A node of one symbol.
type Place = (usize, NodeId);

impl Trace {
    /// For people. `brief` ends branches at named series.
    #[must_use]
    pub fn text(&self, brief: bool) -> String {
        let verdict = self.verdict();
        let subject = &self.subject;
        let mut text = format!(
            "{} ({}) on {}, bar {}, known at its close {}\n",
            subject.name,
            subject.kind.name(),
            self.symbols[self.position],
            self.at,
            self.at.close()
        );
        let _ = writeln!(text, "{}", verdict.headline);
        for reason in &verdict.because {
            let _ = writeln!(text, "  {reason}");
        }
        if !verdict.rules.is_empty() {
            text.push('\n');
        }
        for (rule, words) in &verdict.rules {
            let _ = writeln!(text, "{rule:<11}{words}");
        }
        let _ = writeln!(text, "{:<11}{}", "history", self.history());
        let _ = writeln!(text, "{:<11}{}\n", "specs", self.spec.hash);
        text.push_str(&self.tree(brief));
        text
    }

    /// For programs. Nodes are listed once; inputs name them by id.
    #[must_use]
    pub fn json(&self) -> Value {
        let verdict = self.verdict();
        let rules: serde_json::Map<_, _> =
            verdict.rules.iter().map(|(rule, words)| ((*rule).to_owned(), json!(words))).collect();
        json!({
            "name": self.subject.name,
            "kind": self.subject.kind.name(),
            "symbol": self.symbols[self.position],
            "timestamp": self.at.open().rfc3339(),
            "detected_ts": self.at.close().rfc3339(),
            "outcome": verdict.outcome.name(),
            "headline": verdict.headline,
            "because": verdict.because,
            "rules": rules,
            "history": {
                "first": self.first.open().rfc3339(),
                "rows": self.rows(),
                "symbols": self.symbols,
                "stateful": self.subject.facts[self.subject.root.ix()].stateful,
                "onsets_before": self.detector.as_ref().map(|d| d.onsets),
            },
            "ontology_spec_hash": self.spec.hash,
            "root": self.id((self.position, self.subject.root)),
            "nodes": self.nodes_json(),
        })
    }

    /// What was replayed, and what depends on it.
    fn history(&self) -> String {
        let rows = self.rows();
        let others = match self.symbols.len() {
            1 => String::new(),
            n => format!(" of {n} symbols"),
        };
        let text = format!("replayed {rows} bars{others} from {}", self.first);
        if self.subject.facts[self.subject.root.ix()].stateful {
            format!("{text}; rows marked S depend on where it begins")
        } else {
            text
        }
    }

    /// One node a line, its value before it, inputs indented below it. A node that was drawn is not drawn
    /// again.
    fn tree(&self, brief: bool) -> String {
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut drawn = BTreeSet::new();
        match self.detector_inputs() {
            Some(inputs) => {
                for (role, input) in ROLES.iter().zip(inputs) {
                    // A detector without `exit` has a constant there.
                    if !matches!(self.graph().node(input).op, Op::Truth(_)) {
                        let role = format!("{role}: ");
                        self.branch((self.position, input), (&role, ""), brief, (&mut lines, &mut drawn));
                    }
                }
            }
            None => {
                let root = (self.position, self.subject.root);
                self.branch(root, ("", ""), brief, (&mut lines, &mut drawn));
            }
        }
        let width = lines.iter().map(|(value, _)| value.chars().count()).max().unwrap_or(0);
        lines.iter().fold(String::new(), |text, (value, line)| format!("{text}{value:>width$}  {line}\n"))
    }

    fn branch(
        &self,
        place: Place,
        lead: (&str, &str),
        brief: bool,
        to: (&mut Vec<(String, String)>, &mut BTreeSet<Place>),
    ) {
        let (lines, drawn) = to;
        let (symbol, id) = place;
        let node = self.graph().node(id);
        let again = !node.inputs.is_empty() && !drawn.insert(place);
        let is_root = lead.1.is_empty();
        let stop = brief && !is_root && self.subject.names.contains_key(&id);
        let note = if again { "  (above)" } else { "" };
        let value = value_text(node.ty, self.value(symbol, id));
        lines.push((value, format!("{}{}{note}", lead.0, self.label(place))));
        if again || stop {
            return;
        }
        let below = self.below(place);
        for (i, (role, input)) in below.iter().enumerate() {
            let is_last = i + 1 == below.len();
            // Below a root its branches start at the margin; the blank keeps them off the next root.
            let stem = lead.1;
            let first = format!("{stem}{}{role}", if is_last { "└─ " } else { "├─ " });
            let rest = format!("{stem}{}", if is_last { "   " } else { "│  " });
            self.branch(*input, (&first, &rest), brief, (lines, drawn));
        }
    }

    /// What a node reads, each with a word on what it is for.
    fn below(&self, (symbol, id): Place) -> Vec<(String, Place)> {
        let node = self.graph().node(id);
        match &node.op {
            Op::Of(reference) => match self.referred(reference, symbol) {
                (other, Some(position)) => vec![(format!("{other}: "), (position, node.inputs[0]))],
                (_, None) => Vec::new(),
            },
            // The own symbol last: its branch is the one that goes on.
            Op::Universe { .. } => (0..self.symbols.len())
                .filter(|s| *s != symbol)
                .chain([symbol])
                .map(|s| (format!("{}: ", self.symbols[s]), (s, node.inputs[0])))
                .collect(),
            op => {
                let roles = if matches!(op, Op::Detect(_)) { ROLES.as_slice() } else { &[] };
                let role = |i: usize| roles.get(i).map(|r| format!("{r}: ")).unwrap_or_default();
                let inputs = node.inputs.iter().enumerate().map(|(i, input)| (role(i), (symbol, *input)));
                inputs.chain(node.clock.map(|clock| ("on: ".to_owned(), (symbol, clock)))).collect()
            }
        }
    }

    fn label(&self, (symbol, id): Place) -> String {
        let node = self.graph().node(id);
        let mut label = match &node.op {
            Op::Detect(_) | Op::Active(_) | Op::EventDir(_) => formula(&self.subject, id),
            op => op_text(op),
        };
        // A source is its own name.
        if let Some(name) = self.subject.names.get(&id).filter(|name| **name != label) {
            label = format!("{name} = {label}");
        }
        if let Some(note) = self.window_note(symbol, id) {
            label.push_str(&note);
        }
        if self.subject.facts[id.ix()].stateful {
            label.push_str("  S");
        }
        if let Op::Source(source) = node.op
            && self.absent[symbol].contains(&source)
        {
            label.push_str("  (not collected)");
        }
        label
    }

    /// A window that is not full of known values.
    fn window_note(&self, symbol: usize, id: NodeId) -> Option<String> {
        let (Op::Roll { window, .. } | Op::Roll2 { window, .. }) = self.graph().node(id).op else {
            return None;
        };
        let known = self.value(symbol, self.subject.known_in_window(id)?);
        let known = if known.is_nan() { 0.0 } else { known };
        (known < f64::from(window)).then(|| format!("  [{known} of {window} known]"))
    }

    fn id(&self, (symbol, node): Place) -> String {
        format!("{}:{}", self.symbols[symbol], node.0)
    }

    /// Every node that the tree shows, once, in evaluation order.
    fn nodes_json(&self) -> Vec<Value> {
        let mut found = BTreeSet::new();
        let mut open = vec![(self.position, self.subject.root)];
        while let Some(place) = open.pop() {
            if found.insert(place) {
                open.extend(self.below(place).into_iter().map(|(_, below)| below));
            }
        }
        let one = |place: Place| {
            let (symbol, id) = place;
            let node = self.graph().node(id);
            let inputs: Vec<String> = self.below(place).into_iter().map(|(_, p)| self.id(p)).collect();
            let known = self.subject.known_in_window(id).map(|probe| self.value(symbol, probe));
            json!({
                "id": self.id(place),
                "name": self.subject.names.get(&id),
                "op": op_text(&node.op),
                "expr": formula(&self.subject, id),
                "inputs": inputs,
                "value": value_json(node.ty, self.value(symbol, id)),
                "before": value_json(node.ty, self.value_before(symbol, id)),
                "known_in_window": known.filter(|n| !n.is_nan()),
                "stateful": self.subject.facts[id.ix()].stateful,
            })
        };
        found.into_iter().map(one).collect()
    }
}

/// A value in words: `true`, `false`, `unknown`, or a number with six digits that matter.
pub(super) fn value_text(ty: Type, value: f64) -> String {
    match ty {
        _ if value.is_nan() => "unknown".to_owned(),
        Type::Bool => is_true(value).to_string(),
        Type::Num => number(value),
    }
}

fn value_json(ty: Type, value: f64) -> Value {
    match ty {
        _ if value.is_nan() => Value::Null,
        Type::Bool => json!(is_true(value)),
        Type::Num => json!(value),
    }
}

fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || value.fract() == 0.0 && size < 1e15 {
        return format!("{value}");
    }
    if !(1e-4..1e9).contains(&size) {
        return format!("{value:.5e}");
    }
    let whole_digits = if size < 1.0 { 0 } else { size.log10().floor() as usize + 1 };
    let text = format!("{value:.*}", 6_usize.saturating_sub(whole_digits).max(1));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_six_digits_that_matter() {
        let texts: Vec<String> =
            [0.0, 1.0, -2.5, 0.123_456_789, 93_251.5, 1_234.567_89, 0.000_012_3, 8640.0].map(number).to_vec();
        assert_eq!(texts, ["0", "1", "-2.5", "0.123457", "93251.5", "1234.57", "1.23000e-5", "8640"]);
    }
}
