//! Blueprints: what survived, in the form that a trader reads.
//!
//! `record` is the line of `blueprints.jsonl`; `compile` (pure) makes lines from candidates; `diff` (pure) decides what
//! the next version says; `publish` and `directory` write and read the versioned directory; `watch` follows it.
//! `trigger` tells the signal stream which blueprints a detection sets off.

mod audit;
mod canonical;
mod compile;
mod diff;
mod directory;
mod manifest;
mod monitored;
mod publish;
mod record;
mod run;
mod trigger;
mod watch;

#[cfg(test)]
pub(crate) mod tests;

pub use audit::write_promotion_audit;
pub use canonical::{canonical_json, sha256_hex};
pub use compile::{CompileError, CompileInputs, Compiled, RunFacts, SelectionFacts, SideCosts, compile};
pub use diff::{Diff, Life, Lives, Verdict, Verdicts, diff};
pub use directory::{
    BLUEPRINTS_FILE, CURRENT, DirectoryError, Version, current_version, list_versions, read_current,
    read_version, version_as_of, version_name,
};
pub use manifest::{Change, Counts, Departed, FileEntry, MANIFEST_SCHEMA, Manifest};
pub use monitored::lives_of;
pub use publish::{Publication, PublishContext, PublishError, publish_version};
pub use record::{
    BLUEPRINT_SCHEMA, Barrier, Blueprint, BridgeEvidence, Costs, Entry, Evidence, Exit, IntrabarPath,
    Lineage, Monitoring, PublicationFacts, ScopeMode, ShrinkageWeights, Sizing, SizingMode, Status,
    StopGapFill, SymbolScope, UNCONDITIONAL, bar_type,
};
pub use run::write_run;
pub use trigger::{Side, Triggered, match_event};
pub use watch::{Follower, Sighting};
