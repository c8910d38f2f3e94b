//! The evidence book: what every unit of the catalogue has shown so far, one closed UTC day at a time.
//!
//! The book keeps the rows that it has taken, block by block, and the state of every unit's processes. Days
//! are taken in order, each exactly once; a batch over a history is the same days in a row, by the same code,
//! and leaves the same bits. A day's score enters when the day is closed and never changes afterwards: late
//! data are a replay from an earlier book.

mod block;
mod influence;
mod rows;
mod unit;

use rayon::prelude::*;

use super::catalogue::Catalogue;
use super::eprocess::MixParams;
use super::table::OutcomeTable;
use crate::market::Ts;
use crate::spec::TestStatistic;
use crate::spec::gates::{EvidenceSpec, InfluenceSpec};
use block::{BlockEvidence, Layout};
use rows::{Packer, Sigmas, Taken};

pub use block::LeftOut;
pub(super) use block::Scratch;
pub(super) use rows::{BookRow, Fate};
pub use unit::{DaySum, UnitEvidence};

/// What became of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows that entered units.
    pub used: u64,
    /// Exit on a later day than the entry, and nobody knows where they stood at midnight.
    pub purged: u64,
    /// Return, cost or scale unknown, infinite or beyond any market.
    pub dropped: u64,
    /// Without a direction.
    pub undirected: u64,
    /// Of the used ones, those whose sigma counts as more than it is.
    pub floored: u64,
    /// Of the used ones, those that pooled units leave out.
    pub apart: u64,
    /// Of the used ones, those that were marked at a midnight and carried over it, up to the last closed day.
    pub marked: u64,
}

impl RowCounts {
    const fn add(&mut self, row: &BookRow) {
        *match row.fate {
            Fate::Used | Fate::Floored => &mut self.used,
            Fate::Purged => &mut self.purged,
            Fate::Dropped => &mut self.dropped,
            Fate::Undirected => &mut self.undirected,
            Fate::Carried => &mut self.marked,
        } += 1;
        self.floored += matches!(row.fate, Fate::Floored) as u64;
        self.apart += (row.pool == 0 && !matches!(row.fate, Fate::Carried)) as u64;
    }

    /// The field-wise sum of both counts.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            used: self.used + other.used,
            purged: self.purged + other.purged,
            dropped: self.dropped + other.dropped,
            undirected: self.undirected + other.undirected,
            floored: self.floored + other.floored,
            apart: self.apart + other.apart,
            marked: self.marked + other.marked,
        }
    }
}

/// A pool of own returns leaves out what costs more than it moves. Of what is only measured (a spread moves
/// less than two legs cost on any symbol) every symbol stays.
fn influence_on(statistic: TestStatistic, spec: InfluenceSpec) -> InfluenceSpec {
    match statistic {
        TestStatistic::OwnReturn => spec,
        _ => InfluenceSpec { max_cost_to_move: f64::INFINITY, ..spec },
    }
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
    influence: InfluenceSpec,
    pub(super) blocks: Vec<BlockEvidence>,
}

impl EvidenceBook {
    /// An empty book for a catalogue.
    #[must_use]
    pub fn new(catalogue: &Catalogue, spec: &EvidenceSpec) -> Self {
        let params = MixParams::from(spec);
        let layout = |b: usize| Layout {
            stride: 1 + catalogue.blocks[b].conditions.len(),
            symbols: catalogue.symbols.len(),
            has_pooled: catalogue.has_pooled,
        };
        let blocks = (0..catalogue.blocks.len())
            .into_par_iter()
            .map(|b| BlockEvidence::new(layout(b), catalogue.block_units(b), &params))
            .collect();
        Self {
            catalogue_hash: catalogue.hash.clone(),
            spec_hash: String::new(),
            through_day: None,
            params,
            default_sigma_bar: spec.default_sigma_bar,
            influence: influence_on(catalogue.statistic, spec.influence),
            blocks,
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

    /// The days of a block's unit after a day, ascending; summed from its rows.
    #[must_use]
    pub fn days_after(&self, block: usize, local: usize, day: i64) -> Vec<DaySum> {
        self.blocks[block].days_after(local, day)
    }

    /// The days of a block's unit, ascending.
    #[must_use]
    pub fn days(&self, block: usize, local: usize) -> Vec<DaySum> {
        self.days_after(block, local, i64::MIN)
    }

    /// Rows that each of a block's units could not use as they are.
    #[must_use]
    pub fn left_out(&self, block: usize) -> Vec<LeftOut> {
        self.blocks[block].left_out()
    }

    /// Row counts over all blocks.
    #[must_use]
    pub fn counts(&self) -> RowCounts {
        let of_block = |block: &BlockEvidence| {
            let mut counts = RowCounts::default();
            block.rows.iter().for_each(|row| counts.add(row));
            counts
        };
        self.blocks.par_iter().map(of_block).reduce(RowCounts::default, RowCounts::plus)
    }

    /// Takes every day after [`EvidenceBook::through_day`] up to and including `day`. All of those days must
    /// be closed and all their outcomes must be in the table; rows of other days are not read. A position
    /// that is open at midnight counts on both days, marked to market in between; where the mark is unknown
    /// the row is only counted, and on the day after.
    pub fn advance(&mut self, table: &OutcomeTable, catalogue: &Catalogue, day: i64) {
        if self.through_day.is_some_and(|through| through >= day) {
            return;
        }
        let after = self.through_day.unwrap_or(i64::MIN);
        // A day has what was decided on it, and what is carried into it: entered late on the day before, or
        // held over it.
        let from = table.timestamp.partition_point(|t| Ts(*t).day() < after.saturating_sub(1));
        let to = table.timestamp.partition_point(|t| Ts(*t).day() <= day);
        let taken = Taken { after, through: day };
        let sigmas = Sigmas { default: self.default_sigma_bar, least: self.influence.min_sigma_bar };
        let packer = Packer::new(table, catalogue, sigmas, taken);
        let before: Vec<usize> = self.blocks.iter().map(|block| block.rows.len()).collect();
        self.blocks.iter_mut().zip(packer.count(from..to)).for_each(|(block, rows)| block.reserve(rows));
        let mut parts = Vec::new();
        for stretch in Packer::stretches(from..to) {
            packer.pack(stretch, &mut parts);
            self.blocks.par_iter_mut().enumerate().for_each(|(b, block)| {
                parts.iter().for_each(|part| block.rows.extend_from_slice(&part[b]));
            });
        }
        let (params, influence) = (self.params, self.influence);
        let blocks = self.blocks.par_iter_mut().zip(before);
        blocks.for_each_init(Scratch::default, |scratch, (block, before)| {
            block.close(before, &params, &influence, scratch);
        });
        self.through_day = Some(day);
    }

    /// The processes of every unit take the rows that were put back: see [`super::record`].
    pub(super) fn catch_up(&mut self) {
        let (params, influence) = (self.params, self.influence);
        let blocks = self.blocks.par_iter_mut();
        blocks.for_each_init(Scratch::default, |scratch, block| block.restore(&params, &influence, scratch));
    }
}
