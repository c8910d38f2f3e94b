//! Every shipped event and state: fixtures, the engine's laws, gaps, an independent twin, prevalence on real
//! history.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, and counts are small"
)]

mod common;
#[path = "events/compliance.rs"]
mod compliance;
#[path = "events/fixtures.rs"]
mod fixtures;
#[path = "events/gaps.rs"]
mod gaps;
#[path = "events/prevalence.rs"]
mod prevalence;
#[path = "common/python.rs"]
mod python;
#[path = "events/ramp.rs"]
mod ramp;
#[path = "events/real.rs"]
mod real;
#[path = "events/reference.rs"]
mod reference;
#[path = "events/script.rs"]
mod script;
#[path = "events/shipped.rs"]
mod shipped;
#[path = "events/trace.rs"]
mod trace;
#[path = "events/twin.rs"]
mod twin;
#[path = "events/world.rs"]
mod world;
