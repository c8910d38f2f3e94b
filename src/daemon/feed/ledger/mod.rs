//! What is known of each series, slot by slot: settled with the exchange, open, or a hole that the exchange
//! has too.
//!
//! ```text
//!            seen by a stream,           the exchange has answered:          it answered twice that it
//!            or not at all               what it says is stored              has nothing there
//!               OPEN  ───────────────────►  SETTLED  ◄────────────────────────  HOLE
//!                 ▲                            │  REST changed its mind            │  asked again when it is due:
//!                 └────────────────────────────┴── (audit, late row) ◄─────────────┘  in minutes, hours, days
//! ```
//! The open part is the queue of what has to be asked for. It is the complement of what is settled, so it
//! needs no upkeep, survives outages and restarts, and drains as soon as the exchange answers again. A hole
//! belongs to the settled part, with the times of its questions beside it. Repairs are what changed behind
//! the present: kept so that every difference between what was signalled and what is stored can be explained.

mod kept;
mod missing;

pub use kept::{Ledgers, load, mark};
pub use missing::{can_settle, missing};

use serde::{Deserialize, Serialize};

use backtestd_core::market::{BAR_MS, Kind, Ts};

/// Entries about repairs. With more, the nearest of the older ones become one: a range over both, and how
/// many records.
const REPAIRS_KEPT: usize = 200;

/// A part of a series: bar numbers or milliseconds, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stretch {
    /// First bar number or ms of the stretch.
    pub from: i64,
    /// End of the stretch, exclusive.
    pub to: i64,
}

impl Stretch {
    /// What both have in common; none if that is nothing.
    #[must_use]
    pub fn common(self, other: Self) -> Option<Self> {
        let both = Self { from: self.from.max(other.from), to: self.to.min(other.to) };
        (both.from < both.to).then_some(both)
    }

    /// Slots or labels that lie in it, of a series of this kind: that of an instant may be the only
    /// millisecond that it has.
    #[must_use]
    pub fn records(self, kind: Kind) -> u64 {
        let label = |ms: i64| -(-ms).div_euclid(BAR_MS);
        let count = if kind.is_bar_like() { self.to - self.from } else { label(self.to) - label(self.from) };
        count.unsigned_abs()
    }
}

/// Slots for which the exchange said that it has nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hole {
    /// Where it is.
    pub at: Stretch,
    /// Answers that agree, one after the other.
    pub answers: u32,
    /// When the first of them came.
    pub since: Ts,
    /// When it is asked about again.
    pub next: Ts,
}

/// An answer of the exchange, as far as it is about what is not there.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// How often it said the same.
    pub answers: u32,
    /// When, by its clock.
    pub now: Ts,
    /// The rules' wait before a hole is asked about again, in seconds, by how many answers agree.
    pub patience_s: &'a [u32],
}

/// What a repair did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Records came that were missing.
    Filled,
    /// Records differed and were replaced.
    Corrected,
}

impl Change {
    /// The word in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Filled => "filled",
            Self::Corrected => "corrected",
        }
    }
}

/// Records behind the present that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// From the first record that changed to behind the last one.
    pub at: Stretch,
    /// What was done.
    pub change: Change,
    /// Records that changed.
    pub records: u64,
    /// Where the records came from: `rest`, `rest audit`, `stream`.
    pub how: String,
    /// When, by the exchange's clock.
    pub when: Ts,
}

/// The ledger of one series.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    settled: Vec<Stretch>,
    holes: Vec<Hole>,
    repairs: Vec<Repair>,
    /// Records filled in behind the present, over all repairs.
    pub filled: u64,
    /// Records corrected behind the present, over all repairs.
    pub corrected: u64,
    /// Through here (exclusive) the days have been compared once more with the exchange.
    pub audited_to: i64,
}

impl Ledger {
    /// What the exchange has answered for, ascending and apart.
    #[must_use]
    pub fn settled(&self) -> &[Stretch] {
        &self.settled
    }

    /// The holes, ascending and apart.
    #[must_use]
    pub fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// The repairs, oldest first: the newer ones one by one, of the older ones those that lie near each other
    /// together.
    #[must_use]
    pub fn repairs(&self) -> &[Repair] {
        &self.repairs
    }

    /// Whether a slot or instant is settled.
    #[must_use]
    pub fn is_settled(&self, at: i64) -> bool {
        let next = self.settled.partition_point(|s| s.to <= at);
        self.settled.get(next).is_some_and(|s| s.from <= at)
    }

    /// Whether a slot lies in a hole.
    #[must_use]
    pub fn is_hole(&self, at: i64) -> bool {
        self.holes.iter().any(|hole| hole.at.from <= at && at < hole.at.to)
    }

    /// The parts of `wanted` that are not settled, ascending.
    #[must_use]
    pub fn open(&self, wanted: Stretch) -> Vec<Stretch> {
        let mut open = Vec::new();
        let mut from = wanted.from;
        for known in self.settled.iter().filter(|s| s.to > wanted.from && s.from < wanted.to) {
            if known.from > from {
                open.push(Stretch { from, to: known.from });
            }
            from = known.to;
        }
        if from < wanted.to {
            open.push(Stretch { from, to: wanted.to });
        }
        open
    }

    /// The newest hole inside `wanted` that is due to be asked about again: a single answer is none.
    #[must_use]
    pub fn due_hole(&self, wanted: Stretch, now: Ts) -> Option<&Hole> {
        let is_due = |hole: &&Hole| hole.answers < 2 || hole.next <= now;
        self.holes.iter().rev().filter(is_due).find(|hole| hole.at.common(wanted).is_some())
    }

    /// `stretch` is answered for, and nothing of it is missing.
    pub fn cover(&mut self, stretch: Stretch) {
        self.settle(stretch, &[], Told { answers: 1, now: Ts(0), patience_s: &[] });
    }

    /// The exchange has answered for `stretch`, and has nothing for `missing` inside of it.
    pub fn settle(&mut self, stretch: Stretch, missing: &[Stretch], told: Told<'_>) {
        let Told { answers, now, .. } = told;
        if stretch.from >= stretch.to {
            return;
        }
        self.add_settled(stretch);
        let before = std::mem::take(&mut self.holes);
        let mut holes = Vec::new();
        for hole in &before {
            for at in without(hole.at, stretch) {
                holes.push(Hole { at, ..hole.clone() });
            }
        }
        for gap in missing.iter().filter_map(|gap| gap.common(stretch)) {
            let mut fresh = vec![gap];
            for old in &before {
                if let Some(at) = old.at.common(gap) {
                    // Asked again before it was due, with its neighbours: a minute later the same answer says
                    // nothing new.
                    let is_early = old.answers >= 2 && now < old.next;
                    holes.push(if is_early {
                        Hole { at, ..old.clone() }
                    } else {
                        told.doubted(at, old.answers.saturating_add(answers), old.since)
                    });
                    fresh = fresh.into_iter().flat_map(|part| without(part, at)).collect();
                }
            }
            holes.extend(fresh.into_iter().map(|at| told.doubted(at, answers, now)));
        }
        holes.sort_by_key(|hole| hole.at);
        self.holes = joined(holes);
    }

    /// Nothing is known of `stretch` any more: it is asked for again.
    pub fn reopen(&mut self, stretch: Stretch) {
        self.settled = self.settled.iter().flat_map(|s| without(*s, stretch)).collect();
        let apart = |hole: &Hole| {
            let parts = without(hole.at, stretch);
            parts.into_iter().map(|at| Hole { at, ..hole.clone() }).collect::<Vec<_>>()
        };
        self.holes = self.holes.iter().flat_map(apart).collect();
    }

    /// Remembers what changed behind the present.
    pub fn note_repair(&mut self, repair: Repair) {
        match repair.change {
            Change::Filled => self.filled += repair.records,
            Change::Corrected => self.corrected += repair.records,
        }
        if let Some(last) = self.repairs.last_mut()
            && (last.change, &last.how) == (repair.change, &repair.how)
            && (last.at.from <= repair.at.to && repair.at.from <= last.at.to)
        {
            last.at = Stretch { from: last.at.from.min(repair.at.from), to: last.at.to.max(repair.at.to) };
            last.records += repair.records;
            last.when = repair.when;
            return;
        }
        self.repairs.push(repair);
        if self.repairs.len() > REPAIRS_KEPT {
            self.fold_repairs();
        }
    }

    /// Makes one entry of two older ones that say the same of ranges near each other: the two that make the
    /// shortest range.
    fn fold_repairs(&mut self) {
        let older = &self.repairs[..self.repairs.len() / 2];
        let union = |a: Stretch, b: Stretch| Stretch { from: a.from.min(b.from), to: a.to.max(b.to) };
        let mut nearest: Option<(i64, usize, usize)> = None;
        for (at, repair) in older.iter().enumerate() {
            for (other, later) in older.iter().enumerate().skip(at + 1) {
                if (repair.change, &repair.how) == (later.change, &later.how) {
                    let both = union(repair.at, later.at);
                    let pair = (both.to - both.from, at, other);
                    nearest = Some(nearest.map_or(pair, |best| best.min(pair)));
                }
            }
        }
        let Some((_, at, other)) = nearest else {
            // There are few words for how, and so two of a hundred entries with the same; a bound all the
            // same.
            self.repairs.remove(0);
            return;
        };
        let first = self.repairs.remove(at);
        let both = &mut self.repairs[other - 1];
        both.at = union(first.at, both.at);
        both.records += first.records;
    }

    fn add_settled(&mut self, stretch: Stretch) {
        self.settled.push(stretch);
        self.settled.sort();
        let mut merged: Vec<Stretch> = Vec::with_capacity(self.settled.len());
        for stretch in self.settled.drain(..) {
            match merged.last_mut() {
                Some(last) if stretch.from <= last.to => last.to = last.to.max(stretch.to),
                _ => merged.push(stretch),
            }
        }
        self.settled = merged;
    }
}

impl Told<'_> {
    /// The hole that this answer leaves, the last of so many that agree.
    fn doubted(&self, at: Stretch, answers: u32, since: Ts) -> Hole {
        let step = self.patience_s.len().min(answers.max(1) as usize).saturating_sub(1);
        // Without rules whoever comes next asks again.
        let wait_s = self.patience_s.get(step).copied().unwrap_or(0);
        Hole { at, answers, since, next: Ts(self.now.0 + i64::from(wait_s) * 1000) }
    }
}

/// The parts of `whole` outside of `cut`.
fn without(whole: Stretch, cut: Stretch) -> Vec<Stretch> {
    let left = Stretch { from: whole.from, to: whole.to.min(cut.from) };
    let right = Stretch { from: whole.from.max(cut.to), to: whole.to };
    [left, right].into_iter().filter(|part| part.from < part.to).collect()
}

/// Neighbours with the same history become one.
fn joined(holes: Vec<Hole>) -> Vec<Hole> {
    let mut out: Vec<Hole> = Vec::with_capacity(holes.len());
    for hole in holes {
        match out.last_mut() {
            Some(last)
                if last.at.to == hole.at.from && (last.answers, last.next) == (hole.answers, hole.next) =>
            {
                last.at.to = hole.at.to;
                last.since = last.since.min(hole.since);
            }
            _ => out.push(hole),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtestd_core::market::DAY_MS;

    const PATIENCE_S: [u32; 6] = [0, 600, 3600, 6 * 3600, 86_400, 7 * 86_400];

    fn told(answers: u32, now: Ts) -> Told<'static> {
        Told { answers, now, patience_s: &PATIENCE_S }
    }

    fn s(from: i64, to: i64) -> Stretch {
        Stretch { from, to }
    }

    #[test]
    fn a_hole_of_one_label_is_one_however_short_it_is() {
        let label = 7 * BAR_MS;
        assert_eq!(s(label, label + 1).records(Kind::OpenInterest), 1);
        assert_eq!(s(label + 1, label + BAR_MS).records(Kind::OpenInterest), 0);
        assert_eq!(s(label - 1, label + 2 * BAR_MS + 1).records(Kind::OpenInterest), 3);
        assert_eq!(s(7, 9).records(Kind::Bars), 2);
    }

    #[test]
    fn what_is_not_settled_is_the_queue() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.open(s(0, 10)), [s(0, 10)]);
        ledger.settle(s(2, 4), &[], told(1, Ts(0)));
        ledger.settle(s(7, 9), &[], told(1, Ts(0)));
        assert_eq!(ledger.open(s(0, 10)), [s(0, 2), s(4, 7), s(9, 10)]);
        assert!(ledger.is_settled(2) && !ledger.is_settled(4));
        ledger.settle(s(4, 7), &[], told(1, Ts(0)));
        assert_eq!(ledger.settled(), [s(2, 9)]);
        ledger.reopen(s(5, 6));
        assert_eq!(ledger.open(s(0, 10)), [s(0, 2), s(5, 6), s(9, 10)]);
    }

    #[test]
    fn a_hole_is_believed_longer_the_oftener_the_answer_was_the_same() {
        let mut ledger = Ledger::default();
        ledger.settle(s(0, 10), &[s(3, 5)], told(1, Ts(0)));
        assert!(
            ledger.due_hole(s(0, 10), Ts(0)).is_some(),
            "a single answer is no answer: asked again at once"
        );
        ledger.settle(s(3, 5), &[s(3, 5)], told(1, Ts(1)));
        assert_eq!(ledger.due_hole(s(0, 10), Ts(2 * BAR_MS)), None);
        assert!(ledger.due_hole(s(0, 10), Ts(2 * BAR_MS + 1)).is_some());
        // Every tick asks for the last bars again: that is no reason to believe it for days.
        for _ in 0..20 {
            ledger.settle(s(0, 10), &[s(3, 5)], told(2, Ts(2)));
        }
        assert_eq!((ledger.holes()[0].answers, ledger.holes()[0].next), (2, Ts(2 * BAR_MS + 1)));
        let mut now = Ts(2);
        for _ in 0..20 {
            now = ledger.holes()[0].next;
            ledger.settle(s(3, 5), &[s(3, 5)], told(1, now));
        }
        let hole = &ledger.holes()[0];
        assert_eq!((hole.answers, hole.since, hole.next), (22, Ts(0), Ts(now.0 + 7 * DAY_MS)));
    }

    #[test]
    fn what_came_after_all_is_no_hole_and_what_is_new_of_one_begins_anew() {
        let mut ledger = Ledger::default();
        ledger.settle(s(0, 10), &[s(3, 6)], told(2, Ts(0)));
        // The exchange has slot 4 now, and slot 6 is gone.
        let due = 2 * BAR_MS;
        ledger.settle(s(0, 10), &[s(3, 4), s(5, 7)], told(1, Ts(due)));
        let holes: Vec<_> = ledger.holes().iter().map(|h| (h.at, h.answers, h.since)).collect();
        assert_eq!(holes, [(s(3, 4), 3, Ts(0)), (s(5, 6), 3, Ts(0)), (s(6, 7), 1, Ts(due))]);
        assert!(ledger.is_hole(5) && !ledger.is_hole(4));
        ledger.settle(s(5, 7), &[], told(1, Ts(due + 1)));
        assert_eq!(ledger.holes().len(), 1);
    }

    #[test]
    fn a_hole_outside_of_what_was_asked_stays_as_it_is() {
        let mut ledger = Ledger::default();
        ledger.settle(s(0, 10), &[s(2, 8)], told(2, Ts(0)));
        ledger.settle(s(4, 6), &[], told(1, Ts(5)));
        let holes: Vec<_> = ledger.holes().iter().map(|h| (h.at, h.answers)).collect();
        assert_eq!(holes, [(s(2, 4), 2), (s(6, 8), 2)]);
    }

    #[test]
    fn repairs_side_by_side_are_one_and_of_many_the_older_ones_are_told_together() {
        let mut ledger = Ledger::default();
        let repair = |from, to| Repair {
            at: s(from, to),
            change: Change::Filled,
            records: (to - from) as u64,
            how: "rest".to_owned(),
            when: Ts(to),
        };
        ledger.note_repair(repair(5, 6));
        ledger.note_repair(repair(4, 5));
        assert_eq!((ledger.repairs().len(), ledger.repairs()[0].at, ledger.filled), (1, s(4, 6), 2));
        for n in 0..300 {
            ledger.note_repair(repair(10 * n, 10 * n + 1));
        }
        assert_eq!((ledger.repairs().len(), ledger.filled), (REPAIRS_KEPT, 302));
        let told = |repairs: &[Repair]| repairs.iter().map(|r| r.records).sum::<u64>();
        assert_eq!(told(ledger.repairs()), 302, "each is told of");
        assert_eq!(told(&ledger.repairs()[REPAIRS_KEPT / 2..]), 100, "the newer ones one by one");
        let mut other = repair(7, 8);
        (other.change, other.how) = (Change::Corrected, "rest audit".to_owned());
        ledger.note_repair(other.clone());
        for n in 300..600 {
            ledger.note_repair(repair(10 * n, 10 * n + 1));
        }
        assert!(ledger.repairs().contains(&other), "what was done otherwise stays apart");
    }
}
