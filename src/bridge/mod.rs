//! The bridge: from a discovery to something that can be traded.
//!
//! Discovery asks whether an effect is there; the bridge asks what the rule that would be published earns on the same
//! events, one position after another with its cool-down, after the full round-trip cost and funding, under higher costs,
//! later entries, in each half of the time and on each symbol. It adds no evidence (the sample is discovery's own, with
//! the trades over midnight that discovery purges); it can only take candidates away, and says why.
//!
//! Pure: no clock, no I/O, no randomness.

mod evaluate;
mod sample;

pub use evaluate::{
    BridgeInputs, BridgeResult, Delayed, SymbolResult, apply, evaluate, is_evaluated, rule_of,
};
pub use sample::{Sample, SampleError};
