//! The Binance client: against every real payload of the data folder, and against a small misbehaving server.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may panic")]

mod aggregate;
mod exchange;
mod payloads;
#[path = "../common/recorded.rs"]
mod recorded;
mod rest;
mod server;
mod ws;
