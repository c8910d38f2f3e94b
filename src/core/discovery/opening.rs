//! What a look at a catalogue would open, told before anybody looks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::catalogue::Catalogue;
use super::ledger::{TrialKey, TrialLedger};
use super::multiplicity::cohort_budget;
use crate::spec::gates::{CatalogueKind, ProcedureSpec};

/// The trials that a look at a catalogue would open.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Opening {
    /// Hypotheses of the catalogue.
    pub hypotheses: usize,
    /// Of these, such as the ledger knows: nothing is spent on them again.
    pub known: usize,
    /// Of these, such as it does not know.
    pub new: usize,
    /// The cohort that the new ones would be; `None` where nothing is new, or the ledger refuses them.
    pub cohort: Option<u32>,
    /// That cohort's share of the whole error budget.
    pub budget: f64,
    /// The new ones by event type.
    pub by_event: BTreeMap<String, usize>,
    /// Trials of the ledger that the catalogue does not have: they stay counted, and what was spent on them
    /// stays spent.
    pub left_behind: usize,
    /// Why nothing may be looked at under these specs.
    pub refusal: Option<String>,
}

impl TrialLedger {
    /// What looking at a catalogue would add. Nothing is added.
    #[must_use]
    pub fn opening(&self, catalogue: &Catalogue, procedure: &ProcedureSpec) -> Opening {
        let keys: BTreeSet<TrialKey> =
            catalogue.places().map(|place| TrialKey::of(&catalogue.definition(place))).collect();
        let known = keys.iter().filter(|key| self.get(**key).is_some()).count();
        let mut opening = Opening {
            hypotheses: keys.len(),
            known,
            new: keys.len() - known,
            cohort: None,
            budget: 0.0,
            by_event: BTreeMap::new(),
            left_behind: self.len() - known,
            refusal: None,
        };
        match self.admit(catalogue, procedure, 0) {
            Ok(new) => {
                opening.cohort = new.first().map(|trial| trial.cohort);
                let of = |cohort| match procedure.catalogue {
                    CatalogueKind::Closed => 1.0,
                    CatalogueKind::Open => cohort_budget(cohort),
                };
                opening.budget = opening.cohort.map_or(0.0, of);
                for trial in new {
                    *opening.by_event.entry(trial.event_type).or_default() += 1;
                }
            }
            Err(refused) => opening.refusal = Some(refused.to_string()),
        }
        opening
    }
}

/// Event types that a text names.
const NAMED: usize = 12;

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hypotheses, known, new, left_behind, budget, .. } = self;
        if let Some(refusal) = &self.refusal {
            return write!(f, "refused: {refusal}");
        }
        match self.cohort {
            None => write!(f, "no new trial: all {hypotheses} hypotheses were looked at before")?,
            Some(cohort) => write!(
                f,
                "{new} new trials in cohort {cohort} with {budget:.3} of the error budget ({hypotheses} hypotheses, {known} \
                 looked at before)"
            )?,
        }
        if *left_behind > 0 {
            write!(f, "; {left_behind} trials are left behind and stay counted")?;
        }
        let mut by_count: Vec<(&String, &usize)> = self.by_event.iter().collect();
        by_count.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        for (event, trials) in by_count.iter().take(NAMED) {
            write!(f, "\n  {event:<32}{trials:>6}")?;
        }
        if by_count.len() > NAMED {
            let rest: usize = by_count[NAMED..].iter().map(|(_, trials)| **trials).sum();
            write!(f, "\n  {:<32}{rest:>6}", format!("{} others", by_count.len() - NAMED))?;
        }
        Ok(())
    }
}
