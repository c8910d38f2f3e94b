//! Discovery: from booked outcomes to candidates. Evidence is accumulated one closed UTC day at a time and stays valid
//! although it is looked at every day; shrinkage estimates and never tests; multiplicity is accounted for over the whole
//! catalogue of hypotheses; gates judge what is left.
//!
//! Pure: no clock, no I/O, no randomness. Formulas and their sources stand beside the functions.

pub mod ash;
pub mod bounds;
mod candidate;
pub mod cluster;
pub mod eprocess;
pub mod monitor;
pub mod multiplicity;
pub mod scores;
pub mod seed_compat;
pub mod shrink;
pub mod special;

pub use candidate::{
    BridgeColumns, Candidate, Condition, DirectionRule, FailReason, PromotionTrack, Scope, candidate_id,
};
