//! One batch run: store → clean → … → blueprints, written as a run directory.
//!
//! The same pipeline as the daemon's, fed from the store's log. Running twice over the same store, specs and binary writes
//! the same bytes; only manifests carry times and host facts.

mod collect;
mod conclude;
mod driver;
mod error;
mod features;
mod ledger;
mod measures;
mod placebo;
mod request;
mod summary;
pub mod tables;

pub use collect::{BarCount, Collected, collect, pipeline_config};
pub use conclude::{
    Conclusions, Look, closed_through, conclude, conclude_alone, conclude_like, discovery_config, exclusions,
    find, lacking, needs_outcomes, outcome_table,
};
pub use driver::run;
pub use error::ResearchError;
pub use ledger::{look_at, read_ledger};
pub use placebo::{NullTwin, Placebo, PlaceboInputs, PlaceboRequest};
pub use request::{Request, run_id};
pub(crate) use summary::statistic_words;
pub use summary::{
    EventCount, EventFinding, MeasureCount, RunSummary, StageTime, UnavailableEvent, peak_memory_mib,
};
