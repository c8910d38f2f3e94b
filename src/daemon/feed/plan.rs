//! What is followed: the series of the configuration, and the streams that carry them.

use std::collections::BTreeSet;

use crate::daemon::config::Config;
use backtestd_binance::Subscription;
use backtestd_core::market::{Kind, SeriesKey};
use backtestd_core::market::{Market, Source, Symbol};

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

const FUNDING: [Source; 3] = [Source::FundingRate, Source::IsFundingPrint, Source::FundingIntervalH];

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
        let others = [
            (collect.funding, Kind::Funding),
            (collect.open_interest, Kind::OpenInterest),
            (collect.mark, Kind::Mark),
        ];
        for (_, kind) in others.into_iter().filter(|(wanted, _)| *wanted) {
            history.extend(symbols.iter().map(|s| key(kind, Market::Perp, s)));
        }
        let columns = |symbol: &Symbol| -> BTreeSet<Source> {
            let groups: [(bool, &[Source]); 7] = [
                (true, Kind::Bars.sources()),
                (has_spot(symbol), &Source::SPOT_BAR),
                (collect.funding, &FUNDING),
                (collect.open_interest, Kind::OpenInterest.sources()),
                (collect.mark, Kind::Mark.sources()),
                (collect.liquidations, Kind::Liquidations.sources()),
                (collect.quotes, Kind::Quotes.sources()),
            ];
            groups.into_iter().filter(|(has, _)| *has).flat_map(|(_, group)| group.to_vec()).collect()
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
        if config.collect.mark {
            wanted.push((Market::Perp, Subscription::MarkPrice(symbol.clone())));
        }
        if config.collect.liquidations {
            wanted.push((Market::Perp, Subscription::ForceOrder(symbol.clone())));
        }
        if config.collect.quotes {
            wanted.push((Market::Perp, Subscription::BookTicker(symbol.clone())));
        }
    }
    for symbol in &config.spot_symbols {
        wanted.push((Market::Spot, Subscription::Kline5m(symbol.clone())));
    }
    wanted
}
