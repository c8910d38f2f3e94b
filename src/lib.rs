//! The shell of backtestd: the commands, the daemon, batch runs, reports and publishing.
//!
//! The research logic is `backtestd_core`, which does no I/O; `backtestd_store` keeps data on disk,
//! `backtestd_binance` speaks the exchange's protocol and `backtestd_lab` simulates markets. ARCHITECTURE.md
//! has the map.
#![forbid(unsafe_code)]

// Test helpers below `tests/` name the crate as its users do.
#[cfg(test)]
extern crate self as backtestd;

pub mod cli;
pub mod daemon;
pub mod nautilus;
pub mod publish;
pub mod report;
pub mod research;
pub mod verify;

/// The package version and the commit it was built from, as lineage and manifests carry it (`0.3.0+1a2b3c4`).
pub const CODE_VERSION: &str = env!("BACKTESTD_CODE_VERSION");
