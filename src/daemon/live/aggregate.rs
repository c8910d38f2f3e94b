//! Mark prices, liquidations and best quotes of the streams as records of the raw log.

use crate::daemon::config::{ClockConfig, ClockSource, Collect};
use backtestd_binance::Stamped;
use backtestd_binance::aggregate::{LiquidationAggregator, MarkAggregator, QuoteAggregator};
use backtestd_core::market::{BarIndex, Symbol};
use backtestd_core::market::{RawPut, Records};

/// A simulated exchange in a hurry sends a quote as rarely as once a minute of its time; each counts until the next.
const HURRIED_QUOTE_MS: i64 = 60_000;

/// Mark, liquidation and quote bars under construction.
#[derive(Debug)]
pub struct Aggregates {
    marks: MarkAggregator,
    liquidations: LiquidationAggregator,
    quotes: QuoteAggregator,
}

impl Aggregates {
    /// Watching begins within the bar `first`, by a clock that runs as fast as `clock` says.
    #[must_use]
    pub fn new(symbols: &[Symbol], first: BarIndex, clock: &ClockConfig) -> Self {
        let quotes = QuoteAggregator::new(symbols, first);
        let is_hurried = clock.source == ClockSource::Exchange && clock.speed > 1.0;
        Self {
            marks: MarkAggregator::new(symbols, first),
            liquidations: LiquidationAggregator::new(symbols, first),
            quotes: if is_hurried { quotes.with_oldest_quote_ms(HURRIED_QUOTE_MS) } else { quotes },
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
