//! How far one row can move a unit: what is typical of a symbol at an event, and the two rules that read it.
//!
//! * A row's weight `1 / (sigma sqrt(H))` is at most `1 / min_sigma_share` times the typical one of its
//!   symbol.
//! * A pool leaves a row out while the round trip costs more than `max_cost_to_move` typical moves of the
//!   symbol, and lets it weigh at most `max_pool_weight` times what is typical of the pool's median symbol.
//!
//! Typical is the median over the first rows of the symbol's last active days *before* the row's own day.
//! Everything here is known when the event happens, so a bounded weight is as good as any other
//! (docs/robustness.md). A block reads its own rows only: what a unit has seen does not change when other
//! events are tested beside it.

use std::collections::VecDeque;

use super::rows::{BookRow, Fate};
use crate::spec::gates::InfluenceSpec;

/// A pooled row that weighs in full. Smaller numbers are shares of it; 0 is left out of the pool.
pub(super) const FULL: u8 = u8::MAX;

/// What a block knows of the past of its symbols.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Histories {
    symbols: Vec<History>,
    /// The day of the row before: what is typical was taken before it.
    day: i32,
    /// The typical weight of the median symbol.
    pool: Option<f64>,
    /// What it is the median of; kept for its memory.
    medians: Vec<f64>,
}

/// Weights of one symbol.
#[derive(Clone, Debug, Default, PartialEq)]
struct History {
    /// Of the first rows of its last active days, oldest first.
    recent: VecDeque<f64>,
    /// The same, ascending.
    sorted: Vec<f64>,
    /// Of the first row of the day at hand.
    today: Option<f64>,
    /// Their median, once there are enough.
    typical: Option<f64>,
    /// Whether the last row was left out of the pool.
    is_apart: bool,
}

impl Histories {
    pub(super) fn new(symbols: usize) -> Self {
        Self { symbols: vec![History::default(); symbols], day: i32::MIN, pool: None, medians: Vec::new() }
    }

    /// Bounds rows that follow those before them.
    pub(super) fn bound(&mut self, rows: &mut [BookRow], has_pooled: bool, spec: &InfluenceSpec) {
        for row in rows.iter_mut().filter(|row| row.fate.is_used()) {
            self.open(row.day, has_pooled, spec);
            let typical = self.symbols[usize::from(row.symbol)].typical;
            if let Some(most) = typical.map(|typical| typical / spec.min_sigma_share)
                && row.inv_scale > most
            {
                row.inv_scale = most;
                // What was carried over midnight is the rest of a row that is counted.
                row.fate = if row.fate == Fate::Carried { row.fate } else { Fate::Floored };
            }
            if has_pooled {
                row.pool = self.share_of_pool(row, typical, spec);
            }
            self.learn(row);
        }
    }

    /// Takes rows that were bounded before: see [`crate::discovery::record`].
    pub(super) fn restore(&mut self, rows: &[BookRow], has_pooled: bool, spec: &InfluenceSpec) {
        for row in rows.iter().filter(|row| row.fate.is_used()) {
            self.open(row.day, has_pooled, spec);
            self.learn(row);
        }
    }

    /// Whether the last row of a symbol was left out of the pool.
    pub(super) fn is_apart(&self, symbol: usize) -> bool {
        self.symbols[symbol].is_apart
    }

    /// What it costs to trade is compared with what the symbol usually moves; before it has a past, with its
    /// own sigma.
    fn share_of_pool(&self, row: &BookRow, typical: Option<f64>, spec: &InfluenceSpec) -> u8 {
        if row.cost * typical.unwrap_or(row.inv_scale) > spec.max_cost_to_move {
            return 0;
        }
        match self.pool.map(|pool| spec.max_pool_weight * pool / row.inv_scale) {
            Some(share) if share < 1.0 => quantise(share),
            _ => FULL,
        }
    }

    /// At the first row of a day, the days before it become the past.
    fn open(&mut self, day: i32, has_pooled: bool, spec: &InfluenceSpec) {
        if day == self.day {
            return;
        }
        self.day = day;
        self.symbols.iter_mut().for_each(|history| history.close_day(spec));
        if has_pooled {
            self.medians.clear();
            self.medians.extend(self.symbols.iter().filter_map(|history| history.typical));
            self.medians.sort_unstable_by(f64::total_cmp);
            self.pool = self.medians.get(self.medians.len() / 2).copied();
        }
    }

    fn learn(&mut self, row: &BookRow) {
        if row.fate == Fate::Carried {
            return;
        }
        let history = &mut self.symbols[usize::from(row.symbol)];
        history.today.get_or_insert(row.inv_scale);
        history.is_apart = row.pool == 0;
    }
}

impl History {
    fn close_day(&mut self, spec: &InfluenceSpec) {
        let Some(new) = self.today.take() else { return };
        let oldest =
            (self.recent.len() >= spec.history_days as usize).then(|| self.recent.pop_front()).flatten();
        self.recent.push_back(new);
        let to = self.sorted.partition_point(|x| *x < new);
        match oldest.map(|oldest| self.sorted.partition_point(|x| *x < oldest)) {
            // The numbers between the one that goes and the one that comes move by one place.
            Some(from) if from < to => {
                self.sorted.copy_within(from + 1..to, from);
                self.sorted[to - 1] = new;
            }
            Some(from) => {
                self.sorted.copy_within(to..from, to + 1);
                self.sorted[to] = new;
            }
            None => self.sorted.insert(to, new),
        }
        let is_known = self.sorted.len() >= spec.min_history_days as usize;
        self.typical = is_known.then(|| self.sorted[self.sorted.len() / 2]);
    }
}

/// A share below 1 in 255ths; what would weigh nothing is left out.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 255")]
fn quantise(share: f64) -> u8 {
    (share * f64::from(FULL)) as u8
}

/// The share of a pooled row's weight; exactly 1 in full.
#[inline]
pub(super) fn share(pool: u8) -> f64 {
    f64::from(pool) / f64::from(FULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> InfluenceSpec {
        InfluenceSpec {
            max_gain_to_loss: 1.0,
            max_day_score: 12.0,
            min_sigma_bar: 1e-5,
            min_sigma_share: 0.2,
            history_days: 8,
            min_history_days: 3,
            max_cost_to_move: 1.0,
            max_pool_weight: 4.0,
        }
    }

    fn row(day: i32, symbol: u16, inv_scale: f64) -> BookRow {
        let (signed_return, cost) = (0.001, 0.0001);
        BookRow { day, symbol, fate: Fate::Used, pool: FULL, signed_return, cost, inv_scale, conditions: 0 }
    }

    fn bounded(mut rows: Vec<BookRow>) -> Vec<BookRow> {
        Histories::new(3).bound(&mut rows, true, &spec());
        rows
    }

    #[test]
    fn a_weight_is_at_most_five_typical_ones_once_three_days_are_past() {
        let of = |days: i32, weight: f64| {
            let mut rows: Vec<BookRow> = (0..days).map(|day| row(day, 0, 200.0)).collect();
            rows.push(row(days, 0, weight));
            bounded(rows).pop().unwrap()
        };
        assert_eq!((of(3, 900.0).inv_scale, of(3, 900.0).fate), (900.0, Fate::Used));
        assert_eq!((of(3, 1e9).inv_scale, of(3, 1e9).fate), (1000.0, Fate::Floored));
        assert_eq!(of(2, 1e9).fate, Fate::Used, "nothing is typical yet");
    }

    #[test]
    fn the_day_at_hand_is_not_the_past_and_only_its_first_row_becomes_it() {
        let mut rows: Vec<BookRow> = (0..3).map(|day| row(day, 0, 200.0)).collect();
        rows.extend((0..50).map(|_| row(3, 0, 1e9)));
        rows.push(row(4, 0, 1e9));
        let rows = bounded(rows);
        assert!(rows[3..].iter().all(|row| row.inv_scale == 1000.0));
    }

    #[test]
    fn what_changes_for_good_becomes_typical() {
        let mut rows: Vec<BookRow> = (0..8).map(|day| row(day, 0, 200.0)).collect();
        rows.extend((8..20).map(|day| row(day, 0, 1e4)));
        let rows = bounded(rows);
        let weights = [8, 13, 19].map(|at: usize| rows[at].inv_scale);
        assert_eq!(weights, [1000.0, 5000.0, 1e4]);
        let rows = bounded((0..60).map(|day| row(day, 0, if day < 8 { 200.0 } else { 1e4 })).collect());
        assert_eq!((rows[59].inv_scale, rows[59].fate), (1e4, Fate::Used));
    }

    #[test]
    fn a_pool_leaves_out_what_costs_more_than_it_moves_from_its_first_row_on() {
        // 1 bps of cost; symbol 1 moves a tenth of that over the holding period.
        let rows =
            (0..10).flat_map(|day| [row(day, 0, 200.0), row(day, 1, 1e5), row(day, 2, 300.0)]).collect();
        let pools: Vec<u8> = bounded(rows).iter().map(|row| row.pool).collect();
        assert!(pools.chunks(3).all(|day| day == [FULL, 0, FULL]), "{pools:?}");
    }

    #[test]
    fn a_row_weighs_at_most_four_times_what_is_typical_of_the_pool() {
        let rows =
            (0..10).flat_map(|day| [row(day, 0, 200.0), row(day, 1, 4000.0), row(day, 2, 250.0)]).collect();
        let rows = bounded(rows);
        let last = rows[28];
        assert_eq!((rows[27].pool, rows[29].pool), (FULL, FULL));
        assert!((last.inv_scale * share(last.pool) - 1000.0).abs() < 20.0, "{}", last.pool);
        assert_eq!(share(FULL), 1.0);
    }

    /// Against sorting the last days anew.
    #[test]
    fn the_median_is_that_of_the_last_days() {
        let (mut history, mut days) = (History::default(), Vec::new());
        for day in 0..200_u32 {
            let weight = f64::from(day * 7919 % 101) + if day % 5 == 0 { 0.0 } else { 0.5 };
            days.push(weight);
            history.today = Some(weight);
            history.close_day(&spec());
            let mut last: Vec<f64> = days.iter().rev().take(8).copied().collect();
            last.sort_by(f64::total_cmp);
            assert_eq!(history.sorted, last, "{day}");
            assert_eq!(history.typical, (day >= 2).then(|| last[last.len() / 2]), "{day}");
        }
    }

    #[test]
    fn rows_that_were_bounded_before_leave_the_same_past() {
        let mut rows: Vec<BookRow> = (0..40)
            .flat_map(|day| {
                [row(day, 0, 200.0 + f64::from(day)), row(day, 1, if day == 9 { 1e12 } else { 150.0 })]
            })
            .collect();
        let mut first = Histories::new(2);
        first.bound(&mut rows, true, &spec());
        let mut again = Histories::new(2);
        again.restore(&rows, true, &spec());
        assert_eq!(first, again);
    }
}
