//! `verify` and `backfill`: what is on disk is proved, and history comes in resumably.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "upkeep/backfill.rs"]
mod backfill;
mod common;
#[path = "upkeep/damage.rs"]
mod damage;
#[path = "upkeep/lake.rs"]
mod lake;
#[path = "daemon/support.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod support;
#[path = "upkeep/verify.rs"]
mod verify;
