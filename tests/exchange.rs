//! The simulated exchange over real sockets: a stranger's client (reqwest, tokio-tungstenite) talks to it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "exchange/archive.rs"]
mod archive;
#[path = "exchange/client.rs"]
mod client;
#[path = "exchange/faults.rs"]
mod faults;
#[path = "exchange/market.rs"]
mod market;
#[path = "exchange/rest.rs"]
mod rest;
#[path = "exchange/support.rs"]
mod support;
#[path = "exchange/whole.rs"]
mod whole;
#[path = "exchange/ws.rs"]
mod ws;
