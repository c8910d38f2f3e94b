//! Blueprints: what survived discovery, in the form that a trader reads.
//!
//! [`Blueprint`] is one line of `blueprints.jsonl`; [`compile`] makes lines from candidates; [`diff`] decides what the next
//! version says; [`lives_of`] holds published lines against the days since; [`match_event`] tells the signal stream which
//! blueprints a detection triggers. Writing and reading the versioned directory is the shell's.

mod canonical;
mod compile;
mod diff;
mod manifest;
mod monitored;
mod record;
mod trigger;

#[cfg(test)]
pub(crate) mod tests;

pub use canonical::{canonical_json, sha256_hex};
pub use compile::{CompileError, CompileInputs, Compiled, RunFacts, SelectionFacts, SideCosts, compile};
pub use diff::{Diff, Life, Lives, Standing, Standings, count, diff};
pub use manifest::{Change, Counts, Departed, FileEntry, MANIFEST_SCHEMA, Manifest};
pub use monitored::lives_of;
pub use record::{
    BLUEPRINT_SCHEMA, Barrier, Blueprint, BridgeEvidence, Costs, Entry, Evidence, Exit, Lineage, Monitoring,
    PublicationFacts, ScopeMode, ShrinkageWeights, Status, SymbolScope,
};
pub use trigger::{Triggered, match_event};
