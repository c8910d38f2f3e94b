//! Discovery: from booked outcomes to candidates. Evidence is accumulated one closed UTC day at a time and stays valid
//! although it is looked at every day; shrinkage estimates and never tests; multiplicity is accounted for over the whole
//! catalogue of hypotheses; gates judge what is left.
//!
//! Pure: no clock, no I/O, no randomness. Formulas and their sources stand beside the functions.

mod candidate;

pub use candidate::{
    BridgeColumns, Candidate, Condition, DirectionRule, FailReason, PromotionTrack, Scope, candidate_id,
};
