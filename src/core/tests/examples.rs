//! The examples run, and what they say is plausible.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

#[allow(dead_code, reason = "the example's main is for its readers")]
#[path = "../examples/pipeline.rs"]
mod pipeline;

#[test]
fn a_random_walk_has_events_and_every_matured_event_has_outcomes() {
    let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec");
    let facts = pipeline::run(&spec, 6_000).unwrap();
    assert_eq!(facts.rows, 6_000);
    assert!(facts.events.len() > 100, "{} events", facts.events.len());
    assert!(facts.outcomes.len() > facts.events.len(), "an event has an outcome for each of its horizons");
    assert!(facts.outcomes.iter().all(|outcome| outcome.matured() > outcome.event.detected()));
    assert!(facts.events.windows(2).all(|pair| pair[0].bar <= pair[1].bar), "in the order of bars");
}
