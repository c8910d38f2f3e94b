//! Writing down, between ticks, what the open bar is made of and no history has: a process that dies in the
//! middle of a bar goes on with it after its restart.

use backtestd_core::market::Kind;
use std::time::Duration;

use tokio::time::Instant;

use super::MainLoop;
use super::input::{Done, Handled};
use crate::daemon::storage::Job;
use backtestd_core::market::{BarIndex, Ts};

/// Exchange time between two batches.
const EVERY_MS: i64 = 1000;
/// Least real time between two, however fast the clock runs.
const REAL_EVERY: Duration = Duration::from_millis(100);
/// So many updates do not wait for the next batch.
const MOST_UNSAVED: usize = 4096;

/// When the journal is written next.
#[derive(Debug)]
pub(super) struct JournalTimer {
    due: Instant,
    /// A batch is on its way to the store: the next one waits for it, and so holds more.
    is_writing: bool,
}

impl JournalTimer {
    pub(super) fn new() -> Self {
        Self { due: Instant::now(), is_writing: false }
    }
}

impl MainLoop {
    /// Whether anything is collected that has no history.
    fn has_journal(&self) -> bool {
        let collect = self.config.collect;
        [Kind::Mark, Kind::Liquidations, Kind::Quotes].into_iter().any(|kind| collect.has(kind))
    }

    /// When to write the next batch; none while one is under way or nothing is collected that needs it.
    pub(super) fn journal_due(&self) -> Option<Instant> {
        if !self.has_journal() || self.journal.is_writing {
            return None;
        }
        let is_full = self.aggregates.unsaved() >= MOST_UNSAVED;
        Some(if is_full { Instant::now() } else { self.journal.due })
    }

    /// Writes what has come since the last batch; an empty one too, for it says until when somebody was
    /// there.
    pub(super) fn on_journal_due(&mut self) -> Handled {
        let now = self.shared.clock.now();
        let batch = self.aggregates.journal(now);
        self.journal.is_writing = true;
        self.journal.due =
            Instant::now() + self.shared.clock.wall_until(Ts(now.0 + EVERY_MS)).max(REAL_EVERY);
        self.submit(|reply| Job::Journal { batch, anew_after: None, reply }, Done::Journalled);
        Handled::Started("journal")
    }

    /// A bar is finished: the journal begins anew with what later bars need.
    pub(super) fn begin_journal_after(&mut self, bar: BarIndex) {
        if !self.has_journal() {
            return;
        }
        let batch = self.aggregates.whole_journal(self.shared.clock.now());
        self.submit(|reply| Job::Journal { batch, anew_after: Some(bar), reply }, Done::Journalled);
    }

    pub(super) fn on_journalled(&mut self) -> Handled {
        self.journal.is_writing = false;
        Handled::Noted
    }
}
