//! The definition files as they are written: macros, features, states, events and the registry. The comments
//! are what an editor shows beside a key, through the schemas.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::yaml::{Ordered, Spanned};
use crate::outcomes::Leg;

/// An expression as written.
pub(super) type Text = Spanned<String>;

/// Macros of the expression language.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MacrosFile {
    /// Version of this file's layout; 1.
    #[serde(rename = "schema_version")]
    pub _schema_version: u32,
    /// `name(parameters)` and the expression that it stands for.
    #[schemars(with = "BTreeMap<String, String>")]
    pub macros: Ordered<Text>,
}

/// Features: numbers on every bar, by name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FeaturesFile {
    /// Version of this file's layout; 1.
    #[serde(rename = "schema_version")]
    pub _schema_version: u32,
    /// By name: small letters, digits and underscores.
    pub features: Ordered<FeatureEntry>,
}

/// A feature: a named number series.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FeatureEntry {
    /// Its expression, a number.
    #[schemars(with = "String")]
    pub expr: Text,
    /// Unit, documentation only.
    pub unit: String,
    /// One line of documentation.
    pub doc: String,
}

/// States: truth values on every bar that outcomes are conditioned on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatesFile {
    /// Version of this file's layout; 1.
    #[serde(rename = "schema_version")]
    pub _schema_version: u32,
    /// By name, in capitals.
    pub states: Ordered<StateEntry>,
}

/// A state: a named condition that hypotheses can be put on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StateEntry {
    /// Canonical family, as in the registry.
    #[schemars(with = "String")]
    pub family: Spanned<String>,
    /// The event it belongs to.
    #[schemars(with = "String")]
    pub source_event: Spanned<String>,
    /// Which events it conditions.
    pub scope: ScopeEntry,
    /// Fewest events with it active for a hypothesis; absent: as `global_defaults.yaml` says.
    #[serde(default)]
    pub min_events: Option<u32>,
    /// One line of documentation.
    pub doc: String,
    /// Its expression, a truth value.
    #[schemars(with = "String")]
    pub expr: Text,
}

/// Which events a state conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ScopeEntry {
    /// Its source event only.
    SourceEvent,
    /// Every event of its family.
    Family,
}

/// Every event, its family and its file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RegistryFile {
    /// Version of this file's layout; 1.
    #[serde(rename = "schema_version")]
    pub _schema_version: u32,
    /// Family, then event, then its file in `events/`.
    #[schemars(with = "BTreeMap<String, BTreeMap<String, String>>")]
    pub families: Ordered<Ordered<Spanned<String>>>,
}

/// An event: what triggers it, its side and magnitude, and what is tested after it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EventFile {
    /// Name, as in the registry.
    #[schemars(with = "String", regex(pattern = "^[A-Z][A-Z0-9_]*$"))]
    pub event_type: Spanned<String>,
    /// Canonical family, as in the registry.
    #[schemars(with = "String")]
    pub family: Spanned<String>,
    /// A draft is compiled, explained and counted, and opens no trial: nothing of it is tested.
    #[serde(default)]
    pub draft: bool,
    /// What happens in the market, in words.
    pub doc: String,
    /// What else can cause it.
    #[serde(default)]
    pub confounders: String,
    /// What was measured when the definition was written; documentation.
    #[serde(default, rename = "measured_per_10k")]
    pub _measured_per_10k: String,
    /// Names for values inside this file; they may hide global ones.
    #[serde(default, rename = "let")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub lets: Ordered<Text>,
    /// The detector: when the event fires and how long it lasts.
    pub detect: DetectEntry,
    /// The side: a number whose sign counts. It must be known, and not 0 unless `undirected`.
    #[schemars(with = "String")]
    pub direction: Text,
    /// The magnitude: a number, which must be known.
    #[schemars(with = "String")]
    pub severity: Text,
    /// The direction may be 0.
    #[serde(default)]
    pub undirected: bool,
    /// Template verbs of the lexicon.
    #[schemars(with = "Vec<String>")]
    pub templates: Vec<Spanned<String>>,
    /// The relative price that it is about: what templates of two legs test.
    #[serde(default)]
    pub relative: Option<RelativeEntry>,
    /// Holding periods, of those in `global_defaults.yaml`.
    #[schemars(with = "Vec<String>")]
    pub horizons: Vec<Spanned<String>>,
    /// Onsets per 10 000 known rows, [least, most]; absent: as `global_defaults.yaml` says.
    #[serde(default)]
    #[schemars(with = "Option<(f64, f64)>")]
    pub prevalence_per_10k: Option<Spanned<(f64, f64)>>,
    /// A variant on other sources: an event of its own, `NAME.proxy`.
    #[serde(default)]
    pub proxy: Option<VariantEntry>,
    /// Variants: each enabled one is an event of its own, `NAME.<variant>`.
    #[serde(default)]
    pub variants: Ordered<VariantEntry>,
}

/// When an event fires and how long its episode lasts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DetectEntry {
    /// The trigger, a truth value.
    #[schemars(with = "String")]
    pub when: Text,
    /// Which rows of the trigger count.
    pub onset: OnsetEntry,
    /// No onset within so many rows of the last one.
    #[serde(default)]
    pub spacing_bars: u32,
    /// The episode ends when this is true.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub exit: Option<Text>,
    /// The episode ends after so many rows, at least 1. With neither, it is the onset row alone.
    #[serde(default)]
    #[schemars(with = "Option<u32>", range(min = 1))]
    pub max_bars: Option<Spanned<u32>>,
}

/// Which rows of the trigger count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnsetEntry {
    /// Where it becomes true: known true now, known false one row before.
    Rising,
    /// Where it is true.
    Level,
}

/// A relative price: one leg less a multiple of another.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RelativeEntry {
    /// The leg that gains when the relative price rises.
    #[serde(default)]
    pub own: Leg,
    /// The leg that it is held against.
    #[schemars(with = "Leg")]
    pub hedge: Spanned<Leg>,
    /// Feature that says how much of the hedge leg, read one row before the deciding bar; absent: as much as
    /// of the own.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub ratio: Option<Spanned<String>>,
}

/// A variant of an event: what differs from the base.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantEntry {
    /// Whether it is an event. A disabled one is compiled and left out.
    pub enabled: bool,
    /// How it differs, in words.
    pub doc: String,
    /// Replaces the base's relative price.
    #[serde(default)]
    pub relative: Option<RelativeEntry>,
    /// Bindings that are added to the base's, or replace them.
    #[serde(default, rename = "let")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub lets: Ordered<Text>,
    /// Replaces the base's `when`, which it may name as `base`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub when: Option<Text>,
    /// Replaces the base's `exit`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub exit: Option<Text>,
    /// Replaces the base's `direction`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub direction: Option<Text>,
    /// Replaces the base's `severity`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub severity: Option<Text>,
}
