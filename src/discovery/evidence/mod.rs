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
use rows::{Fate, PackedRow, Packer, Taken};

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
        self.blocks.par_iter_mut().zip(packed).enumerate().for_each(|(b, (block, parts))| {
            let layout = Layout { stride: 1 + catalogue.blocks[b].conditions.len(), pooled };
            let rows = || parts.iter().flatten();
            let shares = block.count(rows(), layout, is_recorded);
            block.take(rows(), shares, layout, &params);
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
        unit.days.extend(day);
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

/// How the units of a block are numbered.
#[derive(Clone, Copy)]
struct Layout {
    /// Units of a scope.
    stride: usize,
    /// Number of the pooled scope.
    pooled: Option<usize>,
}

impl Layout {
    /// The units that a row enters.
    #[inline]
    fn each_unit(self, row: &PackedRow, mut f: impl FnMut(usize)) {
        let own = usize::from(row.symbol) * self.stride;
        // A block has at most 63 conditions; what holds always comes first.
        let mut left = row.conditions << 1 | 1;
        while left != 0 {
            let condition = left.trailing_zeros() as usize;
            f(own + condition);
            if let Some(pooled) = self.pooled {
                f(pooled * self.stride + condition);
            }
            left &= left - 1;
        }
    }
}

impl BlockEvidence {
    /// What becomes of rows: the units' shares of those that can be used; the others are left out.
    fn count<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a PackedRow>,
        layout: Layout,
        is_recorded: bool,
    ) -> Vec<Share> {
        let mut shares = vec![Share::default(); self.units.len()];
        for row in rows {
            let counts = self.tally(row.day);
            match row.fate {
                Fate::Used => {
                    counts.used += 1;
                    layout.each_unit(row, |unit| shares[unit].count(row.day));
                }
                Fate::Undirected => counts.undirected += 1,
                Fate::Purged => {
                    counts.purged += 1;
                    layout.each_unit(row, |unit| self.leave_out(unit, row.day, true, is_recorded));
                }
                Fate::Dropped => {
                    counts.dropped += 1;
                    layout.each_unit(row, |unit| self.leave_out(unit, row.day, false, is_recorded));
                }
            }
        }
        shares
    }

    /// Units take their rows, one unit after another: its open day and its processes stay near.
    fn take<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a PackedRow>,
        mut shares: Vec<Share>,
        layout: Layout,
        params: &MixParams,
    ) {
        let mut all = 0;
        for share in &mut shares {
            share.next = all;
            all += share.rows;
        }
        let mut used = rows.filter(|row| row.fate == Fate::Used).peekable();
        let Some(first) = used.peek() else { return };
        let mut by_unit = vec![*first; all];
        for row in used {
            layout.each_unit(row, |unit| {
                let next = &mut shares[unit].next;
                by_unit[*next] = row;
                *next += 1;
            });
        }
        for (unit, share) in self.units.iter_mut().zip(shares) {
            unit.days.reserve(share.days);
            unit.take(&by_unit[share.next - share.rows..share.next], params);
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

    fn leave_out(&mut self, number: usize, day: i32, is_purged: bool, is_recorded: bool) {
        let unit = &mut self.units[number];
        if is_purged {
            unit.purged += 1;
        } else {
            unit.dropped += 1;
        }
        if is_recorded {
            let unit = u32::try_from(number).unwrap_or(u32::MAX);
            self.left_out.push(LeftOut { day, unit, is_purged });
        }
    }
}

/// A unit's share of a block's rows.
#[derive(Clone, Copy, Default)]
struct Share {
    rows: usize,
    days: usize,
    last_day: Option<i32>,
    /// Where its next row goes.
    next: usize,
}

impl Share {
    #[inline]
    fn count(&mut self, day: i32) {
        self.rows += 1;
        self.days += usize::from(self.last_day != Some(day));
        self.last_day = Some(day);
    }
}
