//! Which websocket path carries which stream.
//!
//! Since 2026-04-23 the USD-M host serves streams on separate paths. The old un-routed path still connects
//! and still acknowledges subscriptions, then stays silent for every `/market` stream, so a wrong row here is
//! not an error one would see: it is a kind of data that never comes. Hence one table, tested, and a liveness
//! watch per kind.

use serde::{Deserialize, Serialize};

use backtestd_core::market::{Market, Symbol};

/// A websocket endpoint family. One socket cannot mix routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Route {
    /// USD-M book data.
    FuturesPublic,
    /// USD-M trades, klines, mark prices, liquidations, contract news.
    FuturesMarket,
    /// Spot: all streams.
    Spot,
}

impl Route {
    /// Every route, in the order of the enum.
    pub const ALL: [Self; 3] = [Self::FuturesPublic, Self::FuturesMarket, Self::Spot];

    /// Path of the combined-stream endpoint below the host.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::FuturesPublic => "/public/stream",
            Self::FuturesMarket => "/market/stream",
            Self::Spot => "/stream",
        }
    }

    /// The market whose data it carries.
    #[must_use]
    pub const fn market(self) -> Market {
        match self {
            Self::FuturesPublic | Self::FuturesMarket => Market::Perp,
            Self::Spot => Market::Spot,
        }
    }

    /// Client messages per second that the exchange tolerates (pongs count).
    #[must_use]
    pub const fn messages_per_second(self) -> u32 {
        match self {
            Self::FuturesPublic | Self::FuturesMarket => 10,
            Self::Spot => 5,
        }
    }

    /// The name in logs and `status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FuturesPublic => "futures/public",
            Self::FuturesMarket => "futures/market",
            Self::Spot => "spot",
        }
    }
}

/// What a stream carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StreamKind {
    /// `<s>@kline_5m` (and other intervals).
    Kline,
    /// Aggregated trades: `<s>@aggTrade`.
    AggTrade,
    /// Single trades: `<s>@trade`.
    Trade,
    /// Mark prices: `<s>@markPrice[@1s]`, `!markPrice@arr[@1s]`.
    MarkPrice,
    /// Liquidation orders: `<s>@forceOrder`, `!forceOrder@arr`.
    ForceOrder,
    /// Best bid and ask: `<s>@bookTicker`, `!bookTicker`.
    BookTicker,
    /// `<s>@depth…`: differences and partial books.
    Depth,
    /// Listings and settlements of contracts: `!contractInfo`.
    ContractInfo,
}

impl StreamKind {
    /// Every kind, in the order of the enum.
    pub const ALL: [Self; 8] = [
        Self::Kline,
        Self::AggTrade,
        Self::Trade,
        Self::MarkPrice,
        Self::ForceOrder,
        Self::BookTicker,
        Self::Depth,
        Self::ContractInfo,
    ];

    /// Where the market serves it; `None` where it does not exist.
    #[must_use]
    pub const fn route(self, market: Market) -> Option<Route> {
        match (market, self) {
            (Market::Perp, Self::BookTicker | Self::Depth | Self::Trade) => Some(Route::FuturesPublic),
            (
                Market::Perp,
                Self::Kline | Self::AggTrade | Self::MarkPrice | Self::ForceOrder | Self::ContractInfo,
            ) => Some(Route::FuturesMarket),
            (Market::Spot, Self::Kline | Self::AggTrade | Self::Trade | Self::BookTicker | Self::Depth) => {
                Some(Route::Spot)
            }
            (Market::Spot, Self::MarkPrice | Self::ForceOrder | Self::ContractInfo) => None,
        }
    }

    /// The kind of a stream by its name, wrapped or subscribed; `None` for streams that are not read here.
    #[must_use]
    pub fn of_stream(name: &str) -> Option<Self> {
        if let Some(all) = name.strip_prefix('!') {
            return match all.split('@').next()? {
                "markPrice" => Some(Self::MarkPrice),
                "forceOrder" => Some(Self::ForceOrder),
                "bookTicker" => Some(Self::BookTicker),
                "contractInfo" => Some(Self::ContractInfo),
                _ => None,
            };
        }
        let stream = name.split('@').nth(1)?;
        match stream {
            "aggTrade" => Some(Self::AggTrade),
            "trade" => Some(Self::Trade),
            "markPrice" => Some(Self::MarkPrice),
            "forceOrder" => Some(Self::ForceOrder),
            "bookTicker" => Some(Self::BookTicker),
            _ if stream.starts_with("kline_") => Some(Self::Kline),
            _ if stream.starts_with("depth") => Some(Self::Depth),
            _ => None,
        }
    }

    /// The name in logs and `status`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kline => "kline",
            Self::AggTrade => "aggTrade",
            Self::Trade => "trade",
            Self::MarkPrice => "markPrice",
            Self::ForceOrder => "forceOrder",
            Self::BookTicker => "bookTicker",
            Self::Depth => "depth",
            Self::ContractInfo => "contractInfo",
        }
    }
}

/// One stream to subscribe.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subscription {
    /// 5-minute klines of a symbol.
    Kline5m(Symbol),
    /// Aggregated trades of a symbol.
    AggTrade(Symbol),
    /// Mark price of a symbol, every second.
    MarkPrice(Symbol),
    /// Mark prices of the whole market, every second, in several messages.
    AllMarkPrices,
    /// Liquidation orders of a symbol.
    ForceOrder(Symbol),
    /// Liquidation orders of the whole market.
    AllForceOrders,
    /// Best bid and ask of a symbol, on every change.
    BookTicker(Symbol),
    /// Best bid and ask of the whole market, one update per symbol every 5 s.
    AllBookTickers,
    /// Listings, settlements, bracket changes.
    ContractInfo,
}

impl Subscription {
    /// What it carries.
    #[must_use]
    pub const fn kind(&self) -> StreamKind {
        match self {
            Self::Kline5m(_) => StreamKind::Kline,
            Self::AggTrade(_) => StreamKind::AggTrade,
            Self::MarkPrice(_) | Self::AllMarkPrices => StreamKind::MarkPrice,
            Self::ForceOrder(_) | Self::AllForceOrders => StreamKind::ForceOrder,
            Self::BookTicker(_) | Self::AllBookTickers => StreamKind::BookTicker,
            Self::ContractInfo => StreamKind::ContractInfo,
        }
    }

    /// The name on the wire. Symbols are lower case there.
    #[must_use]
    pub fn stream_name(&self) -> String {
        let of = |symbol: &Symbol, stream: &str| format!("{}@{stream}", symbol.as_str().to_lowercase());
        match self {
            Self::Kline5m(symbol) => of(symbol, "kline_5m"),
            Self::AggTrade(symbol) => of(symbol, "aggTrade"),
            Self::MarkPrice(symbol) => of(symbol, "markPrice@1s"),
            Self::AllMarkPrices => "!markPrice@arr@1s".to_owned(),
            Self::ForceOrder(symbol) => of(symbol, "forceOrder"),
            Self::AllForceOrders => "!forceOrder@arr".to_owned(),
            Self::BookTicker(symbol) => of(symbol, "bookTicker"),
            Self::AllBookTickers => "!bookTicker".to_owned(),
            Self::ContractInfo => "!contractInfo".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_the_route_that_the_exchange_serves_it_on() {
        use StreamKind as K;
        let table = [
            (K::Kline, Some(Route::FuturesMarket), Some(Route::Spot)),
            (K::AggTrade, Some(Route::FuturesMarket), Some(Route::Spot)),
            (K::Trade, Some(Route::FuturesPublic), Some(Route::Spot)),
            (K::MarkPrice, Some(Route::FuturesMarket), None),
            (K::ForceOrder, Some(Route::FuturesMarket), None),
            (K::BookTicker, Some(Route::FuturesPublic), Some(Route::Spot)),
            (K::Depth, Some(Route::FuturesPublic), Some(Route::Spot)),
            (K::ContractInfo, Some(Route::FuturesMarket), None),
        ];
        assert_eq!(table.len(), K::ALL.len());
        for (kind, perp, spot) in table {
            assert_eq!(kind.route(Market::Perp), perp, "{kind:?}");
            assert_eq!(kind.route(Market::Spot), spot, "{kind:?}");
        }
    }

    #[test]
    fn no_futures_stream_uses_the_retired_path() {
        for kind in StreamKind::ALL {
            if let Some(route) = kind.route(Market::Perp) {
                assert!(["/public/stream", "/market/stream"].contains(&route.path()), "{kind:?}");
            }
        }
    }

    #[test]
    fn a_subscription_is_recognised_when_its_name_comes_back() {
        let symbol = Symbol::new("币安人生USDT").unwrap();
        for subscription in [
            Subscription::Kline5m(symbol.clone()),
            Subscription::AggTrade(symbol.clone()),
            Subscription::MarkPrice(symbol.clone()),
            Subscription::AllMarkPrices,
            Subscription::ForceOrder(symbol.clone()),
            Subscription::AllForceOrders,
            Subscription::BookTicker(symbol),
            Subscription::AllBookTickers,
            Subscription::ContractInfo,
        ] {
            let name = subscription.stream_name();
            assert_eq!(StreamKind::of_stream(&name), Some(subscription.kind()), "{name}");
        }
        assert_eq!(StreamKind::of_stream("btcusdt@depth@0ms"), Some(StreamKind::Depth));
        assert_eq!(StreamKind::of_stream("btcusdt@depth20"), Some(StreamKind::Depth));
        assert_eq!(StreamKind::of_stream("tradingSession"), None);
        assert_eq!(StreamKind::of_stream("!ticker@arr"), None);
    }
}
