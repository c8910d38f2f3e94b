//! Detector health is that of the closed days, whenever and by which process it is asked for.

use std::sync::Arc;

use super::change_tests::{Bench, at, running};

#[test]
fn a_restart_on_the_next_day_judges_by_the_same_counts() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = running(&dir);
    let midnight = at(15 * 288);
    bench.advance(midnight, midnight - bench.facts.next());
    let closed = bench.facts.quality();
    bench.advance(at(15 * 288 + 25), 7);
    assert_ne!(bench.facts.quality(), closed, "the running day has counts of its own");
    assert_eq!(bench.facts.quality_at(&bench.store, midnight).unwrap(), closed);
    let Bench { facts, store, .. } = bench;
    let spec = Arc::clone(&facts.spec);
    drop((facts, store));
    let reopened = Bench::open(&dir.path().join("state"), spec);
    assert_eq!(reopened.facts.committed(), Some(at(15 * 288 + 24)));
    assert_eq!(reopened.facts.quality_at(&reopened.store, midnight).unwrap(), closed);
}
