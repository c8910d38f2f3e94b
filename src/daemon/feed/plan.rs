//! What is followed: the series of the configuration, and the streams that carry them.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::daemon::config::Config;
use backtestd_binance::{Limits, Rest, Subscription};
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

/// Requests for statistics after each bar, and how many of them the limit lets through while a tick waits, where these
/// are fewer: the last symbols would go without, bar after bar.
#[must_use]
pub fn overload(config: &Config, limits: &Limits, deadline: Duration) -> Option<(u64, u64)> {
    let each: usize = config.collect.kinds().map(Rest::statistics_requests).sum();
    let (wanted, served) = ((each * config.symbols.len()) as u64, limits.futures_data_within(deadline));
    (wanted > served).then_some((wanted, served))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::daemon::config::{Origin, Value};

    fn config(symbols: usize, collect: &str) -> Config {
        let names: Vec<String> = (0..symbols).map(|n| format!("A{n}USDT")).collect();
        let values =
            [("symbols", names.join(",")), ("collect", collect.to_owned()), ("socket", "x".to_owned())];
        let value = |text| Value { text, origin: Origin::Default };
        Config::from_values(&BTreeMap::from(values.map(|(key, text)| (key, value(text))))).unwrap()
    }

    #[test]
    fn what_is_collected_decides_the_history_and_the_columns() {
        let follow = Follow::new(&config(1, "funding,long_short_ratio,quotes"));
        let kinds: Vec<Kind> = follow.history.iter().map(|series| series.kind).collect();
        assert_eq!(
            kinds,
            [Kind::Bars, Kind::Bars, Kind::Funding, Kind::LongShortRatio],
            "quotes have no history"
        );
        let columns = &follow.collected[0];
        for present in [Source::SpotClose, Source::IsFundingPrint, Source::TakerLsRatio, Source::ImbLast] {
            assert!(columns.contains(&present), "{present:?}");
        }
        assert!(!columns.contains(&Source::Oi) && !columns.contains(&Source::Mark));
    }

    #[test]
    fn more_symbols_than_the_limit_lets_through_after_a_bar_are_counted() {
        let overload = |symbols, collect| {
            overload(&config(symbols, collect), &Limits::default(), Duration::from_secs(5))
        };
        assert_eq!(overload(26, "open_interest,long_short_ratio"), None);
        assert_eq!(overload(27, "open_interest,long_short_ratio"), Some((135, 131)));
        assert_eq!(overload(131, "funding,open_interest"), None);
        assert_eq!(overload(500, "funding,mark"), None);
    }
}
