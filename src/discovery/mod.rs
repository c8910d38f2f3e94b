//! Discovery: from booked outcomes to candidates. Evidence is accumulated one closed UTC day at a time and stays valid
//! although it is looked at every day; shrinkage estimates and never tests; multiplicity is accounted for over the whole
//! catalogue of hypotheses; gates judge what is left.
//!
//! ```text
//! OutcomeTable ── catalogue ── evidence (day by day) ── conclude ── candidates
//!                                  │                        ├ diagnostics: cluster
//!                     scores, eprocess, bounds              ├ estimates: tree (shrink), ash
//!                                                           ├ multiplicity
//!                                                           └ gating
//! ```
//!
//! Pure: no clock, no I/O, no randomness. Formulas and their sources stand beside the functions. The statistics are
//! plain functions and public, so that they can be checked against other implementations one by one.

pub mod ash;
pub mod bounds;
mod candidate;
mod catalogue;
mod catalogue_spec;
pub mod cluster;
mod conclude;
pub mod eprocess;
mod evidence;
mod exclusion;
mod gating;
pub mod monitor;
pub mod multiplicity;
mod run;
pub mod scores;
pub mod seed_compat;
pub mod shrink;
pub mod special;
mod table;
mod tree;

pub use candidate::{
    BridgeColumns, Candidate, Condition, DirectionRule, FailReason, PromotionTrack, Scope, candidate_id,
};
pub use catalogue::{Block, Catalogue, CatalogueCondition, UnitPlace};
pub use catalogue_spec::{CatalogueSpec, EventEntry, SideLabel, StateRule, StateScope, Untested};
pub use evidence::{DaySum, EvidenceBook, RowCounts, UnitEvidence};
pub use exclusion::{EVENT_QUALITY_GATE, Exclusion};
pub use run::{Discovery, DiscoveryConfig, DiscoverySummary, conclude_book, discover};
pub use table::{
    OutcomeRow, OutcomeTable, TableBuilder, TableError, default_exit, label_condition, state_condition,
};
