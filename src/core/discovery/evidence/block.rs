//! One block, an event type and a holding period: its rows, and the units that read them.
//!
//! A row is kept once, although half a dozen units read it: a unit's days are summed from the rows when they
//! are asked for. Kept sums would be four times as much to hold, to record and to put back.

use super::influence::Histories;
use super::rows::{BookRow, Fate};
use super::unit::{DaySum, DaySums, UnitEvidence};
use crate::discovery::eprocess::MixParams;
use crate::spec::gates::InfluenceSpec;

/// What a block has seen, and what its units have shown.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::discovery) struct BlockEvidence {
    pub(super) layout: Layout,
    /// By the day on which they count, in the order of the table within it.
    pub(in crate::discovery) rows: Vec<BookRow>,
    pub(super) units: Vec<UnitEvidence>,
    /// What is typical of its symbols.
    histories: Histories,
}

/// Rows that a unit could not use as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Exit on a later day than the entry, and nobody knows where they stood at midnight.
    pub purged: u32,
    /// Return, cost or scale unknown, infinite or beyond any market.
    pub dropped: u32,
    /// Used, with a sigma that counts as more than it is.
    pub floored: u32,
    /// Left out of the pool, their symbol moving less than its round trip costs; 0 for a unit of one symbol.
    pub apart: u32,
}

/// How the units of a block are numbered: scope by scope, the one without a condition first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Units of a scope. A block has at most 63 conditions.
    pub(super) stride: usize,
    /// Symbols: the first scopes.
    pub(super) symbols: usize,
    /// Whether a scope of all symbols follows them.
    pub(super) has_pooled: bool,
}

impl Layout {
    /// The units that a row belongs to.
    fn each_unit(self, row: &BookRow, mut f: impl FnMut(usize)) {
        let pooled = self.has_pooled.then_some(self.symbols);
        for scope in [Some(usize::from(row.symbol)), pooled].into_iter().flatten() {
            self.each_condition(row, scope, &mut f);
        }
    }

    /// The units of a scope that a row belongs to.
    fn each_condition(self, row: &BookRow, scope: usize, mut f: impl FnMut(usize)) {
        let holding = (0..self.stride).filter(|condition| row.held() >> condition & 1 == 1);
        holding.for_each(|condition| f(scope * self.stride + condition));
    }
}

/// Where a block's rows stand on their way to its units. Kept from one block to the next for its memory.
#[derive(Default)]
pub(in crate::discovery) struct Scratch {
    /// Places of all rows of the block.
    pooled: Places,
    /// The same, symbol after symbol.
    by_symbol: Places,
    /// Where a symbol's rows end among them.
    ends: Vec<usize>,
    /// Numbers of a unit's rows.
    picked: Vec<u32>,
    sums: DaySums,
}

/// Numbers of rows, ascending within a scope, and what holds on each: nothing where it cannot be used.
#[derive(Default)]
struct Places {
    numbers: Vec<u32>,
    held: Vec<u64>,
}

impl Scratch {
    /// Puts the rows in order.
    fn lay_out(&mut self, layout: Layout, rows: &[BookRow]) {
        let Self { pooled, by_symbol, ends, picked, .. } = self;
        pooled.numbers.clear();
        pooled.numbers.extend((0..).zip(rows).map(|(number, _)| number));
        pooled.held.clear();
        let held = |row: &BookRow| if row.fate.is_used() { row.held() } else { 0 };
        pooled.held.extend(rows.iter().map(|row| if row.pool == 0 { 0 } else { held(row) }));
        ends.clear();
        ends.resize(layout.symbols, 0);
        rows.iter().for_each(|row| ends[usize::from(row.symbol)] += 1);
        let mut start = 0;
        for end in &mut *ends {
            start += std::mem::replace(end, start);
        }
        by_symbol.numbers.resize(rows.len(), 0);
        by_symbol.held.resize(rows.len(), 0);
        for (row, number) in rows.iter().zip(&pooled.numbers) {
            let next = &mut ends[usize::from(row.symbol)];
            (by_symbol.numbers[*next], by_symbol.held[*next]) = (*number, held(row));
            *next += 1;
        }
        if picked.len() < rows.len() {
            picked.resize(rows.len(), 0);
        }
    }

    /// The days of every unit, ascending, on which it has used a row.
    fn each_unit(&mut self, layout: Layout, rows: &[BookRow], mut f: impl FnMut(usize, &[DaySum])) {
        self.lay_out(layout, rows);
        let Self { pooled, by_symbol, ends, picked, sums } = self;
        let mut start = 0;
        let symbols = ends.iter().map(|end| {
            let own = std::mem::replace(&mut start, *end)..*end;
            (&by_symbol.numbers[own.clone()], &by_symbol.held[own])
        });
        let pooled = layout.has_pooled.then_some((pooled.numbers.as_slice(), pooled.held.as_slice()));
        for (scope, (numbers, held)) in symbols.chain(pooled).enumerate() {
            let is_pooled = scope == layout.symbols;
            for condition in (0..layout.stride).filter(|_| !numbers.is_empty()) {
                let days = sums.of(rows, pick(numbers, held, condition, picked), is_pooled);
                f(scope * layout.stride + condition, days);
            }
        }
    }
}

/// Numbers of the rows on which a condition holds; without a branch, as conditions follow no pattern.
#[inline(never)]
fn pick<'a>(numbers: &[u32], held: &[u64], condition: usize, picked: &'a mut [u32]) -> &'a [u32] {
    let mut n = 0;
    for (number, held) in numbers.iter().zip(held) {
        picked[n] = *number;
        n += (held >> condition & 1) as usize;
    }
    &picked[..n]
}

impl BlockEvidence {
    pub(super) fn new(layout: Layout, units: usize, params: &MixParams) -> Self {
        let histories = Histories::new(layout.symbols);
        Self { layout, rows: Vec::new(), units: vec![UnitEvidence::new(params); units], histories }
    }

    /// Closes the days of the rows from a number on, which came in the order of the table.
    pub(super) fn close(
        &mut self,
        from: usize,
        params: &MixParams,
        influence: &InfluenceSpec,
        scratch: &mut Scratch,
    ) {
        let new = &mut self.rows[from..];
        // What is carried into the next day stands among the rows of the day on which it was decided.
        if !new.is_sorted_by_key(|row| row.day) {
            new.sort_by_key(|row| row.day);
        }
        self.histories.bound(new, self.layout.has_pooled, influence);
        self.catch_up(from, params, scratch);
    }

    /// Takes all rows, which were put back: see [`crate::discovery::record`].
    pub(super) fn restore(&mut self, params: &MixParams, influence: &InfluenceSpec, scratch: &mut Scratch) {
        self.histories.restore(&self.rows, self.layout.has_pooled, influence);
        self.catch_up(0, params, scratch);
    }

    /// Whether a symbol is left out of the pool as things stand: its last row was.
    pub(in crate::discovery) fn is_apart(&self, symbol: usize) -> bool {
        self.histories.is_apart(symbol)
    }

    /// Whether a row has a symbol and conditions that it knows.
    pub(in crate::discovery) fn fits(&self, row: &BookRow) -> bool {
        let Layout { stride, symbols, .. } = self.layout;
        usize::from(row.symbol) < symbols && row.conditions >> (stride - 1) == 0
    }

    /// Room for more rows. Not the usual doubling, as a book is much of what a daemon holds.
    pub(super) fn reserve(&mut self, rows: usize) {
        if self.rows.capacity() - self.rows.len() < rows {
            self.rows.reserve_exact(rows + self.rows.len() / 8);
        }
    }

    /// The units take the rows from a number on, which begin a day.
    fn catch_up(&mut self, from: usize, params: &MixParams, scratch: &mut Scratch) {
        let Self { layout, rows, units, .. } = self;
        scratch.each_unit(*layout, &rows[from..], |unit, days| units[unit].take(days, params));
    }

    /// What every unit has shown, with its days, ascending; units that no row could belong to are left out.
    pub(in crate::discovery) fn each_unit<'a>(
        &'a self,
        scratch: &mut Scratch,
        mut f: impl FnMut(usize, &'a UnitEvidence, &[DaySum]),
    ) {
        scratch.each_unit(self.layout, &self.rows, |unit, days| f(unit, &self.units[unit], days));
    }

    /// The days of a unit after a day.
    pub(super) fn days_after(&self, unit: usize, day: i64) -> Vec<DaySum> {
        let Layout { stride, symbols, .. } = self.layout;
        let (scope, condition) = (unit / stride, unit % stride);
        let new = self.rows.partition_point(|row| i64::from(row.day) <= day);
        let rows = &self.rows[new..];
        let is_pooled = scope == symbols;
        let is_its = |row: &BookRow| {
            row.fate.is_used()
                && (if is_pooled { row.pool > 0 } else { scope == usize::from(row.symbol) })
                && row.held() >> condition & 1 == 1
        };
        let picked: Vec<u32> = (0..).zip(rows).filter(|(_, row)| is_its(row)).map(|(at, _)| at).collect();
        DaySums::default().of(rows, &picked, is_pooled).to_vec()
    }

    /// Rows that each unit could not use as they are.
    pub(in crate::discovery) fn left_out(&self) -> Vec<LeftOut> {
        let mut out = vec![LeftOut::default(); self.units.len()];
        let layout = self.layout;
        for row in self.rows.iter().filter(|row| row.fate != Fate::Carried) {
            match row.fate {
                Fate::Used | Fate::Undirected | Fate::Carried => {}
                Fate::Purged => layout.each_unit(row, |unit| out[unit].purged += 1),
                Fate::Dropped => layout.each_unit(row, |unit| out[unit].dropped += 1),
                Fate::Floored => layout.each_unit(row, |unit| out[unit].floored += 1),
            }
            if row.pool == 0 && layout.has_pooled {
                layout.each_condition(row, layout.symbols, |unit| out[unit].apart += 1);
            }
        }
        out
    }

    /// Rows left out of the pool, by symbol.
    pub(in crate::discovery) fn apart(&self) -> Vec<u64> {
        let mut out = vec![0; self.layout.symbols];
        let is_left_out = |row: &&BookRow| row.pool == 0 && row.fate != Fate::Carried;
        self.rows.iter().filter(is_left_out).for_each(|row| out[usize::from(row.symbol)] += 1);
        out
    }
}
