//! `spec explain NAME`: what a name means, down to the sources.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::compiled::CompiledSpec;
use super::sources::Hold;
use crate::graph::{
    Drawing, EventNode, Expr, NodeFacts, NodeId, Onset, cost_per_bar, duration, expand_macros, facts,
    in_words, names_in, nearest, operators, parse, reachable,
};
use crate::market::Source;

/// What a name means.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The explanation as text for people.
    pub text: String,
    /// The explanation as JSON for programs.
    pub json: Value,
    /// The graph as a Graphviz file; empty for a name without one.
    pub dot: String,
}

/// A name that is not in the specs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' is not an event, state, feature, source or template verb{}", hint(near.as_deref()))]
pub struct UnknownName {
    /// Name as the caller gave it.
    pub name: String,
    /// What may have been meant.
    pub near: Option<String>,
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default()
}

/// Explains an event, state, feature, source or template verb, or lists all `sources` or `operators`. `whole`
/// draws the graph down to the sources.
///
/// # Errors
/// When there is no such name.
pub fn explain(spec: &CompiledSpec, name: &str, whole: bool) -> Result<Explanation, UnknownName> {
    let all = facts(&spec.graph);
    let at = Explainer { spec, facts: &all, whole };
    if let Some(ix) = spec.graph.events.iter().position(|e| e.event_type == name) {
        return Ok(at.event(ix));
    }
    if let Some(ix) = spec.graph.states.iter().position(|s| s.name == name) {
        let meta = &spec.states[ix];
        let about = [
            ("family", meta.family.clone()),
            ("event", meta.source_event.clone()),
            (
                "conditions",
                if meta.family_wide {
                    format!("every event of {}", meta.family)
                } else {
                    format!("{} only", meta.source_event)
                },
            ),
            ("min events", meta.min_events.to_string()),
        ];
        let (node, file) = (spec.graph.states[ix].node, meta.file.display().to_string());
        return Ok(at.series("state", name, &meta.doc, (&meta.expr, node), &file, &about));
    }
    if let Some(ix) = spec.graph.features.iter().position(|f| f.name == feature_of(name)) {
        let meta = &spec.features[ix];
        let (node, file) = (spec.graph.features[ix].node, meta.file.display().to_string());
        let mut about = vec![("unit", meta.unit.clone())];
        if meta.name != name {
            about.push(("column", format!("{name} of features_v1: {} in words", meta.name)));
        }
        return Ok(at.series("feature", name, &meta.doc, (&meta.expr, node), &file, &about));
    }
    if let Some(source) = Source::ALL.iter().find(|s| s.name() == name) {
        return Ok(at.source(*source));
    }
    if name == "sources" {
        return Ok(at.sources());
    }
    if name == "operators" {
        return Ok(every_operator());
    }
    if let Some(found) = at.verb(name) {
        return Ok(found);
    }
    Err(unknown_name(spec, name).unwrap_or(UnknownName { name: name.to_owned(), near: None }))
}

/// The feature behind a name: a column of labels is that of its codes.
fn feature_of(name: &str) -> &str {
    match name {
        "vol_regime_label" => "vol_regime",
        "carry_state_label" => "carry_state",
        other => other,
    }
}

/// What to say of a name that is not in the specs; `None` for one that is.
#[must_use]
pub fn unknown_name(spec: &CompiledSpec, name: &str) -> Option<UnknownName> {
    let events = spec.events.iter().map(|e| e.event_type.as_str());
    let known: Vec<&str> = events
        .chain(spec.states.iter().map(|s| s.id.as_str()))
        .chain(spec.features.iter().map(|f| f.name.as_str()))
        .chain(Source::ALL.iter().map(|s| s.name()))
        .chain(spec.lexicon.names())
        .chain(["sources", "operators"])
        .collect();
    if known.contains(&feature_of(name)) {
        return None;
    }
    Some(UnknownName { name: name.to_owned(), near: nearest(name, known).map(str::to_owned) })
}

/// The operators of the language, each with its class, its call and an example in words.
fn every_operator() -> Explanation {
    let mut text = String::new();
    let mut list = Vec::new();
    for operator in operators() {
        let (class, usage, example) = (operator.class.letter(), operator.usage(), operator.example);
        let words = parse(example, 0).map(|e| in_words(&e)).unwrap_or_default();
        let _ = writeln!(text, "{class}  {usage}\n     {example}: {words}");
        list.push(json!({"name": operator.name, "class": class, "usage": usage, "example": example}));
    }
    Explanation { text, json: json!({"kind": "operators", "operators": list}), dot: String::new() }
}

struct Explainer<'s> {
    spec: &'s CompiledSpec,
    facts: &'s [NodeFacts],
    whole: bool,
}

impl Explainer<'_> {
    fn event(&self, ix: usize) -> Explanation {
        let (meta, node) = (&self.spec.events[ix], &self.spec.graph.events[ix]);
        let mut text = format!("{}  (event, {})\n{}\n", meta.event_type, meta.family, meta.doc);
        let _ = writeln!(text, "{}, {}\n", meta.file.display(), meta.spec_hash);
        let width = meta.parts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut named = BTreeSet::new();
        let mut parts = Vec::new();
        for (name, written) in &meta.parts {
            let formula = self.formula(written);
            let _ = writeln!(text, "{name:width$}  {written}");
            let _ = writeln!(text, "{:width$}  = {}", "", formula.words);
            if formula.expanded != *written {
                let _ = writeln!(text, "{:width$}  expanded: {}", "", formula.expanded);
            }
            named.extend(formula.names.iter().cloned());
            parts.push(
                json!({"part": name, "expr": written, "expanded": formula.expanded, "words": formula.words}),
            );
        }
        let _ = writeln!(text, "\n{}", rules(node));
        let when = self.spec.graph.node(node.detect).inputs[0];
        text.push_str(&self.reach(node.detect, when));
        let _ = writeln!(text, "templates   {}", meta.templates.join(", "));
        if let Some(relative) = &meta.relative {
            let _ = writeln!(text, "relative    {relative}");
        }
        let horizons: Vec<&str> = meta.horizons.iter().map(|h| &*h.label).collect();
        let _ = writeln!(text, "horizons    {}", horizons.join(", "));
        let (low, high) = meta.prevalence_per_10k;
        let _ = writeln!(text, "prevalence  {low} to {high} onsets per 10 000 known rows");
        let _ = writeln!(text, "confounders {}", meta.confounders);
        if meta.draft {
            text.push_str("draft       counted and explained; nothing of it is tested until `draft: true` is taken out\n");
        }
        let overlaps = self.overlaps(&meta.event_type);
        for (others, relation) in &overlaps {
            let _ = writeln!(text, "overlaps    {}: {}", others.join(", "), relation.replace('_', " "));
        }
        text.push_str(&self.definitions(&named));
        let drawing = Drawing::new(&self.spec.graph, self.facts, self.whole);
        let _ = writeln!(
            text,
            "\ngraph ([rows] = look-back, S = depends on where the history starts)\n{}",
            drawing.tree(node.detect)
        );
        let json = json!({
            "kind": "event", "name": meta.event_type, "family": meta.family, "doc": meta.doc, "spec_hash": meta.spec_hash,
            "draft": meta.draft, "file": meta.file, "parts": parts, "spacing_bars": node.spacing_bars, "max_bars": node.max_bars,
            "undirected": node.undirected, "templates": meta.templates, "horizons": horizons,
            "overlaps": overlaps.iter().map(|(others, relation)| json!({"events": others, "relation": relation})).collect::<Vec<_>>(),
            "relative": meta.relative.as_ref().map(ToString::to_string),
            "prevalence_per_10k": [low, high], "needs": node.needs.iter().map(|s| s.name()).collect::<Vec<_>>(),
            "facts": self.facts_json(node.detect), "snapshot": node.snapshot.iter().map(|o| &o.name).collect::<Vec<_>>(),
        });
        Explanation { text, json, dot: drawing.dot(node.detect) }
    }

    /// The events that share rows with an event by construction, with what holds between them: one move, not
    /// two independent ones.
    fn overlaps(&self, event_type: &str) -> Vec<(Vec<&str>, &str)> {
        let relations = self.spec.multiplicity.taxonomy.relations.iter();
        let its = relations.filter(|r| r.events.iter().any(|e| e == event_type));
        its.map(|relation| {
            let others = relation.events.iter().map(String::as_str).filter(|e| *e != event_type);
            (others.collect(), relation.relation.as_str())
        })
        .collect()
    }

    fn series(
        &self,
        kind: &str,
        name: &str,
        doc: &str,
        (written, node): (&str, NodeId),
        file: &str,
        about: &[(&str, String)],
    ) -> Explanation {
        let formula = self.formula(written);
        let mut text = format!("{name}  ({kind})\n{doc}\n{file}\n\n{written}\n= {}\n", formula.words);
        if formula.expanded != written {
            let _ = writeln!(text, "expanded: {}", formula.expanded);
        }
        text.push('\n');
        for (key, value) in about {
            let _ = writeln!(text, "{key:<12}{value}");
        }
        text.push_str(&self.reach(node, node));
        text.push_str(&self.definitions(&formula.names));
        let drawing = Drawing::new(&self.spec.graph, self.facts, self.whole);
        let _ = writeln!(
            text,
            "\ngraph ([rows] = look-back, S = depends on where the history starts)\n{}",
            drawing.tree(node)
        );
        let about: serde_json::Map<_, _> =
            about.iter().map(|(k, v)| (k.replace(' ', "_"), json!(v))).collect();
        let json = json!({
            "kind": kind, "name": name, "doc": doc, "file": file, "expr": written, "expanded": formula.expanded,
            "words": formula.words, "about": about, "facts": self.facts_json(node),
        });
        Explanation { text, json, dot: drawing.dot(node) }
    }

    /// Look-back, warm-up, sources and cost of `root`; the warm-up is that of `trigger`.
    fn reach(&self, root: NodeId, trigger: NodeId) -> String {
        let (facts, trigger) = (&self.facts[root.ix()], &self.facts[trigger.ix()]);
        let mut text = format!("look-back   {}\n", span(facts.look_back.rows, facts.look_back.ticks));
        let _ = writeln!(
            text,
            "warm-up     {} with every window at its minimum",
            span(trigger.warm_up.rows, trigger.warm_up.ticks)
        );
        if facts.stateful {
            text.push_str("class       S: depends on where the stored history starts, until its first set, reset or tick\n");
        }
        if facts.cross_symbol {
            text.push_str("reads       other symbols of the same tick\n");
        }
        let needs: Vec<Source> = facts.needs.iter().collect();
        for source in facts.reads.iter() {
            let optional =
                if needs.contains(&source) { "" } else { "  (other symbols only, or with a fallback)" };
            let _ = writeln!(text, "source      {}{optional}", self.rule(source));
        }
        let nodes = reachable(&self.spec.graph, root);
        let cost: f64 = nodes.iter().map(|id| cost_per_bar(&self.spec.graph.node(*id).op)).sum();
        let _ = writeln!(
            text,
            "cost        {} nodes, about {cost:.0} elementary operations a bar, shared with all that reads them",
            nodes.len()
        );
        text
    }

    fn rule(&self, source: Source) -> String {
        let Some(rule) = self.spec.sources.rule(source) else { return source.name().to_owned() };
        let hold = match rule.hold {
            Hold::Bar => "its own bar".to_owned(),
            Hold::Seconds(s) => format!("held {s} s"),
            Hold::IntervalPlusSeconds(s) => format!("held one interval and {s} s"),
            Hold::Forever => "known ahead".to_owned(),
        };
        format!("{} ({}, lag {} s, {hold})", source.name(), rule.name, rule.lag_s)
    }

    /// Features and states that the formulas name, one line each.
    fn definitions(&self, names: &BTreeSet<String>) -> String {
        let features = self.spec.features.iter().map(|f| (&f.name, &f.expr));
        let states = self.spec.states.iter().map(|s| (&s.id, &s.expr));
        let lines: Vec<String> = features
            .chain(states)
            .filter(|(n, _)| names.contains(*n))
            .map(|(n, e)| format!("  {n} = {e}\n"))
            .collect();
        if lines.is_empty() { String::new() } else { format!("\nwhere\n{}", lines.concat()) }
    }

    fn formula(&self, written: &str) -> Formula {
        // It compiled, so it parses; the fallback keeps this a pure function of the text.
        let Ok(expr) = parse(written, 0) else {
            return Formula {
                words: written.to_owned(),
                expanded: written.to_owned(),
                names: BTreeSet::new(),
            };
        };
        let expanded: Expr = expand_macros(&expr, &self.spec.program);
        let names = names_in(&expanded).into_iter().map(str::to_owned).collect();
        Formula { words: in_words(&expanded), expanded: expanded.to_string(), names }
    }

    fn facts_json(&self, node: NodeId) -> Value {
        let f = &self.facts[node.ix()];
        let hash: String = f.hash.iter().map(|b| format!("{b:02x}")).collect();
        json!({
            "look_back_rows": f.look_back.rows, "look_back_ticks": f.look_back.ticks, "warm_up_rows": f.warm_up.rows,
            "warm_up_ticks": f.warm_up.ticks, "stateful": f.stateful, "cross_symbol": f.cross_symbol,
            "sources": f.reads.iter().map(|s| s.name()).collect::<Vec<_>>(),
            "needs": f.needs.iter().map(|s| s.name()).collect::<Vec<_>>(), "node_hash": format!("sha256:{hash}"),
            "nodes": reachable(&self.spec.graph, node).len(),
        })
    }

    fn source(&self, source: Source) -> Explanation {
        let mut text = format!("{}  (source)\n", source.name());
        let rule = self.spec.sources.rule(source);
        if let Some(rule) = rule {
            let _ = writeln!(
                text,
                "{}\nunit        {}\nunknown     {}\n{}",
                rule.describes,
                rule.unit,
                rule.unknown_when,
                self.rule(source)
            );
        }
        let readers: Vec<&str> = self
            .spec
            .graph
            .events
            .iter()
            .filter(|e| self.facts[e.detect.ix()].reads.contains(source))
            .map(|e| e.event_type.as_str())
            .collect();
        let _ = writeln!(text, "read by     {} events: {}", readers.len(), readers.join(", "));
        Explanation {
            text,
            json: json!({"kind": "source", "name": source.name(), "rule": rule, "read_by": readers}),
            dot: String::new(),
        }
    }

    fn sources(&self) -> Explanation {
        let text = Source::ALL.iter().fold(String::new(), |text, s| format!("{text}{}\n", self.rule(*s)));
        Explanation {
            text,
            json: json!({"kind": "sources", "groups": self.spec.sources.groups}),
            dot: String::new(),
        }
    }

    fn verb(&self, name: &str) -> Option<Explanation> {
        let users: Vec<&str> = self
            .spec
            .events
            .iter()
            .filter(|e| e.templates.iter().any(|t| t == name))
            .map(|e| e.event_type.as_str())
            .collect();
        let (head, doc, json) = if let Some((canonical, test)) = self.spec.lexicon.test(name) {
            (
                format!("test '{canonical}', side {}", test.side),
                &test.doc,
                json!({"kind": "test", "test": test}),
            )
        } else {
            let filter = self.spec.lexicon.filters.get(name)?;
            ("filter".to_owned(), &filter.doc, json!({"kind": "filter", "filter": filter}))
        };
        let text = format!("{name}  (template verb: {head})\n{doc}\nused by     {}\n", users.join(", "));
        Some(Explanation { text, json, dot: String::new() })
    }
}

struct Formula {
    words: String,
    expanded: String,
    names: BTreeSet<String>,
}

fn rules(event: &EventNode) -> String {
    let onset = match event.onset {
        Onset::Rising => "fires when `when` becomes true",
        Onset::Level => "fires on every row where `when` is true",
    };
    let spacing = match event.spacing_bars {
        0 => String::new(),
        bars => format!(", not within {bars} rows of its last onset"),
    };
    let episode = match (event.has_exit, event.max_bars) {
        (true, Some(max)) => format!("an episode ends at `exit` or after {max} rows"),
        (true, None) => "an episode ends at `exit`".to_owned(),
        (false, Some(max)) => format!("an episode lasts {max} rows"),
        (false, None) => "an episode is the onset row alone".to_owned(),
    };
    let side = if event.undirected {
        "direction may be 0 (undirected)"
    } else {
        "direction must be known and not 0"
    };
    format!("{onset}{spacing}; {episode}; {side}\n")
}

fn span(rows: u64, ticks: u64) -> String {
    let mut text = match rows {
        0 => "this row only".to_owned(),
        rows => format!("{rows} rows ({:.1} days)", rows as f64 / 288.0),
    };
    if rows > 0 && rows < 288 {
        text = format!("{rows} rows ({})", duration(rows as f64));
    }
    if ticks > 0 {
        let plural = if ticks == 1 { "" } else { "s" };
        let _ = write!(text, " and {ticks} tick{plural} of an event clock");
    }
    text
}
