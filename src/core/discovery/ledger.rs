//! The trial ledger: every unit that was ever looked at, so that the number of trials cannot be understated.
//!
//! Units that are new to the ledger when a catalogue is looked at are one *cohort*. Cohort b has the share
//! `gamma_b = 6 / (pi^2 b^2)` of the error budget for ever, whatever comes later, and its units the weight `w
//! = m gamma_b s` (m trials in all, s its share of the cohort: shares of a cohort add up to 1). A trial has
//! its share from the day on which it begins: see [`super::begun`]. A cohort's shares have the shape that
//! `gates.yaml` declares when it is opened, and are written down with it: a shape that changes later shapes
//! later cohorts. A changed definition is a new unit in a later cohort; a removed unit stays counted; an
//! identical definition that returns is the unit that it was.
//!
//! Each statistic has a ledger of its own: what is tested beside discovery neither spends nor widens the
//! budget of what may be published.
//!
//! Append-only and pure: the store keeps the trials, this module decides what to add.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::accounting::{Accounting, GroupNumbers, Queues};
use super::catalogue::Catalogue;
use super::cluster::count;
use super::multiplicity::cohort_budget;
use crate::spec::TestStatistic;
use crate::spec::gates::{CatalogueKind, GroupKey, ProcedureSpec};

/// SHA-256 of a unit's definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrialKey(pub [u8; 32]);

impl TrialKey {
    /// Of a definition text.
    #[must_use]
    pub fn of(definition: &str) -> Self {
        Self(Sha256::digest(definition.as_bytes()).into())
    }

    /// The key as lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        crate::market::hex(&self.0)
    }
}

/// What a unit of a catalogue is to the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Every event of every symbol: pooled and without a condition.
    PooledUnconditional,
    /// One symbol, or a condition.
    Narrower,
}

impl Tier {
    /// Both, the wider one first.
    pub const ALL: [Self; 2] = [Self::PooledUnconditional, Self::Narrower];

    /// Of a unit, by its condition id and the label of its scope.
    #[must_use]
    pub fn of(condition: &str, scope: &str) -> Self {
        if condition.is_empty() && scope == "ALL" { Self::PooledUnconditional } else { Self::Narrower }
    }
}

/// How a cohort's budget is spread over its units, before any of them is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    /// A unit's share, by tier.
    shares: [f64; 2],
}

impl Shape {
    /// Of a cohort with so many units of each tier. Where a tier is empty or nothing is set apart, every unit
    /// has the same.
    pub(super) fn new(units: [usize; 2], procedure: &ProcedureSpec) -> Self {
        let apart = procedure.budget.pooled_unconditional;
        let [wide, narrow] = units.map(count);
        let shares = if apart > 0.0 && units.iter().all(|n| *n > 0) {
            [apart / wide, (1.0 - apart) / narrow]
        } else {
            [1.0 / (wide + narrow).max(1.0); 2]
        };
        Self { shares }
    }

    pub(super) const fn of(&self, tier: Tier) -> f64 {
        self.shares[tier as usize]
    }
}

/// A unit that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// What it is.
    pub key: TrialKey,
    /// Cohort, from 1.
    pub cohort: u32,
    /// Last closed UTC day (since the epoch) of its first look.
    pub first_look: i64,
    /// Hash of the catalogue of its first look.
    pub catalogue: [u8; 32],
    /// What it measures.
    pub statistic: TestStatistic,
    /// Canonical family of the event type.
    pub family: String,
    /// Event type that the unit tests.
    pub event_type: String,
    /// Label of the holding period.
    pub horizon: String,
    /// Condition id; empty = none.
    pub condition: String,
    /// Symbol, or `ALL`.
    pub scope: String,
    /// Its even part of its cohort's budget; `None` in a cohort that was opened before budgets had a shape.
    pub share: Option<f64>,
    /// How much more the first of its tier to begin have than the last: see [`super::begun`].
    pub by_order: f64,
    /// The UTC day on which it could first be decided; `None` until it can.
    pub begun: Option<i64>,
}

impl Trial {
    /// What it is to the budget.
    #[must_use]
    pub fn tier(&self) -> Tier {
        Tier::of(&self.condition, &self.scope)
    }

    fn group(&self, keys: &[GroupKey]) -> String {
        let part = |key: &GroupKey| match key {
            GroupKey::CanonicalFamily => self.family.as_str(),
            GroupKey::EventType => &self.event_type,
            GroupKey::TemplateVerb => "fade_follow",
            GroupKey::Horizon => &self.horizon,
            GroupKey::StateId => &self.condition,
            GroupKey::Symbol => &self.scope,
        };
        keys.iter().map(part).collect::<Vec<_>>().join("|")
    }
}

/// A catalogue that may not be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// It was declared closed for ever, and has grown.
    #[error(
        "the catalogue was declared closed and has spent its whole error budget, but {new} of its {units} hypotheses are new \
         (the first: {first}); take the change back, or start another study in an empty state directory"
    )]
    Closed {
        /// Number of units that the ledger has not seen before.
        new: usize,
        /// Units in all.
        units: usize,
        /// One of them.
        first: String,
    },
    /// Closing it now would promise budget that later cohorts have.
    #[error(
        "gates.yaml: multiplicity.catalogue is closed, but the ledger already holds {cohorts} cohorts; only a catalogue with \
         one cohort can be closed: set it to open"
    )]
    TooLate {
        /// Cohorts so far.
        cohorts: u32,
    },
}

/// A cohort in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cohort {
    /// Number, from 1.
    pub cohort: u32,
    /// Units ever admitted: m_b.
    pub units: usize,
    /// Units of the catalogue at hand.
    pub in_catalogue: usize,
    /// Share of the error budget: gamma_b.
    pub budget: f64,
    /// Last closed UTC day of its first look.
    #[serde(serialize_with = "as_date", deserialize_with = "from_date")]
    pub first_look: Option<i64>,
}

fn as_date<S: serde::Serializer>(day: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match day {
        Some(day) => serializer.serialize_str(&date(*day)),
        None => serializer.serialize_none(),
    }
}

fn from_date<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    let day = |text: String| crate::market::parse_date(&text).map(|ts| ts.day());
    text.map(day).transpose().map_err(serde::de::Error::custom)
}

/// A UTC day as `YYYY-MM-DD`.
#[must_use]
pub fn date(day: i64) -> String {
    let mut text = crate::market::Ts(day.saturating_mul(crate::market::DAY_MS)).to_string();
    text.truncate(10);
    text
}

/// Every trial of one statistic so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrialLedger {
    trials: BTreeMap<TrialKey, Trial>,
    closed: bool,
}

impl TrialLedger {
    /// From what the store holds. `closed`: the catalogue was declared closed when it was looked at.
    #[must_use]
    pub fn new(trials: impl IntoIterator<Item = Trial>, closed: bool) -> Self {
        Self { trials: trials.into_iter().map(|t| (t.key, t)).collect(), closed }
    }

    /// Trials so far: m.
    #[must_use]
    pub fn len(&self) -> usize {
        self.trials.len()
    }

    /// Whether nothing was ever looked at.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trials.is_empty()
    }

    /// Whether it was declared closed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether a definition was ever looked at.
    #[must_use]
    pub fn get(&self, key: TrialKey) -> Option<&Trial> {
        self.trials.get(&key)
    }

    /// The last cohort; 0 when there is none.
    #[must_use]
    pub fn last_cohort(&self) -> u32 {
        self.trials.values().map(|t| t.cohort).max().unwrap_or(0)
    }

    /// What looking at a catalogue now, on data closed through `day`, adds: one cohort of the units that are
    /// new, or nothing. The caller stores them before it looks.
    ///
    /// # Errors
    /// When the catalogue was declared closed and has new units, or is declared closed too late.
    pub fn admit(
        &self,
        catalogue: &Catalogue,
        procedure: &ProcedureSpec,
        day: i64,
    ) -> Result<Vec<Trial>, LedgerError> {
        let kind = procedure.catalogue;
        let cohorts = self.last_cohort();
        let mut identity = [0; 32];
        identity.copy_from_slice(&Sha256::digest(catalogue.hash.as_bytes()));
        let mut new: BTreeMap<TrialKey, Trial> = BTreeMap::new();
        for place in catalogue.places() {
            let key = TrialKey::of(&catalogue.definition(place));
            if !self.trials.contains_key(&key) {
                let block = &catalogue.blocks[place.block];
                new.entry(key).or_insert_with(|| Trial {
                    key,
                    cohort: cohorts + 1,
                    first_look: day,
                    catalogue: identity,
                    statistic: catalogue.statistic,
                    family: block.family.to_string(),
                    event_type: block.event_type.to_string(),
                    horizon: block.horizon.label.to_string(),
                    condition: catalogue.condition(place).map_or("", |c| &c.condition.id).to_owned(),
                    scope: catalogue.scope(place).label().to_owned(),
                    share: None,
                    by_order: procedure.budget.by_order,
                    begun: None,
                });
            }
        }
        let first = new.values().next();
        if let Some(first) = first.filter(|_| self.closed && cohorts > 0) {
            let first = format!("{} {} {} {}", first.event_type, first.horizon, first.scope, first.condition);
            return Err(LedgerError::Closed { new: new.len(), units: catalogue.units, first });
        }
        let after = cohorts + u32::from(first.is_some());
        if kind == CatalogueKind::Closed && !self.closed && after > 1 {
            return Err(LedgerError::TooLate { cohorts });
        }
        let of = |tier: Tier| new.values().filter(|trial| trial.tier() == tier).count();
        let shape = Shape::new(Tier::ALL.map(of), procedure);
        let mut new: Vec<Trial> = new.into_values().collect();
        new.iter_mut().for_each(|trial| trial.share = Some(shape.of(trial.tier())));
        Ok(new)
    }

    /// Takes what [`TrialLedger::admit`] gave. Known trials stay as they were.
    pub fn extend(&mut self, trials: impl IntoIterator<Item = Trial>, kind: CatalogueKind) {
        for trial in trials {
            self.trials.entry(trial.key).or_insert(trial);
        }
        self.closed |= kind == CatalogueKind::Closed;
    }

    /// Remembers for ever on which days the trials of a catalogue began, and returns what is new of that.
    pub fn begin(&mut self, catalogue: &Catalogue, begun: &[Vec<Option<i64>>]) -> Vec<Trial> {
        let mut new = Vec::new();
        for place in catalogue.places() {
            let day = begun[place.block][catalogue.local(place.block, place.scope, place.condition)];
            let Some(day) = day else { continue };
            let trial = self.trials.get_mut(&TrialKey::of(&catalogue.definition(place)));
            if let Some(trial) = trial.filter(|trial| trial.begun.is_none()) {
                trial.begun = Some(day);
                new.push(trial.clone());
            }
        }
        new
    }

    /// How the trials of a catalogue are accounted for. A unit that the ledger does not know has no share of
    /// the budget: [`TrialLedger::admit`] comes first.
    #[must_use]
    pub fn account(&self, catalogue: &Catalogue) -> Accounting {
        let mut out = Accounting { total: self.trials.len(), ..Accounting::default() };
        let mut cohorts: BTreeMap<u32, Cohort> = BTreeMap::new();
        let mut groups = GroupNumbers::default();
        for trial in self.trials.values() {
            let cohort = cohorts.entry(trial.cohort).or_insert_with(|| Cohort {
                cohort: trial.cohort,
                units: 0,
                in_catalogue: 0,
                budget: if self.closed { 1.0 } else { cohort_budget(trial.cohort) },
                first_look: Some(trial.first_look),
            });
            cohort.units += 1;
            let group = groups.number(trial.cohort, trial.group(&catalogue.group_by));
            groups.list[group].units += 1;
        }
        let mut queues = Queues::default();
        for trial in self.trials.values() {
            let known = &cohorts[&trial.cohort];
            queues.enter(trial, known.budget * trial.share.unwrap_or_else(|| 1.0 / count(known.units)));
        }
        let stray = self.last_cohort() + 1;
        let mut there = BTreeSet::new();
        for block in 0..catalogue.blocks.len() {
            let (mut of, mut group_of, mut queue_of) = (Vec::new(), Vec::new(), Vec::new());
            let mut begun_of = Vec::new();
            for local in 0..catalogue.block_units(block) {
                let place = catalogue.place(block, local);
                let key = TrialKey::of(&catalogue.definition(place));
                let trial = self.trials.get(&key);
                there.insert(key);
                let cohort = trial.map_or(stray, |t| t.cohort);
                let name = trial.map_or_else(|| catalogue.group_id(place), |t| t.group(&catalogue.group_by));
                if let Some(cohort) = cohorts.get_mut(&cohort) {
                    cohort.in_catalogue += 1;
                }
                let group = groups.number(cohort, name);
                if trial.is_none() {
                    groups.list[group].units += 1;
                }
                queue_of.push(trial.map(|t| queues.number(t.cohort, t.tier())));
                begun_of.push(trial.and_then(|t| t.begun));
                of.push(cohort);
                group_of.push(group);
            }
            out.cohort_of.push(of);
            out.group_of.push(group_of);
            out.queue_of.push(queue_of);
            out.begun_of.push(begun_of);
        }
        for trial in self.trials.values().filter(|trial| !there.contains(&trial.key)) {
            let queue = queues.number(trial.cohort, trial.tier());
            queues.list[queue].gone.extend(trial.begun);
        }
        out.queues = queues.list;
        out.cohorts = cohorts.into_values().collect();
        out.groups = groups.list;
        out
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
