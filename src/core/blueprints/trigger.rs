//! Which blueprints an event triggers: what the signal stream says beside each detection.
//!
//! Stateless: a blueprint's cool-down is the consumer's, who knows which signals it took.

use serde::{Deserialize, Serialize};

use super::record::{Blueprint, Status};
use crate::discovery::ConditionTest;
use crate::market::{BarIndex, Side, Ts};
use crate::outcomes::EntryPrice;
use crate::outcomes::Event;

/// One blueprint that an event triggered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Triggered {
    /// Id of the blueprint, `bp_` and 16 hex digits.
    pub id: String,
    /// The revision that was matched.
    pub revision: u32,
    /// The revision of its rule.
    pub rule_revision: u32,
    /// Which way to go.
    pub side: Side,
    /// Bars from the deciding bar to the entry bar.
    pub entry_lag_bars: u32,
    /// The instant of the entry, ns: the close (or open, as the blueprint's price says) of the entry bar.
    pub entry_at_ns: i64,
    /// The instant of the time exit, ns.
    pub exit_at_ns: i64,
    /// After this instant, ns, the signal must be dropped.
    pub expires_ns: i64,
    /// Notional over equity by the blueprint's sizing and the event's `sigma_bar`; 0 where that is unknown.
    pub scale: f64,
    /// Id of its overlap group; null: it stands alone.
    pub overlap_group: Option<String>,
    /// Id of the blueprint that trades for its group: its own where it stands alone.
    pub primary: String,
}

/// Why a blueprint that an event triggers is not to be traded on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotTraded {
    /// Its evidence has seen the event.
    InSample,
    /// Its entry is past, or the signal is too old.
    Late,
    /// Another blueprint trades for its group.
    Member,
    /// Its status is `watch`.
    Watch,
}

/// A triggered blueprint that opens no position unless a consumer asks for its kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// What it would trade.
    #[serde(flatten)]
    pub triggered: Triggered,
    /// Every reason against it.
    pub why_not: Vec<NotTraded>,
}

/// What an event triggers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matched {
    /// To be traded, in the order of the blueprints.
    pub blueprints: Vec<Triggered>,
    /// Triggered, and not to be traded.
    pub not_traded: Vec<Held>,
}

impl Matched {
    /// Whether an entry is past, or the signal too old for it.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.not_traded.iter().any(|held| held.why_not.contains(&NotTraded::Late))
    }
}

/// The blueprints that `event` triggers at the instant `now`, in the order given. `states` are the graph's
/// state ids in order. Retired ones trigger nothing.
#[must_use]
pub fn match_event<S: AsRef<str>>(event: &Event, states: &[S], blueprints: &[Blueprint], now: Ts) -> Matched {
    let mut matched = Matched::default();
    for blueprint in blueprints {
        let Some(triggered) = triggered(event, states, blueprint) else { continue };
        let why_not = why_not(event, blueprint, &triggered, now);
        if why_not.is_empty() {
            matched.blueprints.push(triggered);
        } else {
            matched.not_traded.push(Held { triggered, why_not });
        }
    }
    matched
}

fn triggered<S: AsRef<str>>(event: &Event, states: &[S], blueprint: &Blueprint) -> Option<Triggered> {
    let wanted = blueprint.status != Status::Retired
        && *event.event_type == *blueprint.event_type
        && blueprint.symbol_scope.symbols.contains(&event.symbol);
    if !wanted || !ConditionTest::resolve(&blueprint.entry.conditions, states)?.holds(event) {
        return None;
    }
    let side = blueprint.direction_rule.side(event.direction)?;
    let entry_bar = event.bar + i64::from(blueprint.entry.entry_lag_bars);
    let exit_bar = entry_bar + i64::from(blueprint.exit.time_stop_bars);
    let at = |bar: BarIndex| match blueprint.entry.price {
        EntryPrice::Close => bar.close().nanos(),
        EntryPrice::Open => bar.open().nanos(),
    };
    let group = blueprint.overlap_group.as_ref();
    let detected = event.detected().nanos();
    Some(Triggered {
        id: blueprint.id.clone(),
        revision: blueprint.revision,
        rule_revision: blueprint.rule_revision,
        side,
        entry_lag_bars: blueprint.entry.entry_lag_bars,
        entry_at_ns: at(entry_bar),
        exit_at_ns: at(exit_bar),
        expires_ns: blueprint.max_signal_age_ns.map_or_else(|| at(entry_bar), |age| detected + age),
        scale: blueprint.sizing.scale(event.sigma_bar, blueprint.exit.time_stop_bars),
        overlap_group: group.map(|g| g.id.clone()),
        primary: group.map_or_else(|| blueprint.id.clone(), |g| g.primary.clone()),
    })
}

fn why_not(event: &Event, blueprint: &Blueprint, triggered: &Triggered, now: Ts) -> Vec<NotTraded> {
    let in_sample = blueprint.discovered_through_ns.is_some_and(|seen| event.detected().nanos() <= seen);
    let late = now.nanos() > triggered.entry_at_ns.min(triggered.expires_ns);
    [
        (in_sample, NotTraded::InSample),
        (late, NotTraded::Late),
        (blueprint.is_member(), NotTraded::Member),
        (blueprint.status == Status::Watch, NotTraded::Watch),
    ]
    .into_iter()
    .filter_map(|(holds, why)| holds.then_some(why))
    .collect()
}
