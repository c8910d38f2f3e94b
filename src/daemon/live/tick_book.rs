//! Which bars of the next ticks have been delivered, and which are still missing.

use std::collections::{BTreeMap, BTreeSet};

use backtestd_core::market::{BarIndex, Market, Symbol};

/// A series of bars.
pub(crate) type Series = (Market, Symbol);

/// Delivered bars of ticks that have not closed.
#[derive(Debug)]
pub(crate) struct TickBook {
    expected: Vec<Series>,
    delivered: BTreeMap<BarIndex, BTreeSet<usize>>,
    next: BarIndex,
}

/// What a delivered bar means for the tick it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Its tick is still open; this was expected.
    InTime,
    /// Its tick had closed: it was a gap there.
    Late,
    /// A series that nobody follows.
    Unexpected,
}

impl TickBook {
    /// Follows `expected`; `next` is the first tick to close.
    #[must_use]
    pub(crate) const fn new(expected: Vec<Series>, next: BarIndex) -> Self {
        Self { expected, delivered: BTreeMap::new(), next }
    }

    /// The tick to close next.
    #[must_use]
    pub(crate) const fn next(&self) -> BarIndex {
        self.next
    }

    /// Notes a delivered bar.
    pub(crate) fn deliver(&mut self, series: &Series, bar: BarIndex) -> Delivery {
        let Some(index) = self.expected.iter().position(|s| s == series) else {
            return Delivery::Unexpected;
        };
        if bar < self.next {
            return Delivery::Late;
        }
        self.delivered.entry(bar).or_default().insert(index);
        Delivery::InTime
    }

    /// The series that have not delivered the next tick's bar.
    #[must_use]
    pub(crate) fn missing(&self) -> Vec<Series> {
        let delivered = self.delivered.get(&self.next);
        let is_missing = |index: &usize| delivered.is_none_or(|set| !set.contains(index));
        (0..self.expected.len()).filter(is_missing).map(|index| self.expected[index].clone()).collect()
    }

    /// Whether every series has delivered the next tick's bar.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        self.delivered.get(&self.next).is_some_and(|set| set.len() == self.expected.len())
    }

    /// Everything before `next` has closed.
    pub(crate) fn closed_to(&mut self, next: BarIndex) {
        self.next = next;
        self.delivered = self.delivered.split_off(&next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(market: Market, symbol: &str) -> Series {
        (market, Symbol::new(symbol).unwrap())
    }

    #[test]
    fn a_tick_is_complete_when_every_series_has_delivered() {
        let (perp, spot) = (series(Market::Perp, "BTCUSDT"), series(Market::Spot, "BTCUSDT"));
        let mut book = TickBook::new(vec![perp.clone(), spot.clone()], BarIndex(10));
        assert_eq!(book.deliver(&perp, BarIndex(10)), Delivery::InTime);
        assert_eq!(book.deliver(&perp, BarIndex(10)), Delivery::InTime);
        assert_eq!(book.missing(), std::slice::from_ref(&spot));
        assert!(!book.is_complete());
        assert_eq!(book.deliver(&spot, BarIndex(10)), Delivery::InTime);
        assert!(book.is_complete());
    }

    #[test]
    fn bars_of_later_ticks_wait_and_bars_of_closed_ticks_are_late() {
        let perp = series(Market::Perp, "BTCUSDT");
        let mut book = TickBook::new(vec![perp.clone()], BarIndex(10));
        book.deliver(&perp, BarIndex(11));
        assert!(!book.is_complete());
        book.closed_to(BarIndex(11));
        assert!(book.is_complete());
        assert_eq!(book.deliver(&perp, BarIndex(10)), Delivery::Late);
        assert_eq!(book.deliver(&series(Market::Spot, "BTCUSDT"), BarIndex(11)), Delivery::Unexpected);
    }
}
