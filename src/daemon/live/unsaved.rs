//! What was observed since the journal was last written: the updates that a restart in the same bar would
//! miss.

use std::collections::BTreeMap;

use backtestd_binance::{Stamped, Update};
use backtestd_core::market::{BarIndex, Symbol};

const SECOND_MS: i64 = 1000;

/// Updates that are not in the journal. Of quotes it keeps the last one of each second, of marks the last one
/// of each bar, as the aggregators do: it grows with time, not with traffic.
#[derive(Debug, Default)]
pub(super) struct Unsaved {
    updates: BTreeMap<Key, Stamped>,
    /// Updates so far that have no other place.
    others: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Mark(Symbol, BarIndex),
    Quote(Symbol, i64),
    /// Orders and changes of streams, as they came.
    Other(u64),
}

impl Unsaved {
    /// Takes in an update that an aggregator keeps.
    pub(super) fn add(&mut self, stamped: &Stamped) {
        let key = match &stamped.update {
            Update::Mark(mark) => Key::Mark(mark.symbol.clone(), mark.event_ts.bar()),
            Update::BookTicker(quote) => {
                let at = quote.event_ts.unwrap_or(stamped.arrival);
                Key::Quote(quote.symbol.clone(), at.0.div_euclid(SECOND_MS))
            }
            _ => {
                self.others += 1;
                Key::Other(self.others)
            }
        };
        self.updates.insert(key, stamped.clone());
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.updates.len()
    }

    /// Gives them up.
    pub(super) fn take(&mut self) -> Vec<Stamped> {
        std::mem::take(&mut self.updates).into_values().collect()
    }
}
