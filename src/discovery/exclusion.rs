//! Units that are left out because their event's detector is not healthy: no test, and no smaller catalogue either.

use std::sync::Arc;

use super::candidate::{FailReason, Scope};
use super::catalogue_spec::Untested;

/// The gate's name among the reasons of a candidate.
pub const EVENT_QUALITY_GATE: &str = "EVENT_QUALITY_GATE";

/// The units of an event on a scope that are left out. They keep their place in the catalogue with p = 1 and e = 0, so
/// the others pay for them as before.
#[derive(Clone, Debug, PartialEq)]
pub struct Exclusion {
    /// Event type.
    pub event_type: Arc<str>,
    /// Label of the scope: a symbol, or `ALL` for the pooled units.
    pub scope: String,
    /// What was counted. Never a return.
    pub metric: &'static str,
    /// Its value.
    pub value: f64,
    /// `>=` or `<=`.
    pub relation: &'static str,
    /// What it should have been.
    pub threshold: f64,
    /// The same in words.
    pub text: String,
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
