//! What must hold for every shipped event and state, whoever adds the next one.

use std::collections::BTreeSet;
use std::sync::Arc;

use backtestd_core::graph::{Engine, EngineOptions, Program, compile};
use backtestd_core::spec::explain;

use crate::real::{FIRST, present};
use crate::reference::{ROWS, engine, market, rows, run, symbols};
use crate::shipped::shipped;
use crate::trace::Trace;

const LIVE: EngineOptions = EngineOptions::LIVE;
/// Onsets of an event on a symbol that are run through one row at a time, and rows before and after each.
const ONSETS: usize = 3;
const AROUND: usize = 5;

/// Names whose fingerprints differ, over rows `[0, to)`.
fn differing(a: &Trace, b: &Trace, to: usize) -> Vec<String> {
    let end = FIRST + to as i64;
    let b = b.fingerprints(end, to);
    a.fingerprints(end, to).into_iter().filter(|(name, hash)| b[name] != *hash).map(|(n, _)| n).collect()
}

/// Pushes that end at the given rows; `restart`: saved and restored after each.
fn in_pushes(ends: impl IntoIterator<Item = usize>, opts: EngineOptions, restart: bool) -> Trace {
    let (mut engine, mut trace, mut at) = (engine(opts), Trace::default(), 0);
    for end in ends {
        trace.add(engine.push(&rows(market(), at, end)).unwrap());
        if restart {
            let bytes = engine.checkpoint().unwrap();
            engine = Engine::restore(shipped().graph.clone(), &symbols(), &bytes, opts).unwrap();
        }
        at = end;
    }
    trace
}

/// Ends of pushes of `step` rows up to the last row.
fn every(step: usize) -> impl Iterator<Item = usize> {
    (step..ROWS).step_by(step).chain([ROWS])
}

/// Ends of pushes that are single rows around the first onsets of every event on every symbol, and a day
/// elsewhere.
fn single_rows_around_onsets() -> BTreeSet<usize> {
    let mut ends: BTreeSet<usize> = every(288).collect();
    for event in 0..shipped().events.len() {
        for symbol in 0..symbols().len() {
            for (_, bar) in run().onsets(event).iter().filter(|o| o.0 == symbol).take(ONSETS) {
                let row = (*bar - FIRST) as usize;
                ends.extend((row.saturating_sub(AROUND)..=row + AROUND).filter(|r| (1..ROWS).contains(r)));
            }
        }
    }
    ends
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
fn every_variant_that_is_off_fires_when_it_is_switched_on() {
    if !present() {
        return;
    }
    let mut program = Program::clone(&shipped().program);
    program.events.iter_mut().for_each(|e| e.enabled = true);
    let graph = Arc::new(compile(&program).unwrap_or_else(|e| panic!("{e:?}")));
    let mut engine = Engine::new(Arc::clone(&graph), &symbols(), FIRST, EngineOptions::BATCH);
    let out = engine.push(market()).unwrap();
    let fired: BTreeSet<u16> = out.symbols.iter().flat_map(|s| &s.detections).map(|d| d.event.0).collect();
    let variants = graph.events.iter().enumerate().filter(|(_, e)| e.event_type.contains('.'));
    let (mut seen, mut silent) = (0, Vec::new());
    for (ix, variant) in variants {
        seen += 1;
        if !fired.contains(&(ix as u16)) {
            silent.push(&variant.event_type);
        }
    }
    assert!(seen > 0 && silent.is_empty(), "{seen} variants, of which these never fire: {silent:?}");
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
        let part = in_pushes([cut], EngineOptions::BATCH, false);
        assert_eq!(differing(run(), &part, cut), Vec::<String>::new(), "at {percent} %");
    }
}

#[test]
fn pushes_of_a_single_row_change_no_event_and_no_state() {
    if !present() {
        return;
    }
    let single = in_pushes(single_rows_around_onsets(), LIVE, false);
    assert_eq!(differing(run(), &single, ROWS), Vec::<String>::new());
}

#[test]
fn pushes_of_7_rows_change_no_event_and_no_state() {
    if !present() {
        return;
    }
    assert_eq!(differing(run(), &in_pushes(every(7), LIVE, false), ROWS), Vec::<String>::new());
}

#[test]
fn pushes_of_a_day_change_no_event_and_no_state() {
    if !present() {
        return;
    }
    assert_eq!(
        differing(run(), &in_pushes(every(288), EngineOptions::BATCH, false), ROWS),
        Vec::<String>::new()
    );
}

#[test]
fn restarts_change_no_event_and_no_state() {
    if !present() {
        return;
    }
    let restarted = in_pushes(every(1999), EngineOptions::BATCH, true);
    assert_eq!(differing(run(), &restarted, ROWS), Vec::<String>::new());
}
