//! The daemon: tasks, API, systemd. A thin shell around the pure core.

pub mod clock;
