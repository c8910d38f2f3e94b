//! The definition files as they are written: macros, features, states, events and the registry.

use serde::Deserialize;

use super::yaml::{Ordered, Spanned};

/// An expression as written.
pub(super) type Text = Spanned<String>;

/// `macros.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MacrosFile {
    #[serde(rename = "schema_version")]
    pub _schema_version: u32,
    /// `tq(x, p)`: body.
    pub macros: Ordered<Text>,
}

/// `features/*.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeaturesFile {
    #[serde(rename = "schema_version")]
    pub _schema_version: u32,
    pub features: Ordered<FeatureEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeatureEntry {
    pub expr: Text,
    pub unit: String,
    pub doc: String,
}

/// `states/*.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatesFile {
    #[serde(rename = "schema_version")]
    pub _schema_version: u32,
    pub states: Ordered<StateEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StateEntry {
    pub family: Spanned<String>,
    pub source_event: Spanned<String>,
    pub scope: ScopeEntry,
    #[serde(default)]
    pub min_events: Option<u32>,
    pub doc: String,
    pub expr: Text,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ScopeEntry {
    SourceEvent,
    Family,
}

/// `events/canonical_event_registry.yaml`: family, event, file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegistryFile {
    #[serde(rename = "schema_version")]
    pub _schema_version: u32,
    pub families: Ordered<Ordered<Spanned<String>>>,
}

/// `events/<event>.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventFile {
    pub event_type: Spanned<String>,
    pub family: Spanned<String>,
    pub doc: String,
    #[serde(default)]
    pub confounders: String,
    /// What was measured when the definition was written; documentation.
    #[serde(default, rename = "measured_per_10k")]
    pub _measured_per_10k: String,
    #[serde(default, rename = "let")]
    pub lets: Ordered<Text>,
    pub detect: DetectEntry,
    pub direction: Text,
    pub severity: Text,
    #[serde(default)]
    pub undirected: bool,
    pub templates: Vec<Spanned<String>>,
    pub horizons: Vec<Spanned<String>>,
    #[serde(default)]
    pub prevalence_per_10k: Option<Spanned<(f64, f64)>>,
    #[serde(default)]
    pub proxy: Option<VariantEntry>,
    #[serde(default)]
    pub variants: Ordered<VariantEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DetectEntry {
    pub when: Text,
    pub onset: OnsetEntry,
    #[serde(default)]
    pub spacing_bars: u32,
    #[serde(default)]
    pub exit: Option<Text>,
    #[serde(default)]
    pub max_bars: Option<Spanned<u32>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OnsetEntry {
    Rising,
    Level,
}

/// A variant of an event: what differs from the base. `let` adds to or replaces bindings of the base.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VariantEntry {
    pub enabled: bool,
    pub doc: String,
    #[serde(default, rename = "let")]
    pub lets: Ordered<Text>,
    #[serde(default)]
    pub when: Option<Text>,
    #[serde(default)]
    pub exit: Option<Text>,
    #[serde(default)]
    pub direction: Option<Text>,
    #[serde(default)]
    pub severity: Option<Text>,
}
