//! What is announced of a detection: one record, the same from the live stream and from history.

use serde_json::{Map, Value, json};

use super::record::Blueprint;
use super::trigger::match_event;
use crate::market::Ts;
use crate::outcomes::{Event, carry_label, vol_label};

/// What a detection is announced with.
#[derive(Clone, Copy, Debug)]
pub struct SignalContext<'a, S> {
    /// The graph's state ids, in order.
    pub states: &'a [S],
    /// Version in force; `None` before the first.
    pub version: Option<&'a str>,
    /// Lines of the version.
    pub blueprints: &'a [Blueprint],
    /// Close of the deciding bar; `None` where it is unknown.
    pub reference_close: Option<f64>,
    /// The instant of the announcement. In history, the close of the deciding bar: nobody was late.
    pub now: Ts,
}

/// The record of a detection. Every field is always there; null is unknown or none.
#[must_use]
pub fn signal_record<S: AsRef<str>>(event: &Event, context: &SignalContext<'_, S>) -> Map<String, Value> {
    let state = |value: &i8| match value {
        0 => Value::Bool(false),
        1 => Value::Bool(true),
        _ => Value::Null,
    };
    let names = context.states.iter().map(|s| s.as_ref().to_owned());
    let states: Map<String, Value> = names.zip(event.states.iter().map(state)).collect();
    let matched = match_event(event, context.states, context.blueprints, context.now);
    let finite = |x: f64| Some(x).filter(|x| x.is_finite());
    let record = json!({
        "event_id": event.id(),
        "event_type": &*event.event_type,
        "canonical_family": &*event.family,
        "symbol": event.symbol,
        "instrument": event.symbol.nautilus_perp(),
        "timestamp_ns": event.bar.open().nanos(),
        "detected_ns": event.detected().nanos(),
        "arrival_ns": context.now.nanos(),
        // The first bar open at or after detection is the detection itself: a bar opens where the one before
        // closes.
        "signal_ns": event.detected().nanos(),
        "direction": event.direction,
        "severity": finite(event.severity),
        "sigma_bar": finite(event.sigma_bar),
        "reference_close": context.reference_close.and_then(finite),
        "states": states,
        "regimes": {"vol_regime": vol_label(event.vol_regime), "carry_state": carry_label(event.carry_state)},
        "version": context.version,
        "stale": matched.is_stale(),
        "blueprints": matched.blueprints,
        "not_traded": matched.not_traded,
    });
    match record {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
