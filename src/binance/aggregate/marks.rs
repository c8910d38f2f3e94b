//! Mark prices to [`MarkBar`]s.

use std::collections::{BTreeMap, BTreeSet};

use crate::update::{MarkUpdate, Stamped, Update};
use backtestd_core::market::{BarIndex, MarkBar, Symbol};

/// The last value of a bar counts only if it came this close to the bar's end.
const LAST_MINUTE_MS: i64 = 60_000;

/// Last mark price, index price and predicted rate of each bar, by event time. A bar whose last minute was
/// silent is unknown and gives no record. (The premium index is another series and stays NaN; REST has it.)
#[derive(Clone, Debug)]
pub struct MarkAggregator {
    /// First bar not yet finished.
    open: BarIndex,
    symbols: BTreeMap<Symbol, BTreeMap<BarIndex, Stamped>>,
}

impl MarkAggregator {
    /// For the contracts in `symbols`; the first bar to finish is `first`.
    #[must_use]
    pub fn new(symbols: &[Symbol], first: BarIndex) -> Self {
        Self { open: first, symbols: symbols.iter().map(|s| (s.clone(), BTreeMap::new())).collect() }
    }

    /// Goes on with these contracts: what is kept of others goes, further ones begin with nothing.
    pub fn follow(&mut self, symbols: &[Symbol]) {
        let mut before = std::mem::take(&mut self.symbols);
        let kept = |s: &Symbol| (s.clone(), before.remove(s).unwrap_or_default());
        self.symbols = symbols.iter().map(kept).collect();
    }

    /// Takes note of a mark price; anything else is ignored. Whether it is the newest of its bar.
    pub fn observe(&mut self, stamped: &Stamped) -> bool {
        let Some(update) = mark(stamped) else { return false };
        let bar = update.event_ts.bar();
        let Some(bars) = self.symbols.get_mut(&update.symbol).filter(|_| bar >= self.open) else {
            return false;
        };
        let is_newer = |kept: &Stamped| mark(kept).is_none_or(|kept| rank(kept) < rank(update));
        let is_newest = bars.get(&bar).is_none_or(is_newer);
        if is_newest {
            bars.insert(bar, stamped.clone());
        }
        is_newest
    }

    /// The known records for `bar`, and forgets it. Bars are finished in order.
    pub fn finish(&mut self, bar: BarIndex) -> Vec<(Symbol, MarkBar)> {
        self.open = self.open.max(bar.next());
        let mut records = Vec::new();
        for (symbol, bars) in &mut self.symbols {
            let kept = bars.split_off(&bar.next());
            let finished = std::mem::replace(bars, kept);
            let Some(last) = finished.get(&bar).and_then(mark) else { continue };
            if is_last(bar, last) {
                let record = MarkBar {
                    bar,
                    mark: last.mark,
                    index: last.index,
                    premium: f64::NAN,
                    predicted_rate: last.predicted_rate,
                };
                records.push((symbol.clone(), record));
            }
        }
        records
    }

    /// Contracts of whose last minute of `bar` nothing was heard.
    #[must_use]
    pub fn silent_in(&self, bar: BarIndex) -> BTreeSet<Symbol> {
        let is_known = |bars: &BTreeMap<BarIndex, Stamped>| {
            bars.get(&bar).and_then(mark).is_some_and(|last| is_last(bar, last))
        };
        self.symbols.iter().filter(|(_, bars)| !is_known(bars)).map(|(symbol, _)| symbol.clone()).collect()
    }

    /// The updates that would rebuild what is kept.
    #[must_use]
    pub fn pending(&self) -> Vec<Stamped> {
        self.symbols.values().flat_map(BTreeMap::values).cloned().collect()
    }
}

/// Whether it is late enough in the bar to be its last.
fn is_last(bar: BarIndex, update: &MarkUpdate) -> bool {
    update.event_ts.0 >= bar.close().0 - LAST_MINUTE_MS
}

const fn mark(stamped: &Stamped) -> Option<&MarkUpdate> {
    match &stamped.update {
        Update::Mark(mark) => Some(mark),
        _ => None,
    }
}

/// Later wins; two different values of one instant (never seen) are put in an order of their own, so that the
/// order of arrival cannot matter.
const fn rank(update: &MarkUpdate) -> (i64, [u64; 3]) {
    let bits = [update.mark.to_bits(), update.index.to_bits(), update.predicted_rate.to_bits()];
    (update.event_ts.0, bits)
}
