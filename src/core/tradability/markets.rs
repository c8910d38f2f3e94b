//! Where the bridge finds what positions meet: bars and funding, one symbol at a time, so that a universe of
//! hundreds of symbols is never in memory at once.

use std::collections::{BTreeMap, BTreeSet};

use super::rule::Market;
use crate::market::{BarIndex, Symbol};
use crate::outcomes::Outcome;

/// A source of bars and settlements: the store, the simulated venue, or what a null twin lives in.
pub trait Markets {
    /// What a symbol's positions meet on the bars of `[first, end)`; `None` where it has no bars at all.
    /// Nothing of `end` or later may be in it: a run decides on closed days.
    ///
    /// # Errors
    /// When the bars cannot be read.
    fn market(
        &mut self,
        symbol: &Symbol,
        first: BarIndex,
        end: BarIndex,
    ) -> Result<Option<Market>, MarketError>;

    /// What the detectors of some events find with other thresholds, on the same bars; `None` where nobody
    /// can detect again: in a daemon, and in null twins.
    ///
    /// # Errors
    /// When the history cannot be read again.
    fn detect_again(&mut self, _asked: &OtherThresholds<'_>) -> Result<Option<DetectedAgain>, MarketError> {
        Ok(None)
    }

    /// Whether the returns that follow the events of a UTC day are turned: a position then fares as the
    /// opposite one does on the bars. Only a null twin by signs says yes.
    fn is_turned(&self, _day: i64) -> bool {
        false
    }
}

/// Events to detect again.
#[derive(Clone, Debug)]
pub struct OtherThresholds<'a> {
    /// The types of the events.
    pub events: BTreeSet<&'a str>,
    /// States that conditions read.
    pub states: BTreeSet<&'a str>,
    /// What every threshold is multiplied by.
    pub factor: f64,
    /// The first bar that is not looked at.
    pub end: BarIndex,
}

/// What was found with other thresholds.
#[derive(Clone, Debug, Default)]
pub struct DetectedAgain {
    /// Outcomes that had matured by the end.
    pub outcomes: Vec<Outcome>,
    /// The states that their events know, in order.
    pub states: Vec<String>,
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
