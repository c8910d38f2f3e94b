//! The quotes of one contract, second by second, and what a bar of them comes to. Live streams and archive
//! files are summed up by this one rule.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::update::BookTicker;
use backtestd_core::market::{BAR_MS, BarIndex, QuoteBar, Ts};

/// Distance of snapshots.
const SECOND_MS: i64 = 1000;
/// Snapshots in a bar.
const SNAPSHOTS: i64 = BAR_MS / SECOND_MS;
/// A quote older than this at a snapshot does not count, unless the feed is known to be slower.
pub const OLDEST_QUOTE_MS: i64 = 5000;
/// Version of [`QuoteSeconds::to_bytes`].
const VERSION: u8 = 2;

/// Best bid and ask at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quote {
    /// The exchange's time, or that of arrival where the exchange sends none.
    pub ts: Ts,
    /// Order book update id.
    pub update_id: i64,
    /// Best bid; 0 when that side is empty.
    pub bid: f64,
    /// Quantity at the best bid, base units.
    pub bid_quantity: f64,
    /// Best ask; 0 when that side is empty.
    pub ask: f64,
    /// Quantity at the best ask, base units.
    pub ask_quantity: f64,
}

/// The last quote of each second, by the second's number since the epoch.
///
/// It is a set, not a sum: seeing a quote again or in another order changes nothing, and the union of two of
/// them is what one would hold that had seen all of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuoteSeconds(BTreeMap<i64, Quote>);

impl Quote {
    /// From a stream update that arrived at `arrival`.
    #[must_use]
    pub fn of(ticker: &BookTicker, arrival: Ts) -> Self {
        Self {
            ts: ticker.event_ts.unwrap_or(arrival),
            update_id: ticker.update_id,
            bid: ticker.bid,
            bid_quantity: ticker.bid_quantity,
            ask: ticker.ask,
            ask_quantity: ticker.ask_quantity,
        }
    }

    /// Two sides that do not cross, each with something resting.
    #[must_use]
    pub fn is_valid(&self) -> bool {
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

    const fn second(&self) -> i64 {
        self.ts.0.div_euclid(SECOND_MS)
    }
}

impl QuoteSeconds {
    /// Takes note of a quote. Whether it is the newest of its second.
    pub fn observe(&mut self, quote: Quote) -> bool {
        let last = self.0.entry(quote.second()).or_insert(quote);
        let is_newest = (last.ts, last.update_id) <= (quote.ts, quote.update_id);
        if is_newest {
            *last = quote;
        }
        is_newest
    }

    /// Takes note of everything that another one holds.
    pub fn union(&mut self, other: &Self) {
        for quote in other.0.values() {
            self.observe(*quote);
        }
    }

    /// The quotes kept, by time.
    pub fn quotes(&self) -> impl Iterator<Item = &Quote> {
        self.0.values()
    }

    /// Forgets what no bar after `bar` needs.
    pub fn forget_through(&mut self, bar: BarIndex, oldest_quote_ms: i64) {
        self.0 = self.0.split_off(&(bar.close().0 - oldest_quote_ms).div_euclid(SECOND_MS));
    }

    /// What the record of `bar` depends on: its own seconds and those before it that are not too old yet.
    #[must_use]
    pub fn around(&self, bar: BarIndex, oldest_quote_ms: i64) -> Self {
        let from = (bar.open().0 - oldest_quote_ms).div_euclid(SECOND_MS);
        let to = bar.close().0.div_euclid(SECOND_MS);
        Self(self.0.range(from..to).map(|(second, quote)| (*second, *quote)).collect())
    }

    /// Whether any quote lies in `bar` itself.
    #[must_use]
    pub fn reaches(&self, bar: BarIndex) -> bool {
        let first = bar.open().0.div_euclid(SECOND_MS);
        self.0.range(first..first + SNAPSHOTS).next().is_some()
    }

    /// Whether the first and the last second of `bar` have quotes: then no other stretch can add to its ends.
    #[must_use]
    pub fn spans(&self, bar: BarIndex) -> bool {
        let first = bar.open().0.div_euclid(SECOND_MS);
        self.0.contains_key(&first) && self.0.contains_key(&(first + SNAPSHOTS - 1))
    }

    /// The record of a bar.
    ///
    /// The snapshot at instant `x` (the ends of the bar's 300 seconds) is the last quote before `x`. It is
    /// valid if both sides are there, they do not cross, and it is at most `oldest_quote_ms` old. Coverage
    /// counts valid snapshots of all 300.
    #[must_use]
    pub fn summarise(&self, bar: BarIndex, oldest_quote_ms: i64) -> QuoteBar {
        let first_second = bar.open().0.div_euclid(SECOND_MS);
        let mut last = self.0.range(..first_second).next_back().map(|(_, quote)| *quote);
        let mut sums = [0.0; 4];
        let (mut valid, mut widest) = (0u32, f64::NEG_INFINITY);
        let (mut spread_last, mut imb_last) = (f64::NAN, f64::NAN);
        let mut ahead = self.0.range(first_second..first_second + SNAPSHOTS).peekable();
        for second in first_second..first_second + SNAPSHOTS {
            if let Some((_, quote)) = ahead.next_if(|(at, _)| **at == second) {
                last = Some(*quote);
            }
            let snapshot_ms = (second + 1) * SECOND_MS;
            let Some(quote) = last.filter(|q| q.is_valid() && snapshot_ms - q.ts.0 <= oldest_quote_ms) else {
                continue;
            };
            valid += 1;
            spread_last = quote.spread_bps();
            imb_last = quote.imbalance();
            widest = widest.max(spread_last);
            let values =
                [spread_last, quote.bid * quote.bid_quantity, quote.ask * quote.ask_quantity, imb_last];
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

    /// As bytes: a version, then the quotes by time, in postcard.
    ///
    /// # Errors
    /// When postcard cannot encode them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, postcard::Error> {
        let quotes: Vec<&Quote> = self.0.values().collect();
        postcard::to_extend(&quotes, vec![VERSION])
    }

    /// The inverse of [`QuoteSeconds::to_bytes`]; `None` for bytes of another layout.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&VERSION, body) = bytes.split_first()? else { return None };
        let (quotes, rest): (Vec<Quote>, _) = postcard::take_from_bytes(body).ok()?;
        let mut out = Self::default();
        for quote in quotes {
            out.observe(quote);
        }
        rest.is_empty().then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::hex;

    fn quote(ms: i64, update_id: i64) -> Quote {
        Quote { ts: Ts(ms), update_id, bid: 99.0, bid_quantity: 2.0, ask: 101.0, ask_quantity: 1.0 }
    }

    #[test]
    fn the_union_of_two_halves_is_what_one_holds_that_saw_both() {
        let all: Vec<Quote> = (0..900).map(|i| quote(1_700_000_000_000 + i * 333, i)).collect();
        let (mut left, mut right, mut whole) =
            (QuoteSeconds::default(), QuoteSeconds::default(), QuoteSeconds::default());
        for (i, q) in all.iter().enumerate() {
            whole.observe(*q);
            if i < 500 {
                left.observe(*q)
            } else {
                right.observe(*q)
            };
        }
        let mut other_way = right.clone();
        other_way.union(&left);
        left.union(&right);
        assert_eq!(left, whole);
        assert_eq!(other_way, whole);
        let bytes = whole.to_bytes().unwrap();
        assert_eq!(QuoteSeconds::from_bytes(&bytes), Some(whole.clone()));
        assert_eq!(QuoteSeconds::from_bytes(&bytes[..50]), None);
    }

    #[test]
    fn the_bytes_of_a_store_of_today_can_be_read_tomorrow() {
        let mut quotes = QuoteSeconds::default();
        quotes.observe(quote(1_700_000_000_333, 7));
        let golden = "02019aa5abfef9620e0000000000c0584000000000000000400000000000405940000000000000f03f";
        assert_eq!(hex(&quotes.to_bytes().unwrap()), golden);
    }
}
