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
    /// How many bars in a row the exchange said that it has none of a series.
    absent: BTreeMap<usize, u32>,
    /// First bars of series that have joined; earlier ones are nobody's.
    since: BTreeMap<usize, BarIndex>,
    next: BarIndex,
    /// After so many bars that even the exchange does not have, a tick does not wait for a series any more:
    /// it has stopped trading.
    absent_after: u32,
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
    /// Follows `expected`; `next` is the first tick to close. Who has no bar so many times is not awaited any
    /// more.
    #[must_use]
    pub(crate) fn new(expected: Vec<Series>, next: BarIndex, absent_after: u32) -> Self {
        let (absent, since) = (BTreeMap::new(), BTreeMap::new());
        Self { expected, delivered: BTreeMap::new(), absent, since, next, absent_after }
    }

    /// The rule of another spec.
    pub(crate) const fn set_absent_after(&mut self, bars: u32) {
        self.absent_after = bars;
    }

    /// Follows other series from now on; `since` says from which bar on, where one has just joined.
    pub(crate) fn follow(&mut self, expected: Vec<Series>, since: impl Fn(&Series) -> Option<BarIndex>) {
        let at = |old: usize| expected.iter().position(|series| *series == self.expected[old]);
        let delivered = |set: &BTreeSet<usize>| set.iter().filter_map(|old| at(*old)).collect();
        self.delivered = self.delivered.iter().map(|(bar, set)| (*bar, delivered(set))).collect();
        self.absent = self.absent.iter().filter_map(|(old, bars)| Some((at(*old)?, *bars))).collect();
        let firsts = expected.iter().enumerate().filter_map(|(new, series)| Some((new, since(series)?)));
        self.since = firsts.collect();
        self.expected = expected;
    }

    /// The tick to close next.
    #[must_use]
    pub(crate) const fn next(&self) -> BarIndex {
        self.next
    }

    /// Notes a delivered bar.
    pub(crate) fn deliver(&mut self, series: &Series, bar: BarIndex) -> Delivery {
        let found = self.expected.iter().position(|s| s == series);
        let Some(index) = found.filter(|index| self.has_begun(*index, bar)) else {
            return Delivery::Unexpected;
        };
        if bar >= self.next - 1 {
            self.absent.remove(&index);
        }
        if bar < self.next {
            return Delivery::Late;
        }
        self.delivered.entry(bar).or_default().insert(index);
        Delivery::InTime
    }

    /// Whether anything of the next tick has been delivered.
    #[must_use]
    pub(crate) fn has_any(&self) -> bool {
        self.delivered.contains_key(&self.next)
    }

    /// The exchange has no bar of a series either.
    pub(crate) fn has_none(&mut self, series: &Series) {
        if let Some(index) = self.expected.iter().position(|s| s == series) {
            let count = self.absent.entry(index).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// Whether a series has stopped trading, as far as is known.
    #[must_use]
    pub(crate) fn is_absent(&self, series: &Series) -> bool {
        self.expected.iter().position(|s| s == series).is_some_and(|index| !self.is_awaited(index))
    }

    /// Whether a bar lies behind the join of a series.
    fn has_begun(&self, index: usize, bar: BarIndex) -> bool {
        self.since.get(&index).is_none_or(|since| bar >= *since)
    }

    /// Whether the next tick waits for a series.
    fn is_awaited(&self, index: usize) -> bool {
        self.has_begun(index, self.next)
            && self.absent.get(&index).is_none_or(|bars| *bars < self.absent_after)
    }

    /// The series that have not delivered the next tick's bar and are awaited; all of them where nothing is
    /// awaited.
    #[must_use]
    pub(crate) fn missing(&self) -> Vec<Series> {
        let delivered = self.delivered.get(&self.next);
        let is_missing = |index: &usize| delivered.is_none_or(|set| !set.contains(index));
        let has_begun = |index: &usize| self.has_begun(*index, self.next);
        let all: Vec<usize> = (0..self.expected.len()).filter(has_begun).filter(is_missing).collect();
        let mut awaited: Vec<usize> = all.iter().copied().filter(|index| self.is_awaited(*index)).collect();
        if awaited.is_empty() && delivered.is_none() {
            awaited = all;
        }
        awaited.into_iter().map(|index| self.expected[index].clone()).collect()
    }

    /// Whether every series that is awaited has delivered the next tick's bar, and any at all.
    #[must_use]
    pub(crate) fn is_complete(&self) -> bool {
        self.delivered.get(&self.next).is_some_and(|set| {
            (0..self.expected.len()).all(|index| set.contains(&index) || !self.is_awaited(index))
        })
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
        let mut book = TickBook::new(vec![perp.clone(), spot.clone()], BarIndex(10), 2);
        assert_eq!(book.deliver(&perp, BarIndex(10)), Delivery::InTime);
        assert_eq!(book.deliver(&perp, BarIndex(10)), Delivery::InTime);
        assert_eq!(book.missing(), std::slice::from_ref(&spot));
        assert!(!book.is_complete());
        assert_eq!(book.deliver(&spot, BarIndex(10)), Delivery::InTime);
        assert!(book.is_complete());
    }

    #[test]
    fn a_series_that_the_exchange_has_no_bars_of_holds_up_nobody_until_it_comes_back() {
        let (alive, gone) = (series(Market::Perp, "BTCUSDT"), series(Market::Perp, "ETHUSDT"));
        let mut book = TickBook::new(vec![alive.clone(), gone.clone()], BarIndex(10), 2);
        for bar in 10..12 {
            book.deliver(&alive, BarIndex(bar));
            assert!(!book.is_complete(), "{bar}");
            book.has_none(&gone);
            book.closed_to(BarIndex(bar + 1));
        }
        assert_eq!(book.missing(), std::slice::from_ref(&alive), "who has stopped trading is not awaited");
        book.deliver(&alive, BarIndex(12));
        assert!(book.is_complete() && book.missing().is_empty());
        book.closed_to(BarIndex(13));
        book.deliver(&gone, BarIndex(13));
        book.deliver(&alive, BarIndex(13));
        book.closed_to(BarIndex(14));
        book.deliver(&alive, BarIndex(14));
        assert!(!book.is_complete(), "it is back, and awaited");
    }

    #[test]
    fn who_joins_is_awaited_from_its_first_bar_on_and_who_leaves_no_more() {
        let [one, two, three] = ["AUSDT", "BUSDT", "CUSDT"].map(|name| series(Market::Perp, name));
        let mut book = TickBook::new(vec![one.clone(), three.clone()], BarIndex(10), 2);
        book.deliver(&three, BarIndex(10));
        let joined = two.clone();
        book.follow(vec![two.clone(), three.clone()], |s| (*s == joined).then_some(BarIndex(11)));
        assert!(book.is_complete(), "the one that left is not awaited, the one that joins not yet");
        assert_eq!(book.deliver(&one, BarIndex(10)), Delivery::Unexpected);
        assert_eq!(book.deliver(&two, BarIndex(10)), Delivery::Unexpected, "before its first bar");
        book.closed_to(BarIndex(11));
        book.deliver(&three, BarIndex(11));
        assert_eq!(book.missing(), std::slice::from_ref(&two));
        assert_eq!(book.deliver(&two, BarIndex(11)), Delivery::InTime);
        assert!(book.is_complete());
    }

    #[test]
    fn bars_of_later_ticks_wait_and_bars_of_closed_ticks_are_late() {
        let perp = series(Market::Perp, "BTCUSDT");
        let mut book = TickBook::new(vec![perp.clone()], BarIndex(10), 2);
        book.deliver(&perp, BarIndex(11));
        assert!(!book.is_complete());
        book.closed_to(BarIndex(11));
        assert!(book.is_complete());
        assert_eq!(book.deliver(&perp, BarIndex(10)), Delivery::Late);
        assert_eq!(book.deliver(&series(Market::Spot, "BTCUSDT"), BarIndex(11)), Delivery::Unexpected);
    }
}
