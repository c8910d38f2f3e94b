//! What must hold for every shipped event and state, whoever adds the next one.

use backtestd::graph::{Engine, EngineOptions};
use backtestd::spec::explain;

use crate::real::{FIRST, present};
use crate::reference::{ROWS, engine, market, rows, run, symbols};
use crate::shipped::shipped;
use crate::trace::Trace;

const LIVE: EngineOptions = EngineOptions::LIVE;

/// Names whose fingerprints differ, over rows `[0, to)`.
fn differing(a: &Trace, b: &Trace, to: usize) -> Vec<String> {
    let end = FIRST + to as i64;
    let b = b.fingerprints(end, to);
    a.fingerprints(end, to).into_iter().filter(|(name, hash)| b[name] != *hash).map(|(n, _)| n).collect()
}

/// Pushes of `step` rows up to row `to`; `restart`: saved and restored after each.
fn in_steps(step: usize, to: usize, opts: EngineOptions, restart: bool) -> Trace {
    let (mut engine, mut trace, mut at) = (engine(opts), Trace::default(), 0);
    while at < to {
        let next = to.min(at + step);
        trace.add(engine.push(&rows(market(), at, next)).unwrap());
        if restart {
            let bytes = engine.checkpoint();
            engine = Engine::restore(shipped().graph.clone(), &symbols(), &bytes, opts).unwrap();
        }
        at = next;
    }
    trace
}

#[test]
fn every_event_and_state_explains_itself() {
    let spec = shipped();
    for meta in &spec.events {
        let told = explain(spec, &meta.event_type, false).unwrap();
        for (part, written) in &meta.parts {
            assert!(told.text.contains(written.as_str()), "{} says nothing about {part}", meta.event_type);
        }
        assert!(told.dot.starts_with("digraph"), "{} has no drawing", meta.event_type);
        assert!(!meta.doc.is_empty() && !meta.confounders.is_empty(), "{} lacks its words", meta.event_type);
    }
    for meta in &spec.states {
        let told = explain(spec, &meta.id, false).unwrap();
        assert!(told.text.contains(&meta.expr) && !meta.doc.is_empty(), "{} lacks its words", meta.id);
    }
}

#[test]
fn every_event_fires_on_the_reference_market_with_a_known_side() {
    if !present() {
        return;
    }
    let mut silent = Vec::new();
    for (ix, event) in shipped().graph.events.iter().enumerate() {
        let onsets = run().detections.iter().flatten().filter(|d| usize::from(d.event.0) == ix);
        let mut count = 0;
        for d in onsets {
            count += 1;
            let sided = d.direction == 1 || d.direction == -1;
            assert!(sided || event.undirected, "{} fired without a side at {}", event.event_type, d.bar);
            assert!(d.severity.is_finite(), "{} has no severity at {}", event.event_type, d.bar);
        }
        if count == 0 {
            silent.push(&event.event_type);
        }
    }
    assert!(silent.is_empty(), "these never fire, so every other test says nothing about them: {silent:?}");
}

#[test]
fn every_state_is_known_somewhere_active_somewhere_and_inactive_somewhere() {
    if !present() {
        return;
    }
    let mut constant = Vec::new();
    for (ix, state) in shipped().states.iter().enumerate() {
        let all = || run().states.iter().flat_map(|s| &s[ix]);
        let (on, off) = (all().filter(|v| **v == 1.0).count(), all().filter(|v| **v == 0.0).count());
        if on == 0 || off == 0 {
            constant.push(format!("{}: active on {on} rows, inactive on {off}", state.id));
        }
    }
    assert!(constant.is_empty(), "{constant:#?}");
}

#[test]
fn states_that_exclude_each_other_are_never_active_together() {
    if !present() {
        return;
    }
    let state = |id: &str| shipped().states.iter().position(|s| s.id == id).unwrap();
    for (a, b) in [
        ("TRENDING_STATE", "CHOP_STATE"),
        ("HIGH_VOL_REGIME", "LOW_VOL_REGIME"),
        ("HIGH_FRICTION_STATE", "LOW_FRICTION_STATE"),
        ("RISK_ON_STATE", "RISK_OFF_STATE"),
    ] {
        let (x, y) = (state(a), state(b));
        for symbol in &run().states {
            let both = symbol[x].iter().zip(&symbol[y]).filter(|(x, y)| **x == 1.0 && **y == 1.0).count();
            assert_eq!(both, 0, "{a} and {b}");
        }
    }
}

#[test]
fn cutting_the_future_changes_no_event_and_no_state() {
    if !present() {
        return;
    }
    for percent in [37, 71] {
        let cut = ROWS * percent / 100;
        let part = in_steps(cut, cut, EngineOptions::BATCH, false);
        assert_eq!(differing(run(), &part, cut), Vec::<String>::new(), "at {percent} %");
    }
}

#[test]
fn pushes_of_one_seven_or_288_rows_change_no_event_and_no_state() {
    if !present() {
        return;
    }
    for step in [1, 7, 288] {
        let opts = if step == 288 { EngineOptions::BATCH } else { LIVE };
        assert_eq!(
            differing(run(), &in_steps(step, ROWS, opts, false), ROWS),
            Vec::<String>::new(),
            "{step}"
        );
    }
}

#[test]
fn restarts_change_no_event_and_no_state() {
    if !present() {
        return;
    }
    let restarted = in_steps(997, ROWS, EngineOptions::BATCH, true);
    assert_eq!(differing(run(), &restarted, ROWS), Vec::<String>::new());
}
