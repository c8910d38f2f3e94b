//! Bars built from aggregated trades: a second opinion about klines.
//!
//! A bar is compared when every trade of it was seen: ids of aggregates are consecutive, so a gap shows;
//! where they jump from one bar to the next, the number of trades in the kline says whether any is missing.
//! Trades of the insurance fund and of auto-deleveraging are in klines and not in `aggTrade`: a bar with such
//! a trade differs, and nothing is wrong.

use std::collections::{BTreeMap, BTreeSet};

use crate::update::Trade;
use backtestd_core::market::{Bar, BarIndex, Market, Symbol};

/// Relative difference of sums that is the rounding of additions.
const ROUNDING: f64 = 1e-9;
/// Columns that are sums of price × quantity.
const VALUES: [&str; 2] = ["quote_volume", "taker_buy_quote_volume"];

/// What the trades of a bar say about its kline.
#[derive(Clone, Debug, PartialEq)]
pub enum Opinion {
    /// They add up to it.
    Matches {
        /// Their value (price × quantity), in all and of takers, too.
        in_value: bool,
    },
    /// They do not: the first column that differs, its value by the trades and by the kline.
    Differs {
        /// Name of the column.
        column: &'static str,
        /// What the trades add up to.
        trades: f64,
        /// What the kline says.
        kline: f64,
    },
    /// Some of them were not seen.
    Incomplete,
}

/// An opinion about a bar of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct SecondOpinion {
    /// Market of the series.
    pub market: Market,
    /// Symbol of the series.
    pub symbol: Symbol,
    /// Which bar it is about.
    pub bar: BarIndex,
    /// What the trades say.
    pub opinion: Opinion,
}

/// Builds bars of trades and holds them against klines.
#[derive(Clone, Debug)]
pub struct TradeAggregator {
    /// Closed klines of a series that may wait for the first trade after them.
    waiting: u32,
    series: BTreeMap<(Market, Symbol), Line>,
}

#[derive(Clone, Debug, Default)]
struct Line {
    last_id: Option<i64>,
    /// Bar of the newest trade.
    newest: Option<BarIndex>,
    built: BTreeMap<BarIndex, Bar>,
    /// Bars of which a trade is missing.
    broken: BTreeSet<BarIndex>,
    /// Bars at whose beginning or end one may be missing.
    doubtful: BTreeSet<BarIndex>,
    /// Klines that wait.
    told: BTreeMap<BarIndex, Bar>,
}

impl TradeAggregator {
    /// Nothing has been seen; so many closed klines of a series may wait for the first trade after them.
    #[must_use]
    pub const fn new(waiting: u32) -> Self {
        Self { waiting, series: BTreeMap::new() }
    }

    /// Another number of klines that may wait.
    pub const fn set_waiting(&mut self, klines: u32) {
        self.waiting = klines;
    }

    /// Takes in a trade; returns what can be said now.
    pub fn trade(&mut self, trade: &Trade) -> Vec<SecondOpinion> {
        let key = (trade.market, trade.symbol.clone());
        let line = self.series.entry(key.clone()).or_default();
        line.add(trade);
        named(&key, line.opinions(self.waiting))
    }

    /// Takes in a closed kline; returns what can be said now.
    pub fn kline(&mut self, market: Market, symbol: &Symbol, bar: Bar) -> Vec<SecondOpinion> {
        let key = (market, symbol.clone());
        let line = self.series.entry(key.clone()).or_default();
        line.told.insert(bar.bar, bar);
        named(&key, line.opinions(self.waiting))
    }
}

fn named((market, symbol): &(Market, Symbol), opinions: Vec<(BarIndex, Opinion)>) -> Vec<SecondOpinion> {
    let name = |(bar, opinion)| SecondOpinion { market: *market, symbol: symbol.clone(), bar, opinion };
    opinions.into_iter().map(name).collect()
}

impl Line {
    fn add(&mut self, trade: &Trade) {
        if self.last_id.is_some_and(|last| trade.id <= last) {
            // Once more, by the other socket of a handover.
            return;
        }
        let bar = trade.trade_ts.bar();
        if self.last_id.is_none_or(|last| trade.id != last + 1) {
            match self.newest {
                Some(newest) if newest < bar => self.doubtful.extend((newest.0..=bar.0).map(BarIndex)),
                Some(_) => drop(self.broken.insert(bar)),
                None => drop(self.doubtful.insert(bar)),
            }
        }
        self.last_id = Some(trade.id);
        self.newest = Some(self.newest.map_or(bar, |newest| newest.max(bar)));
        let Trade { price, quantity, trade_ids: (first, last), .. } = *trade;
        let taker = if trade.buyer_is_maker { 0.0 } else { quantity };
        let empty = Bar {
            bar,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0.0,
            quote_volume: 0.0,
            trades: 0.0,
            taker_buy_volume: 0.0,
            taker_buy_quote: 0.0,
        };
        let built = self.built.entry(bar).or_insert(empty);
        built.high = built.high.max(price);
        built.low = built.low.min(price);
        built.close = price;
        built.volume += quantity;
        built.quote_volume += quantity * price;
        built.trades += (last - first + 1) as f64;
        built.taker_buy_volume += taker;
        built.taker_buy_quote += taker * price;
    }

    /// About every kline behind which a trade has been seen; none comes before it any more.
    fn opinions(&mut self, waiting: u32) -> Vec<(BarIndex, Opinion)> {
        let Some(newest) = self.newest else { return Vec::new() };
        let later = self.told.split_off(&newest);
        let ready = std::mem::replace(&mut self.told, later);
        let opinions: Vec<_> = ready.into_iter().map(|(bar, told)| (bar, self.about(&told))).collect();
        if let Some((last, _)) = opinions.last() {
            self.built = self.built.split_off(&last.next());
            self.broken = self.broken.split_off(&last.next());
            self.doubtful = self.doubtful.split_off(&last.next());
        }
        while self.told.len() > waiting as usize {
            self.told.pop_first();
        }
        while self.built.len() > waiting as usize {
            self.built.pop_first();
        }
        opinions
    }

    fn about(&self, told: &Bar) -> Opinion {
        let Some(built) = self.built.get(&told.bar) else {
            let is_quiet = told.trades <= 0.0;
            return if is_quiet { Opinion::Matches { in_value: true } } else { Opinion::Incomplete };
        };
        let lacks = self.doubtful.contains(&told.bar) && built.trades < told.trades;
        if self.broken.contains(&told.bar) || lacks {
            return Opinion::Incomplete;
        }
        let columns = Bar::NAMES.iter().zip(built.values()).zip(told.values());
        let differs =
            |((_, a), b): &((&&'static str, f64), f64)| (a - b).abs() > ROUNDING * a.abs().max(b.abs());
        let differing: Vec<_> = columns.filter(differs).collect();
        match differing.iter().find(|((column, _), _)| !VALUES.contains(*column)) {
            Some(((column, trades), kline)) => Opinion::Differs { column, trades: *trades, kline: *kline },
            None => Opinion::Matches { in_value: differing.is_empty() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::Ts;

    const BAR: BarIndex = BarIndex(6_000_000);

    fn trade(id: i64, bar: i64, price: f64, quantity: f64, buyer_is_maker: bool) -> Trade {
        let at = Ts((BAR + bar).open().0 + id * 10);
        Trade {
            market: Market::Perp,
            symbol: Symbol::new("BTCUSDT").unwrap(),
            id,
            price,
            quantity,
            trade_ids: (2 * id, 2 * id + 1),
            buyer_is_maker,
            trade_ts: at,
            event_ts: at,
        }
    }

    fn kline(bar: i64, values: [f64; Bar::COLUMNS]) -> Bar {
        Bar::from_values(BAR + bar, values)
    }

    fn told(trades: &mut TradeAggregator, bar: Bar) -> Vec<Opinion> {
        let symbol = Symbol::new("BTCUSDT").unwrap();
        trades.kline(Market::Perp, &symbol, bar).into_iter().map(|o| o.opinion).collect()
    }

    fn seen(trades: &mut TradeAggregator, list: &[Trade]) -> Vec<Opinion> {
        list.iter().flat_map(|t| trades.trade(t)).map(|o| o.opinion).collect()
    }

    const WHOLE: [f64; Bar::COLUMNS] = [10.0, 12.0, 9.0, 9.0, 6.0, 60.0, 6.0, 2.0, 20.0];

    fn whole_bar() -> [Trade; 4] {
        [
            trade(1, 0, 11.0, 1.0, true),
            trade(2, 1, 10.0, 2.0, false),
            trade(3, 1, 12.0, 1.0, true),
            trade(4, 1, 9.0, 3.0, true),
        ]
    }

    #[test]
    fn trades_that_add_up_to_the_kline_match_it_as_soon_as_one_behind_it_is_seen() {
        let mut trades = TradeAggregator::new(12);
        assert_eq!(seen(&mut trades, &whole_bar()), []);
        let values = [10.0, 12.0, 9.0, 9.0, 6.0, 59.0, 6.0, 2.0, 20.0];
        assert_eq!(told(&mut trades, kline(1, values)), []);
        // The other socket says the last one once more.
        assert_eq!(seen(&mut trades, &whole_bar()[3..]), []);
        let all = Opinion::Matches { in_value: true };
        assert_eq!(seen(&mut trades, &[trade(5, 2, 9.0, 1.0, true)]), [all]);
    }

    #[test]
    fn a_kline_that_says_otherwise_is_named_with_both_values() {
        let mut trades = TradeAggregator::new(12);
        seen(&mut trades, &whole_bar());
        told(&mut trades, kline(1, WHOLE));
        let opinions = seen(&mut trades, &[trade(5, 2, 9.0, 1.0, true)]);
        assert_eq!(opinions, [Opinion::Matches { in_value: false }], "60 for 59");
        told(&mut trades, kline(2, [9.0, 9.5, 9.0, 9.0, 1.0, 9.0, 2.0, 0.0, 0.0]));
        let opinions = seen(&mut trades, &[trade(6, 3, 9.0, 1.0, true)]);
        assert_eq!(opinions, [Opinion::Differs { column: "high", trades: 9.0, kline: 9.5 }]);
    }

    #[test]
    fn a_bar_of_which_a_trade_may_be_missing_is_no_opinion() {
        let mut trades = TradeAggregator::new(12);
        seen(&mut trades, &whole_bar()[2..]);
        told(&mut trades, kline(1, WHOLE));
        assert_eq!(
            seen(&mut trades, &[trade(5, 2, 9.0, 1.0, true)]),
            [Opinion::Incomplete],
            "it began within"
        );
        told(&mut trades, kline(2, [9.0, 9.0, 9.0, 9.0, 1.0, 9.0, 2.0, 0.0, 0.0]));
        let whole = Opinion::Matches { in_value: true };
        let after_a_jump = seen(&mut trades, &[trade(7, 3, 9.0, 1.0, true)]);
        assert_eq!(
            after_a_jump,
            std::slice::from_ref(&whole),
            "6 is missing, and belonged to another bar: the number is right"
        );
        told(&mut trades, kline(3, [9.0, 9.0, 9.0, 9.0, 2.0, 18.0, 4.0, 0.0, 0.0]));
        assert_eq!(
            seen(&mut trades, &[trade(8, 5, 9.0, 1.0, true)]),
            [Opinion::Incomplete],
            "6 belonged to it"
        );
        assert_eq!(told(&mut trades, kline(4, [9.0, 9.0, 9.0, 9.0, 0.0, 0.0, 0.0, 0.0, 0.0])), [whole]);
        seen(&mut trades, &[trade(10, 5, 9.0, 1.0, true)]);
        told(&mut trades, kline(5, [9.0, 9.0, 9.0, 9.0, 2.0, 18.0, 4.0, 0.0, 0.0]));
        assert_eq!(
            seen(&mut trades, &[trade(11, 6, 9.0, 1.0, true)]),
            [Opinion::Incomplete],
            "9 was within it"
        );
    }
}
