//! The journal of what unfinished bars are made of: what has no history and came between two ticks.
//!
//! The main loop adds a batch about every second. When a bar is finished, it adds one with everything that
//! later bars need; what lies before that goes in the commit of the bar, so the journal never holds much more
//! than the open bar.

use super::StorageError;
use crate::daemon::feed::Follow;
use crate::daemon::live::Journalled;
use backtestd_binance::aggregate::journal::Batch;
use backtestd_core::market::{BarIndex, Kind, Market, SeriesKey};
use backtestd_store::Store;

/// Where the journal begins anew, until the tick that makes it so is committed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Journal(Option<(BarIndex, u64)>);

impl Journal {
    /// Adds a batch. `anew_after`: it needs nothing from before once this bar is committed.
    pub(super) fn add(
        &mut self,
        store: &mut Store,
        batch: &Batch,
        anew_after: Option<BarIndex>,
    ) -> Result<(), StorageError> {
        let number = store.append_updates(&[batch.to_bytes()?])?;
        if let Some(bar) = anew_after {
            self.0 = Some((bar, number - 1));
        }
        Ok(())
    }

    /// The batches that can go with the commit of a tick, by the last one's number.
    pub(super) fn taken_in(self, through: BarIndex) -> Option<u64> {
        self.0.filter(|(bar, _)| *bar <= through).map(|(_, number)| number)
    }

    /// They are gone.
    pub(super) fn committed(&mut self, through: BarIndex) {
        if self.taken_in(through).is_some() {
            self.0 = None;
        }
    }
}

/// What the process before left. A batch that cannot be read ends what is known, visibly: coverage then says
/// what is missing.
pub(super) fn read(store: &Store, follow: &Follow) -> Result<Journalled, StorageError> {
    let mut batches = Vec::new();
    for (number, bytes) in store.updates()? {
        match Batch::from_bytes(&bytes) {
            Ok(batch) => batches.push(batch),
            Err(error) => {
                tracing::error!(number, %error, "the journal of the open bar cannot be read from here on");
                break;
            }
        }
    }
    let mut finished = None;
    for kind in [Kind::Liquidations, Kind::Quotes] {
        for symbol in &follow.symbols {
            let series = SeriesKey { kind, market: Market::Perp, symbol: symbol.clone() };
            finished = finished.max(store.summary(&series)?.map(|found| BarIndex(found.last)));
        }
    }
    Ok(Journalled { batches, finished })
}
