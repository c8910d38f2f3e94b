//! `spec check`: what the specs hold, and what looks wrong although it compiles.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::compiled::{CompiledSpec, EventMeta};
use crate::graph::{Node, Op, Rolling, SeriesDef, facts, names_in};

/// What the specs hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpecReport {
    /// Ontology hash.
    pub hash: String,
    /// Events by family, in registry order of families.
    pub families: Vec<(String, usize)>,
    /// Events.
    pub events: usize,
    /// States.
    pub states: usize,
    /// Features.
    pub features: usize,
    /// Macros.
    pub macros: usize,
    /// Names of variants that are written down but not enabled.
    pub disabled_variants: Vec<String>,
    /// The graph.
    pub graph: GraphSize,
    /// What looks wrong although it compiles.
    pub findings: Vec<String>,
}

/// How large the graph is, per symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GraphSize {
    /// All nodes after sharing.
    pub nodes: usize,
    /// Nodes that a spec writes as a call; infix operators, constants, sources and detectors are not calls.
    pub calls: usize,
    /// Quantiles, medians and ranks.
    pub order_statistics: usize,
    /// Sliding windows behind them: one per input and length.
    pub order_windows: usize,
    /// Rows in those windows.
    pub order_window_values: u64,
    /// Farthest row that an event reaches.
    pub longest_look_back_rows: u64,
}

impl SpecReport {
    /// Summarises.
    #[must_use]
    pub fn of(spec: &CompiledSpec) -> Self {
        let mut families: Vec<(String, usize)> = Vec::new();
        for event in &spec.events {
            match families.iter_mut().find(|(family, _)| *family == event.family) {
                Some((_, n)) => *n += 1,
                None => families.push((event.family.clone(), 1)),
            }
        }
        let disabled = spec.program.events.iter().filter(|e| !e.enabled);
        Self {
            hash: spec.hash.clone(),
            families,
            events: spec.events.len(),
            states: spec.states.len(),
            features: spec.features.len(),
            macros: spec.program.macros.len(),
            disabled_variants: disabled.map(|e| e.event_type.clone()).collect(),
            graph: GraphSize::of(spec),
            findings: findings(spec),
        }
    }
}

impl GraphSize {
    fn of(spec: &CompiledSpec) -> Self {
        let graph = &spec.graph;
        let all = facts(graph);
        let ranked: Vec<&Node> = graph.nodes.iter().filter(|n| is_order_statistic(&n.op)).collect();
        let order_windows: BTreeSet<_> = ranked
            .iter()
            .filter_map(|n| match n.op {
                Op::Roll { window, .. } => Some((n.inputs[0], n.clock, window)),
                _ => None,
            })
            .collect();
        Self {
            nodes: graph.nodes.len(),
            calls: graph.nodes.iter().filter(|n| is_call(&n.op)).count() + events_read(spec),
            order_statistics: ranked.len(),
            order_windows: order_windows.len(),
            order_window_values: order_windows.iter().map(|(_, _, window)| u64::from(*window)).sum(),
            longest_look_back_rows: graph
                .events
                .iter()
                .map(|e| all[e.detect.ix()].look_back.rows)
                .max()
                .unwrap_or(0),
        }
    }
}

const fn is_order_statistic(op: &Op) -> bool {
    matches!(op, Op::Roll { f: Rolling::Quantile(_) | Rolling::PctRank, .. })
}

fn is_call(op: &Op) -> bool {
    match op {
        Op::Source(source) => source.name().starts_with("minutes_"),
        Op::Const(_) | Op::Truth(_) | Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Pow | Op::Neg => false,
        Op::Compare(_) | Op::And | Op::Or | Op::Not | Op::Detect(_) => false,
        _ => true,
    }
}

/// `fired(E)` is the detector itself, so it is no node of its own: events that a spec reads this way.
fn events_read(spec: &CompiledSpec) -> usize {
    let graph = &spec.graph;
    let detectors: BTreeSet<_> = graph.events.iter().map(|e| e.detect).collect();
    let readers = graph.nodes.iter().filter(|n| !matches!(n.op, Op::Active(_) | Op::EventDir(_)));
    let read: BTreeSet<_> =
        readers.flat_map(|n| n.inputs.iter().chain(&n.clock)).filter(|id| detectors.contains(id)).collect();
    read.len()
}

fn findings(spec: &CompiledSpec) -> Vec<String> {
    let program = &spec.program;
    let mut out = Vec::new();
    let mut called: BTreeSet<&str> = BTreeSet::new();
    for event in &program.events {
        let parts = [Some(&event.when), event.exit.as_ref(), Some(&event.direction), Some(&event.severity)];
        let read: BTreeSet<&str> = parts.into_iter().flatten().chain(&event.lets).flat_map(names).collect();
        for unused in event.lets.iter().filter(|l| event.base.is_none() && !read.contains(l.name.as_str())) {
            out.push(format!("{}: the binding '{}' is never read", event.event_type, unused.name));
        }
        called.extend(read);
    }
    called.extend(program.features.iter().chain(&program.states).flat_map(names));
    called.extend(program.macros.iter().filter_map(|m| m.body.as_deref()).flat_map(names_in));
    for unused in program.macros.iter().filter(|m| !called.contains(m.name.as_str())) {
        out.push(format!("macros.yaml: the macro '{}' is never used", unused.name));
    }
    let taxonomy: BTreeMap<&str, &str> = spec
        .multiplicity
        .taxonomy
        .families
        .iter()
        .flat_map(|(family, events)| events.iter().map(move |e| (e.as_str(), family.as_str())))
        .collect();
    for event in program.events.iter().filter(|e| e.enabled && !taxonomy.contains_key(e.event_type.as_str()))
    {
        out.push(format!("multiplicity/taxonomy.yaml: the event '{}' is in no family", event.event_type));
    }
    out.extend(untestable(spec));
    if spec.calendars.releases.releases.is_empty() {
        out.push(
            "calendars/macro.yaml: no release is listed, so what reads 'macro' is unavailable".to_owned(),
        );
    }
    out
}

/// Events that ask for a test over horizons of which none can ever be tested.
fn untestable(spec: &CompiledSpec) -> Vec<String> {
    let lag = spec.defaults.entry_lag_bars.get();
    let is_asked = |event: &&EventMeta| event.templates.iter().any(|verb| spec.lexicon.test(verb).is_some());
    let is_untestable = |event: &&EventMeta| event.horizons.iter().all(|h| !h.fits_in_a_day(lag));
    let events = spec.events.iter().filter(is_asked).filter(is_untestable);
    events
        .map(|event| {
            let horizons: Vec<&str> = event.horizons.iter().map(|h| &*h.label).collect();
            format!(
                "{}: {} is never tested: no window of its horizons ({}) closes on the event's own UTC day; add a shorter one",
                event.file.display(),
                event.event_type,
                horizons.join(", ")
            )
        })
        .collect()
}

fn names(def: &SeriesDef) -> BTreeSet<&str> {
    def.expr.as_deref().map(names_in).unwrap_or_default()
}

impl fmt::Display for SpecReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let g = &self.graph;
        writeln!(f, "{}", self.hash)?;
        writeln!(
            f,
            "{} events in {} families, {} states, {} features, {} macros",
            self.events,
            self.families.len(),
            self.states,
            self.features,
            self.macros
        )?;
        for (family, n) in &self.families {
            writeln!(f, "  {n:>3} {family}")?;
        }
        writeln!(
            f,
            "graph per symbol: {} nodes ({} calls), {} order statistics over {} windows of {} rows together",
            g.nodes, g.calls, g.order_statistics, g.order_windows, g.order_window_values
        )?;
        writeln!(
            f,
            "longest look-back of an event: {} rows ({:.1} days)",
            g.longest_look_back_rows,
            g.longest_look_back_rows as f64 / 288.0
        )?;
        if !self.disabled_variants.is_empty() {
            writeln!(f, "written down, not enabled: {}", self.disabled_variants.join(", "))?;
        }
        match self.findings.len() {
            0 => f.write_str("no findings"),
            n => write!(f, "{n} findings\n  {}", self.findings.join("\n  ")),
        }
    }
}
