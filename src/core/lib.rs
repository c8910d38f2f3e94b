//! The pure core of backtestd: raw market records in; features, events, outcomes, discoveries and blueprints out.
//!
//! Nothing in this crate reads a clock, a file, a socket or a source of randomness: time and seeds come in as arguments,
//! and the same input always gives the same bits. It depends on neither tokio, fjall nor arrow.
#![forbid(unsafe_code)]

// Test fixtures that other crates share name this one as its users do.
#[cfg(test)]
extern crate self as backtestd_core;

pub mod blueprints;
pub mod clean;
pub mod clock;
pub mod conclude;
pub mod discovery;
pub mod explain;
pub mod graph;
pub mod market;
pub mod outcomes;
pub mod pipeline;
pub mod spec;
pub mod tradability;
