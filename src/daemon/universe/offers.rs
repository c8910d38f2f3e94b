//! What the exchange offers: contracts with what a rule asks about them.

use std::collections::{BTreeMap, BTreeSet};

use crate::daemon::config::SpotRule;
use backtestd_binance::{Rest, RestError};
use backtestd_core::market::{Market, Symbol, Ts};

/// A perpetual contract as the exchange lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The exchange's word for its state.
    pub status: String,
    /// The kind of contract as the exchange writes it.
    pub contract: String,
    /// Asset of its prices.
    pub quote: String,
    /// When it began to trade, if the exchange says so.
    pub onboard: Option<Ts>,
    /// Value traded within the last 24 hours, quote currency; NaN if the exchange does not say.
    pub quote_volume: f64,
    /// A spot pair of the same name trades, as far as spot bars are wanted.
    pub has_spot: bool,
}

/// Everything that is listed, by name.
pub type Offers = BTreeMap<Symbol, Offer>;

impl Offer {
    /// Whether orders match now.
    #[must_use]
    pub fn is_trading(&self) -> bool {
        self.status == "TRADING"
    }

    /// Asks the exchange, in two or three requests.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ask(rest: &Rest, spot: &SpotRule) -> Result<Offers, RestError> {
        let info = rest.exchange_info(Market::Perp, &[]).await?;
        let days = rest.days().await?;
        let volumes: BTreeMap<Symbol, f64> =
            days.into_iter().map(|day| (day.symbol, day.quote_volume)).collect();
        let pairs = match spot {
            SpotRule::None => BTreeSet::new(),
            SpotRule::Same | SpotRule::Listed(_) => spot_pairs(rest, spot).await?,
        };
        let perpetuals = info.symbols.into_iter().filter(|contract| contract.is_perpetual());
        let offer = |contract: backtestd_binance::wire::SymbolInfo| {
            let offer = Self {
                quote_volume: volumes.get(&contract.symbol).copied().unwrap_or(f64::NAN),
                has_spot: pairs.contains(&contract.symbol),
                status: contract.status,
                contract: contract.contract_type,
                quote: contract.quote_asset,
                onboard: contract.onboard,
            };
            (contract.symbol, offer)
        };
        Ok(perpetuals.map(offer).collect())
    }
}

/// Spot pairs that trade, as far as they are wanted.
async fn spot_pairs(rest: &Rest, wanted: &SpotRule) -> Result<BTreeSet<Symbol>, RestError> {
    let info = rest.exchange_info(Market::Spot, &[]).await?;
    let trading = info.symbols.into_iter().filter(|pair| pair.is_trading()).map(|pair| pair.symbol);
    Ok(match wanted {
        SpotRule::Listed(list) => trading.filter(|symbol| list.contains(symbol)).collect(),
        _ => trading.collect(),
    })
}
