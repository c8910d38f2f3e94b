//! Discovery: from booked outcomes to candidates. Evidence is accumulated one closed UTC day at a time and
//! stays valid although it is looked at every day; shrinkage estimates and never tests; multiplicity is
//! accounted for over the whole catalogue of hypotheses; gates judge what is left.
//!
//! ```text
//! OutcomeTable ── catalogue ── evidence (day by day) ── conclude ── candidates
//!  └ repeats         │            │    ├ record             ├ diagnostics: cluster
//!        definition, ledger       │    └ influence          ├ estimates: tree (shrink), ash
//!                              scores, eprocess, bounds     ├ multiplicity (ledger, membership)
//!                                                           └ gating
//! ```
//!
//! Pure: no clock, no I/O, no randomness. Formulas and their sources stand beside the functions. The
//! statistics are plain functions and public, so that they can be checked against other implementations one
//! by one.

mod accounting;
pub mod ash;
pub mod begun;
pub mod bounds;
mod candidate;
mod catalogue;
mod catalogue_spec;
pub mod closed_bh;
pub mod closure;
pub mod cluster;
mod conclude;
mod condition;
pub mod definition;
pub mod eprocess;
mod evidence;
mod exclusion;
mod failures;
mod gating;
pub mod hierarchy;
pub mod ledger;
mod measured;
mod membership;
pub mod monitor;
pub mod multiplicity;
mod opening;
mod record;
mod repeats;
mod run;
pub mod scores;
pub mod seed_compat;
pub mod shrink;
pub mod signs;
pub mod special;
mod table;
mod table_error;
mod tree;

pub use accounting::{Accounting, Group};
pub use begun::{ByUnit, Queue, begun};
pub use candidate::{
    BridgeColumns, Candidate, Check, Claim, DirectionRule, FailReason, Judgement, Measured, PromotionTrack,
    Scope, candidate_id,
};
pub use catalogue::{Block, Catalogue, UnitPlace};
pub use catalogue_spec::{
    CatalogueSpec, ConditionRule, ConditionScope, EventEntry, SideLabel, TestedFilter, Untested,
};
pub use condition::{Condition, ConditionTest, label_condition, negated_condition, state_condition};
pub use definition::Definitions;
pub use evidence::{DaySum, EvidenceBook, LeftOut, RowCounts, UnitEvidence};
pub use exclusion::{EVENT_QUALITY_GATE, Exclusion, Lacking};
pub use failures::Failures;
pub use ledger::{Cohort, LedgerError, Tier, Trial, TrialKey, TrialLedger};
pub use measured::{MeasuredTest, measured_test};
pub use membership::{Influence, LeastCounts, LeftOutSymbol, twin};
pub use opening::Opening;
pub use record::DayRecord;
pub use repeats::{Collapsed, Repeats};
pub use run::{
    Discovery, DiscoveryConfig, DiscoverySummary, Nearest, TierSummary, book_of, conclude_book, conclude_in,
    discover,
};
pub use table::{Known, OutcomeRow, OutcomeTable, TableBuilder, Tested, default_exit, less_funding};
pub use table_error::TableError;
