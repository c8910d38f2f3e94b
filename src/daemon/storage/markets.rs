//! The bars of the store for a run that computes on a thread of its own: one symbol a question, so that live
//! ticks are committed in between.

use tokio::runtime::Handle;

use super::{Job, Storage};
use backtestd_core::market::{BarIndex, Symbol};
use backtestd_core::tradability::{Market, MarketError, Markets};

/// Asks the storage thread, and blocks until it answers: not for a tokio worker.
#[derive(Debug)]
pub(crate) struct StorageMarkets {
    storage: Storage,
    runtime: Handle,
}

impl StorageMarkets {
    /// Asks through a handle of the thread; `runtime` carries the questions.
    #[must_use]
    pub(crate) const fn new(storage: Storage, runtime: Handle) -> Self {
        Self { storage, runtime }
    }
}

impl Markets for StorageMarkets {
    fn market(
        &mut self,
        symbol: &Symbol,
        first: BarIndex,
        end: BarIndex,
    ) -> Result<Option<Market>, MarketError> {
        let ask = self.storage.ask(|reply| Job::Market { symbol: symbol.clone(), first, end, reply });
        let answer = self.runtime.block_on(ask);
        answer.map_err(|error| MarketError { symbol: symbol.clone(), why: error.to_string() })
    }
}
