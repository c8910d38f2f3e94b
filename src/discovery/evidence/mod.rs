//! The evidence book: what every unit of the catalogue has shown so far, one closed UTC day at a time.
//!
//! Days are taken in order, each exactly once; a batch over a history is the same days in a row, by the same code, and
//! leaves the same bits. A day's score enters when the day is closed and never changes afterwards: late data are a
//! replay from an earlier book.

mod block;
mod rows;
mod unit;

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::catalogue::Catalogue;
use super::eprocess::MixParams;
use super::table::OutcomeTable;
use crate::market::Ts;
use block::{BlockEvidence, Layout, Scratch};
use rows::{Packer, Taken};

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
            .into_par_iter()
            .map(|b| {
                let units = catalogue.block_units(b);
                BlockEvidence { units: vec![fresh.clone(); units], tallies: Vec::new(), left_out: Vec::new() }
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
        let unit = &self.blocks[block].units[local];
        (unit.purged, unit.dropped)
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
        let packer = Packer::new(table, catalogue, self.default_sigma_bar, taken);
        let (params, is_recorded) = (self.params, self.is_recorded);
        let pooled = catalogue.has_pooled.then_some(catalogue.symbols.len());
        let packed = packer.pack(from..to);
        // A block's rows are let go of with the block: what it needs for its days is the memory of those before it.
        let blocks = self.blocks.par_iter_mut().zip(packed).enumerate();
        blocks.for_each_init(Scratch::default, |scratch, (b, (block, parts))| {
            let layout = Layout { stride: 1 + catalogue.blocks[b].conditions.len(), pooled };
            block.take(parts, layout, is_recorded, &params, scratch);
        });
        for (day, counts) in self.blocks.iter_mut().flat_map(|b| std::mem::take(&mut b.tallies)) {
            let all = self.tallies.entry(i64::from(day)).or_default();
            *all = all.plus(counts);
        }
        self.through_day = Some(day);
    }

    /// Puts a recorded day back: see [`super::record`]. To be followed by [`EvidenceBook::catch_up`].
    pub(super) fn put_back(&mut self, block: usize, unit: usize, day: Option<DaySum>, left_out: (u32, u32)) {
        let unit = &mut self.blocks[block].units[unit];
        if let Some(day) = day {
            unit.reserve(1);
            unit.days.push(day);
        }
        unit.purged += left_out.0;
        unit.dropped += left_out.1;
    }

    /// The processes of every unit take the days that were put back.
    pub(super) fn catch_up(&mut self) {
        let params = self.params;
        self.blocks
            .par_iter_mut()
            .for_each(|block| block.units.iter_mut().for_each(|unit| unit.catch_up(&params)));
    }
}
