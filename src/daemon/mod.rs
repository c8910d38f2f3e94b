//! The daemon: tasks, API, systemd. A thin shell around the pure core.

pub mod api;
pub mod client;
pub mod clock;
pub mod config;
pub mod metrics;
pub mod shared;
pub mod status;
pub mod stream_log;
