//! Nothing lies behind the present: what a clock that was ahead has left is taken back.
//!
//! A clock can also be behind. Bars that the exchange has confirmed prove that their time has passed: against
//! such a proof nothing is taken back, since much of it could not be had again.

use super::StorageError;
use super::worker::Worker;
use crate::daemon::feed::ledger::{Stretch, mark};
use backtestd_core::market::{BAR_MS, BARS_PER_DAY, BarIndex, Kind, SeriesKey, Ts};
use backtestd_store::{Origin, Store};

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

impl Worker {
    /// Goes back to the last tick that has closed at `now`, with everything that lies behind it. What the
    /// exchange can be asked for again is taken out a day further back: by a clock that was ahead, bars were
    /// taken for closed that were not.
    pub(super) fn go_back_to(&mut self, now: Ts) -> Result<(), StorageError> {
        if let Some(proof) = proved(&self.store)?.filter(|proof| proof.0 > now.0 + PROOF_SLACK_MS) {
            tracing::error!(
                %now, %proof,
                "the exchange has confirmed bars that close after the time that it says it is; the store stays as it is"
            );
            return Ok(());
        }
        let closed = now.bar();
        let slack = closed + PROOF_SLACK_MS / BAR_MS;
        let mut is_ahead = self.facts.next() > slack;
        let followed = self.follow.history.clone();
        for series in &followed {
            let settled = self.ledgers.of(&self.store, series)?.settled().last().copied();
            is_ahead |= settled.is_some_and(|s| s.to > end_of(series, slack, slack.open()));
        }
        let back = if is_ahead { closed - BARS_PER_DAY } else { closed };
        for (series, extent) in self.store.series()? {
            let is_asked = followed.contains(&series);
            let end =
                if is_asked { end_of(&series, back, back.open()) } else { end_of(&series, closed, now) };
            if extent.last >= end && (is_ahead || extent.last >= end_of(&series, closed, now)) {
                if is_asked {
                    // What is taken out is asked for again, even if only this clock is behind.
                    self.reopen(&series, end)?;
                }
                let SeriesKey { kind, market, symbol } = &series;
                let removed = self.store.trim_after(&series, end - 1)?;
                tracing::warn!(%market, %symbol, kind = kind.name(), removed, "records of a clock that was ahead were removed");
            }
        }
        self.facts.signals.not_beyond(&mut self.store, closed)?;
        if !is_ahead {
            return Ok(());
        }
        tracing::warn!(next = %self.facts.next(), %now, "what was done lies in the future: it is taken back");
        self.facts.take_back(&mut self.store, back)?;
        for series in &followed {
            self.reopen(series, end_of(series, back, back.open()))?;
        }
        Ok(())
    }

    /// Nothing is known any more of a series from `end` on.
    fn reopen(&mut self, series: &SeriesKey, end: i64) -> Result<(), StorageError> {
        let ledger = self.ledgers.of(&self.store, series)?;
        ledger.reopen(Stretch { from: end, to: i64::MAX });
        ledger.audited_to = ledger.audited_to.min(end);
        let marks = [mark(series, ledger)];
        self.store.put_lots(&[], &marks)?;
        Ok(())
    }
}

/// The first time of a series that lies behind the bar `closed`, or behind the instant `now`.
const fn end_of(series: &SeriesKey, closed: BarIndex, now: Ts) -> i64 {
    if series.kind.is_bar_like() { closed.0 } else { now.0 + 1 }
}
