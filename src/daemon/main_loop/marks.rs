//! Marks that no stream brought: a moment before a bar closes REST is asked for those of all contracts at
//! once.
//!
//! Mark and index of a bar have history; the predicted rate has none. Where the stream is muted, one request
//! a bar keeps it.

use std::time::Duration;

use super::MainLoop;
use super::input::{Done, Handled};
use backtestd_binance::{MarkUpdate, RestError, Sieve, Stamped, Update};
use backtestd_core::market::{BarIndex, Kind, Ts};

/// So long before a bar closes one looks which marks are missing.
const BEFORE_CLOSE_MS: i64 = 5000;
/// Least real time between the question and the close, however fast the clock runs, within the bar's last
/// minute.
const REAL_BEFORE_CLOSE: Duration = Duration::from_millis(500);
/// An answer of before the last minute does not count.
const LONGEST_BEFORE_CLOSE_MS: i64 = 50_000;

impl MainLoop {
    /// Looks a moment before the open bar closes.
    pub(super) fn look_at_marks_later(&mut self) {
        if !self.config.collect.has(Kind::Mark) {
            return;
        }
        let (bar, clock) = (self.book.next(), self.shared.clock.as_ref());
        let wall = |ms: i64| clock.wall_until(Ts(clock.now().0 + ms));
        let before = wall(BEFORE_CLOSE_MS).max(REAL_BEFORE_CLOSE.min(wall(LONGEST_BEFORE_CLOSE_MS)));
        let wait = clock.wall_until(bar.close()).saturating_sub(before);
        self.tasks.spawn(async move {
            tokio::time::sleep(wait).await;
            Done::MarksDue(bar)
        });
    }

    pub(super) fn on_marks_due(&mut self, bar: BarIndex) -> Handled {
        let is_open = bar == self.book.next() && self.shared.clock.now() < bar.close();
        if !is_open || !self.rest_is_well() || self.aggregates.without_mark(bar).is_empty() {
            return Handled::Idle;
        }
        let (rest, within) = (self.rest.clone(), self.shared.clock.wall_until(bar.close()));
        self.tasks.spawn(async move {
            let answer = tokio::time::timeout(within.max(REAL_BEFORE_CLOSE), rest.marks()).await;
            Done::Marks { bar, answer: answer.unwrap_or_else(|_| Ok(Vec::new())) }
        });
        Handled::Started("ask for marks")
    }

    /// Takes those that are missing; the stream's own stay.
    pub(super) fn on_marks(&mut self, bar: BarIndex, answer: Result<Vec<MarkUpdate>, RestError>) -> Handled {
        let marks = match answer {
            Ok(marks) => marks,
            Err(error) => {
                tracing::debug!(%error, "the exchange does not say the marks that no stream brought");
                return Handled::Idle;
            }
        };
        let (arrival, missing) = (self.shared.clock.now(), self.aggregates.without_mark(bar));
        for mark in marks.into_iter().filter(|mark| missing.contains(&mark.symbol)) {
            let update = Update::Mark(mark);
            if let Some(reason) = self.sieve.doubt(&update) {
                tracing::warn!(?update, reason, "a mark of REST cannot be true");
                continue;
            }
            self.aggregates.observe(&Stamped { arrival, update });
        }
        Handled::Noted
    }
}
