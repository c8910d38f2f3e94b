//! What is followed: the series of the configuration, and the streams that carry them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::daemon::config::{Collect, Config};
use crate::daemon::universe::Members;
use backtestd_binance::{Limits, Rest, Subscription};
use backtestd_core::market::{BarIndex, Kind, Market, SeriesKey, Source, Symbol};

/// The followed series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follow {
    /// Perpetuals, in name order: the pipeline's symbols, those that have left among them.
    pub symbols: Vec<Symbol>,
    /// Series of bars that are followed: a tick waits for all of them.
    pub bars: Vec<(Market, Symbol)>,
    /// Everything that has history over REST, bars first.
    pub history: Vec<SeriesKey>,
    /// Source columns of each symbol, in the order of `symbols`.
    pub collected: Vec<BTreeSet<Source>>,
    /// First rows of the symbols that have joined while the daemon ran: nothing before it is asked for.
    pub since: BTreeMap<Symbol, BarIndex>,
}

impl Follow {
    /// Reads the configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let has_spot = |s: &Symbol| config.spot_symbols.contains(s);
        let all: Vec<(Symbol, bool)> = config.symbols.iter().map(|s| (s.clone(), has_spot(s))).collect();
        Self::of(config.collect, &all, &|_| true)
    }

    /// The members of a universe.
    #[must_use]
    pub fn members(collect: Collect, members: &Members) -> Self {
        let all: Vec<(Symbol, bool)> = members.all().map(|m| (m.symbol.clone(), m.has_spot)).collect();
        let is_present = |symbol: &Symbol| members.of(symbol).is_some_and(|member| member.left.is_none());
        let since = members.present().filter_map(|m| Some((m.symbol.clone(), m.since?))).collect();
        Self { since, ..Self::of(collect, &all, &is_present) }
    }

    /// Symbols, whether their spot pair is followed, and who is followed at all.
    fn of(collect: Collect, all: &[(Symbol, bool)], is_present: &dyn Fn(&Symbol) -> bool) -> Self {
        let symbols: Vec<Symbol> = all.iter().map(|(symbol, _)| symbol.clone()).collect();
        let with_spot: BTreeSet<&Symbol> = all.iter().filter(|(_, spot)| *spot).map(|(s, _)| s).collect();
        let has_spot = |s: &Symbol| with_spot.contains(s);
        let present: Vec<&Symbol> = symbols.iter().filter(|symbol| is_present(symbol)).collect();
        let perp = present.iter().map(|s| (Market::Perp, (*s).clone()));
        let spot = present.iter().filter(|s| has_spot(s)).map(|s| (Market::Spot, (*s).clone()));
        let bars: Vec<(Market, Symbol)> = perp.chain(spot).collect();
        let key = |kind, market, symbol: &Symbol| SeriesKey { kind, market, symbol: symbol.clone() };
        let mut history: Vec<SeriesKey> = bars.iter().map(|(m, s)| key(Kind::Bars, *m, s)).collect();
        for kind in collect.kinds().filter(|kind| Rest::history_page(*kind).is_some()) {
            history.extend(present.iter().map(|s| key(kind, Market::Perp, s)));
        }
        let columns = |symbol: &Symbol| -> BTreeSet<Source> {
            let bars = [Kind::Bars].into_iter().chain(collect.kinds());
            let spot: &[Source] = if has_spot(symbol) { &Source::SPOT_BAR } else { &[] };
            let shown = bars.flat_map(|kind| kind.sources().iter().chain(kind.facts().derived));
            shown.chain(spot).copied().collect()
        };
        let collected = symbols.iter().map(columns).collect();
        Self { collected, bars, history, symbols, since: BTreeMap::new() }
    }

    /// Contracts that are followed, in name order.
    pub fn present(&self) -> impl Iterator<Item = &Symbol> {
        self.bars.iter().filter(|(market, _)| *market == Market::Perp).map(|(_, symbol)| symbol)
    }

    /// The first row of a symbol, where its history begins at `first` unless it has joined later.
    #[must_use]
    pub fn first_of(&self, symbol: &Symbol, first: BarIndex) -> BarIndex {
        self.since.get(symbol).map_or(first, |since| first.max(*since))
    }
}

/// Requests for statistics after each bar, and how many of them the limit lets through while a tick waits,
/// where these are fewer: the last symbols would go without, bar after bar.
#[must_use]
pub fn overload(symbols: usize, collect: Collect, limits: &Limits, deadline: Duration) -> Option<(u64, u64)> {
    let each: usize = collect.kinds().map(Rest::statistics_requests).sum();
    let (wanted, served) = ((each * symbols) as u64, limits.futures_data_within(deadline));
    (wanted > served).then_some((wanted, served))
}

/// The streams that carry what is followed.
#[must_use]
pub fn subscriptions(collect: Collect, follow: &Follow) -> Vec<(Market, Subscription)> {
    // Listings and delistings, as they happen.
    let mut wanted = vec![(Market::Perp, Subscription::ContractInfo)];
    for (market, symbol) in &follow.bars {
        wanted.push((*market, Subscription::Kline5m(symbol.clone())));
        if collect.has_agg_trades() {
            wanted.push((*market, Subscription::AggTrade(symbol.clone())));
        }
        if *market == Market::Spot {
            continue;
        }
        if collect.has(Kind::Mark) {
            wanted.push((Market::Perp, Subscription::MarkPrice(symbol.clone())));
        }
        if collect.has(Kind::Liquidations) {
            wanted.push((Market::Perp, Subscription::ForceOrder(symbol.clone())));
        }
        if collect.has(Kind::Quotes) {
            wanted.push((Market::Perp, Subscription::BookTicker(symbol.clone())));
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
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
            let config = config(symbols, collect);
            overload(symbols, config.collect, &Limits::default(), Duration::from_secs(5))
        };
        assert_eq!(overload(26, "open_interest,long_short_ratio"), None);
        assert_eq!(overload(27, "open_interest,long_short_ratio"), Some((135, 131)));
        assert_eq!(overload(131, "funding,open_interest"), None);
        assert_eq!(overload(500, "funding,mark"), None);
    }
}
