//! What an instrument is made of: steps, least notional, fees.

use serde::{Deserialize, Serialize};

use super::bars::{instrument_id, row};
use super::fixed::decimals;
use backtestd_core::market::{Bar, Instrument, Market, Symbol};
use backtestd_core::tradability::OrderRules;
use backtestd_store::{Store, StoreError};

/// Decimals of an instrument's prices and sizes, the same for its whole history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precision {
    /// Decimals of prices.
    pub price: u32,
    /// Decimals of sizes.
    pub size: u32,
}

impl Precision {
    /// The finest of any bar.
    #[must_use]
    pub fn of_bars(bars: &[Bar]) -> Self {
        let known = bars.iter().filter(|b| row(b).iter().all(|v| v.is_finite()));
        known.fold(Self::default(), |finest, bar| {
            let price = [bar.open, bar.high, bar.low, bar.close].map(decimals).into_iter().max();
            finest.widest(Self { price: price.unwrap_or(0), size: decimals(bar.volume) })
        })
    }

    /// The finer of each.
    #[must_use]
    pub fn widest(self, other: Self) -> Self {
        Self { price: self.price.max(other.price), size: self.size.max(other.size) }
    }
}

/// A line of `instruments.json`. Numbers are decimal strings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstrumentFacts {
    /// NautilusTrader's own name of it.
    pub instrument_id: String,
    /// The exchange's name.
    pub symbol: Symbol,
    /// `perp` or `spot`.
    pub market: String,
    /// The asset that is traded.
    pub base: String,
    /// The asset that it is priced and settled in.
    pub quote: String,
    /// Decimals of prices.
    pub price_precision: u32,
    /// Decimals of sizes.
    pub size_precision: u32,
    /// Step of prices: the exchange's tick, or finer where the history is.
    pub price_increment: String,
    /// Step of sizes.
    pub size_increment: String,
    /// Least value of an order; null where the exchange was not asked.
    pub min_notional: Option<String>,
    /// Fee of a taker, a share of the value.
    pub taker_fee: String,
    /// Fee of a maker; the taker's where it is unknown.
    pub maker_fee: String,
}

/// Where the store keeps the steps that the exchange has said: a list of [`ListedSteps`] as JSON.
pub const LISTED_STEPS: &str = "listing/steps";

/// Steps of an instrument as the exchange has said them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListedSteps {
    /// `perp` or `spot`.
    pub market: String,
    /// The exchange's name of it.
    pub symbol: Symbol,
    /// Step of prices, quote currency.
    pub tick: Option<f64>,
    /// Step of sizes, base units.
    pub step: Option<f64>,
    /// Least value of an order, quote currency. Stores of before did not keep it.
    #[serde(default)]
    pub min_notional: Option<f64>,
}

/// What the exchange takes as an order of an instrument, as far as it has said so to a daemon over this
/// store.
///
/// # Errors
/// When the store cannot be read.
pub fn order_rules(store: &Store, market: Market, symbol: &Symbol) -> Result<OrderRules, StoreError> {
    let listed = store.meta(LISTED_STEPS)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let listed: Vec<ListedSteps> = listed.unwrap_or_default();
    let own = listed.into_iter().find(|s| s.symbol == *symbol && s.market == market.to_string());
    Ok(own.map_or_else(OrderRules::default, |s| OrderRules {
        tick: s.tick,
        step: s.step,
        min_notional: s.min_notional,
    }))
}

impl Precision {
    /// Decimals of an instrument's steps.
    #[must_use]
    pub fn of_steps(steps: &OrderRules) -> Self {
        Self { price: steps.tick.map_or(0, decimals), size: steps.step.map_or(0, decimals) }
    }
}

impl InstrumentFacts {
    /// What is known of an instrument; `fees` are the maker's and the taker's, bps.
    #[must_use]
    pub fn new(
        (market, symbol): (Market, &Symbol),
        precision: Precision,
        steps: OrderRules,
        [maker_bps, taker_bps]: [f64; 2],
    ) -> Self {
        let quote = Instrument::quote(symbol).unwrap_or("USDT").to_owned();
        let base = symbol.as_str().strip_suffix(&quote).unwrap_or(symbol.as_str()).to_owned();
        Self {
            instrument_id: instrument_id(market, symbol),
            symbol: symbol.clone(),
            market: market.to_string(),
            base,
            quote,
            price_precision: precision.price,
            size_precision: precision.size,
            price_increment: increment(steps.tick, precision.price),
            size_increment: increment(steps.step, precision.size),
            min_notional: steps.min_notional.map(|least| least.to_string()),
            taker_fee: share(taker_bps),
            maker_fee: share(maker_bps),
        }
    }
}

/// The step as a decimal with exactly `digits` decimals; the smallest of that precision where the history is
/// finer than the exchange's step, or the step unknown.
fn increment(step: Option<f64>, digits: u32) -> String {
    let places = digits as usize;
    match step {
        Some(step) if decimals(step) == digits => format!("{step:.places$}"),
        _ => format!("{:.places$}", 10_f64.powi(-i32::try_from(digits).unwrap_or(0))),
    }
}

fn share(bps: f64) -> String {
    format!("{:.6}", bps / backtestd_core::market::BPS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_the_decimals_of_the_history() {
        assert_eq!(increment(Some(0.1), 1), "0.1");
        assert_eq!(increment(Some(0.05), 2), "0.05");
        assert_eq!(increment(Some(0.01), 3), "0.001", "prices were finer once");
        assert_eq!(increment(None, 0), "1");
    }

    #[test]
    fn an_instrument_is_named_by_market_and_split_into_its_assets() {
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let precision = Precision { price: 1, size: 3 };
        let steps = OrderRules { tick: Some(0.1), step: Some(0.001), min_notional: Some(100.0) };
        let perp = InstrumentFacts::new((Market::Perp, &symbol), precision, steps, [2.0, 4.0]);
        assert_eq!(
            (perp.instrument_id.as_str(), &*perp.base, &*perp.quote),
            ("BTCUSDT-PERP.BINANCE", "BTC", "USDT")
        );
        assert_eq!((perp.taker_fee.as_str(), perp.min_notional.as_deref()), ("0.000400", Some("100")));
        let spot = InstrumentFacts::new((Market::Spot, &symbol), precision, steps, [2.0, 4.0]);
        assert_eq!(spot.instrument_id, "BTCUSDT.BINANCE");
    }
}
