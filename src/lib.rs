//! backtestd: a research daemon. Binance bars in, tested strategy blueprints out.
//!
//! The pure core is `market clean graph events outcomes discovery bridge simulator pipeline explain` and
//! `blueprints::compile`: it takes ticks and returns facts, and never touches tokio, fjall, the file system or the
//! clock. The shell (`binance sim store lake report daemon cli`) does I/O and holds no research logic.
//! ARCHITECTURE.md has the map.
#![forbid(unsafe_code)]

// Test helpers below `tests/` name the crate as its users do.
#[cfg(test)]
extern crate self as backtestd;

pub mod binance;
pub mod blueprints;
pub mod bridge;
pub mod calibrate;
pub mod clean;
pub mod cli;
pub mod daemon;
pub mod discovery;
pub mod events;
pub mod explain;
pub mod graph;
pub mod lake;
pub mod market;
pub mod nautilus;
pub mod outcomes;
pub mod pipeline;
pub mod report;
pub mod research;
pub mod sim;
pub mod simulator;
pub mod spec;
pub mod store;
pub mod verify;

/// The package version and the commit it was built from, as lineage and manifests carry it (`0.3.0+1a2b3c4`).
pub const CODE_VERSION: &str = env!("BACKTESTD_CODE_VERSION");
