//! What is followed: the series of the configuration, and the streams that carry them.

use std::collections::BTreeSet;

use crate::daemon::config::Config;
use backtestd_binance::{Rest, Subscription};
use backtestd_core::market::{Kind, Market, SeriesKey, Source, Symbol};

/// The followed series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Perpetuals, in name order: the pipeline's symbols.
    pub symbols: Vec<Symbol>,
    /// Series of bars: a tick waits for all of them.
    pub bars: Vec<(Market, Symbol)>,
    /// Everything that has history over REST, bars first.
    pub history: Vec<SeriesKey>,
    /// Source columns of each symbol, in the order of `symbols`.
    pub collected: Vec<BTreeSet<Source>>,
}

impl Follow {
    /// Reads the configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let symbols = config.symbols.clone();
        let collect = config.collect;
        let has_spot = |s: &Symbol| config.spot_symbols.contains(s);
        let perp = symbols.iter().map(|s| (Market::Perp, s.clone()));
        let spot = symbols.iter().filter(|s| has_spot(s)).map(|s| (Market::Spot, s.clone()));
        let bars: Vec<(Market, Symbol)> = perp.chain(spot).collect();
        let key = |kind, market, symbol: &Symbol| SeriesKey { kind, market, symbol: symbol.clone() };
        let mut history: Vec<SeriesKey> = bars.iter().map(|(m, s)| key(Kind::Bars, *m, s)).collect();
        for kind in collect.kinds().filter(|kind| Rest::history_page(*kind).is_some()) {
            history.extend(symbols.iter().map(|s| key(kind, Market::Perp, s)));
        }
        let columns = |symbol: &Symbol| -> BTreeSet<Source> {
            let bars = [Kind::Bars].into_iter().chain(collect.kinds());
            let spot: &[Source] = if has_spot(symbol) { &Source::SPOT_BAR } else { &[] };
            let shown = bars.flat_map(|kind| kind.sources().iter().chain(kind.facts().derived));
            shown.chain(spot).copied().collect()
        };
        let collected = symbols.iter().map(columns).collect();
        Self { symbols, bars, history, collected }
    }
}

/// The streams to subscribe.
#[must_use]
pub fn subscriptions(config: &Config) -> Vec<(Market, Subscription)> {
    let mut wanted = Vec::new();
    for symbol in &config.symbols {
        wanted.push((Market::Perp, Subscription::Kline5m(symbol.clone())));
        if config.collect.has(Kind::Mark) {
            wanted.push((Market::Perp, Subscription::MarkPrice(symbol.clone())));
        }
        if config.collect.has(Kind::Liquidations) {
            wanted.push((Market::Perp, Subscription::ForceOrder(symbol.clone())));
        }
        if config.collect.has(Kind::Quotes) {
            wanted.push((Market::Perp, Subscription::BookTicker(symbol.clone())));
        }
    }
    for symbol in &config.spot_symbols {
        wanted.push((Market::Spot, Subscription::Kline5m(symbol.clone())));
    }
    wanted
}
