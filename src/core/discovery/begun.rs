//! When a trial begins, and what it gets of the budget then.
//!
//! A unit is looked at from the evening on which it can be decided: its counts are what every gate asks for,
//! and it is a series of its own (see [`super::membership`]). Until then it has p = 1 and nothing of the
//! budget. The j-th of N trials of a cohort's tier that begins has the share `(j/N)^(1-a) - ((j-1)/N)^(1-a)`
//! of what the tier has, with the `by_order` a that the cohort was opened with; those that begin on one day
//! share alike. So all N together have what the tier has, whoever comes later takes nothing from who came
//! before, and what never can be decided keeps nothing from those that can.
//!
//! The order is that of counts, and must be: shares that went to the units with the best returns so far would
//! be paid for with the returns that are tested. docs/robustness.md has the argument, the tests below a
//! canary.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::accounting::Accounting;
use super::catalogue::{Catalogue, UnitPlace};
use super::cluster::count;
use super::evidence::{DaySum, EvidenceBook, Scratch};
use super::membership::LeastCounts;
use crate::spec::gates::GatesSpec;

/// A number of each unit, by block and position in it.
pub type ByUnit<T> = Vec<Vec<T>>;

/// One tier of one cohort: trials that queue for a budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// What each of its trials would have of the whole error budget, if all had the same.
    pub even: f64,
    /// How many trials it has, begun or not, units that are gone included.
    pub trials: usize,
    /// How much more the first have than the last, in [0, 1); 0 = all have the same.
    pub by_order: f64,
    /// The days on which trials began that are not in the catalogue any more.
    pub gone: Vec<i64>,
}

impl Queue {
    /// What the first `n` trials have together.
    fn of_first(&self, n: usize) -> f64 {
        let part = (count(n) / count(self.trials.max(1))).min(1.0);
        self.even
            * count(self.trials)
            * if self.by_order == 0.0 { part } else { libm::pow(part, 1.0 - self.by_order) }
    }

    /// What each of the trials that begin as numbers `before + 1` to `after` has.
    fn each(&self, before: usize, after: usize) -> f64 {
        (self.of_first(after) - self.of_first(before)) / count(after - before)
    }
}

/// A unit's days with the events so far, ascending.
type Counted = Vec<(i64, u64)>;

/// The UTC day on which the trial of each unit begins; `None` of what cannot be decided yet.
#[must_use]
pub fn begun(catalogue: &Catalogue, book: &EvidenceBook, gates: &GatesSpec) -> ByUnit<Option<i64>> {
    let blocks = (0..catalogue.blocks.len()).into_par_iter();
    blocks
        .map_init(Scratch::default, |scratch, block| {
            let mut days: Vec<Counted> = vec![Vec::new(); catalogue.block_units(block)];
            book.blocks[block].each_unit(scratch, |local, _, sums| days[local] = counted(sums));
            let places = (0..days.len()).map(|local| catalogue.place(block, local));
            places.map(|place| begins(catalogue, gates, place, &days)).collect()
        })
        .collect()
}

fn counted(days: &[DaySum]) -> Counted {
    let mut events = 0;
    let one = |day: &DaySum| {
        events += u64::from(day.n);
        (i64::from(day.day), events)
    };
    // A day that only carries what was entered before adds no event.
    days.iter().filter(|day| day.n > 0).map(one).collect()
}

fn begins(catalogue: &Catalogue, gates: &GatesSpec, place: UnitPlace, days: &[Counted]) -> Option<i64> {
    let least = LeastCounts::of(catalogue, gates, place);
    let own = &days[catalogue.local(place.block, place.scope, place.condition)];
    let mut so_far = own.iter().zip(1..);
    let enough = so_far.find(|((_, events), days)| least.admit(*events, *days)).map(|((day, _), _)| *day)?;
    told_apart(catalogue, place, days).map(|apart| enough.max(apart))
}

/// The first day on which a unit is not the same series as another that stands for both; any day before all
/// of them for what never is. Rows that tell two apart stay for ever.
fn told_apart(catalogue: &Catalogue, place: UnitPlace, days: &[Counted]) -> Option<i64> {
    let of = |scope, condition| &days[catalogue.local(place.block, scope, condition)];
    let own = of(place.scope, place.condition);
    let from_parent = if place.condition > 0 { differ(of(place.scope, 0), own)? } else { i64::MIN };
    let symbols = catalogue.symbols.len();
    if place.scope != symbols {
        return Some(from_parent);
    }
    let mut firsts: Vec<(i64, usize)> =
        (0..symbols).filter_map(|s| of(s, place.condition).first().map(|(day, _)| (*day, s))).collect();
    firsts.sort_unstable();
    let second = firsts.get(1).map(|(day, _)| *day);
    let alone = firsts.first().and_then(|(_, symbol)| differ(of(*symbol, place.condition), own));
    let from_symbol = second.into_iter().chain(alone).min()?;
    Some(from_parent.max(from_symbol))
}

/// The first day on which a part has not all that the whole has.
fn differ(whole: &Counted, part: &Counted) -> Option<i64> {
    let mut pairs = whole.iter().zip(part.iter().map(Some).chain(std::iter::repeat(None)));
    pairs.find(|(whole, part)| Some(*whole) != *part).map(|(whole, _)| whole.0)
}

impl Accounting {
    /// Each unit's share of the whole error budget, when their trials have begun on these days. What the
    /// ledger remembers of others keeps its place in the queue. A unit whose trial has not begun has what it
    /// would have as the next one; its p is 1.
    #[must_use]
    pub fn shares(&self, begun: &[Vec<Option<i64>>]) -> ByUnit<f64> {
        let day = |block: usize, local: usize| begun[block][local].or(self.begun_of[block][local]);
        let mut days: Vec<Vec<i64>> = self.queues.iter().map(|queue| queue.gone.clone()).collect();
        for (block, queues) in self.queue_of.iter().enumerate() {
            for (local, queue) in queues.iter().enumerate() {
                let at = queue.zip(day(block, local));
                at.into_iter().for_each(|(queue, day)| days[queue].push(day));
            }
        }
        let shares: Vec<BTreeMap<i64, f64>> = self.queues.iter().zip(&mut days).map(by_day).collect();
        let next: Vec<f64> = self
            .queues
            .iter()
            .zip(&days)
            .map(|(queue, days)| queue.each(days.len(), days.len() + 1))
            .collect();
        let of_unit = |block: usize, local: usize, queue: Option<usize>| {
            let share = |queue: usize| {
                day(block, local).map_or(next[queue], |day| shares[queue].get(&day).copied().unwrap_or(0.0))
            };
            queue.map_or(0.0, share)
        };
        let of_block = |(block, queues): (usize, &Vec<Option<usize>>)| {
            queues.iter().enumerate().map(|(local, queue)| of_unit(block, local, *queue)).collect()
        };
        self.queue_of.iter().enumerate().map(of_block).collect()
    }
}

/// What the trials that began on a day have each, of a queue whose trials began on these days.
fn by_day((queue, days): (&Queue, &mut Vec<i64>)) -> BTreeMap<i64, f64> {
    days.sort_unstable();
    let mut before = 0;
    let of_day = |same: &[i64]| {
        let share = (same[0], queue.each(before, before + same.len()));
        before += same.len();
        share
    };
    days.chunk_by(|a, b| a == b).map(of_day).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::multiplicity::{bh_reject, weigh};
    use crate::market::Draws;

    const TRIALS: usize = 400;
    const DAYS: usize = 150;

    fn queue(trials: usize, by_order: f64) -> Queue {
        Queue { even: 1.0 / count(trials), trials, by_order, gone: Vec::new() }
    }

    #[test]
    fn who_begins_later_takes_nothing_from_who_came_before_and_all_have_the_whole() {
        for by_order in [0.0, 0.3, 0.5, 0.9] {
            let queue = queue(10, by_order);
            let mut days = vec![7, 3, 3, 9, 9, 9, 1];
            let before = by_day((&queue, &mut days));
            days.extend([10, 10, 12]);
            let after = by_day((&queue, &mut days));
            assert!(before.iter().all(|(day, share)| after[day].to_bits() == share.to_bits()));
            let all: f64 = days.iter().map(|day| after[day]).sum();
            assert!((all - 1.0).abs() < 1e-12, "{by_order}: {all}");
            assert!(after.values().is_sorted_by(|a, b| a >= b) || by_order == 0.0, "{after:?}");
        }
        assert!((queue(10, 0.0).each(3, 5) - 0.1).abs() < 1e-15);
        assert!((queue(100, 0.5).each(0, 1) - 0.1).abs() < 1e-15, "the first of a hundred has a tenth");
    }

    #[test]
    fn what_is_gone_keeps_its_place() {
        let (alone, mut beside) = (queue(10, 0.5), queue(10, 0.5));
        beside.gone = vec![1, 1, 8];
        let mut days = vec![5];
        let first = by_day((&alone, &mut days))[&5];
        days.extend(&beside.gone);
        assert!(by_day((&beside, &mut days))[&5] < first);
    }

    /// Bets on a fair coin: the very null. The supremum of each trial's wealth by day.
    fn suprema(draws: &mut Draws) -> Vec<f64> {
        let (mut wealth, mut sup) = (1.0f64, 1.0f64);
        let day = |_| {
            wealth *= if draws.uniform() < 0.5 { 1.4 } else { 0.6 };
            sup = sup.max(wealth);
            sup
        };
        (0..DAYS).map(day).collect()
    }

    /// Counts decide when a trial begins, or its returns do: the former is as honest as no order at all, the
    /// latter is not.
    #[test]
    fn an_order_by_counts_keeps_the_promise_and_an_order_by_returns_breaks_it() {
        let queue = queue(TRIALS, 0.5);
        let (mut by_counts, mut by_returns) = (0, 0);
        let worlds = 400;
        for world in 0..worlds {
            let mut draws = Draws::numbered(5, world);
            let sups: Vec<Vec<f64>> = (0..TRIALS).map(|_| suprema(&mut draws)).collect();
            let is_any_found = |days: &[i64]| {
                let shares = by_day((&queue, &mut days.to_vec()));
                let p: Vec<f64> = sups.iter().map(|sup| 1.0 / sup[DAYS - 1]).collect();
                let of: Vec<f64> = days.iter().map(|day| shares[day]).collect();
                bh_reject(&weigh(&p, &of), 1, 0.05).0 > 0
            };
            // Two in three are ever enough; the others begin on no day of these.
            let counts: Vec<i64> =
                (0..TRIALS).map(|_| (draws.uniform() * 1.5 * DAYS as f64) as i64).collect();
            by_counts += usize::from(is_any_found(&counts));
            let returns: Vec<i64> = sups
                .iter()
                .map(|sup| sup.iter().position(|sup| *sup >= 20.0).unwrap_or(DAYS) as i64)
                .collect();
            by_returns += usize::from(is_any_found(&returns));
        }
        assert!(by_counts <= 28, "{by_counts} of {worlds} worlds: at most 5 in 100 and two standard errors");
        assert!(by_returns > 45, "{by_returns} of {worlds} worlds: the harness sees nothing");
    }
}
