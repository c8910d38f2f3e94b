//! What a unit *is*, in one text and one hash: whatever can change its outcome series or its test. Two units
//! with equal text are the same trial, whenever and under whatever spec hash they are looked at; anything
//! else is another trial.
//!
//! ```text
//! unit/1
//! event VOL_SHOCK 3f0c…        detector: when, exit, direction and all they read, onset, spacing, source rules, sessions
//! scope single BTCUSDT         or: pooled BTCUSDT,SOLUSDT
//! condition HIGH_VOL HIGH_VOL 77ab…     expression and all it reads; "-" without one
//! horizon 12
//! lag 1
//! price close
//! cost BTCUSDT 4+2             fee + slippage per side, bps, of every symbol of the scope
//! test 90d1…                   the null, the e-process and its constants, the scale of the scores
//! measure relative_return 5b…  statistic and the relative price; no line for the symbol's own return
//! ```
//!
//! Not part of it, being data: dates of holidays and releases, the dated fee schedule. Nor what changes no
//! outcome: names of template verbs, severity, documentation, prevalence bounds, thresholds of gates, sizing.

use crate::market::hex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::condition::{Condition, Part, label_condition};
use crate::graph::{EventNode, NodeFacts, NodeId, Onset, Op, facts, reachable};
use crate::market::{Source, Symbol};
use crate::outcomes::{EntryPrice, Leg, RelativePrice};
use crate::spec::{CompiledSpec, Join, TestStatistic};

/// The feature that scales the scores.
const SCALE_FEATURE: &str = "sigma_event";
/// The one that stands in where specs have no such feature.
const SCALE_STAND_IN: &str = "sigma_bar";

/// Hashes (64 hex digits) and words that the texts of units are made of. Empty for a table whose making is
/// unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Definitions {
    /// By event type.
    pub events: BTreeMap<Arc<str>, String>,
    /// By condition id.
    pub conditions: BTreeMap<Arc<str>, String>,
    /// Costs per side by symbol.
    pub costs: BTreeMap<Symbol, String>,
    /// Which price of a bar enters and leaves: open or close.
    pub price: String,
    /// Digest of the test's parameters and of the scale of its scores.
    pub test: String,
    /// By event type, what is measured where it is not the symbol's own return.
    pub measures: BTreeMap<Arc<str>, String>,
}

impl Definitions {
    /// Of everything that compiled specs define, on these symbols, for tests of one statistic.
    #[must_use]
    pub fn of(spec: &CompiledSpec, symbols: &[Symbol], statistic: TestStatistic) -> Self {
        let graph = &spec.graph;
        let context = Reading {
            spec,
            facts: facts(graph),
            sessions: digest(&format!("{:?}", spec.calendars.sessions)),
            universe: symbols.iter().map(Symbol::as_str).collect::<Vec<_>>().join(","),
        };
        let events = graph.events.iter().map(|e| (e.event_type.as_str().into(), context.event(e))).collect();
        let mut conditions: BTreeMap<Arc<str>, String> =
            graph.states.iter().map(|s| (s.name.as_str().into(), context.series(s.node))).collect();
        for (column, values) in &spec.defaults.conditioning.regimes {
            let series = context.named(column);
            for (label, code) in values {
                let id = label_condition(column, label).id;
                conditions.insert(id, digest(&format!("{series} == {code}")));
            }
        }
        let scale = Some(context.named(SCALE_FEATURE)).filter(|scale| !scale.is_empty());
        let scale = scale.unwrap_or_else(|| context.named(SCALE_STAND_IN));
        let test = serde_json::to_string(&spec.gates.evidence).unwrap_or_default();
        Self {
            events,
            conditions,
            costs: symbols.iter().map(|s| (s.clone(), context.cost(s))).collect(),
            price: match spec.defaults.entry_price {
                EntryPrice::Close => "close".to_owned(),
                EntryPrice::Open => "open".to_owned(),
            },
            test: digest(&format!("{test} scale {scale}")),
            measures: context.measures(statistic, symbols),
        }
    }
}

impl Definitions {
    /// Adds a condition that is made of others: what is named apart already keeps its hash, so that a state
    /// means the same trial whoever asks for it.
    pub fn define(&mut self, condition: &Condition) {
        if self.conditions.contains_key(&condition.id) {
            return;
        }
        let parts: Vec<String> = condition.parts().map(|part| self.part(part)).collect();
        self.conditions.insert(Arc::clone(&condition.id), digest(&parts.join(" and ")));
    }

    fn part(&self, part: &str) -> String {
        let known = |id: &str| self.conditions.get(id).map_or("-", String::as_str);
        match Part::read(part) {
            Part::Label { column, value } => known(&label_condition(column, value).id).to_owned(),
            Part::State { name, holds: true } => known(name).to_owned(),
            Part::State { name, holds: false } => format!("not {}", known(name)),
        }
    }
}

/// The compiled specs while they are read.
struct Reading<'a> {
    spec: &'a CompiledSpec,
    facts: Vec<NodeFacts>,
    sessions: String,
    universe: String,
}

impl Reading<'_> {
    /// A series: its node's hash and the rules of every source below it.
    fn series(&self, node: NodeId) -> String {
        digest(&format!("{} {}", hex(&self.facts[node.ix()].hash), self.rules([node])))
    }

    /// The series of a feature or state; empty where there is none of the name.
    fn named(&self, name: &str) -> String {
        let mut outputs = self.spec.graph.features.iter().chain(&self.spec.graph.states);
        outputs.find(|output| output.name == name).map_or_else(String::new, |output| self.series(output.node))
    }

    /// Fee and slippage per side, bps.
    fn cost(&self, symbol: &Symbol) -> String {
        let costs = &self.spec.defaults.costs;
        format!("{}+{}", costs.fee_bps(symbol), costs.slippage_bps(symbol))
    }

    /// A detector, without its severity: that changes no outcome.
    fn event(&self, event: &EventNode) -> String {
        let detect = self.spec.graph.node(event.detect);
        let parts: Vec<NodeId> = detect.inputs.iter().take(3).copied().collect();
        let mut text = String::from("event/1");
        for part in &parts {
            let _ = write!(text, " {}", hex(&self.facts[part.ix()].hash));
        }
        let onset = match event.onset {
            Onset::Rising => "rising",
            Onset::Level => "level",
        };
        let _ = write!(
            text,
            " onset {onset} spacing {} max {:?} exit {} undirected {} {}",
            event.spacing_bars,
            event.max_bars,
            event.has_exit,
            event.undirected,
            self.rules(parts)
        );
        digest(&text)
    }

    fn measures(&self, statistic: TestStatistic, symbols: &[Symbol]) -> BTreeMap<Arc<str>, String> {
        let of = |price: Option<&RelativePrice>| match statistic {
            TestStatistic::OwnReturn => None,
            TestStatistic::RelativeReturn => {
                Some(format!("{statistic} {}", digest(&self.relative(price?, symbols))))
            }
            TestStatistic::VarianceRatio | TestStatistic::ExcursionQuantile => Some(statistic.to_string()),
        };
        let events = self.spec.events.iter();
        events.filter_map(|e| Some((e.event_type.as_str().into(), of(e.relative.as_ref())?))).collect()
    }

    /// A relative price: its legs, the feature that weighs the second, and who the benchmark is and costs.
    fn relative(&self, price: &RelativePrice, symbols: &[Symbol]) -> String {
        let ratio = price.ratio.as_ref().map_or_else(|| "1".to_owned(), |name| self.named(name));
        let mut text = format!("{:?} {:?} {ratio}", price.own, price.hedge);
        if [price.own, price.hedge].contains(&Leg::Leader) {
            for symbol in symbols {
                let leader = self.spec.defaults.leader.of(symbol);
                let _ = write!(text, " {symbol} {leader} {}", self.cost(leader));
            }
        }
        text
    }

    /// When the sources below these nodes may be used; the sessions where one of them is a calendar column;
    /// the symbols where the cross-section is read. Dates of holidays and releases are data, not definition:
    /// a list that goes on into the next year leaves the trial what it was.
    fn rules(&self, roots: impl IntoIterator<Item = NodeId>) -> String {
        let mut groups = BTreeSet::new();
        let (mut scheduled, mut universe) = (false, false);
        for root in roots {
            for source in self.facts[root.ix()].reads.iter() {
                scheduled |= self.rule(source, &mut groups);
            }
            universe |= reachable(&self.spec.graph, root)
                .into_iter()
                .any(|id| matches!(self.spec.graph.node(id).op, Op::Universe { .. }));
        }
        let mut text: Vec<String> = groups.into_iter().collect();
        if scheduled {
            text.push(self.sessions.clone());
        }
        if universe {
            text.push(self.universe.clone());
        }
        text.join(";")
    }

    fn rule(&self, source: Source, groups: &mut BTreeSet<String>) -> bool {
        let Some(group) = self.spec.sources.rule(source) else { return false };
        let coverage = group.min_coverage.map_or_else(String::new, |c| c.to_string());
        groups.insert(format!("{} {:?} {} {:?} {coverage}", group.name, group.join, group.lag_s, group.hold));
        group.join == Join::Schedule
    }
}

/// SHA-256 as hex.
pub(super) fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}
