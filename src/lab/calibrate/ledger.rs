//! What a hypothesis was really worth so far, and the sums that a naive analyst would keep: both per unit,
//! day by day, over exactly the rows that the evidence book takes.

use std::collections::BTreeMap;

use libm::sqrt;

use backtestd_core::discovery::cluster::count;
use backtestd_core::discovery::special::t_sf;
use backtestd_core::discovery::{Catalogue, OutcomeTable};
use backtestd_core::market::Ts;

/// Sums of one unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct UnitSums {
    /// Number of events of the unit so far.
    pub n: f64,
    /// Sum of expected returns in the event's direction, decimal.
    truth: f64,
    sum: f64,
    squares: f64,
}

impl UnitSums {
    /// Expected return per event so far, decimal; exactly 0 for a null unit.
    pub(crate) fn truth(&self) -> f64 {
        if self.n > 0.0 { self.truth / self.n } else { 0.0 }
    }

    /// Sample sd of one event's return.
    pub(crate) fn sd(&self) -> f64 {
        let mean = self.sum / self.n;
        sqrt(((self.squares - self.n * mean * mean) / (self.n - 1.0)).max(0.0))
    }

    /// Two-sided p of the ordinary t-test that takes every outcome for an independent observation; exactly 1
    /// where it could not be below the p of `least_t`.
    pub(crate) fn iid_p(&self, least_t: f64) -> f64 {
        let t = (self.sum / self.n / (self.sd() / sqrt(self.n))).abs();
        if self.n >= 3.0 && t >= least_t && t.is_finite() { 2.0 * t_sf(t, self.n - 1.0) } else { 1.0 }
    }
}

/// Where the rows of a table belong.
pub(super) struct Ledger {
    units: Vec<UnitSums>,
    /// By event code and horizon code: first unit of the block.
    first_unit: Vec<Option<usize>>,
    horizons: usize,
    /// By symbol code of the table: scope number.
    scopes: Vec<Option<usize>>,
    pooled: Option<usize>,
    stride: usize,
    next_row: usize,
}

impl Ledger {
    /// For a table whose conditions are those of the catalogue, all of them on every block.
    pub(crate) fn new(table: &OutcomeTable, catalogue: &Catalogue) -> Self {
        let blocks: BTreeMap<(&str, u32), usize> = catalogue
            .blocks
            .iter()
            .map(|b| ((b.event_type.as_ref(), b.horizon.bars), b.first_unit))
            .collect();
        Self {
            units: vec![UnitSums::default(); catalogue.units],
            first_unit: table
                .event_types
                .iter()
                .flat_map(|e| table.horizons.iter().map(|h| blocks.get(&(e.as_ref(), h.bars)).copied()))
                .collect(),
            horizons: table.horizons.len(),
            scopes: table.symbols.iter().map(|s| catalogue.symbols.binary_search(s).ok()).collect(),
            pooled: catalogue.has_pooled.then_some(catalogue.symbols.len()),
            stride: 1 + table.conditions.len(),
            next_row: 0,
        }
    }

    /// Takes the rows of every day up to and including `day`; appends the units that changed.
    pub(crate) fn advance(
        &mut self,
        table: &OutcomeTable,
        truth: &[f64],
        day: i64,
        touched: &mut Vec<usize>,
    ) {
        while self.next_row < table.len() && Ts(table.timestamp[self.next_row]).day() <= day {
            let row = self.next_row;
            self.next_row += 1;
            let own_day = Ts(table.timestamp[row]).day();
            let block = usize::from(table.event[row]) * self.horizons + usize::from(table.horizon[row]);
            let (Some(first), Some(symbol)) =
                (self.first_unit[block], self.scopes[usize::from(table.symbol[row])])
            else {
                continue;
            };
            if Ts(table.exit[row] - 1).day() > own_day {
                continue;
            }
            let s = f64::from(table.direction[row]) * table.forward_return[row];
            for scope in [Some(symbol), self.pooled].into_iter().flatten() {
                let base = first + scope * self.stride;
                for condition in 0..self.stride {
                    if condition > 0 && !table.is_active(row, condition - 1) {
                        continue;
                    }
                    let unit = &mut self.units[base + condition];
                    unit.n += 1.0;
                    unit.truth += truth[row];
                    unit.sum += s;
                    unit.squares += s * s;
                    touched.push(base + condition);
                }
            }
        }
    }

    /// Sums of a unit.
    pub(crate) fn unit(&self, unit: usize) -> &UnitSums {
        &self.units[unit]
    }
}

/// Share of `part` in `whole`, 0 of nothing.
pub(super) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { count(part) / count(whole) }
}
