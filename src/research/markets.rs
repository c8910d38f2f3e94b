//! Bars and settlements of the store, as the bridge asks for them.

use crate::nautilus::order_rules;
use backtestd_core::market::{BarIndex, Market, Source, Symbol};
use backtestd_core::tradability::{self, MarketError, Markets};
use backtestd_store::{Store, StoreError};

/// The store of a batch run.
#[derive(Debug)]
pub struct StoreMarkets<'a> {
    store: &'a Store,
}

impl<'a> StoreMarkets<'a> {
    /// Reads from a store.
    #[must_use]
    pub const fn of(store: &'a Store) -> Self {
        Self { store }
    }
}

impl Markets for StoreMarkets<'_> {
    fn market(
        &mut self,
        symbol: &Symbol,
        first: BarIndex,
        end: BarIndex,
    ) -> Result<Option<tradability::Market>, MarketError> {
        let has_funding = self.store.coverage(symbol).map(|known| known.contains(&Source::FundingRate));
        has_funding
            .and_then(|has_funding| market_of(self.store, symbol, (first, end), has_funding))
            .map_err(|error| MarketError { symbol: symbol.clone(), why: error.to_string() })
    }
}

/// What a symbol's positions meet on the bars of `[first, end)`: what the pipeline books outcomes on. `None`
/// where the store has no perp bars of it.
///
/// # Errors
/// When the store cannot be read.
pub fn market_of(
    store: &Store,
    symbol: &Symbol,
    (first, end): (BarIndex, BarIndex),
    has_funding: bool,
) -> Result<Option<tradability::Market>, StoreError> {
    if store.range(Market::Perp, symbol)?.is_none() {
        return Ok(None);
    }
    let bars = store.bars(Market::Perp, symbol, first, end)?;
    let funding = if has_funding { Some(store.funding(symbol, first, end)?) } else { None };
    let orders = order_rules(store, Market::Perp, symbol)?;
    Ok(Some(tradability::Market { orders, ..tradability::Market::on_grid(first, end, &bars, funding) }))
}
