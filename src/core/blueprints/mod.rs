//! Blueprints: what survived discovery, in the form that a trader reads.
//!
//! [`Blueprint`] is one line of `blueprints.jsonl`; [`compile`] makes lines from candidates; [`diff`] decides
//! what the next version says; [`lives_of`] holds published lines against the days since; [`signal_record`]
//! is what is announced of a detection, with the blueprints that it triggers; [`group`] lets one of several
//! that trade the same moves trade. Writing and reading the versioned directory is the shell's.

mod canonical;
mod compile;
mod diff;
mod manifest;
mod monitored;
mod overlap;
mod record;
mod replay;
mod signal;
mod trigger;

#[cfg(test)]
pub(crate) mod tests;

pub use canonical::{canonical_json, sha256_hex};
pub use compile::{CompileError, CompileInputs, Compiled, RunFacts, SelectionFacts, SideCosts, compile};
pub use diff::{Diff, Life, Lives, Standing, Standings, count, diff};
pub use manifest::{Change, Counts, Departed, FileEntry, MANIFEST_SCHEMA, Manifest};
pub use monitored::lives_of;
pub use overlap::{Groups, OverlapFacts, TradeSpan, group};
pub use record::{
    BLUEPRINT_SCHEMA, Barrier, Blueprint, BridgeEvidence, CostEvidence, Costs, Entry, Evidence, Exit,
    Lineage, Monitoring, OverlapGroup, OverlapRole, PublicationFacts, ScopeMode, ShrinkageWeights, Status,
    SymbolScope,
};
pub use replay::trades_of;
pub use signal::{SignalContext, signal_record};
pub use trigger::{Held, Matched, NotTraded, Triggered, match_event};
