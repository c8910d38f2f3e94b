//! Where the bridge finds what positions meet: bars and funding, one symbol at a time, so that a universe of hundreds of
//! symbols is never in memory at once.

use std::collections::BTreeMap;

use super::rule::Market;
use crate::market::{BarIndex, Symbol};

/// A source of bars and settlements: the store, the simulated venue, or what a null twin lives in.
pub trait Markets {
    /// What a symbol's positions meet on the bars of `[first, end)`; `None` where it has no bars at all. Nothing of `end`
    /// or later may be in it: a run decides on closed days.
    ///
    /// # Errors
    /// When the bars cannot be read.
    fn market(
        &mut self,
        symbol: &Symbol,
        first: BarIndex,
        end: BarIndex,
    ) -> Result<Option<Market>, MarketError>;

    /// Whether the returns that follow the events of a UTC day are turned: a position then fares as the opposite one does
    /// on the bars. Only a null twin by signs says yes.
    fn is_turned(&self, _day: i64) -> bool {
        false
    }
}

/// Bars that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bars of {symbol}, which the bridge trades on, cannot be read: {why}")]
pub struct MarketError {
    /// Whose bars they are.
    pub symbol: Symbol,
    /// What went wrong.
    pub why: String,
}

/// Bars that are in memory already.
impl Markets for BTreeMap<Symbol, Market> {
    fn market(
        &mut self,
        symbol: &Symbol,
        first: BarIndex,
        end: BarIndex,
    ) -> Result<Option<Market>, MarketError> {
        Ok(self.get(symbol).map(|market| market.between(first, end)))
    }
}
