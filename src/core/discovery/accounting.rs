//! How the trials of one catalogue are accounted for: their cohorts, their queues for the budget, their
//! groups.

use std::collections::BTreeMap;

use super::begun::{ByUnit, Queue};
use super::catalogue::{Catalogue, UnitPlace};
use super::cluster::count;
use super::ledger::{Cohort, Shape, Tier, Trial};
use super::multiplicity::cohort_budget;
use crate::spec::gates::{CatalogueKind, GroupKey, ProcedureSpec};

/// Numbers groups by their cohort and name.
#[derive(Default)]
pub(super) struct GroupNumbers {
    pub(super) list: Vec<Group>,
    numbers: BTreeMap<(u32, String), usize>,
}

impl GroupNumbers {
    pub(super) fn number(&mut self, cohort: u32, name: String) -> usize {
        let next = self.list.len();
        let number = *self.numbers.entry((cohort, name)).or_insert(next);
        if number == next {
            self.list.push(Group { cohort, units: 0 });
        }
        number
    }
}

/// Numbers queues by their cohort and tier.
#[derive(Default)]
pub(super) struct Queues {
    pub(super) list: Vec<Queue>,
    numbers: BTreeMap<(u32, Tier), usize>,
}

impl Queues {
    pub(super) fn number(&mut self, cohort: u32, tier: Tier) -> usize {
        let next = self.list.len();
        let number = *self.numbers.entry((cohort, tier)).or_insert(next);
        if number == next {
            self.list.push(Queue { even: 0.0, trials: 0, by_order: 0.0, gone: Vec::new() });
        }
        number
    }

    /// A trial that brings an even part of the whole budget.
    pub(super) fn enter(&mut self, trial: &Trial, part: f64) {
        let number = self.number(trial.cohort, trial.tier());
        let queue = &mut self.list[number];
        (queue.even, queue.by_order) = (part, trial.by_order);
        queue.trials += 1;
    }
}

/// A multiplicity group within a cohort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Number of the cohort, from 1.
    pub cohort: u32,
    /// Trials, units that are gone included.
    pub units: usize,
}

/// How the trials of one catalogue are accounted for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accounting {
    /// Trials in all: m.
    pub total: usize,
    /// Cohorts in ascending order.
    pub cohorts: Vec<Cohort>,
    /// Cohort of each unit, by block and position in it.
    pub cohort_of: Vec<Vec<u32>>,
    /// What the trials of a cohort's tier have together of the error budget, whatever comes later.
    pub queues: Vec<Queue>,
    /// Queue of each unit, by block and position in it; `None` of what nobody admitted, which has nothing.
    pub queue_of: ByUnit<Option<usize>>,
    /// The days on which trials are known to have begun, whatever the evidence at hand says.
    pub begun_of: ByUnit<Option<i64>>,
    /// Multiplicity groups, each within one cohort.
    pub groups: Vec<Group>,
    /// Group of each unit, by block and position in it.
    pub group_of: Vec<Vec<usize>>,
}

impl Accounting {
    /// A catalogue that is looked at without a ledger: cohort 1 and nothing else.
    #[must_use]
    pub fn alone(catalogue: &Catalogue, procedure: &ProcedureSpec) -> Self {
        let mut groups = GroupNumbers::default();
        let mut group_of = Vec::new();
        let by_unit = catalogue.group_by.iter().any(|k| matches!(k, GroupKey::StateId | GroupKey::Symbol));
        for block in 0..catalogue.blocks.len() {
            let mut of: Vec<usize> = Vec::new();
            for local in 0..catalogue.block_units(block) {
                let group = match of.first() {
                    Some(&first) if !by_unit => first,
                    _ => groups.number(1, catalogue.group_id(catalogue.place(block, local))),
                };
                groups.list[group].units += 1;
                of.push(group);
            }
            group_of.push(of);
        }
        let tier = |place| {
            let condition = catalogue.condition(place).map_or("", |c| &c.condition.id);
            Tier::of(condition, catalogue.scope(place).label())
        };
        let units = Tier::ALL.map(|of| catalogue.places().filter(|place| tier(*place) == of).count());
        let shape = Shape::new(units, procedure);
        let budget = match procedure.catalogue {
            CatalogueKind::Open => cohort_budget(1),
            CatalogueKind::Closed => 1.0,
        };
        let cohort = Cohort {
            cohort: 1,
            units: catalogue.units,
            in_catalogue: catalogue.units,
            budget,
            first_look: None,
        };
        let cohort_of = group_of.iter().map(|of| vec![1; of.len()]).collect();
        let of_block = |block| {
            let places = (0..catalogue.block_units(block)).map(|local| catalogue.place(block, local));
            places.map(|place| Some(tier(place) as usize)).collect()
        };
        let queue = |tier: Tier| Queue {
            even: budget * shape.of(tier),
            trials: units[tier as usize],
            by_order: procedure.budget.by_order,
            gone: Vec::new(),
        };
        Self {
            total: catalogue.units,
            cohorts: vec![cohort],
            cohort_of,
            queues: Tier::ALL.map(queue).into(),
            queue_of: (0..catalogue.blocks.len()).map(of_block).collect(),
            begun_of: group_of.iter().map(|of| vec![None; of.len()]).collect(),
            groups: groups.list,
            group_of,
        }
    }

    /// Cohort of a unit.
    #[must_use]
    pub fn cohort(&self, catalogue: &Catalogue, place: UnitPlace) -> u32 {
        self.cohort_of[place.block][catalogue.local(place.block, place.scope, place.condition)]
    }

    /// A cohort's numbers.
    #[must_use]
    pub fn of(&self, cohort: u32) -> Option<&Cohort> {
        self.cohorts.iter().find(|c| c.cohort == cohort)
    }

    /// A cohort's weight among groups: `N gamma_b / N_b`, of N groups in all and N_b in the cohort.
    #[must_use]
    pub fn group_weight(&self, cohort: u32) -> f64 {
        let own = self.groups.iter().filter(|g| g.cohort == cohort).count();
        self.of(cohort).map_or(0.0, |c| count(self.groups.len()) * c.budget / count(own.max(1)))
    }
}
