//! Nothing lies behind the present: what a clock that was ahead has left is taken back.
//!
//! A clock can also be behind. Bars that the exchange has confirmed prove that their time has passed: against such a
//! proof nothing is taken back, since much of it could not be had again.

use super::StorageError;
use super::worker::Worker;
use crate::daemon::feed::ledger::{Stretch, mark};
use backtestd_core::market::{BAR_MS, BarIndex, Kind, SeriesKey, Ts};
use backtestd_store::{Delivery, Origin, Store};

/// How far the present may lie before what is proved: the way of an answer, and one bar.
const PROOF_SLACK_MS: i64 = 2 * BAR_MS;
/// Newest bars of a series that are looked at for a proof.
const PROOF_BARS: i64 = 288;

/// The close of the newest bar that the exchange has confirmed.
fn proved(store: &Store) -> Result<Option<Ts>, StorageError> {
    let mut newest = None;
    for (series, extent) in store.series()?.into_iter().filter(|(series, _)| series.kind == Kind::Bars) {
        let rows = store.series_rows(&series, extent.last - PROOF_BARS, extent.last + 1)?;
        let told = rows.times.iter().zip(&rows.origins).rev();
        let confirmed = told.into_iter().find(|(_, origin)| **origin != Origin::Stream);
        newest = newest.max(confirmed.map(|(slot, _)| BarIndex(*slot).close()));
    }
    Ok(newest)
}

/// Takes out what streams have told of bars that have not been yet.
fn trim(store: &mut Store, now: Ts) -> Result<(), StorageError> {
    for (series, extent) in store.series()? {
        let last = if series.kind.is_bar_like() { now.bar().0 - 1 } else { now.0 };
        if extent.last <= last {
            continue;
        }
        let SeriesKey { kind, market, symbol } = &series;
        let removed = store.trim_after(&series, last)?;
        tracing::warn!(%market, %symbol, kind = kind.name(), removed, "records that lie in the future were removed");
    }
    Ok(())
}

impl Worker {
    /// Goes back to the last tick that has closed at `now`, with everything that lies behind it.
    pub(super) fn go_back_to(&mut self, now: Ts) -> Result<(), StorageError> {
        if let Some(proof) = proved(&self.store)?.filter(|proof| proof.0 > now.0 + PROOF_SLACK_MS) {
            tracing::error!(
                %now, %proof,
                "the exchange has confirmed bars that close after the time that it says it is; the store stays as it is"
            );
            return Ok(());
        }
        let closed = now.bar();
        trim(&mut self.store, now)?;
        if self.facts.next() > closed {
            tracing::warn!(next = %self.facts.next(), %now, "committed ticks lie in the future: they are taken back");
            self.facts.take_back(&mut self.store, closed)?;
        }
        self.facts.signals.not_beyond(&mut self.store, closed)?;
        for series in self.follow.history.clone() {
            let end = if series.kind.is_bar_like() { closed.0 } else { now.0 + 1 };
            let ledger = self.ledgers.of(&self.store, &series)?;
            if ledger.settled().last().is_some_and(|s| s.to > end) {
                ledger.reopen(Stretch { from: end, to: i64::MAX });
                ledger.audited_to = ledger.audited_to.min(end);
                let marks = [mark(&series, ledger)];
                let delivery = Delivery { origin: Origin::Rest, label: "ledger" };
                self.store.put_each_with(&[], delivery, &marks)?;
            }
        }
        Ok(())
    }
}
