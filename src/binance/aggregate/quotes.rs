//! Best quotes of the stream to [`QuoteBar`]s.

use std::collections::BTreeMap;

use super::quote_seconds::{OLDEST_QUOTE_MS, Quote, QuoteSeconds};
use crate::update::{BookTicker, Stamped, Update};
use backtestd_core::market::{BarIndex, Market, QuoteBar, Symbol};

/// Last quotes at the end of each second, averaged over the bar (see [`QuoteSeconds::summarise`]).
#[derive(Clone, Debug)]
pub struct QuoteAggregator {
    /// First bar not yet finished.
    open: BarIndex,
    symbols: BTreeMap<Symbol, Kept>,
    oldest_quote_ms: i64,
}

/// The quotes of a symbol, and whether the exchange stamps them.
#[derive(Clone, Debug, Default)]
struct Kept {
    seconds: QuoteSeconds,
    is_stamped: bool,
}

impl QuoteAggregator {
    /// For the perpetuals in `symbols`; the first bar to finish is `first`.
    #[must_use]
    pub fn new(symbols: &[Symbol], first: BarIndex) -> Self {
        let symbols = symbols.iter().map(|s| (s.clone(), Kept::default())).collect();
        Self { open: first, symbols, oldest_quote_ms: OLDEST_QUOTE_MS }
    }

    /// Goes on with these perpetuals: what is kept of others goes, further ones begin with nothing.
    pub fn follow(&mut self, symbols: &[Symbol]) {
        let mut before = std::mem::take(&mut self.symbols);
        let kept = |s: &Symbol| (s.clone(), before.remove(s).unwrap_or_default());
        self.symbols = symbols.iter().map(kept).collect();
    }

    /// Lets quotes live longer than 5 s: for a simulated exchange that thins its frames while its clock runs
    /// fast.
    #[must_use]
    pub fn with_oldest_quote_ms(mut self, oldest_quote_ms: i64) -> Self {
        self.oldest_quote_ms = oldest_quote_ms;
        self
    }

    /// Takes note of a quote; anything else is ignored. Whether it is the newest of its second.
    pub fn observe(&mut self, stamped: &Stamped) -> bool {
        let Update::BookTicker(ticker) = &stamped.update else { return false };
        if ticker.market != Market::Perp {
            return false;
        }
        let Some(kept) = self.symbols.get_mut(&ticker.symbol) else { return false };
        let quote = Quote::of(ticker, stamped.arrival);
        // Older ones can no longer count in any open bar.
        if quote.ts.0 < self.open.open().0 - self.oldest_quote_ms {
            return false;
        }
        kept.is_stamped = ticker.event_ts.is_some();
        kept.seconds.observe(quote)
    }

    /// The record of every symbol for `bar`, and forgets what no later bar needs. Bars are finished in order.
    pub fn finish(&mut self, bar: BarIndex) -> Vec<(Symbol, QuoteBar)> {
        self.open = self.open.max(bar.next());
        let oldest_quote_ms = self.oldest_quote_ms;
        let finish_one = |(symbol, kept): (&Symbol, &mut Kept)| {
            let record = kept.seconds.summarise(bar, oldest_quote_ms);
            kept.seconds.forget_through(bar, oldest_quote_ms);
            (symbol.clone(), record)
        };
        self.symbols.iter_mut().map(finish_one).collect()
    }

    /// The updates that would rebuild what is kept.
    #[must_use]
    pub fn pending(&self) -> Vec<Stamped> {
        let updates = self.symbols.iter().flat_map(|(symbol, kept)| {
            kept.seconds.quotes().map(|quote| to_update(*quote, symbol, kept.is_stamped))
        });
        updates.collect()
    }
}

fn to_update(quote: Quote, symbol: &Symbol, is_stamped: bool) -> Stamped {
    let update = Update::BookTicker(BookTicker {
        market: Market::Perp,
        symbol: symbol.clone(),
        update_id: quote.update_id,
        bid: quote.bid,
        bid_quantity: quote.bid_quantity,
        ask: quote.ask,
        ask_quantity: quote.ask_quantity,
        event_ts: is_stamped.then_some(quote.ts),
    });
    Stamped { arrival: quote.ts, update }
}
