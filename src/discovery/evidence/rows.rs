//! From rows of a table to what the blocks read: codes of the catalogue, the day on which a row counts, and its fate.

use std::collections::BTreeMap;
use std::ops::Range;

use libm::sqrt;
use rayon::prelude::*;

use crate::discovery::catalogue::Catalogue;
use crate::discovery::scores::inverse_scale_of;
use crate::discovery::table::OutcomeTable;
use crate::market::Ts;

/// A row as the blocks read it.
#[derive(Clone, Copy)]
pub(super) struct PackedRow {
    pub(super) day: i32,
    pub(super) symbol: u16,
    pub(super) fate: Fate,
    pub(super) signed_return: f64,
    pub(super) cost: f64,
    pub(super) inv_scale: f64,
    pub(super) conditions: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Used,
    Purged,
    Dropped,
    Undirected,
}

/// Days that a step takes: after the one, through the other.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    pub(super) after: i64,
    pub(super) through: i64,
}

/// Distributes rows to blocks.
pub(super) struct Packer<'a> {
    table: &'a OutcomeTable,
    map: CodeMap,
    blocks: usize,
    default_sigma_bar: f64,
    taken: Taken,
}

impl<'a> Packer<'a> {
    pub(super) fn new(
        table: &'a OutcomeTable,
        catalogue: &Catalogue,
        default_sigma_bar: f64,
        taken: Taken,
    ) -> Self {
        let (map, blocks) = (CodeMap::new(table, catalogue), catalogue.blocks.len());
        Self { table, map, blocks, default_sigma_bar, taken }
    }

    /// The rows of a range by block, in row order, each block's in as many parts as there are threads.
    pub(super) fn pack(&self, range: Range<usize>) -> Vec<Vec<Vec<PackedRow>>> {
        let part = range.len().div_ceil(rayon::current_num_threads().max(1)).max(1);
        let starts: Vec<usize> = range.clone().step_by(part).collect();
        let parts: Vec<Vec<Vec<PackedRow>>> = starts
            .into_par_iter()
            .map(|start| self.pack_part(start..(start + part).min(range.end)))
            .collect();
        let mut blocks: Vec<Vec<Vec<PackedRow>>> = (0..self.blocks).map(|_| Vec::new()).collect();
        for part in parts {
            blocks.iter_mut().zip(part).for_each(|(block, rows)| block.push(rows));
        }
        blocks
    }

    fn pack_part(&self, rows: Range<usize>) -> Vec<Vec<PackedRow>> {
        let (table, map) = (self.table, &self.map);
        let mut sizes = vec![0usize; self.blocks];
        rows.clone().filter_map(|row| map.block(table, row)).for_each(|b| sizes[b] += 1);
        let mut blocks: Vec<Vec<PackedRow>> = sizes.into_iter().map(Vec::with_capacity).collect();
        for row in rows {
            let (day, crosses) = counted_day(table, row);
            if let (true, Some(b), Some(symbol)) =
                (self.taken.holds(day), map.block(table, row), map.symbols[usize::from(table.symbol[row])])
            {
                blocks[b].push(map.pack(table, row, b, symbol, (day, crosses), self.default_sigma_bar));
            }
        }
        blocks
    }
}

/// The day on which a row counts, and whether its window crosses midnight.
fn counted_day(table: &OutcomeTable, row: usize) -> (i64, bool) {
    let day = Ts(table.timestamp[row]).day();
    let crosses = Ts(table.exit[row] - 1).day() > day;
    (day + i64::from(crosses), crosses)
}

impl Taken {
    const fn holds(self, day: i64) -> bool {
        day > self.after && day <= self.through
    }
}

/// Codes of a table in terms of a catalogue.
struct CodeMap {
    /// By event code and horizon code.
    blocks: Vec<Option<usize>>,
    horizons: usize,
    /// Square roots of the horizons' bars.
    root_bars: Vec<f64>,
    /// By symbol code.
    symbols: Vec<Option<u16>>,
    /// Per block: where its conditions stand in a row of the table.
    conditions: Vec<Vec<BitRun>>,
    words: usize,
}

/// Conditions that are as far apart in a row of the table as in the block: `bits.rotate_right(rotate) & mask`.
struct BitRun {
    word: usize,
    rotate: u32,
    mask: u64,
}

impl BitRun {
    /// The block's conditions, in order, with their bits in the table.
    fn runs(bits: impl Iterator<Item = (usize, u32)>) -> Vec<Self> {
        let mut runs: Vec<Self> = Vec::new();
        for (bit, local) in bits {
            let (word, rotate) = (bit / 64, ((bit % 64) as u32).wrapping_sub(local) % 64);
            match runs.last_mut() {
                Some(run) if (run.word, run.rotate) == (word, rotate) => run.mask |= 1 << local,
                _ => runs.push(Self { word, rotate, mask: 1 << local }),
            }
        }
        runs
    }
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
                let numbered = (0u32..).zip(&block.conditions);
                BitRun::runs(numbered.filter_map(|(local, &c)| {
                    bits.get(catalogue.conditions[c].condition.id.as_ref()).map(|bit| (*bit, local))
                }))
            })
            .collect();
        Self {
            blocks,
            horizons: table.horizons.len(),
            root_bars: table.horizons.iter().map(|h| sqrt(f64::from(h.bars))).collect(),
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
        (day, crosses): (i64, bool),
        default_sigma_bar: f64,
    ) -> PackedRow {
        let sigma = table.sigma_bar.get(row).copied().unwrap_or(default_sigma_bar);
        let scale = inverse_scale_of(sigma, self.root_bars[usize::from(table.horizon[row])]);
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
        for BitRun { word, rotate, mask } in &self.conditions[block] {
            conditions |= active[*word].rotate_right(*rotate) & mask;
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
