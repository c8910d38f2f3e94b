//! From rows of a table to what the blocks read: codes of the catalogue, the day on which a row counts, and
//! its fate.

use std::collections::BTreeMap;
use std::ops::Range;

use libm::sqrt;
use rayon::prelude::*;

use super::influence::FULL;
use crate::discovery::catalogue::Catalogue;
use crate::discovery::scores::inverse_scale_of;
use crate::discovery::table::OutcomeTable;
use crate::market::Ts;

/// A row as the book keeps it: what its units read. Of one that cannot be used, only what names it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::discovery) struct BookRow {
    /// UTC day since the epoch on which it counts.
    pub(in crate::discovery) day: i32,
    /// Its number in the catalogue.
    pub(in crate::discovery) symbol: u16,
    pub(in crate::discovery) fate: Fate,
    /// What it weighs in a pool, in 255ths; 0 where it is left out of it.
    pub(in crate::discovery) pool: u8,
    /// In the event's direction, decimal.
    pub(in crate::discovery) signed_return: f64,
    /// Round trip, decimal.
    pub(in crate::discovery) cost: f64,
    /// `1 / (sigma sqrt(H))`, bounded: see [`super::influence`].
    pub(in crate::discovery) inv_scale: f64,
    /// Bit by condition of the block: whether it held.
    pub(in crate::discovery) conditions: u64,
}

/// What becomes of a row. The numbers are those of a record: see [`crate::discovery::record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::discovery) enum Fate {
    Used = 0,
    /// Exit on a later day than the event, and nobody knows where it stood at midnight.
    Purged = 1,
    /// Return, cost or scale unknown, infinite or beyond any market.
    Dropped = 2,
    /// Without a direction.
    Undirected = 3,
    /// Used, with a sigma that counts as more than it is.
    Floored = 4,
    /// Used: what a window with midnight inside brings after it. The row before midnight is counted.
    Carried = 5,
}

impl Fate {
    pub(in crate::discovery) const ALL: [Self; 6] =
        [Self::Used, Self::Purged, Self::Dropped, Self::Undirected, Self::Floored, Self::Carried];

    /// Whether units read the row.
    pub(in crate::discovery) const fn is_used(self) -> bool {
        matches!(self, Self::Used | Self::Floored | Self::Carried)
    }
}

impl BookRow {
    /// What holds on it, by the number of a unit in its scope.
    pub(super) const fn held(&self) -> u64 {
        self.conditions << 1 | 1
    }
}

/// Returns and costs beyond this are no numbers of a market, and their sums would leave the range of numbers.
const LARGEST: f64 = 1e100;

/// Whether a number can be scored.
fn is_scorable(x: f64) -> bool {
    x.abs() <= LARGEST
}

/// What stands in for a sigma that a table does not have, and the least that one counts as.
#[derive(Clone, Copy)]
pub(super) struct Sigmas {
    pub(super) default: f64,
    pub(super) least: f64,
}

/// Days that a step takes: after the one, through the other.
#[derive(Clone, Copy)]
pub(super) struct Taken {
    pub(super) after: i64,
    pub(super) through: i64,
}

/// Rows that a thread packs before the blocks take them: few enough to stay in its cache on the way.
const STRETCH: usize = 1 << 14;

/// Rows by block.
pub(super) type Part = Vec<Vec<BookRow>>;

/// Distributes rows to blocks.
pub(super) struct Packer<'a> {
    table: &'a OutcomeTable,
    map: CodeMap,
    blocks: usize,
    sigmas: Sigmas,
    taken: Taken,
}

impl<'a> Packer<'a> {
    pub(super) fn new(table: &'a OutcomeTable, catalogue: &Catalogue, sigmas: Sigmas, taken: Taken) -> Self {
        let (map, blocks) = (CodeMap::new(table, catalogue), catalogue.blocks.len());
        Self { table, map, blocks, sigmas, taken }
    }

    /// Stretches of a range that are packed at once.
    pub(super) fn stretches(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let length = STRETCH * rayon::current_num_threads().max(1);
        range.clone().step_by(length).map(move |start| start..(start + length).min(range.end))
    }

    /// How many rows of a range each block has, those of other days and symbols included.
    pub(super) fn count(&self, range: Range<usize>) -> Vec<usize> {
        let mut sizes = vec![0; self.blocks];
        range.filter_map(|row| self.map.block(self.table, row)).for_each(|b| sizes[b] += 1);
        sizes
    }

    /// The rows of a stretch by block, in row order, in as many parts as there are threads.
    pub(super) fn pack(&self, range: Range<usize>, parts: &mut Vec<Part>) {
        parts.resize_with(range.len().div_ceil(STRETCH), || vec![Vec::new(); self.blocks]);
        parts.par_iter_mut().enumerate().for_each(|(at, part)| {
            let start = range.start + at * STRETCH;
            self.pack_part(start..(start + STRETCH).min(range.end), part);
        });
    }

    fn pack_part(&self, rows: Range<usize>, part: &mut Part) {
        let (table, map) = (self.table, &self.map);
        part.iter_mut().for_each(Vec::clear);
        for row in rows {
            let window = Window::of(table, row);
            let place = map.block(table, row).zip(map.symbols[usize::from(table.symbol[row])]);
            let Some((b, symbol)) = place else { continue };
            for (day, piece) in window.pieces().filter(|(day, _)| self.taken.holds(*day)) {
                let packed = map.pack(table, row, (b, symbol), (day, piece), self.sigmas);
                // What was carried over midnight and cannot be scored adds nothing to what was counted before
                // it.
                if packed.fate == Fate::Carried || !matches!(piece, Piece::Tail(_)) {
                    part[b].push(packed);
                }
            }
        }
    }
}

/// The UTC days of a row's window.
struct Window {
    /// On which it counts, or begins to.
    entry: i64,
    exit: i64,
    /// What it has brought by the midnight inside, if that is known.
    mark: Option<f64>,
}

/// What of a row counts on a day.
#[derive(Clone, Copy)]
enum Piece {
    Whole,
    /// Midnight is inside, and nobody knows where it stood there.
    Unmarked,
    /// Up to midnight.
    Head(f64),
    /// From midnight on.
    Tail(f64),
}

impl Window {
    /// A table that marks nothing counts a row on the day of the deciding bar.
    fn of(table: &OutcomeTable, row: usize) -> Self {
        let exit = Ts(table.exit[row] - 1).day();
        let (entry, mark) = match (table.entry.get(row), table.mark.get(row)) {
            (Some(entry), Some(mark)) => (Ts(*entry).day(), is_scorable(*mark).then_some(*mark)),
            _ => (Ts(table.timestamp[row]).day(), None),
        };
        Self { entry, exit, mark }
    }

    /// The days on which it counts. One that cannot be marked is only counted, on the day after its entry:
    /// before, nobody has its outcome.
    fn pieces(&self) -> impl Iterator<Item = (i64, Piece)> {
        let next = self.entry + 1;
        let (first, second) = match self.mark {
            _ if self.exit <= self.entry => ((self.entry, Piece::Whole), None),
            Some(mark) if self.exit == next => {
                ((self.entry, Piece::Head(mark)), Some((next, Piece::Tail(mark))))
            }
            _ => ((next, Piece::Unmarked), None),
        };
        std::iter::once(first).chain(second)
    }
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

/// Conditions that are as far apart in a row of the table as in the block: `bits.rotate_right(rotate) &
/// mask`.
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
        (block, symbol): (usize, u16),
        (day, piece): (i64, Piece),
        sigmas: Sigmas,
    ) -> BookRow {
        let sigma = table.sigma_bar.get(row).copied().unwrap_or(sigmas.default);
        let is_low = sigma > 0.0 && sigma < sigmas.least;
        let counted = if is_low { sigmas.least } else { sigma };
        let scale = inverse_scale_of(counted, self.root_bars[usize::from(table.horizon[row])]);
        let (whole, cost) = (table.forward_return[row], table.cost[row]);
        let r = match piece {
            Piece::Head(mark) => mark,
            Piece::Tail(mark) => whole - mark,
            Piece::Whole | Piece::Unmarked => whole,
        };
        let fate = if table.direction[row] == 0 {
            Fate::Undirected
        } else if matches!(piece, Piece::Unmarked) {
            Fate::Purged
        } else if !is_scorable(r) || !is_scorable(cost) || scale.is_none() {
            Fate::Dropped
        } else if matches!(piece, Piece::Tail(_)) {
            Fate::Carried
        } else if is_low {
            Fate::Floored
        } else {
            Fate::Used
        };
        let active = &table.active[row * self.words..(row + 1) * self.words];
        let mut conditions = 0;
        for BitRun { word, rotate, mask } in &self.conditions[block] {
            conditions |= active[*word].rotate_right(*rotate) & mask;
        }
        let day = i32::try_from(day).unwrap_or(i32::MAX);
        let (signed_return, inv_scale) = (f64::from(table.direction[row]) * r, scale.unwrap_or(0.0));
        let known = if fate.is_used() { (signed_return, cost, inv_scale) } else { (0.0, 0.0, 0.0) };
        let (signed_return, cost, inv_scale) = known;
        BookRow { day, symbol, fate, pool: FULL, signed_return, cost, inv_scale, conditions }
    }
}
