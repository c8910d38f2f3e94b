//! `manifest.json`: what a version holds, how it differs from its parent, and why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The value of `schema`.
pub const MANIFEST_SCHEMA: &str = "backtestd.blueprint_manifest/1";

/// The manifest of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout of the manifest: [`MANIFEST_SCHEMA`].
    pub schema: String,
    /// Name of the version, `vNNNNNN`.
    pub version: String,
    /// The version before; null for the first.
    pub parent: Option<String>,
    /// When it was published, RFC 3339.
    pub published_at: String,
    /// The same, ns: a backtest replays versions by this.
    pub published_at_ns: i64,
    /// The run it comes from.
    pub run_id: String,
    /// Hash of the specs.
    pub ontology_spec_hash: String,
    /// Close of the last bar that the run had seen, RFC 3339.
    pub data_watermark: String,
    /// The files beside this one.
    pub files: BTreeMap<String, FileEntry>,
    /// Blueprints that this version lists for the first time.
    pub added: Vec<Change>,
    /// Blueprints whose content changed.
    pub changed: Vec<Change>,
    /// Blueprints listed for the last time.
    pub retired: Vec<Change>,
    /// How many there are.
    pub counts: Counts,
    /// Why there are no (or fewer) blueprints: the run's own words.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// Blueprints that were listed once and are gone: should one return, its revision goes on from here.
    #[serde(default)]
    pub departed: BTreeMap<String, Departed>,
    /// Version and commit of the program.
    pub code_version: String,
}

/// A file of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// SHA-256 of the file's bytes, lower-case hexadecimal.
    pub sha256: String,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// Number of lines in the file.
    pub rows: u64,
}

/// One blueprint's difference from the parent version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Id of the blueprint, `bp_` and 16 hex digits.
    pub id: String,
    /// What happened, in words.
    pub why: String,
    /// Fields of the traded rule that changed. Empty: what is traded is as it was.
    #[serde(default)]
    pub rule: Vec<String>,
    /// Fields of the evidence that changed.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// Fields of the life since publication that changed, the status among them.
    #[serde(default)]
    pub monitoring: Vec<String>,
}

impl Change {
    /// A change that is told in words alone: a blueprint that comes or goes.
    #[must_use]
    pub const fn told(id: String, why: String) -> Self {
        Self { id, why, rule: Vec::new(), evidence: Vec::new(), monitoring: Vec::new() }
    }
}

/// Blueprints by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Number of blueprints of any status.
    pub total: u64,
    /// Blueprints with status `active`.
    pub active: u64,
    /// Blueprints with status `watch`.
    pub watch: u64,
    /// Blueprints with status `retired`.
    pub retired: u64,
}

/// What is remembered of a blueprint that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departed {
    /// Its last revision.
    pub revision: u32,
    /// The last revision of its rule; 0 where an older program did not say.
    #[serde(default)]
    pub rule_revision: u32,
    /// The version that first listed it.
    pub first_published: String,
    /// Hash of its definition, if monitoring retired it: under that definition it does not return.
    #[serde(default)]
    pub retired_definition: Option<String>,
}
