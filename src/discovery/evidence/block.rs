//! One block, an event type and a holding period: its rows go to its units, one unit after another.
//!
//! Rows that can be used are laid out in time order with the conditions that held; a unit picks its rows from those of
//! its scope without a branch, and so are they summed by day.

use super::rows::{Fate, PackedRow};
use super::unit::{DayRow, DaySums};
use super::{RowCounts, UnitEvidence};
use crate::discovery::eprocess::MixParams;

/// What a block's units have shown.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::discovery) struct BlockEvidence {
    pub(in crate::discovery) units: Vec<UnitEvidence>,
    /// Of the step under way, by day, ascending.
    pub(super) tallies: Vec<(i32, RowCounts)>,
    /// Rows left out, as (day, unit, fate), in no order, until they are recorded.
    pub(in crate::discovery) left_out: Vec<LeftOut>,
}

/// A row that a unit could not use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::discovery) struct LeftOut {
    pub(in crate::discovery) day: i32,
    pub(in crate::discovery) unit: u32,
    pub(in crate::discovery) is_purged: bool,
}

/// How the units of a block are numbered: scope by scope, the one without a condition first.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Units of a scope. A block has at most 63 conditions.
    pub(super) stride: usize,
    /// Number of the pooled scope.
    pub(super) pooled: Option<usize>,
}

impl Layout {
    /// The units that a row belongs to.
    fn each_unit(self, row: &PackedRow, mut f: impl FnMut(usize)) {
        for scope in [Some(usize::from(row.symbol)), self.pooled].into_iter().flatten() {
            let holding = (0..self.stride).filter(|condition| held(row) >> condition & 1 == 1);
            holding.for_each(|condition| f(scope * self.stride + condition));
        }
    }
}

/// What holds on a row, by the number of a unit in its scope.
const fn held(row: &PackedRow) -> u64 {
    row.conditions << 1 | 1
}

/// Rows that can be used, in time order, and what holds on each: see [`held`].
#[derive(Default)]
struct Rows {
    rows: Vec<DayRow>,
    held: Vec<u64>,
}

impl Rows {
    fn clear(&mut self) {
        self.rows.clear();
        self.held.clear();
    }
}

/// A block's rows on their way to its units. Kept from one block to the next for its memory.
#[derive(Default)]
pub(super) struct Scratch {
    all: Rows,
    /// Symbol of each.
    symbols: Vec<u16>,
    /// The same rows, symbol after symbol.
    by_symbol: Rows,
    /// Where a symbol's rows end among them.
    ends: Vec<usize>,
    /// Numbers of a unit's rows.
    picked: Vec<u32>,
    sums: DaySums,
}

impl Scratch {
    fn clear(&mut self) {
        self.all.clear();
        self.symbols.clear();
    }

    fn push(&mut self, row: &PackedRow) {
        self.all.rows.push(DayRow::of(row));
        self.all.held.push(held(row));
        self.symbols.push(row.symbol);
    }

    /// Lays the rows out by symbol.
    fn sort(&mut self) {
        self.ends.clear();
        for &symbol in &self.symbols {
            let symbol = usize::from(symbol);
            if self.ends.len() <= symbol {
                self.ends.resize(symbol + 1, 0);
            }
            self.ends[symbol] += 1;
        }
        let mut start = 0;
        for end in &mut self.ends {
            start += std::mem::replace(end, start);
        }
        // As many, in whatever order.
        self.by_symbol.rows.clone_from(&self.all.rows);
        self.by_symbol.held.clone_from(&self.all.held);
        for ((row, held), &symbol) in self.all.rows.iter().zip(&self.all.held).zip(&self.symbols) {
            let next = &mut self.ends[usize::from(symbol)];
            (self.by_symbol.rows[*next], self.by_symbol.held[*next]) = (*row, *held);
            *next += 1;
        }
        if self.picked.len() < self.symbols.len() {
            self.picked.resize(self.symbols.len(), 0);
        }
    }
}

/// Numbers of the rows on which a condition holds.
#[inline(never)]
fn pick<'a>(held: &[u64], condition: usize, picked: &'a mut [u32]) -> &'a [u32] {
    let mut n = 0;
    for (row, held) in (0..).zip(held) {
        picked[n] = row;
        n += (held >> condition & 1) as usize;
    }
    &picked[..n]
}

impl BlockEvidence {
    /// Takes the rows of whole days, in time order.
    pub(super) fn take(
        &mut self,
        parts: Vec<Vec<PackedRow>>,
        layout: Layout,
        is_recorded: bool,
        params: &MixParams,
        scratch: &mut Scratch,
    ) {
        scratch.clear();
        for row in parts.iter().flatten() {
            let counts = self.tally(row.day);
            match row.fate {
                Fate::Used => {
                    counts.used += 1;
                    scratch.push(row);
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
        drop(parts);
        scratch.sort();
        let Scratch { all, by_symbol, ends, picked, sums, .. } = scratch;
        let mut start = 0;
        let own = ends.iter().enumerate().map(|(symbol, end)| {
            let own = std::mem::replace(&mut start, *end)..*end;
            (symbol, &by_symbol.rows[own.clone()], &by_symbol.held[own])
        });
        let pooled = layout.pooled.map(|pooled| (pooled, all.rows.as_slice(), all.held.as_slice()));
        for (scope, rows, held) in own.chain(pooled) {
            let units = &mut self.units[scope * layout.stride..][..layout.stride];
            for (condition, unit) in units.iter_mut().enumerate() {
                unit.take(sums.of(rows, pick(held, condition, picked)), params);
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
