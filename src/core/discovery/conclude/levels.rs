//! What each multiplicity procedure says: q by unit, and the threshold of the day.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::unit::{Unit, local, log_e_pair};
use crate::discovery::accounting::Accounting;
use crate::discovery::begun::ByUnit;
use crate::discovery::catalogue::Catalogue;
use crate::discovery::closed_bh::{Shared, closed_bh};
use crate::discovery::closure::{Closed, Weighed, closed_ebh, true_at_least};
use crate::discovery::cluster::count;
use crate::discovery::eprocess::{MixParams, e_of_log};
use crate::discovery::hierarchy::{EventNode, Trade, tree_bh};
use crate::discovery::multiplicity::{Groups, bh_adjust, ebh_adjust, grouped_bb_adjust, harmonic, weigh};
use crate::discovery::seed_compat::{SeedRow, seed_q_values};
use crate::discovery::special::sqrt_nonnegative;
use crate::spec::gates::{GatesSpec, Procedure};

/// q of every procedure, by unit.
pub(super) struct QValues {
    pub(super) grouped: Vec<f64>,
    pub(super) global: Vec<f64>,
    pub(super) by: Vec<f64>,
    pub(super) ebh: Vec<f64>,
    /// Each unit in the closure of their e-values; `None` of what has no share of the budget.
    weighed: Vec<Option<Weighed>>,
    /// Those with a share in the closure of BH.
    shared: Vec<Shared>,
}

/// One unit's q.
#[derive(Clone, Copy)]
pub(super) struct UnitQ {
    pub(super) grouped: f64,
    pub(super) global: f64,
    pub(super) by: f64,
    pub(super) ebh: f64,
}

impl QValues {
    pub(super) fn of(&self, i: usize) -> UnitQ {
        UnitQ { grouped: self.grouped[i], global: self.global[i], by: self.by[i], ebh: self.ebh[i] }
    }
}

impl UnitQ {
    pub(super) const fn of(&self, procedure: Procedure) -> f64 {
        match procedure {
            Procedure::GroupedBb => self.grouped,
            Procedure::Global => self.global,
            Procedure::StrictBy => self.by,
            Procedure::StrictEbh => self.ebh,
            // Refused by `GatesSpec::validate`; should it come this far, nothing is rejected.
            Procedure::SeedCompat => 1.0,
        }
    }
}

pub(super) fn q_values(
    catalogue: &Catalogue,
    units: &[Unit<'_>],
    params: &MixParams,
    (accounting, shares): (&Accounting, &ByUnit<f64>),
) -> QValues {
    let at = |u: &Unit<'_>| (u.place.block, local(catalogue, u.place));
    let cohorts: Vec<u32> = units.iter().map(|u| accounting.cohort_of[at(u).0][at(u).1]).collect();
    let by_cohort = |weight: &dyn Fn(u32) -> f64| -> Vec<f64> {
        let known: BTreeMap<u32, f64> = cohorts.iter().map(|c| (*c, weight(*c))).collect();
        cohorts.iter().map(|c| known[c]).collect()
    };
    // Shares of the budget instead of weights and m: what came later does not touch a bit of an earlier q.
    let shares: Vec<f64> = units.iter().map(|u| shares[at(u).0][at(u).1]).collect();
    let p: Vec<f64> = weigh(&units.iter().map(|u| u.p).collect::<Vec<_>>(), &shares);
    let group_weights = by_cohort(&|c| accounting.group_weight(c));
    let in_groups: Vec<f64> = weigh(&units.iter().map(|u| u.p).collect::<Vec<_>>(), &group_weights);
    let e_of = |u: &Unit<'_>| if u.takes_part() { e_of_log(log_e_pair(u.evidence, params)) } else { 0.0 };
    let e: Vec<f64> = units.iter().map(e_of).collect();
    // A trial that has not begun, by counts, is in no intersection that could be missing something.
    let has_begun = |u: &Unit<'_>| u.is_admitted && !u.is_excluded && u.twin.is_none();
    let weigh_unit = |((u, share), e): ((&Unit<'_>, &f64), &f64)| {
        (has_begun(u) && *share > 0.0).then_some(Weighed { share: *share, e: *e })
    };
    let weighed = units.iter().zip(&shares).zip(&e).map(weigh_unit).collect();
    let has_share =
        |(unit, share): (&Unit<'_>, &f64)| (*share > 0.0).then_some(Shared { share: *share, p: unit.p });
    let shared = units.iter().zip(&shares).filter_map(has_share).collect();
    let e: Vec<f64> = shares.iter().zip(&e).map(|(share, e)| share * e).collect();
    let groups = Groups {
        members: units.iter().map(|u| accounting.group_of[at(u).0][at(u).1]).collect(),
        sizes: accounting.groups.iter().map(|g| g.units).collect(),
    };
    let dependence = harmonic(accounting.total);
    let any_dependence: Vec<f64> = p.iter().map(|p| p * dependence).collect();
    QValues {
        grouped: grouped_bb_adjust(&in_groups, &groups),
        global: bh_adjust(&p, 1),
        by: bh_adjust(&any_dependence, 1),
        ebh: ebh_adjust(&e, 1),
        weighed,
        shared,
    }
}

/// What the closures of the units' e-values and of BH say: see [`crate::discovery::closure`] and
/// [`crate::discovery::closed_bh`].
pub(super) fn closed(q: &QValues, gates: &GatesSpec) -> Closed {
    let level = gates.gate_v1_phase2.base.max_q_value;
    let of = |is_found: bool| {
        let units = q.weighed.iter().enumerate();
        let is_asked = |i: usize| (q.of(i).of(gates.multiplicity.publish_with) <= level) == is_found;
        units.filter_map(|(i, weighed)| weighed.filter(|_| is_asked(i))).collect::<Vec<_>>()
    };
    let (found, others) = (of(true), of(false));
    let all = [found.as_slice(), &others].concat();
    Closed {
        ebh: closed_ebh(&all, level),
        bh: closed_bh(&q.shared, level),
        true_at_least: true_at_least(&found, &others, level),
    }
}

/// Units that are found level by level: see [`crate::discovery::hierarchy`]. What two cohorts test of one
/// event are two nodes, each with its cohort's budget.
pub(super) fn found_in_tree(
    catalogue: &Catalogue,
    units: &[Unit<'_>],
    accounting: &Accounting,
    gates: &GatesSpec,
) -> usize {
    let mut nodes: BTreeMap<(u32, &str), BTreeMap<usize, Trade>> = BTreeMap::new();
    for (block, of_block) in accounting.cohort_of.iter().enumerate() {
        for cohort in of_block {
            let trades = nodes.entry((*cohort, &catalogue.blocks[block].event_type)).or_default();
            trades.entry(block).or_default().units += 1;
        }
    }
    for unit in units {
        let block = unit.place.block;
        let cohort = accounting.cohort_of[block][local(catalogue, unit.place)];
        let trades = nodes.get_mut(&(cohort, catalogue.blocks[block].event_type.as_ref()));
        if let Some(trade) = trades.and_then(|trades| trades.get_mut(&block)) {
            trade.p.push(unit.p);
        }
    }
    let in_cohort = |cohort: u32| nodes.keys().filter(|(of, _)| *of == cohort).count();
    let weights: BTreeMap<u32, f64> = accounting
        .cohorts
        .iter()
        .map(|c| (c.cohort, c.budget * count(nodes.len()) / count(in_cohort(c.cohort).max(1))))
        .collect();
    let events: Vec<EventNode> = nodes
        .iter()
        .filter_map(|((cohort, _), trades)| {
            let trades = trades.values().cloned().collect();
            weights.get(cohort).map(|weight| EventNode { weight: *weight, trades })
        })
        .collect();
    tree_bh(&events, gates.gate_v1_phase2.base.max_q_value).units
}

/// Rejections of the publishing procedure at the base level: the k of its threshold.
pub(super) fn count_rejected(units: &[Unit<'_>], q: &QValues, gates: &GatesSpec) -> usize {
    let level = gates.gate_v1_phase2.base.max_q_value;
    (0..units.len()).filter(|i| q.of(*i).of(gates.multiplicity.publish_with) <= level).count()
}

/// The largest p that the procedure rejects today of a unit with this share of the budget: `q k gamma_b s`
/// (BY: over the harmonic sum); `None` for procedures that do not compare a single p.
pub(super) fn p_threshold(
    accounting: &Accounting,
    share: f64,
    rejected: usize,
    gates: &GatesSpec,
) -> Option<f64> {
    let level = gates.gate_v1_phase2.base.max_q_value * count(rejected) * share;
    match gates.multiplicity.publish_with {
        Procedure::Global => Some(level),
        Procedure::StrictBy => Some(level / harmonic(accounting.total)),
        Procedure::GroupedBb | Procedure::StrictEbh | Procedure::SeedCompat => None,
    }
}

/// q by the prior system's rule, for comparison: see [`super::seed_compat::seed_q_values`].
pub(super) fn seed_q(catalogue: &Catalogue, units: &[Unit<'_>], gates: &GatesSpec) -> Vec<Option<f64>> {
    let rows: Vec<SeedRow> = units
        .iter()
        .map(|u| {
            let (n, mean) = (u.totals.n, u.totals.mean());
            SeedRow {
                event: u.place.block,
                event_type: Arc::clone(&catalogue.blocks[u.place.block].event_type),
                symbol: (u.place.scope < catalogue.symbols.len()).then_some(u.place.scope),
                n,
                mean,
                sd: sqrt_nonnegative(u.totals.squares / n - mean * mean),
            }
        })
        .collect();
    let base = &gates.gate_v1_phase2.base;
    seed_q_values(&rows, base.max_q_value, f64::from(base.min_sample_size))
}
