//! What holds at every door of the pipeline: lengths, order and tick boundaries of what one room hands to the
//! next.
//!
//! A block from outside that does not fit is refused with an error, in every build. What is here would be a
//! fault of a room; it is asserted in tests and left out of releases.

use super::Facts;
use crate::market::{BarIndex, RawBlock, TickBlock};
use crate::outcomes::{EpisodeEnd, Event, Outcome};

/// A stretch of rows that everything in it must lie in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    first: BarIndex,
    rows: usize,
}

impl Stretch {
    pub(super) const fn of(raw: &RawBlock) -> Self {
        Self { first: raw.first, rows: raw.rows }
    }

    fn holds(self, bar: BarIndex) -> bool {
        self.first <= bar && bar < self.first + self.rows as i64
    }

    /// `clean` to `graph`: the raw rows, every column as long as they are.
    pub(super) fn assert_columns(self, columns: &TickBlock, symbols: usize) {
        if !cfg!(debug_assertions) {
            return;
        }
        assert_eq!((columns.first, columns.rows), (self.first, self.rows), "columns of the raw rows");
        assert_eq!(columns.symbols.len(), symbols, "columns of every symbol");
        let all = columns
            .symbols
            .iter()
            .flat_map(|symbol| crate::market::Source::ALL.iter().filter_map(|source| symbol.get(*source)));
        for column in all {
            assert_eq!(column.len(), self.rows, "a column as long as the block");
        }
    }

    /// Events and ends as they are booked: by bar, inside the rows.
    pub(super) fn assert_records(self, events: &[Event], ends: &[EpisodeEnd]) {
        if !cfg!(debug_assertions) {
            return;
        }
        assert!(events.iter().map(|e| e.bar).is_sorted(), "events by bar");
        assert!(events.iter().all(|e| self.holds(e.bar)), "events inside the rows");
        assert!(ends.iter().map(|e| e.exit).is_sorted(), "ends by bar");
        assert!(ends.iter().all(|e| self.holds(e.exit) && e.onset < e.exit), "ends inside the rows");
    }

    /// Outcomes as they mature: by exit bar, inside the rows, entered after what decided them.
    pub(super) fn assert_outcomes(self, outcomes: &[Outcome]) {
        if !cfg!(debug_assertions) {
            return;
        }
        assert!(outcomes.iter().map(Outcome::matured).is_sorted(), "outcomes by exit bar");
        for outcome in outcomes {
            let (entry, exit) = (outcome.entry(), outcome.exit());
            assert!(
                outcome.event.bar.close() <= entry && entry < exit,
                "decided, entered, left: in this order"
            );
            let matured = outcome.matured();
            let (first, end) = (self.first.close(), (self.first + self.rows as i64).close());
            assert!(first <= matured && matured < end, "outcomes mature inside the rows");
        }
    }
}

/// After a push, every room stands at the end of its rows.
pub(super) fn assert_tick_boundary(facts: &Facts, rooms: [BarIndex; 2]) {
    debug_assert_eq!(
        rooms,
        [facts.first + facts.rows as i64; 2],
        "joiner and engine stand at one tick boundary"
    );
}
