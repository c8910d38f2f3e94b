//! All specs of a directory, checked and compiled.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::gates::{GatesSpec, MultiplicitySpec};
use super::strategies::StrategiesSpec;
use super::{Calendars, GlobalDefaults, Lexicon, SourcesSpec};
use crate::graph::{Graph, Program};
use crate::outcomes::{Horizon, RelativePrice};

/// All specs of a directory, checked and compiled.
#[derive(Clone, Debug)]
pub struct CompiledSpec {
    /// `sha256:<hex>` over every file that can change a result.
    pub hash: String,
    /// `sha256:<hex>` of each of these files, by its path in the spec directory.
    pub files: BTreeMap<String, String>,
    /// Features, states and events as one graph.
    pub graph: Arc<Graph>,
    /// In the order of [`Graph::events`].
    pub events: Vec<EventMeta>,
    /// In the order of [`Graph::states`].
    pub states: Vec<StateMeta>,
    /// In the order of [`Graph::features`].
    pub features: Vec<FeatureMeta>,
    /// The definitions as parsed, for explanations.
    pub program: Arc<Program>,
    /// Costs, horizons and other defaults: `global_defaults.yaml`.
    pub defaults: GlobalDefaults,
    /// When source values may be used: `sources.yaml`.
    pub sources: SourcesSpec,
    /// Thresholds of discovery and of the bridge: `gates.yaml`.
    pub gates: GatesSpec,
    /// Multiplicity groups and families: `multiplicity/*.yaml`.
    pub multiplicity: MultiplicitySpec,
    /// Meaning of the template verbs: `hypotheses/template_verb_lexicon.yaml`.
    pub lexicon: Lexicon,
    /// Sessions, holidays and releases: `calendars/*.yaml`.
    pub calendars: Calendars,
    /// How a discovery is traded: `strategies/default.yaml`.
    pub strategies: StrategiesSpec,
}

/// What a feature's file says beside its expression.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureMeta {
    /// Name of the feature.
    pub name: String,
    /// Unit, documentation only.
    pub unit: String,
    /// One line of documentation.
    pub doc: String,
    /// The expression as written.
    pub expr: String,
    /// File, relative to the spec directory.
    pub file: PathBuf,
}

/// What a state's file says beside its expression.
#[derive(Clone, Debug, PartialEq)]
pub struct StateMeta {
    /// Name, as `state_id` carries it.
    pub id: String,
    /// Canonical family of the state.
    pub family: String,
    /// The event it belongs to.
    pub source_event: String,
    /// Whether it may condition every event of its family, or its source event only.
    pub family_wide: bool,
    /// Fewest events with it active for a hypothesis.
    pub min_events: u32,
    /// One line of documentation.
    pub doc: String,
    /// The expression as written.
    pub expr: String,
    /// File, relative to the spec directory.
    pub file: PathBuf,
}

/// What an event's file says beside its detector.
#[derive(Clone, Debug, PartialEq)]
pub struct EventMeta {
    /// `VOL_SHOCK`, or `NAME.proxy` / `NAME.variant` for an enabled variant.
    pub event_type: String,
    /// Canonical family of the event type.
    pub family: String,
    /// Compiled, explained and counted, and not tested.
    pub draft: bool,
    /// Template verbs, by the names of the lexicon.
    pub templates: Vec<String>,
    /// The relative price that it is about.
    pub relative: Option<RelativePrice>,
    /// Holding periods that are tested after the event.
    pub horizons: Vec<Horizon>,
    /// Declared range of onsets per 10 000 known rows.
    pub prevalence_per_10k: (f64, f64),
    /// `sha256:<hex>` of the file's canonical content.
    pub spec_hash: String,
    /// File, relative to the spec directory.
    pub file: PathBuf,
    /// What the event is, in words.
    pub doc: String,
    /// What else can cause it.
    pub confounders: String,
    /// The parts of the detector as written: `let` bindings, then `when`, `exit`, `direction`, `severity`.
    pub parts: Vec<(String, String)>,
}

impl CompiledSpec {
    /// The event's metadata.
    #[must_use]
    pub fn event(&self, event_type: &str) -> Option<&EventMeta> {
        self.events.iter().find(|e| e.event_type == event_type)
    }

    /// The state's metadata.
    #[must_use]
    pub fn state(&self, id: &str) -> Option<&StateMeta> {
        self.states.iter().find(|s| s.id == id)
    }
}
