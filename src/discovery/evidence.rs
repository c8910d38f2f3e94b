//! The evidence book: what every unit of the catalogue has shown so far, one closed UTC day at a time.
//!
//! Days are taken in order, each exactly once; a batch over a history is the same days in a row, by the same code, and
//! leaves the same bits. A day's score enters when the day is closed and never changes afterwards: late data are a
//! replay from an earlier book.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::catalogue::Catalogue;
use super::eprocess::{MixParams, SignProcess};
use super::scores::{DayScore, inverse_scale};
use super::table::OutcomeTable;
use crate::market::Ts;

/// One closed active day of a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DaySum {
    /// UTC day since the epoch.
    pub day: i32,
    /// Events.
    pub n: u32,
    /// Sum of returns in the event's direction, decimal.
    pub sum: f64,
    /// Sum of their squares.
    pub squares: f64,
    /// Sum of round-trip costs, decimal.
    pub cost: f64,
    /// Gross score, follow side: `sum w s`.
    pub z: f64,
    /// Cost in the score: `sum w c`. Net scores are `z - z_cost` (follow) and `-z - z_cost` (fade).
    pub z_cost: f64,
    /// Score weight: `sum w`.
    pub weight: f64,
}

impl DaySum {
    /// Whether it holds numbers only.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        self.sum.is_finite() && self.cost.is_finite() && self.z.is_finite() && self.z_cost.is_finite()
    }
}

/// The unit's day in the making, and its counters.
#[derive(Clone, Copy, Debug, PartialEq)]
struct OpenDay {
    day: i32,
    score: DayScore,
    sum: f64,
    squares: f64,
    cost: f64,
    purged: u32,
    dropped: u32,
}

impl OpenDay {
    const IDLE: Self =
        Self { day: NO_DAY, score: DayScore::NONE, sum: 0.0, squares: 0.0, cost: 0.0, purged: 0, dropped: 0 };
}

const NO_DAY: i32 = i32::MIN;

/// A unit's evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitEvidence {
    /// Follow side, after costs.
    pub follow: SignProcess,
    /// Fade side, after costs.
    pub fade: SignProcess,
    /// Follow side, before costs.
    pub gross_follow: SignProcess,
    /// Fade side, before costs.
    pub gross_fade: SignProcess,
    /// Closed active days.
    pub days: Vec<DaySum>,
    /// A score was not finite: the processes stand still from that day on.
    pub quarantined: bool,
}

impl UnitEvidence {
    fn new(params: &MixParams) -> Self {
        let fresh = SignProcess::new(params);
        Self {
            follow: fresh,
            fade: fresh,
            gross_follow: fresh,
            gross_fade: fresh,
            days: Vec::new(),
            quarantined: false,
        }
    }

    fn close(&mut self, open: &mut OpenDay, params: &MixParams) {
        let OpenDay { day, score, sum, squares, cost, purged, dropped } = *open;
        *open = OpenDay { purged, dropped, ..OpenDay::IDLE };
        if day != NO_DAY && score.k > 0 {
            let (n, z, z_cost, weight) = (score.k, score.gross, score.cost, score.weight);
            self.take(DaySum { day, n, sum, squares, cost, z, z_cost, weight }, params);
        }
    }

    /// Takes a closed day: the processes move on, unless a score was not finite.
    fn take(&mut self, day: DaySum, params: &MixParams) {
        self.days.push(day);
        self.quarantined |= !(day.z.is_finite() && day.z_cost.is_finite());
        if !self.quarantined {
            self.follow.step(day.z - day.z_cost, params);
            self.fade.step(-day.z - day.z_cost, params);
            self.gross_follow.step(day.z, params);
            self.gross_fade.step(-day.z, params);
        }
    }
}

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

/// A row as the blocks read it.
#[derive(Clone, Copy)]
struct PackedRow {
    day: i32,
    symbol: u16,
    fate: Fate,
    signed_return: f64,
    cost: f64,
    inv_scale: f64,
    conditions: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Used,
    Purged,
    Dropped,
    Undirected,
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

/// Days that a step takes: after the one, through the other.
#[derive(Clone, Copy)]
struct Taken {
    after: i64,
    through: i64,
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

/// Distributes the rows of a range to the blocks, chunk by chunk, in row order.
fn pack(
    table: &OutcomeTable,
    catalogue: &Catalogue,
    default_sigma_bar: f64,
    range: std::ops::Range<usize>,
    taken: Taken,
) -> Vec<Vec<Vec<PackedRow>>> {
    let map = CodeMap::new(table, catalogue);
    let chunk = range.len().div_ceil(rayon::current_num_threads().max(1)).max(1);
    let starts: Vec<usize> = range.clone().step_by(chunk).collect();
    starts
        .into_par_iter()
        .map(|start| {
            let rows = start..(start + chunk).min(range.end);
            let mut sizes = vec![0usize; catalogue.blocks.len()];
            for row in rows.clone().filter(|row| taken.holds(table, *row)) {
                if let Some(b) = map.block(table, row) {
                    sizes[b] += 1;
                }
            }
            let mut blocks: Vec<Vec<PackedRow>> = sizes.into_iter().map(Vec::with_capacity).collect();
            for row in rows.filter(|row| taken.holds(table, *row)) {
                if let (Some(b), Some(symbol)) =
                    (map.block(table, row), map.symbols[usize::from(table.symbol[row])])
                {
                    blocks[b].push(map.pack(table, row, b, symbol, default_sigma_bar));
                }
            }
            blocks
        })
        .collect()
}

/// Whether the window of a row crosses midnight.
fn crosses(table: &OutcomeTable, row: usize) -> bool {
    Ts(table.exit[row] - 1).day() > Ts(table.timestamp[row]).day()
}

impl Taken {
    fn holds(self, table: &OutcomeTable, row: usize) -> bool {
        let day = Ts(table.timestamp[row]).day();
        let counted = if crosses(table, row) { day + 1 } else { day };
        counted > self.after && counted <= self.through
    }
}

/// Codes of a table in terms of a catalogue.
struct CodeMap {
    /// By event code and horizon code.
    blocks: Vec<Option<usize>>,
    horizons: usize,
    horizon_bars: Vec<u32>,
    /// By symbol code.
    symbols: Vec<Option<u16>>,
    /// Per block, per condition bit of the table: the block's condition.
    conditions: Vec<Vec<(usize, u32)>>,
    words: usize,
}

impl CodeMap {
    fn new(table: &OutcomeTable, catalogue: &Catalogue) -> Self {
        let by_name: BTreeMap<(&str, u32), usize> = catalogue
            .blocks
            .iter()
            .enumerate()
            .map(|(i, b)| ((b.event_type.as_ref(), b.horizon.bars), i))
            .collect();
        let blocks = table
            .event_types
            .iter()
            .flat_map(|e| table.horizons.iter().map(|h| by_name.get(&(e.as_ref(), h.bars)).copied()))
            .collect();
        let symbols = table
            .symbols
            .iter()
            .map(|s| catalogue.symbols.binary_search(s).ok().and_then(|i| u16::try_from(i).ok()))
            .collect();
        let bits: BTreeMap<&str, usize> =
            table.conditions.iter().enumerate().map(|(bit, c)| (c.id.as_ref(), bit)).collect();
        let conditions = catalogue
            .blocks
            .iter()
            .map(|block| {
                (0u32..)
                    .zip(&block.conditions)
                    .filter_map(|(local, &c)| {
                        bits.get(catalogue.conditions[c].condition.id.as_ref()).map(|bit| (*bit, local))
                    })
                    .collect()
            })
            .collect();
        Self {
            blocks,
            horizons: table.horizons.len(),
            horizon_bars: table.horizons.iter().map(|h| h.bars).collect(),
            symbols,
            conditions,
            words: table.words(),
        }
    }

    fn block(&self, table: &OutcomeTable, row: usize) -> Option<usize> {
        self.blocks[usize::from(table.event[row]) * self.horizons + usize::from(table.horizon[row])]
    }

    fn pack(
        &self,
        table: &OutcomeTable,
        row: usize,
        block: usize,
        symbol: u16,
        default_sigma_bar: f64,
    ) -> PackedRow {
        let crosses = crosses(table, row);
        let day = Ts(table.timestamp[row]).day() + i64::from(crosses);
        let sigma = table.sigma_bar.get(row).copied().unwrap_or(default_sigma_bar);
        let scale = inverse_scale(sigma, self.horizon_bars[usize::from(table.horizon[row])]);
        let (r, cost) = (table.forward_return[row], table.cost[row]);
        let fate = if table.direction[row] == 0 {
            Fate::Undirected
        } else if crosses {
            Fate::Purged
        } else if r.is_nan() || cost.is_nan() || scale.is_none() {
            Fate::Dropped
        } else {
            Fate::Used
        };
        let active = &table.active[row * self.words..(row + 1) * self.words];
        let mut conditions = 0;
        for &(bit, local) in &self.conditions[block] {
            conditions |= (active[bit / 64] >> (bit % 64) & 1) << local;
        }
        PackedRow {
            day: i32::try_from(day).unwrap_or(i32::MAX),
            symbol,
            fate,
            signed_return: f64::from(table.direction[row]) * r,
            cost,
            inv_scale: scale.unwrap_or(0.0),
            conditions,
        }
    }
}
