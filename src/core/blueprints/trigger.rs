//! Which blueprints an event triggers: what the signal stream says beside each detection.
//!
//! Stateless: a blueprint's cool-down is the consumer's, who knows which signals it took.

use serde::{Deserialize, Serialize};

use super::record::{Blueprint, Status};
use crate::discovery::ConditionTest;
use crate::market::Side;
use crate::outcomes::EntryPrice;
use crate::outcomes::Event;

/// One blueprint that an event triggered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Triggered {
    /// Id of the blueprint, `bp_` and 16 hex digits.
    pub id: String,
    /// Which way to go.
    pub side: Side,
    /// Bars from the deciding bar to the entry bar.
    pub entry_lag_bars: u32,
    /// The instant of the entry, ns: the close (or open, as the blueprint's price says) of the entry bar.
    pub entry_at_ns: i64,
    /// The instant of the time exit, ns.
    pub exit_at_ns: i64,
}

/// The active blueprints that `event` triggers, in the order given. An event that a blueprint's evidence has already
/// seen does not trigger it. `states` are the graph's state ids in order.
#[must_use]
pub fn match_event<S: AsRef<str>>(event: &Event, states: &[S], blueprints: &[Blueprint]) -> Vec<Triggered> {
    blueprints.iter().filter_map(|blueprint| triggered(event, states, blueprint)).collect()
}

fn triggered<S: AsRef<str>>(event: &Event, states: &[S], blueprint: &Blueprint) -> Option<Triggered> {
    let wanted = blueprint.status == Status::Active
        && *event.event_type == *blueprint.event_type
        && blueprint.symbol_scope.symbols.contains(&event.symbol)
        && blueprint.discovered_through_ns.is_none_or(|seen| event.detected().nanos() > seen);
    if !wanted || !ConditionTest::resolve(&blueprint.entry.conditions, states)?.holds(event) {
        return None;
    }
    let side = blueprint.direction_rule.side(event.direction)?;
    let entry_bar = event.bar + i64::from(blueprint.entry.entry_lag_bars);
    let exit_bar = entry_bar + i64::from(blueprint.exit.time_stop_bars);
    let at = |bar: crate::market::BarIndex| match blueprint.entry.price {
        EntryPrice::Close => bar.close().nanos(),
        EntryPrice::Open => bar.open().nanos(),
    };
    Some(Triggered {
        id: blueprint.id.clone(),
        side,
        entry_lag_bars: blueprint.entry.entry_lag_bars,
        entry_at_ns: at(entry_bar),
        exit_at_ns: at(exit_bar),
    })
}
