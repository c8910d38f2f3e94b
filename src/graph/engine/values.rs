//! All values of one symbol: series with history, and values that pass with their chunk.

use super::plan::Plan;
use super::series::Series;
use crate::graph::ops::{View, clean};

/// Where a node's values lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

/// Marks a place in `Values::series`.
const IN_SERIES: u32 = 1 << 31;

impl Place {
    pub(super) const fn passing(index: usize) -> Self {
        Self(index as u32)
    }

    pub(super) const fn series(index: usize) -> Self {
        Self(index as u32 | IN_SERIES)
    }
}

/// Most nodes are read on their own row only. Their chunks lie side by side in one buffer, so that one bar at a time
/// the whole graph passes through a few KiB; only nodes that somebody looks back into have a series.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pub(super) series: Vec<Series>,
    /// `rows` values per passing node.
    passing: Vec<f64>,
    rows: usize,
}

impl Values {
    pub(super) fn new(plan: &Plan, slack: usize) -> Self {
        Self {
            series: plan.series.iter().map(|s| Series::new(s.keep, slack)).collect(),
            passing: Vec::with_capacity(plan.passing * slack),
            rows: 0,
        }
    }

    /// Makes room for a chunk of `rows` rows.
    pub(super) fn begin(&mut self, plan: &Plan, rows: usize) {
        self.rows = rows;
        self.passing.resize(plan.passing * rows, f64::NAN);
    }

    /// The current chunk, with history if it has one.
    #[inline]
    pub(super) fn view(&self, place: Place) -> View<'_> {
        if place.0 & IN_SERIES != 0 {
            self.series[(place.0 & !IN_SERIES) as usize].view()
        } else {
            View::new(&self.passing[place.0 as usize * self.rows..][..self.rows], 0)
        }
    }

    /// All rows as history of the next chunk.
    pub(super) fn history(&self, place: Place) -> View<'_> {
        if place.0 & IN_SERIES != 0 {
            self.series[(place.0 & !IN_SERIES) as usize].history()
        } else {
            View::EMPTY
        }
    }

    /// The chunk's values of a node.
    #[inline]
    pub(super) fn store(&mut self, place: Place, values: &[f64]) {
        if place.0 & IN_SERIES != 0 {
            self.series[(place.0 & !IN_SERIES) as usize].append(values);
        } else {
            let column = &mut self.passing[place.0 as usize * self.rows..][..self.rows];
            for (to, from) in column.iter_mut().zip(values) {
                *to = clean(*from);
            }
        }
    }

    /// The row of a chunk of one.
    #[inline]
    pub(super) fn row(&self, place: Place) -> f64 {
        if place.0 & IN_SERIES != 0 {
            self.series[(place.0 & !IN_SERIES) as usize].last()
        } else {
            self.passing[place.0 as usize]
        }
    }

    /// A node's value in a chunk of one row.
    #[inline]
    pub(super) fn store_row(&mut self, place: Place, value: f64) {
        if place.0 & IN_SERIES != 0 {
            self.series[(place.0 & !IN_SERIES) as usize].append(&[value]);
        } else {
            self.passing[place.0 as usize] = clean(value);
        }
    }

    /// The newest row; NaN before the first.
    pub(super) fn last(&self, place: Place) -> f64 {
        if place.0 & IN_SERIES != 0 {
            self.series[(place.0 & !IN_SERIES) as usize].last()
        } else {
            self.view(place).rows().last().copied().unwrap_or(f64::NAN)
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.series.iter().map(Series::bytes).sum::<usize>() + self.passing.capacity() * 8
    }
}
