//! What all connections share.

use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::ScaledClock;
use backtestd_core::clock::Clock;
use backtestd_core::market::{DAY_MS, Symbol, Ts};

use super::limits::Limiter;
use super::server::ExchangeConfig;
use backtestd_lab::sim::Market;

/// The shared state of a running exchange.
#[derive(Debug)]
pub(crate) struct Venue {
    pub(crate) market: Arc<Market>,
    pub(crate) clock: Arc<ScaledClock>,
    pub(crate) limiter: Limiter,
    pub(crate) config: ExchangeConfig,
    /// Turns true when the exchange stops.
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Venue {
    pub(crate) fn now(&self) -> Ts {
        self.clock.now()
    }

    /// Position of a listed contract by its upper-case name.
    pub(crate) fn symbol(&self, name: &str) -> Option<usize> {
        let symbol = Symbol::new(name).ok()?;
        (symbol.as_str() == name).then(|| self.market.position(&symbol)).flatten()
    }

    pub(crate) fn name(&self, symbol: usize) -> &str {
        self.market.scenario().symbols[symbol].name.as_str()
    }

    pub(crate) fn has_spot(&self, symbol: usize) -> bool {
        self.market.scenario().symbols[symbol].spot.is_some()
    }

    /// Settlement after `at`.
    pub(crate) const fn next_funding(at: Ts) -> Ts {
        const EIGHT_HOURS: i64 = DAY_MS / 3;
        Ts((at.0.div_euclid(EIGHT_HOURS) + 1) * EIGHT_HOURS)
    }
}
