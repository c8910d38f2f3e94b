//! Calibration: does discovery keep its promises? Worlds whose truth is known are simulated, discovery lives
//! through them day by day by the very code that production runs, and what it published is held against the
//! truth.
//!
//! ```text
//! lab.yaml ── prices ── onsets ── planted ── world: outcome table + truth
//!                                              │
//!                 run: evidence book, daily look, conclusions, canaries, watch
//!                                              │
//!                            many ── tally ── criteria: number, bound, verdict
//! ```
//!
//! Pure: seeds come in as arguments and results depend on nothing else, least of all on the number of
//! threads. The alternative deciders in here are canaries: they prove that the experiment can see inflation,
//! and publish nothing.

mod criteria;
mod decider;
mod lab;
mod ledger;
mod many;
mod nasty;
mod onsets;
mod pipeline_level;
mod planted;
mod prices;
mod run;
mod scores;
mod summary;
mod tally;
mod watch;
mod world;

pub use criteria::{Criterion, Grade, judge};
pub use decider::{Decider, Errors};
pub use lab::{Acceptance, EdgeSpec, Lab, NastySpec, PlacementSpec, RetireSpec, WorldKind, WorldSpec};
pub use many::{JobsError, many};
pub use pipeline_level::{LevelError, PipelineLevel, PipelineRun, PipelineTally};
pub use run::{Publication, RunResult, Study, TrueUnit};
pub use scores::{ScoreSeries, ScoresTally, real_series, resample};
pub use summary::CalibrationSummary;
pub use tally::{DeciderTally, Estimate, PowerClass, PublishedTally, RetireTally, WorldTally, tally};
pub use watch::Watched;
pub use world::{FIRST_DAY, Names, World, WorldError, simulate};
