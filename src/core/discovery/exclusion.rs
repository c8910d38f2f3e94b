//! Units that say nothing: left out because their event's detector is not healthy, or empty because a source
//! of their condition is missing. They keep their place in the catalogue, which gets no smaller, and are
//! listed as not tested.

use std::sync::Arc;

use super::candidate::{FailReason, Scope};
use super::catalogue::Catalogue;
use super::catalogue_spec::Untested;

/// The gate's name among the reasons of a candidate.
pub const EVENT_QUALITY_GATE: &str = "EVENT_QUALITY_GATE";

/// The units of an event on a scope that are left out. They keep their place in the catalogue with p = 1 and
/// e = 0, so the others pay for them as before.
#[derive(Clone, Debug, PartialEq)]
pub struct Exclusion {
    /// Event type whose units are left out.
    pub event_type: Arc<str>,
    /// Label of the scope: a symbol, or `ALL` for the pooled units.
    pub scope: String,
    /// What was counted. Never a return.
    pub metric: &'static str,
    /// Value of the metric that was measured.
    pub value: f64,
    /// `>=` or `<=`.
    pub relation: &'static str,
    /// What it should have been.
    pub threshold: f64,
    /// The same in words.
    pub text: String,
}

/// A state or regime that cannot be known on some symbols, because a source column never was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// The state or regime, as conditions name it.
    pub series: String,
    /// Source column that the series needs and that was never known.
    pub column: String,
    /// Names of the symbols on which it was never known.
    pub symbols: Vec<String>,
}

/// The conditions of a catalogue that are unknown on every event of these symbols: no event is in them, and
/// none is in their negation. By event type and condition, however many horizons it has.
pub(super) fn unavailable(catalogue: &Catalogue, lacking: &[Lacking]) -> Vec<Untested> {
    let mut out: Vec<Untested> = Vec::new();
    let mut before: Option<&Arc<str>> = None;
    for block in &catalogue.blocks {
        if before.replace(&block.event_type) == Some(&block.event_type) {
            continue;
        }
        for condition in block.conditions.iter().map(|&c| &catalogue.conditions[c].condition) {
            let missing = condition.series().flat_map(|s| lacking.iter().filter(move |l| l.series == s));
            out.extend(missing.map(|l| Untested {
                event_type: Arc::clone(&block.event_type),
                what: condition.id.as_ref().to_owned(),
                reason: format!(
                    "unavailable on {}: {} needs {}, which was never known there",
                    l.symbols.join(", "),
                    l.series,
                    l.column
                ),
            }));
        }
    }
    out
}

/// The exclusions of one unit.
pub(super) fn of<'a>(
    excluded: &'a [Exclusion],
    event_type: &'a str,
    scope: &'a Scope,
) -> impl Iterator<Item = &'a Exclusion> {
    excluded.iter().filter(move |x| *x.event_type == *event_type && x.scope == scope.label())
}

/// The line of the run's summary.
pub(super) fn untested(x: &Exclusion) -> Untested {
    Untested {
        event_type: Arc::clone(&x.event_type),
        what: x.scope.clone(),
        reason: format!("gate_e1: {}", x.text),
    }
}

impl From<&Exclusion> for FailReason {
    fn from(x: &Exclusion) -> Self {
        Self {
            gate: EVENT_QUALITY_GATE,
            metric: x.metric,
            value: Some(x.value),
            relation: x.relation,
            threshold: x.threshold,
        }
    }
}
