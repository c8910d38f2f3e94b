//! The evidence book: what every unit of the catalogue has shown so far, one closed UTC day at a time.
//!
//! Days are taken in order, each exactly once; a batch over a history is the same days in a row, by the same code, and
//! leaves the same bits. A day's score enters when the day is closed and never changes afterwards: late data are a
//! replay from an earlier book.

mod rows;
mod unit;

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::catalogue::Catalogue;
use super::eprocess::MixParams;
use super::table::OutcomeTable;
use crate::market::Ts;
use rows::{Fate, PackedRow, Taken, pack};
use unit::OpenDay;

pub use unit::{DaySum, UnitEvidence};

/// What became of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows that entered units.
    pub used: u64,
    /// Exit on a later day than the event.
    pub purged: u64,
    /// Return, cost or scale unknown.
    pub dropped: u64,
    /// Without a direction.
    pub undirected: u64,
}

impl RowCounts {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            used: self.used + other.used,
            purged: self.purged + other.purged,
            dropped: self.dropped + other.dropped,
            undirected: self.undirected + other.undirected,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct BlockEvidence {
    pub(super) units: Vec<UnitEvidence>,
    open: Vec<OpenDay>,
    /// Of the step under way, by day, ascending.
    tallies: Vec<(i32, RowCounts)>,
    /// Rows left out, as (day, unit, fate), in no order, until they are recorded.
    pub(super) left_out: Vec<LeftOut>,
}

/// A row that a unit could not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LeftOut {
    pub(super) day: i32,
    pub(super) unit: u32,
    pub(super) is_purged: bool,
}

/// Evidence of a whole catalogue.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceBook {
    pub(super) catalogue_hash: String,
    /// The specs whose outcomes it holds: part of what names its history.
    pub(super) spec_hash: String,
    pub(super) through_day: Option<i64>,
    pub(super) params: MixParams,
    default_sigma_bar: f64,
    pub(super) blocks: Vec<BlockEvidence>,
    /// What became of the rows, by day: a row counts on its own day, one whose window crosses midnight on the day after.
    pub(super) tallies: BTreeMap<i64, RowCounts>,
    /// Whether left-out rows are remembered for [`EvidenceBook::take_records`].
    pub(super) is_recorded: bool,
}

impl EvidenceBook {
    /// An empty book for a catalogue.
    #[must_use]
    pub fn new(catalogue: &Catalogue, params: MixParams, default_sigma_bar: f64) -> Self {
        let fresh = UnitEvidence::new(&params);
        let blocks = (0..catalogue.blocks.len())
            .map(|b| {
                let units = catalogue.block_units(b);
                BlockEvidence {
                    units: vec![fresh.clone(); units],
                    open: vec![OpenDay::IDLE; units],
                    tallies: Vec::new(),
                    left_out: Vec::new(),
                }
            })
            .collect();
        Self {
            catalogue_hash: catalogue.hash.clone(),
            spec_hash: String::new(),
            through_day: None,
            params,
            default_sigma_bar,
            blocks,
            tallies: BTreeMap::new(),
            is_recorded: false,
        }
    }

    /// The last UTC day that was taken.
    #[must_use]
    pub const fn through_day(&self) -> Option<i64> {
        self.through_day
    }

    /// Hash of the catalogue it was opened for.
    #[must_use]
    pub fn catalogue_hash(&self) -> &str {
        &self.catalogue_hash
    }

    /// Names the specs whose outcomes it will hold.
    #[must_use]
    pub fn under(mut self, spec_hash: &str) -> Self {
        spec_hash.clone_into(&mut self.spec_hash);
        self
    }

    /// Stand-in for a missing `sigma_bar`.
    #[must_use]
    pub const fn default_sigma_bar(&self) -> f64 {
        self.default_sigma_bar
    }

    /// The process constants.
    #[must_use]
    pub const fn params(&self) -> &MixParams {
        &self.params
    }

    /// Evidence of a block's unit.
    #[must_use]
    pub fn unit(&self, block: usize, local: usize) -> &UnitEvidence {
        &self.blocks[block].units[local]
    }

    /// Purged and dropped events of a block's unit.
    #[must_use]
    pub fn left_out(&self, block: usize, local: usize) -> (u32, u32) {
        let open = &self.blocks[block].open[local];
        (open.purged, open.dropped)
    }

    /// Row counts over all blocks.
    #[must_use]
    pub fn counts(&self) -> RowCounts {
        self.tallies.values().copied().fold(RowCounts::default(), RowCounts::plus)
    }

    /// Takes every day after [`EvidenceBook::through_day`] up to and including `day`. All of those days must be closed
    /// and all their outcomes must be in the table; rows of other days are not read. A row whose window crosses
    /// midnight is only counted, and on the day after its event: on its own evening nobody has its outcome yet.
    pub fn advance(&mut self, table: &OutcomeTable, catalogue: &Catalogue, day: i64) {
        if self.through_day.is_some_and(|through| through >= day) {
            return;
        }
        let after = self.through_day.unwrap_or(i64::MIN);
        let from = table.timestamp.partition_point(|t| Ts(*t).day() < after);
        let to = table.timestamp.partition_point(|t| Ts(*t).day() <= day);
        let taken = Taken { after, through: day };
        let packed = pack(table, catalogue, self.default_sigma_bar, from..to, taken);
        let (params, is_recorded) = (self.params, self.is_recorded);
        self.blocks.par_iter_mut().enumerate().for_each(|(b, block)| {
            let conditions = catalogue.blocks[b].conditions.len();
            let pooled = catalogue.has_pooled.then_some(catalogue.symbols.len());
            for chunk in &packed {
                for row in &chunk[b] {
                    block.take(row, conditions + 1, pooled, &params, is_recorded);
                }
            }
            for (unit, open) in block.units.iter_mut().zip(&mut block.open) {
                unit.close(open, &params);
            }
        });
        for (day, counts) in self.blocks.iter_mut().flat_map(|b| std::mem::take(&mut b.tallies)) {
            let all = self.tallies.entry(i64::from(day)).or_default();
            *all = all.plus(counts);
        }
        self.through_day = Some(day);
    }

    /// Puts a recorded day back: see [`super::record`].
    pub(super) fn put_back(&mut self, block: usize, unit: usize, day: Option<DaySum>, left_out: (u32, u32)) {
        let block = &mut self.blocks[block];
        if let Some(day) = day {
            block.units[unit].take(day, &self.params);
        }
        block.open[unit].purged += left_out.0;
        block.open[unit].dropped += left_out.1;
    }
}

impl BlockEvidence {
    fn take(
        &mut self,
        row: &PackedRow,
        stride: usize,
        pooled: Option<usize>,
        params: &MixParams,
        is_recorded: bool,
    ) {
        let counts = self.tally(row.day);
        match row.fate {
            Fate::Used => counts.used += 1,
            Fate::Purged => counts.purged += 1,
            Fate::Dropped => counts.dropped += 1,
            Fate::Undirected => {
                counts.undirected += 1;
                return;
            }
        }
        for scope in [Some(usize::from(row.symbol)), pooled].into_iter().flatten() {
            self.add(scope * stride, row, params, is_recorded);
            let mut left = row.conditions;
            while left != 0 {
                let condition = left.trailing_zeros() as usize;
                left &= left - 1;
                self.add(scope * stride + 1 + condition, row, params, is_recorded);
            }
        }
    }

    /// The counts of a day: nearly always the last one or the one before.
    fn tally(&mut self, day: i32) -> &mut RowCounts {
        let at = self.tallies.iter().rposition(|(d, _)| *d <= day);
        let at = match at {
            Some(i) if self.tallies[i].0 == day => i,
            at => {
                let i = at.map_or(0, |i| i + 1);
                self.tallies.insert(i, (day, RowCounts::default()));
                i
            }
        };
        &mut self.tallies[at].1
    }

    #[inline]
    fn add(&mut self, unit: usize, row: &PackedRow, params: &MixParams, is_recorded: bool) {
        let open = &mut self.open[unit];
        if row.fate == Fate::Used {
            if open.day != row.day {
                self.units[unit].close(open, params);
                open.day = row.day;
            }
            open.score.add(row.signed_return, row.cost, row.inv_scale);
            open.sum += row.signed_return;
            open.squares += row.signed_return * row.signed_return;
            open.cost += row.cost;
            return;
        }
        let is_purged = row.fate == Fate::Purged;
        if is_purged {
            open.purged += 1;
        } else {
            open.dropped += 1;
        }
        if is_recorded {
            let unit = u32::try_from(unit).unwrap_or(u32::MAX);
            self.left_out.push(LeftOut { day: row.day, unit, is_purged });
        }
    }
}
