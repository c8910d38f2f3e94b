//! Who decides, day after day, and how often they were wrong.

use serde::Serialize;

use super::ledger::share;

/// A procedure that looks at every evening and publishes what it rejects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decider {
    /// What discovery does: anytime p of the MIX process, weighted BH over the closed catalogue.
    Production,
    /// Canary: every outcome an independent observation, t-test, BH. Must be seen to fail.
    IidT,
    /// Canary: day-clustered CR2 t-test and BH, right at one look, repeated daily. Must be seen to fail.
    DailyCr2,
}

/// One decider's run, by unit.
#[derive(Clone, Debug)]
pub(super) struct Tracker {
    /// Per unit and sign (follow, fade): first published as a truth, as a falsehood, or not yet.
    ever: Vec<[Option<bool>; 2]>,
    random_day: i64,
    at_random: (usize, usize),
    last: (usize, usize),
    /// No look ever dropped what an earlier one had.
    pub nested: bool,
}

/// How a run ended for one decider. A rejection is false if the truth on its side is not above zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Errors {
    /// Rejections at any look: how many, how many of them false.
    pub ever: (usize, usize),
    /// At the last look.
    pub fin: (usize, usize),
    /// At a look drawn by chance.
    pub random: (usize, usize),
}

impl Errors {
    /// False share of what was ever published.
    #[must_use]
    pub fn ever_fdp(&self) -> f64 {
        share(self.ever.1, self.ever.0)
    }

    /// False share at the last look.
    #[must_use]
    pub fn final_fdp(&self) -> f64 {
        share(self.fin.1, self.fin.0)
    }

    /// False share at a random look.
    #[must_use]
    pub fn random_fdp(&self) -> f64 {
        share(self.random.1, self.random.0)
    }
}

/// One rejected unit of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rejected {
    pub unit: usize,
    pub follow: bool,
    pub is_false: bool,
}

impl Tracker {
    pub(crate) fn new(units: usize, random_day: i64) -> Self {
        Self { ever: vec![[None; 2]; units], random_day, at_random: (0, 0), last: (0, 0), nested: true }
    }

    /// Takes a day's rejections; returns those that were never published before.
    pub(crate) fn look(&mut self, day: i64, rejected: &[Rejected]) -> Vec<Rejected> {
        let published = self.ever.iter().flatten().flatten().count();
        let mut new = Vec::new();
        for r in rejected {
            let slot = &mut self.ever[r.unit][usize::from(!r.follow)];
            if slot.is_none() {
                *slot = Some(r.is_false);
                new.push(*r);
            }
        }
        self.nested &= rejected.len() - new.len() == published;
        self.last = (rejected.len(), rejected.iter().filter(|r| r.is_false).count());
        if day == self.random_day {
            self.at_random = self.last;
        }
        new
    }

    /// Whether a unit was published with this side.
    pub(crate) fn published(&self, unit: usize, follow: bool) -> bool {
        self.ever[unit][usize::from(!follow)].is_some()
    }

    pub(crate) fn errors(&self) -> Errors {
        let all: Vec<bool> = self.ever.iter().flatten().filter_map(|x| *x).collect();
        Errors {
            ever: (all.len(), all.iter().filter(|f| **f).count()),
            fin: self.last,
            random: self.at_random,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn r(unit: usize, is_false: bool) -> Rejected {
        Rejected { unit, follow: true, is_false }
    }

    #[test]
    fn a_set_that_shrinks_is_noticed_and_what_was_published_stays_counted() {
        let mut tracker = Tracker::new(4, 1);
        assert_eq!(tracker.look(0, &[r(1, false)]).len(), 1);
        assert_eq!(tracker.look(1, &[r(1, false), r(2, true)]), [r(2, true)]);
        assert!(tracker.nested);
        assert!(tracker.look(2, &[r(1, false)]).is_empty());
        assert!(!tracker.nested);
        let errors = tracker.errors();
        assert_eq!((errors.ever, errors.fin, errors.random), ((2, 1), (1, 0), (2, 1)));
        assert!((errors.ever_fdp() - 0.5).abs() < 1e-12 && errors.final_fdp() == 0.0);
    }
}
