//! What has to be done for a change: which facts stay, which are rewritten, which are computed again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::rebuild::Row;
use super::summary::{self, ChangeSummary};
use crate::graph::{Graph, NodeFacts, NodeId, facts, lacking, part};
use crate::outcomes::Event;
use crate::outcomes::{BookConfig, Horizon};
use crate::pipeline::assemble::RECORD_FEATURES;
use crate::pipeline::{PipelineConfig, PipelineError};

/// How the facts under one spec follow from those under another.
#[derive(Clone, Debug)]
pub enum Change {
    /// Every fact may differ: replay from the first bar.
    Everything {
        /// What changed, in words.
        why: &'static str,
        /// The definitions that changed beside it.
        summary: Box<ChangeSummary>,
    },
    /// Only the part of the graph and of the facts that the plan names.
    Part(Arc<ChangePlan>),
}

/// Which facts stay, which are rewritten, which are computed again.
#[derive(Debug)]
pub struct ChangePlan {
    pub(super) summary: ChangeSummary,
    /// The part of the new graph that runs over history; `None`: history is not needed.
    pub(super) part: Option<Arc<Graph>>,
    /// Per new state: the old one with the same values, or none.
    pub(super) states: Vec<Option<usize>>,
    /// Per feature of every record: whether its values stay.
    pub(super) record_features_stay: [bool; 4],
    /// Per old event type: the new types with the same detections.
    pub(super) heirs: BTreeMap<String, Vec<Heir>>,
    /// Per new event: the old one with the same detections, or none.
    pub(super) donors: Vec<Option<usize>>,
    /// New types that are detected again.
    pub(super) detected_again: BTreeSet<String>,
    /// New types whose outcomes are written again.
    pub(super) booked_again: BTreeSet<String>,
    /// Old types whose stored events and ends go.
    pub(super) dropped_events: BTreeSet<String>,
    /// Old types whose stored outcomes go.
    pub(super) dropped_outcomes: BTreeSet<String>,
    /// Whether stored events of kept types read differently under the new spec.
    pub(super) rewrites: bool,
    /// Whether a kept type is held over other horizons.
    other_horizons: bool,
    /// Position of each new type in the graph.
    pub(super) order: BTreeMap<String, usize>,
}

/// A new type that has the detections of an old one.
#[derive(Clone, Debug)]
pub(super) struct Heir {
    pub(super) event_type: Arc<str>,
    pub(super) family: Arc<str>,
}

impl Change {
    /// Compares two configs of the same symbols and sources.
    ///
    /// # Errors
    /// When the rules of either for sources or calendars cannot be used.
    pub fn between(old: &PipelineConfig, new: &PipelineConfig) -> Result<Self, PipelineError> {
        let plan = ChangePlan::new(old, new);
        Ok(match global_reason(old, new)? {
            Some(why) => Self::Everything { why, summary: Box::new(plan.summary) },
            None => Self::Part(Arc::new(plan)),
        })
    }

    /// What it touches, by name.
    #[must_use]
    pub fn summary(&self) -> &ChangeSummary {
        match self {
            Self::Everything { summary, .. } => summary,
            Self::Part(plan) => &plan.summary,
        }
    }
}

/// What outside the graph decides every fact, if it differs.
fn global_reason(old: &PipelineConfig, new: &PipelineConfig) -> Result<Option<&'static str>, PipelineError> {
    if old.symbols != new.symbols || old.collected != new.collected {
        return Ok(Some("the followed symbols or columns changed"));
    }
    let policies = (old.clean_policy()?, new.clean_policy()?);
    let (old, new) = (old.book(), new.book());
    let terms = |book: &BookConfig| (book.entry_lag_bars, book.entry_price);
    if terms(&old) != terms(&new) {
        return Ok(Some("the entry lag or the entry price changed"));
    }
    if old.symbols != new.symbols {
        return Ok(Some("the costs changed"));
    }
    let same = policies.0 == policies.1;
    Ok((!same).then_some("the rules for sources, funding terms, fees or calendars changed"))
}

impl ChangePlan {
    /// Whether rows of the raw log have to run through a [`super::Rebuild`].
    #[must_use]
    pub const fn needs_history(&self) -> bool {
        self.part.is_some()
    }

    /// What it touches, by name.
    #[must_use]
    pub const fn summary(&self) -> &ChangeSummary {
        &self.summary
    }

    /// Old types whose stored events and ends go.
    #[must_use]
    pub const fn dropped_events(&self) -> &BTreeSet<String> {
        &self.dropped_events
    }

    /// Old types whose stored outcomes go.
    #[must_use]
    pub const fn dropped_outcomes(&self) -> &BTreeSet<String> {
        &self.dropped_outcomes
    }

    /// Whether stored events stand as they are, so that nobody has to read them.
    #[must_use]
    pub fn leaves_events_alone(&self) -> bool {
        !self.rewrites && self.moves().next().is_none()
    }

    /// Types that only have another name: old, new.
    pub fn moves(&self) -> impl Iterator<Item = (&str, &Arc<str>)> {
        self.heirs.iter().flat_map(|(old, heirs)| {
            heirs.iter().filter(move |h| *h.event_type != **old).map(move |h| (old.as_str(), &h.event_type))
        })
    }

    fn new(old: &PipelineConfig, new: &PipelineConfig) -> Self {
        let (old_graph, new_graph) = (&*old.spec.graph, &*new.spec.graph);
        let (old_facts, new_facts) = (facts(old_graph), facts(new_graph));
        let states = heirs_of_states((old_graph, &old_facts), (new_graph, &new_facts));
        let feature =
            |graph: &Graph, name: &str| graph.features.iter().find(|f| f.name == name).map(|f| f.node);
        let record_features_stay = RECORD_FEATURES.map(|name| {
            let was = feature(old_graph, name).map(|node| summary::hash(&old_facts, node));
            was == feature(new_graph, name).map(|node| summary::hash(&new_facts, node))
        });
        let identical = states.len() == old_graph.states.len()
            && states.iter().enumerate().all(|(ix, was)| *was == Some(ix));
        let mut plan = Self {
            summary: ChangeSummary::of_series((old_graph, &old_facts), (new_graph, &new_facts)),
            part: None,
            rewrites: !identical || record_features_stay.contains(&false),
            states,
            record_features_stay,
            heirs: BTreeMap::new(),
            donors: Vec::new(),
            detected_again: BTreeSet::new(),
            booked_again: BTreeSet::new(),
            dropped_events: BTreeSet::new(),
            dropped_outcomes: BTreeSet::new(),
            other_horizons: false,
            order: new_graph.events.iter().enumerate().map(|(ix, e)| (e.event_type.clone(), ix)).collect(),
        };
        plan.settle_events((old, &old_facts), (new, &new_facts));
        plan.settle_part((old, &old_facts), (new, &new_facts));
        plan
    }

    /// Which events keep their detections, under which name.
    fn settle_events(&mut self, old: (&PipelineConfig, &[NodeFacts]), new: (&PipelineConfig, &[NodeFacts])) {
        let (old_graph, new_graph) = (&old.0.spec.graph, &new.0.spec.graph);
        let mut before = BTreeMap::new();
        let mut by_record: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (ix, event) in old_graph.events.iter().enumerate() {
            before.insert(event.event_type.as_str(), ix);
            by_record.entry(summary::record(event, old.1)).or_default().push(ix);
        }
        let horizons = |config: &PipelineConfig, event_type: &str| -> Vec<Horizon> {
            config.spec.event(event_type).map(|e| e.horizons.clone()).unwrap_or_default()
        };
        for event in &new_graph.events {
            let name = &event.event_type;
            let same = by_record.get(&summary::record(event, new.1)).map_or(&[][..], Vec::as_slice);
            let was = before.get(name.as_str()).copied();
            let gone = |ix: &&usize| !self.order.contains_key(&old_graph.events[**ix].event_type);
            let donor = was
                .filter(|ix| same.contains(ix))
                .or_else(|| same.iter().find(gone).copied())
                .or_else(|| same.first().copied());
            self.donors.push(donor);
            let Some(donor) = donor.map(|ix| &old_graph.events[ix]) else {
                self.detected_again.insert(name.clone());
                self.booked_again.insert(name.clone());
                let told = if was.is_some() {
                    &mut self.summary.events_changed
                } else {
                    &mut self.summary.events_added
                };
                told.push(name.clone());
                continue;
            };
            let heir = Heir { event_type: name.as_str().into(), family: event.family.as_str().into() };
            self.heirs.entry(donor.event_type.clone()).or_default().push(heir);
            let (moved, other_family) = (donor.event_type != *name, donor.family != event.family);
            let other_horizons = horizons(old.0, &donor.event_type) != horizons(new.0, name);
            self.rewrites |= other_family;
            self.other_horizons |= other_horizons;
            if moved || other_horizons {
                self.booked_again.insert(name.clone());
            }
            match (was.is_some(), moved) {
                (true, _) if moved || other_family || other_horizons => {
                    self.summary.events_changed.push(name.clone());
                }
                (false, true) if !self.order.contains_key(&donor.event_type) => {
                    self.summary.events_renamed.push((donor.event_type.clone(), name.clone()));
                }
                (false, _) => self.summary.events_added.push(name.clone()),
                _ => {}
            }
        }
        for event in &old_graph.events {
            let name = &event.event_type;
            let stays = self.heirs.get(name).is_some_and(|h| h.iter().any(|h| *h.event_type == **name));
            if !stays {
                self.dropped_events.insert(name.clone());
            }
            if !stays || self.booked_again.contains(name) {
                self.dropped_outcomes.insert(name.clone());
            }
            let renamed = self.summary.events_renamed.iter().any(|(from, _)| from == name);
            if !self.order.contains_key(name) && !renamed {
                self.summary.events_removed.push(name.clone());
            }
        }
    }

    /// Which nodes have to run over history.
    fn settle_part(&mut self, old: (&PipelineConfig, &[NodeFacts]), new: (&PipelineConfig, &[NodeFacts])) {
        let (old_graph, new_graph) = (&*old.0.spec.graph, &*new.0.spec.graph);
        let mut roots: Vec<NodeId> = Vec::new();
        let record_features =
            RECORD_FEATURES.iter().zip(self.record_features_stay).filter_map(|(name, stays)| {
                Some((new_graph.features.iter().find(|f| f.name == *name)?.node, stays))
            });
        for (node, stays) in record_features {
            if !stays || !self.detected_again.is_empty() {
                roots.push(node);
            }
        }
        for (state, was) in new_graph.states.iter().zip(&self.states) {
            if was.is_none() || !self.detected_again.is_empty() {
                roots.push(state.node);
            }
        }
        for event in new_graph.events.iter().filter(|e| self.detected_again.contains(&e.event_type)) {
            roots.push(event.detect);
            roots.extend(event.snapshot.iter().map(|o| o.node));
        }
        roots.extend(lacking(new_graph, old_graph));
        let longer = old.0.book().history_rows() != new.0.book().history_rows();
        if roots.is_empty() && !self.other_horizons && !longer {
            return;
        }
        // Whoever runs at all runs everything that is new: readers decide how much history their operands
        // keep.
        let known: BTreeSet<[u8; 32]> = old.1.iter().map(|f| f.hash).collect();
        let fresh = new.1.iter().enumerate().filter(|(_, f)| !known.contains(&f.hash));
        roots.extend(fresh.map(|(ix, _)| NodeId(ix as u32)));
        let part = part(new_graph, roots);
        self.summary.nodes_recomputed = part.nodes.len();
        self.part = Some(Arc::new(part));
    }

    /// What a stored event is under the new spec, once for every type that has its detections. `row` gives
    /// what is new on the event's row; without history nothing is.
    pub(super) fn rewrite(&self, event: &Event, row: Option<&Row<'_>>) -> Vec<Event> {
        let Some(heirs) = self.heirs.get(&*event.event_type) else { return Vec::new() };
        let state = |(ix, was): (usize, &Option<usize>)| match was {
            Some(was) => event.states.get(*was).copied().unwrap_or(UNKNOWN),
            None => row.map_or(UNKNOWN, |row| row.state(ix)),
        };
        let mut record =
            Event { states: self.states.iter().enumerate().map(state).collect(), ..event.clone() };
        if let Some(row) = row {
            row.put_record_features(self.record_features_stay, &mut record);
        }
        let heir = |heir: &Heir| Event {
            event_type: Arc::clone(&heir.event_type),
            family: Arc::clone(&heir.family),
            ..record.clone()
        };
        heirs.iter().map(heir).collect()
    }

    /// [`ChangePlan::rewrite`] where nothing has to be computed.
    #[must_use]
    pub fn rewritten(&self, event: &Event) -> Vec<Event> {
        self.rewrite(event, None)
    }
}

/// A state's code where it is unknown.
const UNKNOWN: i8 = -1;

/// Per new state: the old one with the same values, the same place first.
fn heirs_of_states(old: (&Graph, &[NodeFacts]), new: (&Graph, &[NodeFacts])) -> Vec<Option<usize>> {
    let hashes: Vec<[u8; 32]> = old.0.states.iter().map(|s| summary::hash(old.1, s.node)).collect();
    let heir = |(ix, state): (usize, &crate::graph::Output)| {
        let hash = summary::hash(new.1, state.node);
        if hashes.get(ix) == Some(&hash) { Some(ix) } else { hashes.iter().position(|h| *h == hash) }
    };
    new.0.states.iter().enumerate().map(heir).collect()
}
