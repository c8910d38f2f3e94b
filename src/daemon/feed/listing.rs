//! What the exchange says about the followed symbols: whether it lists them, whether they trade, in which
//! steps.

use std::collections::BTreeMap;
use std::fmt;

use crate::daemon::live::Series;
use backtestd_binance::wire::SymbolInfo;
use backtestd_binance::{Rest, RestError};
use backtestd_core::graph::nearest;
use backtestd_core::market::{Market, Symbol};

/// What the exchange says about each followed series.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    listed: BTreeMap<Series, SymbolInfo>,
    unlisted: Vec<Unlisted>,
}

/// A followed series that the exchange does not list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlisted {
    /// Market and symbol.
    pub series: Series,
    /// A listed name that may have been meant.
    pub near: Option<Symbol>,
}

impl fmt::Display for Unlisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (market, symbol) = &self.series;
        let (what, key) = match market {
            Market::Perp => ("perpetual contract", "symbols"),
            Market::Spot => ("spot pair", "spot_symbols"),
        };
        write!(f, "the exchange lists no {what} '{symbol}'")?;
        match &self.near {
            Some(near) => write!(f, " (did you mean '{near}'?)")?,
            None => write!(f, "; take it out of `{key}`")?,
        }
        Ok(())
    }
}

impl Listing {
    /// Asks the exchange, whose request limits the client takes over on the way.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask(rest: &Rest, series: &[Series]) -> Result<Self, RestError> {
        let mut listing = Self::default();
        for market in [Market::Perp, Market::Spot] {
            let wanted: Vec<Symbol> =
                series.iter().filter(|(m, _)| *m == market).map(|(_, symbol)| symbol.clone()).collect();
            if wanted.is_empty() {
                continue;
            }
            let info = match rest.exchange_info(market, &wanted).await {
                // Asked for single names, it refuses all of them for one that it does not know.
                Err(error) if error.is_unknown_symbol() => rest.exchange_info(market, &[]).await?,
                answer => answer?,
            };
            listing.add(market, wanted, &info.symbols);
        }
        Ok(listing)
    }

    fn add(&mut self, market: Market, wanted: Vec<Symbol>, listed: &[SymbolInfo]) {
        // Contracts with a delivery date are listed beside the perpetuals.
        let fits = |info: &&SymbolInfo| market == Market::Spot || info.is_perpetual();
        let known: BTreeMap<&str, &SymbolInfo> =
            listed.iter().filter(fits).map(|info| (info.symbol.as_str(), info)).collect();
        for symbol in wanted {
            let Some(info) = known.get(symbol.as_str()) else {
                let near = nearest(symbol.as_str(), known.keys().copied());
                let near = near.and_then(|name| Symbol::new(name).ok());
                self.unlisted.push(Unlisted { series: (market, symbol), near });
                continue;
            };
            self.listed.insert((market, symbol), (*info).clone());
        }
    }

    /// Series that the exchange does not list.
    #[must_use]
    pub fn unlisted(&self) -> &[Unlisted] {
        &self.unlisted
    }

    /// What it says about a series.
    #[must_use]
    pub fn of(&self, series: &Series) -> Option<&SymbolInfo> {
        self.listed.get(series)
    }

    /// The price bands of the perpetuals that have one.
    #[must_use]
    pub fn price_bands(&self) -> BTreeMap<Symbol, (f64, f64)> {
        let perps = self.listed.iter().filter(|((market, _), _)| *market == Market::Perp);
        perps.filter_map(|((_, symbol), info)| Some((symbol.clone(), info.price_band?))).collect()
    }

    /// The series that do not trade, in words; none if all do.
    #[must_use]
    pub fn not_trading(&self) -> Option<String> {
        let idle: Vec<String> = self
            .listed
            .iter()
            .filter(|(_, info)| !info.is_trading())
            .map(|((market, symbol), info)| format!("{symbol} ({market}) does not trade: {}", info.status))
            .collect();
        (!idle.is_empty()).then(|| idle.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(name: &str, status: &str, contract_type: &str) -> SymbolInfo {
        SymbolInfo {
            symbol: Symbol::new(name).unwrap(),
            status: status.to_owned(),
            contract_type: contract_type.to_owned(),
            quote_asset: "USDT".to_owned(),
            onboard: None,
            tick_size: 0.1,
            step_size: 0.001,
            min_notional: 5.0,
            price_band: None,
        }
    }

    fn listing(wanted: &[&str]) -> Listing {
        let listed = [
            info("BTCUSDT", "TRADING", "PERPETUAL"),
            info("ETHUSDT", "SETTLING", "PERPETUAL"),
            info("BTCUSDT_260327", "TRADING", "CURRENT_QUARTER"),
        ];
        let mut listing = Listing::default();
        listing.add(Market::Perp, wanted.iter().map(|s| Symbol::new(s).unwrap()).collect(), &listed);
        listing
    }

    #[test]
    fn a_symbol_that_is_not_listed_is_named_with_the_nearest_that_is() {
        let wrong = listing(&["BTCUSDT", "BTCUSTD", "BTCUSDT_260327", "PEPEUSDT"]);
        let texts: Vec<String> = wrong.unlisted().iter().map(ToString::to_string).collect();
        assert_eq!(texts[0], "the exchange lists no perpetual contract 'BTCUSTD' (did you mean 'BTCUSDT'?)");
        assert!(texts[1].contains("'BTCUSDT_260327'"), "a contract with a delivery date is none: {texts:?}");
        assert_eq!(texts[2], "the exchange lists no perpetual contract 'PEPEUSDT'; take it out of `symbols`");
        assert_eq!(wrong.not_trading(), None);
    }

    #[test]
    fn a_symbol_that_does_not_trade_is_listed_and_named() {
        let found = listing(&["BTCUSDT", "ETHUSDT"]);
        assert_eq!(found.unlisted(), []);
        assert_eq!(found.not_trading().as_deref(), Some("ETHUSDT (perp) does not trade: SETTLING"));
    }
}
