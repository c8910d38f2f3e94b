//! From an evidence book to candidates: diagnostics, estimates, multiplicity, gates.

use std::collections::BTreeMap;
use std::f64::consts::LN_2;
use std::sync::Arc;

use libm::exp;
use rayon::prelude::*;

use super::ash::{AshPrior, ash_fit, ash_grid, t_to_effective_se};
use super::bounds::LowerBound;
use super::candidate::{Candidate, DirectionRule, FailReason, PromotionTrack, candidate_id};
use super::catalogue::{Catalogue, UnitPlace};
use super::cluster::{ClusterLimits, ClusterSum, ClusterT, count};
use super::definition::digest;
use super::eprocess::{MixParams, SignProcess, log_add, pair_p};
use super::evidence::{DaySum, EvidenceBook, UnitEvidence};
use super::exclusion::{self, Exclusion};
use super::gating::judge;
use super::ledger::{Accounting, date};
use super::multiplicity::{Groups, bh_adjust, ebh_adjust, grouped_bb_adjust, harmonic, weigh};
use super::seed_compat::{SeedRow, seed_q_values};
use super::special::{normal_isf, sqrt_nonnegative};
use super::tree::{TreeEstimate, as_cluster, tree_estimates};
use crate::spec::gates::{EvidenceKind, GatesSpec, NullKind, Procedure};

/// Basis points in a unit of return.
const BPS: f64 = 1e4;
/// e-values are written as finite numbers.
const LARGEST_LOG_E: f64 = 700.0;

/// What is known about one unit before multiplicity.
struct Unit<'a> {
    place: UnitPlace,
    evidence: &'a UnitEvidence,
    left_out: (u32, u32),
    /// Gross, follow side; `None` below two days.
    t: Option<ClusterT>,
    is_defined: bool,
    /// The likelier side; where neither is, that of the raw mean.
    side: DirectionRule,
    /// Neither side has more evidence than the other: there is nothing to publish.
    is_tied: bool,
    p: f64,
    mean_cost: f64,
    is_excluded: bool,
}

/// Names and numbers that the caller gives.
pub(super) struct Context<'a> {
    pub gates: &'a GatesSpec,
    pub accounting: &'a Accounting,
    pub spec_hash: &'a Arc<str>,
    pub excluded: &'a [Exclusion],
}

/// Every unit with at least one event, in catalogue order.
pub(super) fn conclude(catalogue: &Catalogue, book: &EvidenceBook, context: &Context<'_>) -> Vec<Candidate> {
    let gates = context.gates;
    let limits = limits(gates);
    let mut units: Vec<Unit<'_>> = (0..catalogue.blocks.len())
        .into_par_iter()
        .flat_map_iter(|block| {
            (0..catalogue.block_units(block))
                .filter_map(move |local| look(catalogue, book, gates, block, local))
        })
        .collect();
    for unit in units.iter_mut().filter(|_| !context.excluded.is_empty()) {
        let event_type = &catalogue.blocks[unit.place.block].event_type;
        let scope = catalogue.scope(unit.place);
        unit.is_excluded = exclusion::of(context.excluded, event_type, &scope).next().is_some();
        if unit.is_excluded {
            unit.p = 1.0;
        }
    }
    let mut defined: Vec<Vec<Option<ClusterT>>> =
        (0..catalogue.blocks.len()).map(|b| vec![None; catalogue.block_units(b)]).collect();
    for unit in units.iter().filter(|u| u.is_defined) {
        defined[unit.place.block][local(catalogue, unit.place)] = unit.t;
    }
    let tree = tree_estimates(catalogue, book, &defined, &limits);
    let priors = fit_priors(catalogue, &units, gates);
    let q = q_values(catalogue, &units, book.params(), context.accounting);
    let seed = seed_q(catalogue, &units, gates);
    let rejected = count_rejected(&units, &q, gates);
    let lower = lower_bounds(&units, book.params(), gates);
    units
        .par_iter()
        .enumerate()
        .map(|(i, unit)| {
            let estimate = tree[unit.place.block][local(catalogue, unit.place)];
            let prior = priors.get(&catalogue.blocks[unit.place.block].horizon.bars);
            let parts = Parts { estimate, prior, q: q.of(i), seed: seed[i], rejected, lower: lower[i] };
            candidate(catalogue, book, context, unit, &parts)
        })
        .collect()
}

fn limits(gates: &GatesSpec) -> ClusterLimits {
    ClusterLimits {
        clusters: gates.evidence.cr2_min_clusters as usize,
        n: f64::from(gates.evidence.cr2_min_events),
        df: gates.evidence.cr2_min_df,
    }
}

fn local(catalogue: &Catalogue, place: UnitPlace) -> usize {
    catalogue.local(place.block, place.scope, place.condition)
}

fn look<'a>(
    catalogue: &Catalogue,
    book: &'a EvidenceBook,
    gates: &GatesSpec,
    block: usize,
    local: usize,
) -> Option<Unit<'a>> {
    let evidence = book.unit(block, local);
    if evidence.days.is_empty() {
        return None;
    }
    let stride = 1 + catalogue.blocks[block].conditions.len();
    let place = UnitPlace { block, scope: local / stride, condition: local % stride };
    let limits = limits(gates);
    let t = ClusterT::from_sums(evidence.days.iter().map(as_cluster));
    let is_defined = t.is_some_and(|t| t.is_defined(&limits));
    let (n, sum, cost) = totals(&evidence.days);
    let net = gates.evidence.hypothesis == NullKind::Net;
    let (follow, fade) = match gates.evidence.publish_on {
        EvidenceKind::PAny if net => (evidence.follow.p_any(), evidence.fade.p_any()),
        EvidenceKind::PAny => (evidence.gross_follow.p_any(), evidence.gross_fade.p_any()),
        EvidenceKind::Cr2T if !is_defined => (1.0, 1.0),
        EvidenceKind::Cr2T => (one_look_p(evidence, 1.0, net), one_look_p(evidence, -1.0, net)),
    };
    let side = match follow.total_cmp(&fade) {
        std::cmp::Ordering::Less => DirectionRule::Follow,
        std::cmp::Ordering::Greater => DirectionRule::Fade,
        std::cmp::Ordering::Equal if sum < 0.0 => DirectionRule::Fade,
        std::cmp::Ordering::Equal => DirectionRule::Follow,
    };
    Some(Unit {
        place,
        evidence,
        left_out: book.left_out(block, local),
        t,
        is_defined,
        side,
        is_tied: follow.total_cmp(&fade).is_eq(),
        p: pair_p(follow, fade),
        mean_cost: cost / n,
        is_excluded: false,
    })
}

/// One-sided CR2 p of `side * return (- cost)`.
fn one_look_p(evidence: &UnitEvidence, side: f64, net: bool) -> f64 {
    let sums = evidence
        .days
        .iter()
        .map(|d| ClusterSum { n: f64::from(d.n), sum: side * d.sum - if net { d.cost } else { 0.0 } });
    ClusterT::from_sums(sums).map_or(1.0, |t| t.p1_cr2())
}

fn totals(days: &[DaySum]) -> (f64, f64, f64) {
    days.iter().fold((0.0, 0.0, 0.0), |(n, s, c), d| (n + f64::from(d.n), s + d.sum, c + d.cost))
}

/// One prior per horizon, over the units whose t is defined.
fn fit_priors(catalogue: &Catalogue, units: &[Unit<'_>], gates: &GatesSpec) -> BTreeMap<u32, AshPrior> {
    let mut effects: BTreeMap<u32, Vec<(f64, f64)>> = BTreeMap::new();
    for unit in units.iter().filter(|u| u.is_defined) {
        if let Some(t) = &unit.t {
            let bars = catalogue.blocks[unit.place.block].horizon.bars;
            effects.entry(bars).or_default().push((t.mean, effective_se(t)));
        }
    }
    let spec = &gates.shrinkage;
    effects
        .into_par_iter()
        .map(|(bars, effects)| {
            let grid = ash_grid(&effects, spec.ash_grid_steps);
            (bars, ash_fit(&effects, &grid, spec.ash_null_penalty, spec.ash_em_iterations))
        })
        .collect()
}

fn effective_se(t: &ClusterT) -> f64 {
    t_to_effective_se(t.mean, t.t_cr2(), t.df_bm).unwrap_or(t.se_cr2)
}

/// q of every procedure, by unit.
struct QValues {
    grouped: Vec<f64>,
    global: Vec<f64>,
    by: Vec<f64>,
    ebh: Vec<f64>,
}

/// One unit's q.
#[derive(Clone, Copy)]
struct UnitQ {
    grouped: f64,
    global: f64,
    by: f64,
    ebh: f64,
}

impl QValues {
    fn of(&self, i: usize) -> UnitQ {
        UnitQ { grouped: self.grouped[i], global: self.global[i], by: self.by[i], ebh: self.ebh[i] }
    }
}

impl UnitQ {
    const fn of(&self, procedure: Procedure) -> f64 {
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

fn q_values(
    catalogue: &Catalogue,
    units: &[Unit<'_>],
    params: &MixParams,
    accounting: &Accounting,
) -> QValues {
    let at = |u: &Unit<'_>| (u.place.block, local(catalogue, u.place));
    let cohorts: Vec<u32> = units.iter().map(|u| accounting.cohort_of[at(u).0][at(u).1]).collect();
    let by_cohort = |weight: &dyn Fn(u32) -> f64| -> Vec<f64> {
        let known: BTreeMap<u32, f64> = cohorts.iter().map(|c| (*c, weight(*c))).collect();
        cohorts.iter().map(|c| known[c]).collect()
    };
    // Shares of the budget instead of weights and m: what came later does not touch a bit of an earlier q.
    let shares = by_cohort(&|c| accounting.share(c));
    let p: Vec<f64> = weigh(&units.iter().map(|u| u.p).collect::<Vec<_>>(), &shares);
    let group_weights = by_cohort(&|c| accounting.group_weight(c));
    let in_groups: Vec<f64> = weigh(&units.iter().map(|u| u.p).collect::<Vec<_>>(), &group_weights);
    let e_of = |u: &Unit<'_>| if u.is_excluded { 0.0 } else { finite_exp(log_e_pair(u.evidence, params)) };
    let e: Vec<f64> = units.iter().zip(&shares).map(|(u, share)| share * e_of(u)).collect();
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
    }
}

/// Rejections of the publishing procedure at the base level: the k of its threshold.
fn count_rejected(units: &[Unit<'_>], q: &QValues, gates: &GatesSpec) -> usize {
    let level = gates.gate_v1_phase2.base.max_q_value;
    (0..units.len()).filter(|i| q.of(*i).of(gates.multiplicity.publish_with) <= level).count()
}

/// The largest p of the unit's cohort that the procedure rejects today: `q k gamma_b / m_b` (BY: over the harmonic sum);
/// `None` for procedures that do not compare a single p.
fn p_threshold(accounting: &Accounting, cohort: u32, rejected: usize, gates: &GatesSpec) -> Option<f64> {
    let level = gates.gate_v1_phase2.base.max_q_value * count(rejected) * accounting.share(cohort);
    match gates.multiplicity.publish_with {
        Procedure::Global => Some(level),
        Procedure::StrictBy => Some(level / harmonic(accounting.total)),
        Procedure::GroupedBb | Procedure::StrictEbh | Procedure::SeedCompat => None,
    }
}

/// q by the prior system's rule, for comparison: see [`super::seed_compat::seed_q_values`].
fn seed_q(catalogue: &Catalogue, units: &[Unit<'_>], gates: &GatesSpec) -> Vec<Option<f64>> {
    let rows: Vec<SeedRow> = units
        .iter()
        .map(|u| {
            let (n, sum, _) = totals(&u.evidence.days);
            let squares: f64 = u.evidence.days.iter().map(|d| d.squares).sum();
            let mean = sum / n;
            SeedRow {
                event: u.place.block,
                event_type: Arc::clone(&catalogue.blocks[u.place.block].event_type),
                symbol: (u.place.scope < catalogue.symbols.len()).then_some(u.place.scope),
                n,
                mean,
                sd: sqrt_nonnegative(squares / n - mean * mean),
            }
        })
        .collect();
    let base = &gates.gate_v1_phase2.base;
    seed_q_values(&rows, base.max_q_value, f64::from(base.min_sample_size))
}

fn log_e_pair(evidence: &UnitEvidence, params: &MixParams) -> f64 {
    log_add(evidence.follow.log_e(params), evidence.fade.log_e(params)) - LN_2
}

fn finite_exp(x: f64) -> f64 {
    exp(x.min(LARGEST_LOG_E))
}

/// The anytime lower bound (bps, traded side) of the units with the strongest evidence.
fn lower_bounds(units: &[Unit<'_>], params: &MixParams, gates: &GatesSpec) -> Vec<Option<f64>> {
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by(|&a, &b| units[a].p.total_cmp(&units[b].p).then(a.cmp(&b)));
    order.truncate(gates.evidence.lower_bound_units);
    let bounds: Vec<(usize, Option<f64>)> = order
        .into_par_iter()
        .map(|i| {
            if units[i].evidence.quarantined {
                return (i, None);
            }
            let sign = units[i].side.sign();
            let mut bound = LowerBound::new(gates.evidence.lower_bound_alpha, params);
            units[i].evidence.days.iter().for_each(|d| bound.step(sign * d.z, d.weight, params));
            (i, bound.get().map(|m| m * BPS))
        })
        .collect();
    let mut out = vec![None; units.len()];
    bounds.into_iter().for_each(|(i, bound)| out[i] = bound);
    out
}

/// Means of the two halves: the first days that together hold at least half of the events, and the rest.
fn halves(days: &[DaySum]) -> (Option<f64>, Option<f64>) {
    let (n, ..) = totals(days);
    let mut seen = 0.0;
    let split = days.iter().position(|d| {
        seen += f64::from(d.n);
        2.0 * seen >= n
    });
    let (first, second) = days.split_at(split.map_or(0, |i| i + 1));
    let mean = |part: &[DaySum]| {
        let (n, sum, _) = totals(part);
        (n > 0.0).then(|| sum / n)
    };
    (mean(first), mean(second))
}

/// What the other units say about one unit.
struct Parts<'a> {
    estimate: TreeEstimate,
    prior: Option<&'a AshPrior>,
    q: UnitQ,
    seed: Option<f64>,
    rejected: usize,
    lower: Option<f64>,
}

fn candidate(
    catalogue: &Catalogue,
    book: &EvidenceBook,
    context: &Context<'_>,
    unit: &Unit<'_>,
    parts: &Parts<'_>,
) -> Candidate {
    let gates = context.gates;
    let params = book.params();
    let block = &catalogue.blocks[unit.place.block];
    let sign = unit.side.sign();
    let bps = sign * BPS;
    let evidence = unit.evidence;
    let (traded, gross): (&SignProcess, &SignProcess) = match unit.side {
        DirectionRule::Follow => (&evidence.follow, &evidence.gross_follow),
        DirectionRule::Fade => (&evidence.fade, &evidence.gross_fade),
    };
    let (n, sum, _) = totals(&evidence.days);
    let t = unit.t.filter(|t| t.se_cr2 > 0.0);
    let posterior = unit
        .t
        .filter(|_| unit.is_defined)
        .and_then(|t| parts.prior.map(|prior| prior.posterior(t.mean, effective_se(&t))));
    let reach = normal_isf(0.5 * (1.0 - gates.shrinkage.interval_level));
    let interval = posterior.map(|p| (bps * p.mean, BPS * p.sd * reach));
    let (first, second) = halves(&evidence.days);
    let label = block.label(unit.side);
    let condition = catalogue.condition(unit.place);
    let scope = catalogue.scope(unit.place);
    let state_id = condition.map_or("", |c| c.condition.id.as_ref());
    let cohort = context.accounting.cohort(catalogue, unit.place);
    let mut candidate = Candidate {
        candidate_id: candidate_id(
            &block.event_type,
            &block.horizon.label,
            state_id,
            scope.label(),
            catalogue.entry_lag_bars,
        ),
        canonical_family: Arc::clone(&block.family),
        event_type: Arc::clone(&block.event_type),
        template_verb: Arc::clone(&label.verb),
        template_aliases: Arc::clone(&label.aliases),
        horizon: block.horizon.clone(),
        state: condition.map(|c| c.condition.clone()),
        scope,
        direction_rule: unit.side,
        entry_lag_bars: catalogue.entry_lag_bars,
        n_events: evidence.days.iter().map(|d| u64::from(d.n)).sum(),
        n_clusters: evidence.days.len() as u64,
        effective_n: Some(kish(&evidence.days)),
        n_purged: u64::from(unit.left_out.0),
        n_dropped: u64::from(unit.left_out.1),
        cost_bps: Some(unit.mean_cost * BPS),
        effect_raw_bps: Some(bps * sum / n),
        se_bps: t.map(|t| BPS * t.se_cr2),
        t_stat: t.map(|t| sign * t.t_cr2()),
        df: t.map(|t| t.df_bm),
        p_value: unit.t.filter(|_| unit.is_defined).map_or(1.0, |t| t.p2_cr2()),
        effect_shrunk_family_bps: Some(bps * parts.estimate.family),
        effect_shrunk_event_bps: Some(bps * parts.estimate.event),
        effect_shrunk_state_bps: Some(bps * parts.estimate.unit),
        shrinkage_weight_family: Some(parts.estimate.family_weight),
        shrinkage_weight_event: Some(parts.estimate.event_weight),
        shrinkage_weight_state: Some(parts.estimate.unit_weight),
        posterior_mean_bps: interval.map(|(mean, _)| mean),
        posterior_sd_bps: posterior.map(|p| BPS * p.sd),
        ci_low_bps: interval.map(|(mean, half)| mean - half),
        ci_high_bps: interval.map(|(mean, half)| mean + half),
        lfsr: posterior.map(|p| p.lfsr_of(unit.side == DirectionRule::Follow)),
        lfsr_net: net_lfsr(unit, parts.prior),
        e_value: finite_exp(traded.log_e(params)),
        e_sym: finite_exp(traded.log_e_sym(params)),
        e_bet: finite_exp(traded.log_e_bet(params)),
        e_sup: finite_exp(traded.log_sup),
        p_any: pair_p(evidence.follow.p_any(), evidence.fade.p_any()),
        e_pair: finite_exp(log_e_pair(evidence, params)),
        e_value_gross: finite_exp(gross.log_e(params)),
        p_any_gross: pair_p(evidence.gross_follow.p_any(), evidence.gross_fade.p_any()),
        anytime_lower_bps: parts.lower,
        skewness: traded.skewness(),
        worst_score: traded.worst.is_finite().then_some(traded.worst),
        quarantined: evidence.quarantined,
        weight_sum: evidence.days.iter().map(|d| d.weight).sum(),
        e_sup_date: day_of_sup(evidence, traded).map(|day| date(day).into()),
        is_tied: unit.is_tied,
        definition_hash: digest(&catalogue.definition(unit.place)).into(),
        cohort,
        p_threshold: p_threshold(context.accounting, cohort, parts.rejected, gates),
        group_id: catalogue.group_id(unit.place).into(),
        q_value_group: parts.q.grouped,
        q_value_global: parts.q.global,
        q_value_by: parts.q.by,
        q_value_ebh: parts.q.ebh,
        q_value_seed: parts.seed,
        q_value: parts.q.of(gates.multiplicity.publish_with),
        is_discovery: false,
        after_cost_expectancy_bps: None,
        stressed_after_cost_expectancy_bps: None,
        first_half_bps: first.map(|m| bps * m),
        second_half_bps: second.map(|m| bps * m),
        gate_economic: false,
        gate_economic_conservative: false,
        gate_stability: false,
        gate_state_information: false,
        gate_sample_size: false,
        gate_lfsr: false,
        gate_phase2_final: false,
        bridge: None,
        promotion_track: PromotionTrack::None,
        fail_reasons: Vec::new(),
        ontology_spec_hash: Arc::clone(context.spec_hash),
    };
    judge(&mut candidate, gates, condition.map_or(0, |c| c.min_events));
    let exclusions = exclusion::of(context.excluded, &block.event_type, &candidate.scope);
    candidate.fail_reasons.splice(0..0, exclusions.map(FailReason::from));
    candidate
}

/// Posterior probability that the traded side does not pay its mean cost.
fn net_lfsr(unit: &Unit<'_>, prior: Option<&AshPrior>) -> Option<f64> {
    let t = unit.t.filter(|_| unit.is_defined)?;
    let sign = unit.side.sign();
    Some(1.0 - prior?.probability_above(sign * t.mean, effective_se(&t), unit.mean_cost))
}

/// The day on which the e-value of a side was largest; `None` before any evidence. The processes stand still after a
/// score that is not finite, so their scores are the first days.
fn day_of_sup(evidence: &UnitEvidence, traded: &SignProcess) -> Option<i64> {
    let at = (traded.sup_at as usize).checked_sub(1)?;
    evidence.days.get(at).map(|d| i64::from(d.day))
}

/// `N^2 / sum n_g^2`.
fn kish(days: &[DaySum]) -> f64 {
    let (n, squares) = days.iter().fold((0.0, 0.0), |(n, s), d| {
        let k = f64::from(d.n);
        (n + k, s + k * k)
    });
    n * n / squares
}
