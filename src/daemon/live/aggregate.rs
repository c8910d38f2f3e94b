//! Mark prices, liquidations and best quotes of the streams as records of the raw log.

use crate::binance::Stamped;
use crate::binance::aggregate::{LiquidationAggregator, MarkAggregator, QuoteAggregator};
use crate::daemon::config::Collect;
use crate::market::{BarIndex, Symbol};
use crate::store::{RawPut, Records};

/// Mark, liquidation and quote bars under construction.
#[derive(Debug)]
pub struct Aggregates {
    marks: MarkAggregator,
    liquidations: LiquidationAggregator,
    quotes: QuoteAggregator,
}

impl Aggregates {
    /// Watching begins within the bar `first`.
    #[must_use]
    pub fn new(symbols: &[Symbol], first: BarIndex) -> Self {
        Self {
            marks: MarkAggregator::new(symbols, first),
            liquidations: LiquidationAggregator::new(symbols, first),
            quotes: QuoteAggregator::new(symbols, first),
        }
    }

    /// Takes in an update; those that are no concern of bars are ignored.
    pub fn observe(&mut self, stamped: &Stamped) {
        self.marks.observe(stamped);
        self.liquidations.observe(stamped);
        self.quotes.observe(stamped);
    }

    /// The records of a bar that has closed.
    pub fn finish(&mut self, bar: BarIndex, collect: Collect) -> Vec<RawPut> {
        let marks = self.marks.finish(bar).into_iter().filter(|_| collect.mark);
        let marks = marks.map(|(symbol, mark)| RawPut { symbol, records: Records::Mark(vec![mark]) });
        let sums = self.liquidations.finish(bar).into_iter().filter(|_| collect.liquidations);
        let sums = sums.map(|(symbol, sum)| RawPut { symbol, records: Records::Liquidations(vec![sum]) });
        let quotes = self.quotes.finish(bar).into_iter().filter(|_| collect.quotes);
        let quotes = quotes.map(|(symbol, quote)| RawPut { symbol, records: Records::Quotes(vec![quote]) });
        marks.chain(sums).chain(quotes).collect()
    }
}
