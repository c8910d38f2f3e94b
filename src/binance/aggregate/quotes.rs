//! Best quotes to [`QuoteBar`]s.

use std::collections::BTreeMap;

use crate::binance::update::{BookTicker, Stamped, Update};
use crate::market::{BAR_MS, BarIndex, Market, QuoteBar, Symbol, Ts};

/// Distance of snapshots.
const SECOND_MS: i64 = 1000;
/// Snapshots in a bar.
const SNAPSHOTS: i64 = BAR_MS / SECOND_MS;
/// A quote older than this at a snapshot does not count, unless the feed is known to be slower.
const OLDEST_QUOTE_MS: i64 = 5000;

/// Last quotes at the end of each second, averaged over the bar.
///
/// The snapshot at instant `x` (the ends of the bar's 300 seconds) is the last quote before `x`. It is valid if both
/// sides are there, they do not cross, and it is at most 5 s old (by default). Coverage counts valid snapshots of all 300.
/// A quote's time is the exchange's, or its arrival where the exchange sends none.
#[derive(Clone, Debug)]
pub struct QuoteAggregator {
    /// First bar not yet finished.
    open: BarIndex,
    symbols: BTreeMap<Symbol, Seconds>,
    oldest_quote_ms: i64,
}

/// The last quote of each second, by the second's number since the epoch.
type Seconds = BTreeMap<i64, Quote>;

#[derive(Clone, Copy, Debug, PartialEq)]
struct Quote {
    ts: Ts,
    update_id: i64,
    bid: f64,
    bid_quantity: f64,
    ask: f64,
    ask_quantity: f64,
    /// As received, so that the update can be written again.
    event_ts: Option<Ts>,
}

impl QuoteAggregator {
    /// For the perpetuals in `symbols`; the first bar to finish is `first`.
    #[must_use]
    pub fn new(symbols: &[Symbol], first: BarIndex) -> Self {
        let symbols = symbols.iter().map(|s| (s.clone(), Seconds::new())).collect();
        Self { open: first, symbols, oldest_quote_ms: OLDEST_QUOTE_MS }
    }

    /// Lets quotes live longer than 5 s: for a simulated exchange that thins its frames while its clock runs fast.
    #[must_use]
    pub fn with_oldest_quote_ms(mut self, oldest_quote_ms: i64) -> Self {
        self.oldest_quote_ms = oldest_quote_ms;
        self
    }

    /// Takes note of a quote; anything else is ignored.
    pub fn observe(&mut self, stamped: &Stamped) {
        let Update::BookTicker(ticker) = &stamped.update else { return };
        if ticker.market != Market::Perp {
            return;
        }
        let Some(seconds) = self.symbols.get_mut(&ticker.symbol) else { return };
        let quote = Quote::new(ticker, stamped.arrival);
        // Older ones can no longer count in any open bar.
        if quote.ts.0 < self.open.open().0 - self.oldest_quote_ms {
            return;
        }
        let last = seconds.entry(quote.ts.0.div_euclid(SECOND_MS)).or_insert(quote);
        if (last.ts, last.update_id) < (quote.ts, quote.update_id) {
            *last = quote;
        }
    }

    /// The record of every symbol for `bar`, and forgets what no later bar needs. Bars are finished in order.
    pub fn finish(&mut self, bar: BarIndex) -> Vec<(Symbol, QuoteBar)> {
        self.open = self.open.max(bar.next());
        let keep_from = (bar.close().0 - self.oldest_quote_ms).div_euclid(SECOND_MS);
        let oldest_quote_ms = self.oldest_quote_ms;
        let finish_one = |(symbol, seconds): (&Symbol, &mut Seconds)| {
            let record = summarise(seconds, bar, oldest_quote_ms);
            *seconds = seconds.split_off(&keep_from);
            (symbol.clone(), record)
        };
        self.symbols.iter_mut().map(finish_one).collect()
    }

    /// The updates that would rebuild what is kept.
    #[must_use]
    pub fn pending(&self) -> Vec<Stamped> {
        let updates = self
            .symbols
            .iter()
            .flat_map(|(symbol, seconds)| seconds.values().map(|quote| quote.to_update(symbol)));
        updates.collect()
    }
}

impl Quote {
    fn new(ticker: &BookTicker, arrival: Ts) -> Self {
        Self {
            ts: ticker.event_ts.unwrap_or(arrival),
            update_id: ticker.update_id,
            bid: ticker.bid,
            bid_quantity: ticker.bid_quantity,
            ask: ticker.ask,
            ask_quantity: ticker.ask_quantity,
            event_ts: ticker.event_ts,
        }
    }

    fn to_update(self, symbol: &Symbol) -> Stamped {
        let update = Update::BookTicker(BookTicker {
            market: Market::Perp,
            symbol: symbol.clone(),
            update_id: self.update_id,
            bid: self.bid,
            bid_quantity: self.bid_quantity,
            ask: self.ask,
            ask_quantity: self.ask_quantity,
            event_ts: self.event_ts,
        });
        Stamped { arrival: self.ts, update }
    }

    /// Two sides that do not cross, each with something resting.
    fn is_valid(&self) -> bool {
        let two_sided =
            self.bid > 0.0 && self.ask > 0.0 && self.bid_quantity > 0.0 && self.ask_quantity > 0.0;
        two_sided && self.bid <= self.ask
    }

    /// Quoted spread, bps of mid.
    fn spread_bps(&self) -> f64 {
        let mid = (self.bid + self.ask) / 2.0;
        (self.ask - self.bid) / mid * 10_000.0
    }

    /// (bid − ask) / (bid + ask) of quantities, −1..1.
    fn imbalance(&self) -> f64 {
        (self.bid_quantity - self.ask_quantity) / (self.bid_quantity + self.ask_quantity)
    }
}

fn summarise(seconds: &Seconds, bar: BarIndex, oldest_quote_ms: i64) -> QuoteBar {
    let first_second = bar.open().0.div_euclid(SECOND_MS);
    let mut last = seconds.range(..first_second).next_back().map(|(_, quote)| *quote);
    let mut sums = [0.0; 4];
    let (mut valid, mut widest) = (0u32, f64::NEG_INFINITY);
    let (mut spread_last, mut imb_last) = (f64::NAN, f64::NAN);
    for second in first_second..first_second + SNAPSHOTS {
        last = seconds.get(&second).copied().or(last);
        let snapshot_ms = (second + 1) * SECOND_MS;
        let Some(quote) = last.filter(|q| q.is_valid() && snapshot_ms - q.ts.0 <= oldest_quote_ms) else {
            continue;
        };
        valid += 1;
        spread_last = quote.spread_bps();
        imb_last = quote.imbalance();
        widest = widest.max(spread_last);
        let values = [spread_last, quote.bid * quote.bid_quantity, quote.ask * quote.ask_quantity, imb_last];
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value;
        }
    }
    let mean = |sum: f64| if valid == 0 { f64::NAN } else { sum / f64::from(valid) };
    QuoteBar {
        bar,
        spread_bps_mean: mean(sums[0]),
        spread_bps_max: if valid == 0 { f64::NAN } else { widest },
        spread_bps_last: spread_last,
        bid_depth_usd: mean(sums[1]),
        ask_depth_usd: mean(sums[2]),
        imb_mean: mean(sums[3]),
        imb_last,
        coverage: f64::from(valid) / SNAPSHOTS as f64,
    }
}
