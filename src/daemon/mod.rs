//! The daemon: tasks, API, systemd. A thin shell around the pure core.
//!
//! `main_loop` turns; `storage` is the one thread that owns the store and the pipeline; `feed` gets data in;
//! `live` knows what a tick still waits for; `universe` says who is followed; `discover` is a run; `api`
//! serves, `client` asks; `shared` lies between API and loop.

pub mod api;
pub mod client;
pub mod config;
mod discover;
mod exchange_status;
pub mod feed;
mod live;
mod live_audit;
mod main_loop;
pub mod metrics;
mod refused;
mod run_report;
pub mod shared;
mod spec_watch;
mod stages;
pub mod status;
mod storage;
pub mod stream_log;
mod systemd;
pub mod universe;

pub use live_audit::{Difference, LiveAudit, check_live};
pub use main_loop::{Daemon, DaemonError, Stopper, exchange_clock, rest_config, ws_hosts};
pub use stages::{Stage, Stages};
pub use systemd::last_words;
