//! Every event has an example on which it fires and a near miss on which it does not.

use std::sync::OnceLock;

use backtestd_core::graph::EventNode;

use crate::script::{Fixture, Script, fixture, folder};
use crate::shipped::shipped;
use crate::world::{Hit, World};

fn play(script: &Script, event: &str) -> Vec<Hit> {
    static CALM: OnceLock<World> = OnceLock::new();
    CALM.get_or_init(World::calm).clone().play(script, event)
}

/// The fixtures, in registry order; `EVENT=NAME` in the environment looks at one only.
fn fixtures() -> Vec<Fixture> {
    let only = std::env::var("EVENT").ok();
    let names = shipped().events.iter().map(|e| e.event_type.as_str());
    names.filter(|name| only.as_deref().is_none_or(|o| o == *name)).filter_map(fixture).collect()
}

fn rule(event: &str) -> &'static EventNode {
    shipped().graph.events.iter().find(|e| e.event_type == event).unwrap()
}

fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn every_event_of_the_registry_has_a_fixture_and_every_fixture_an_event() {
    let mut expected: Vec<String> =
        shipped().events.iter().map(|e| format!("{}.yaml", e.event_type.to_lowercase())).collect();
    expected.sort();
    let mut found: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, expected);
    for fixture in fixtures() {
        assert!(
            fixture.positive.expect.is_some(),
            "{}: the example says nothing about its onset",
            fixture.event
        );
        assert!(fixture.negative.expect.is_none(), "{}: a near miss expects nothing", fixture.event);
        assert!(
            fixture.positive.why.len() > 20 && fixture.negative.why.len() > 20,
            "{}: a script says why",
            fixture.event
        );
    }
}

#[test]
fn every_event_fires_on_its_example_at_the_named_bar_and_with_the_named_side() {
    let mut problems = Vec::new();
    for fixture in fixtures() {
        let expect = fixture.positive.expect.as_ref().unwrap();
        let hits = play(&fixture.positive, &fixture.event);
        let after: Vec<&Hit> = hits.iter().filter(|h| h.at >= 0).collect();
        let (low, high) = expect.severity;
        let fits = matches!(after[..], [hit] if hit.at == expect.at
            && hit.direction == expect.direction
            && (low..=high).contains(&hit.severity));
        if !fits {
            problems.push(format!("{}: expected {expect:?}, found {hits:?}", fixture.event));
        }
    }
    assert_none(&problems);
}

#[test]
fn every_event_stays_quiet_on_its_near_miss() {
    let mut problems = Vec::new();
    for fixture in fixtures() {
        let script = &fixture.negative;
        let (from, to) = script.quiet.as_ref().map_or((0, script.last()), |q| q.bounds());
        let hits = play(script, &fixture.event);
        let inside: Vec<&Hit> = hits.iter().filter(|h| (from..=to).contains(&h.at)).collect();
        if !inside.is_empty() {
            problems.push(format!("{}: fired at {inside:?}", fixture.event));
        }
        // An onset shortly before would silence what follows, whatever it is.
        let spacing = i64::from(rule(&fixture.event).spacing_bars);
        let hush: Vec<&Hit> = hits.iter().filter(|h| (from - spacing..from).contains(&h.at)).collect();
        if !hush.is_empty() {
            problems.push(format!("{}: quiet because of the spacing after {hush:?}", fixture.event));
        }
    }
    assert_none(&problems);
}
