//! Backward as-of joins with a publication lag and a longest hold.

use serde::{Deserialize, Serialize};

use crate::market::Ts;

/// Records waiting to become known, and the last one that did. `K` is what is known of a record beside its
/// instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct AsOf<K> {
    /// Not yet known, by instant.
    pub pending: Vec<(Ts, K)>,
    /// The last record that became known.
    pub held: Option<(Ts, K)>,
}

impl<K> Default for AsOf<K> {
    fn default() -> Self {
        Self { pending: Vec::new(), held: None }
    }
}

impl<K: Copy> AsOf<K> {
    /// Takes in records; among those of one instant the last given wins.
    pub(super) fn take(&mut self, records: impl Iterator<Item = (Ts, K)>) {
        let before = self.pending.len();
        self.pending.extend(records);
        if self.pending[before.saturating_sub(1)..].is_sorted_by_key(|(ts, _)| *ts) {
            return;
        }
        self.pending.sort_by_key(|(ts, _)| *ts);
    }

    /// Moves what is known at `close` from pending to held, calling `known` for each record in time order
    /// with the record held before it. A record older than the held one changes nothing.
    pub(super) fn advance(
        &mut self,
        close: Ts,
        lag_ms: i64,
        mut known: impl FnMut(Option<(Ts, K)>, &mut (Ts, K)),
    ) {
        let n = self.pending.partition_point(|(ts, _)| ts.0 + lag_ms <= close.0);
        if n == 0 {
            return;
        }
        for mut record in self.pending.drain(..n) {
            if self.held.is_some_and(|(ts, _)| record.0 < ts) {
                continue;
            }
            known(self.held, &mut record);
            self.held = Some(record);
        }
    }

    /// The held record while it is at most `hold_ms` old.
    pub(super) fn value(&self, close: Ts, hold_ms: i64) -> Option<K> {
        self.held.filter(|(ts, _)| close.0 - ts.0 <= hold_ms).map(|(_, k)| k)
    }
}
