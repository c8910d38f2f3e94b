//! One batch run: store → clean → … → blueprints, written as a run directory.
//!
//! The same pipeline as the daemon's, fed from the store's log. Running twice over the same store, specs and
//! binary writes the same bytes; only manifests carry times and host facts.

mod again;
mod collect;
mod deliver;
mod driver;
mod error;
mod features;
mod ledger;
mod log_digest;
mod markets;
mod measures;
mod request;
mod stages;
mod summary;
mod table_files;
pub mod tables;
mod walk_forward;
mod walk_tables;

pub use collect::{BarCount, Collected, collect, pipeline_config};
pub use driver::{admit, run};
pub use error::ResearchError;
pub use ledger::{look_at, opening, read_ledger, remember_begun};
pub use log_digest::LogHashes;
pub use markets::{StoreMarkets, market_of};
pub use request::{Request, run_id};
pub use stages::{Code, FileHash, STAGE_CACHE, StageRecord};
pub use summary::{EventCount, EventFinding, RunSummary, StageTime, UnavailableEvent, peak_memory_mib};
pub use walk_forward::{LookRow, WalkRequest, WalkSummary, walk_forward};
