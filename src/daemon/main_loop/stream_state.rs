//! How the websocket connections are doing, as `status` shows it.

use std::collections::BTreeMap;

use crate::daemon::shared::Shared;
use crate::daemon::status;
use backtestd_binance::{Route, StreamKind, StreamState, StreamStatus};
use backtestd_core::market::Ts;

/// State of each kind of stream on each connection.
#[derive(Debug, Default)]
pub(super) struct StreamStates {
    kinds: BTreeMap<(Route, usize, StreamKind), StreamState>,
    last_message: BTreeMap<Route, Ts>,
    connects: BTreeMap<(Route, usize, StreamKind), u64>,
}

impl StreamStates {
    /// Takes in a change.
    pub(super) fn change(&mut self, change: &StreamStatus) {
        let key = (change.route, change.shard, change.kind);
        let was = self.kinds.insert(key, change.state);
        if change.state == StreamState::Live && was != Some(StreamState::Live) {
            *self.connects.entry(key).or_default() += 1;
        }
    }

    /// Notes a message.
    pub(super) fn heard(&mut self, route: Route, at: Ts) {
        self.last_message.insert(route, at);
    }

    /// What is wrong, in words; none if every kind is live.
    pub(super) fn trouble(&self) -> Option<String> {
        let down: Vec<String> = self
            .kinds
            .iter()
            .filter(|(_, state)| **state != StreamState::Live)
            .map(|((route, _, kind), state)| format!("{} {} is {}", route.name(), kind.name(), state.name()))
            .collect();
        (!down.is_empty()).then(|| down.join(", "))
    }

    /// Writes the status section.
    pub(super) fn show(&self, shared: &Shared) {
        let mut streams: BTreeMap<Route, status::StreamStatus> = BTreeMap::new();
        for ((route, shard, kind), state) in &self.kinds {
            let entry = streams.entry(*route).or_insert_with(|| status::StreamStatus {
                name: route.name().to_owned(),
                connected: true,
                ..status::StreamStatus::default()
            });
            entry.connected &= *state == StreamState::Live;
            entry.last_message = self.last_message.get(route).copied();
            let connects = self.connects.get(&(*route, *shard, *kind)).copied().unwrap_or(0);
            entry.reconnects = entry.reconnects.max(connects.saturating_sub(1));
        }
        shared.update(|s| s.streams = streams.into_values().collect());
    }
}
