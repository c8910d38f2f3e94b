//! The event record and its id.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::market::{BarIndex, Symbol, Ts};

/// One detection. Everything in it was known at `detected_ts`, the close of `bar`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Event type, as in the spec.
    pub event_type: Arc<str>,
    /// Canonical family of the event type.
    pub family: Arc<str>,
    /// Symbol it happened on.
    pub symbol: Symbol,
    /// The bar that decided it.
    pub bar: BarIndex,
    /// Signed side of the shock: -1, 0 (undirected), +1.
    pub direction: i8,
    /// Magnitude of the event, as its spec's `severity` measures it.
    pub severity: f64,
    /// Every state on the deciding bar, in the graph's state order: 1, 0, -1 = unknown.
    pub states: Arc<[i8]>,
    /// `vol_regime` on the deciding bar: 0 low, 1 mid, 2 high, -1 unknown.
    pub vol_regime: i8,
    /// `carry_state` on the deciding bar: -1 funding_neg, 0 neutral, 1 funding_pos, `i8::MIN` unknown.
    pub carry_state: i8,
    /// `sigma_bar` on the deciding bar: sd of one bar's log return, known before the bar. NaN unknown.
    pub sigma_bar: f64,
    /// `sigma_event` on the deciding bar: sd of the bars that follow, known with the bar; what outcomes are
    /// scored in. NaN unknown.
    pub sigma_event: f64,
    /// Values that the expressions read on the deciding bar, by name.
    pub features: Vec<(Arc<str>, f64)>,
}

impl Event {
    /// `<EVENT>:<SYMBOL>:<yyyymmddThhmm>`: independent of where the history starts.
    #[must_use]
    pub fn id(&self) -> String {
        event_id(&self.event_type, &self.symbol, self.bar)
    }

    /// Close of the deciding bar: no earlier moment could have known.
    #[must_use]
    pub const fn detected(&self) -> Ts {
        self.bar.close()
    }
}

/// The label of [`Event::vol_regime`]: `low`, `mid`, `high`; `None` when unknown.
#[must_use]
pub fn vol_label(code: i8) -> Option<&'static str> {
    ["low", "mid", "high"].get(usize::try_from(code).ok()?).copied()
}

/// The label of [`Event::carry_state`]: `funding_neg`, `neutral`, `funding_pos`; `None` when unknown.
#[must_use]
pub const fn carry_label(code: i8) -> Option<&'static str> {
    match code {
        -1 => Some("funding_neg"),
        0 => Some("neutral"),
        1 => Some("funding_pos"),
        _ => None,
    }
}

/// The id of a detection.
#[must_use]
pub fn event_id(event_type: &str, symbol: &Symbol, bar: BarIndex) -> String {
    format!("{event_type}:{symbol}:{}", bar.open().compact())
}

/// The end of an episode, a record of its own: nothing learned after onset is written into the onset record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpisodeEnd {
    /// Event type, as in the spec.
    pub event_type: Arc<str>,
    /// Symbol that the episode was on.
    pub symbol: Symbol,
    /// The onset's bar.
    pub onset: BarIndex,
    /// The first row on which the episode was no longer open.
    pub exit: BarIndex,
}
