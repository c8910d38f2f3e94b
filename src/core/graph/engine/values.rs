//! The values of one symbol: the newest rows of most nodes side by side, and long histories apart.

use super::plan::Plan;
use super::series::Series;
use crate::graph::ops::{View, clean};

/// Where a node's values lie: a slot of the common buffer (`keep` rows of history, then the chunk: `keep +
/// rows` values, slot after slot), and, if somebody looks far back, a series of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where its row lies when the chunk has one.
    now: u32,
    /// Number of the slot.
    number: u32,
    /// Rows of history in the slot.
    keep: u32,
    /// Number of the series, [`Place::NONE`] without.
    series: u32,
}

impl Place {
    const NONE: u32 = u32::MAX;

    /// The next slot.
    pub(super) fn slot(last: Option<&Self>, keep: usize, series: Option<usize>) -> Self {
        let (now, number) = last.map_or((0, 0), |last| (last.now + 1, last.number + 1));
        let keep = if series.is_some() { 0 } else { keep as u32 };
        Self { now: now + keep, number, keep, series: series.map_or(Self::NONE, |ix| ix as u32) }
    }

    /// A series whose rows are those of an event clock.
    pub(super) const fn on_clock(series: usize) -> Self {
        Self { now: Self::NONE, number: Self::NONE, keep: 0, series: series as u32 }
    }

    /// Where its row lies when the chunk has one.
    pub(super) const fn now(self) -> u32 {
        self.now
    }

    /// Whether its chunk lies in the common buffer: on an event clock it does not.
    pub(super) const fn has_row(self) -> bool {
        self.now != Self::NONE
    }

    /// Whether the common buffer has so many rows of its history.
    pub(super) const fn keeps_near(self, rows: usize) -> bool {
        self.keep as usize >= rows && self.has_row()
    }

    #[inline]
    const fn begin(self, rows: usize) -> usize {
        (self.now - self.number - self.keep) as usize + self.number as usize * rows
    }

    #[inline]
    const fn keep(self) -> usize {
        self.keep as usize
    }

    /// Where its series is, if it has one.
    #[inline]
    pub(super) const fn far(self) -> Option<usize> {
        if self.series == Self::NONE { None } else { Some(self.series as usize) }
    }
}

/// Most nodes are read on their own row or the one before. Their chunks lie side by side in one buffer, so
/// that one bar at a time the whole graph passes through a few KiB; only nodes that somebody looks far back
/// into have a series, and even their chunk lies in the buffer too.
#[derive(Clone, Debug)]
pub(super) struct Values {
    series: Vec<Series>,
    near: Vec<f64>,
    /// Rows of the current chunk.
    rows: usize,
}

impl Values {
    /// History so long at most lies in the common buffer: it is moved on every chunk.
    pub(super) const NEAR: usize = 24;

    /// All unknown, no rows. `salt` differs from symbol to symbol, so that not all of them move a history on
    /// one bar.
    pub(super) fn new(plan: &Plan, slack: usize, salt: usize) -> Self {
        let series = plan.series.iter().enumerate();
        Self {
            series: series.map(|(ix, keep)| Series::new(*keep, slack, ix + 7 * salt)).collect(),
            near: all_unknown(plan, 0),
            rows: 0,
        }
    }

    /// Makes room for a chunk of `rows` rows: what was the chunk becomes history.
    pub(super) fn begin(&mut self, plan: &Plan, rows: usize) {
        if rows == self.rows {
            for slot in &plan.kept {
                let begin = slot.begin(rows);
                if slot.keep == 1 {
                    self.near[begin] = self.near[begin + rows];
                } else {
                    self.near.copy_within(begin + rows..begin + rows + slot.keep(), begin);
                }
            }
            return;
        }
        let mut moved = all_unknown(plan, rows);
        for slot in &plan.kept {
            let from = &self.near[slot.begin(self.rows) + self.rows..][..slot.keep()];
            moved[slot.begin(rows)..][..slot.keep()].copy_from_slice(from);
        }
        (self.near, self.rows) = (moved, rows);
    }

    /// The current chunk, with the history before it.
    #[inline]
    pub(super) fn view(&self, place: Place) -> View<'_> {
        match place.far() {
            None => View::new(self.slot(place), place.keep()),
            Some(ix) => self.series[ix].view(),
        }
    }

    /// Reads the newest row of a series and the one `back` rows before it.
    #[inline(always)]
    pub(super) fn touch(&self, series: u32, back: u32) -> u64 {
        self.series[series as usize].touch(back as usize)
    }

    /// All rows as history of the next chunk.
    pub(super) fn history(&self, place: Place) -> View<'_> {
        match place.far() {
            None => View::new(self.slot(place), place.keep() + self.rows),
            Some(ix) => self.series[ix].history(),
        }
    }

    #[inline]
    fn slot(&self, place: Place) -> &[f64] {
        &self.near[place.begin(self.rows)..][..place.keep() + self.rows]
    }

    /// The chunk's rows.
    #[inline]
    pub(super) fn rows(&self, place: Place) -> &[f64] {
        &self.near[place.begin(self.rows) + place.keep()..][..self.rows]
    }

    /// Before the first chunk: `values` are the newest rows of the history.
    pub(super) fn restore(&mut self, place: Place, values: &[f64]) {
        match place.far() {
            None => {
                let end = place.begin(self.rows) + place.keep();
                self.near[end - values.len()..end].copy_from_slice(values);
            }
            Some(ix) => self.series[ix].restore(values),
        }
    }

    /// The chunk's values of a node.
    #[inline]
    pub(super) fn store(&mut self, place: Place, values: &[f64]) {
        let column = &mut self.near[place.begin(self.rows) + place.keep()..][..self.rows];
        for (to, from) in column.iter_mut().zip(values) {
            *to = clean(*from);
        }
        if let Some(ix) = place.far() {
            self.series[ix].append(column);
        }
    }

    /// The ticks of a series on an event clock.
    pub(super) fn store_ticks(&mut self, place: Place, values: &[f64]) {
        if let Some(ix) = place.far() {
            self.series[ix].append(values);
        }
    }

    /// A row of a chunk of one, or a row of history before it.
    #[inline(always)]
    pub(super) fn at(&self, now: u32) -> f64 {
        self.near[now as usize]
    }

    /// The row of a node in a chunk of one.
    #[inline(always)]
    pub(super) fn put(&mut self, now: u32, value: f64) {
        self.near[now as usize] = clean(value);
    }

    /// Puts the row of a chunk of one into a series too.
    #[inline]
    pub(super) fn append_row(&mut self, now: u32, series: u32) {
        self.series[series as usize].append(&[self.near[now as usize]]);
    }

    /// While the chunk's rows of a node with history are not stored yet: the row before them.
    pub(super) fn row_before(&self, place: Place) -> f64 {
        match place.far() {
            None => self.near[place.begin(self.rows) + place.keep() - 1],
            Some(ix) => self.series[ix].history().newest(),
        }
    }

    /// The newest row; NaN before the first.
    pub(super) fn last(&self, place: Place) -> f64 {
        self.history(place).newest()
    }

    /// How many bytes all values hold.
    pub(super) fn bytes(&self) -> usize {
        self.series.iter().map(Series::bytes).sum::<usize>() + self.near.capacity() * 8
    }
}

/// The common buffer with chunks of `rows` rows.
fn all_unknown(plan: &Plan, rows: usize) -> Vec<f64> {
    vec![f64::NAN; plan.last_slot.map_or(0, |last| last.begin(rows) + last.keep() + rows)]
}
