//! From an evidence book to candidates: diagnostics, estimates, multiplicity, gates.

mod levels;
mod unit;

use crate::market::BPS;
use std::collections::BTreeMap;
use std::f64::consts::LN_2;
use std::sync::Arc;

use rayon::prelude::*;

use self::levels::{UnitQ, closed, count_rejected, found_in_tree, p_threshold, q_values, seed_q};
use self::unit::{Unit, effective_se, estimate_se, limits, local, log_e_pair, look, pair_p_any};
use super::accounting::Accounting;
use super::ash::{AshPrior, ash_fit, ash_grid};
use super::begun::ByUnit;
use super::bounds::LowerBound;
use super::candidate::{Candidate, Claim, DirectionRule, FailReason, Measured, Scope, candidate_id};
use super::catalogue::{Catalogue, UnitPlace};
use super::closure::Closed;
use super::cluster::{ClusterT, count};
use super::definition::digest;
use super::eprocess::{MixParams, SignProcess, e_of_log};
use super::evidence::{EvidenceBook, Scratch};
use super::exclusion::{self, Exclusion};
use super::gating::judge;
use super::ledger::date;
use super::membership::{Influence, pool_members};
use super::special::normal_isf;
use super::tree::{TreeEstimate, tree_estimates};
use crate::market::Symbol;
use crate::spec::gates::GatesSpec;

/// Names and numbers that the caller gives.
pub(super) struct Context<'a> {
    pub gates: &'a GatesSpec,
    pub accounting: &'a Accounting,
    /// Each unit's share of the error budget.
    pub shares: &'a ByUnit<f64>,
    pub spec_hash: &'a Arc<str>,
    pub excluded: &'a [Exclusion],
}

/// What procedures find that publish nothing.
pub(super) struct Beside {
    pub closed: Closed,
    /// Units that TreeBH finds.
    pub in_tree: usize,
}

/// Every unit with at least one event, in catalogue order.
pub(super) fn conclude(
    catalogue: &Catalogue,
    book: &EvidenceBook,
    context: &Context<'_>,
) -> (Vec<Candidate>, Beside) {
    let gates = context.gates;
    let limits = limits(gates);
    let mut units: Vec<Unit<'_>> = (0..catalogue.blocks.len())
        .into_par_iter()
        .map_init(Scratch::default, |scratch, block| look(catalogue, book, gates, block, scratch))
        .flatten_iter()
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
    let q = q_values(catalogue, &units, book.params(), (context.accounting, context.shares));
    let seed = seed_q(catalogue, &units, gates);
    let rejected = count_rejected(&units, &q, gates);
    let lower = lower_bounds(catalogue, book, &units, gates);
    let candidates = units
        .par_iter()
        .enumerate()
        .map(|(i, unit)| {
            let estimate = tree[unit.place.block][local(catalogue, unit.place)];
            let prior = priors.get(&catalogue.blocks[unit.place.block].horizon.bars);
            let parts = Parts { estimate, prior, q: q.of(i), seed: seed[i], rejected, lower: lower[i] };
            candidate(catalogue, book, context, unit, &parts)
        })
        .collect();
    let in_tree = found_in_tree(catalogue, &units, context.accounting, gates);
    (candidates, Beside { closed: closed(&q, gates), in_tree })
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

/// The anytime lower bound (bps, traded side) of the units with the strongest evidence.
fn lower_bounds(
    catalogue: &Catalogue,
    book: &EvidenceBook,
    units: &[Unit<'_>],
    gates: &GatesSpec,
) -> Vec<Option<f64>> {
    let mut order: Vec<usize> = (0..units.len()).collect();
    order.sort_by(|&a, &b| units[a].p.total_cmp(&units[b].p).then(a.cmp(&b)));
    order.truncate(gates.evidence.lower_bound_units);
    let bounds: Vec<(usize, Option<f64>)> = order
        .into_par_iter()
        .map(|i| {
            let unit = &units[i];
            if unit.evidence.quarantined {
                return (i, None);
            }
            let (sign, params) = (unit.side.sign(), book.params());
            let mut bound = LowerBound::new(gates.evidence.lower_bound_alpha, params);
            let days = book.days(unit.place.block, local(catalogue, unit.place));
            days.iter().for_each(|d| bound.step(sign * d.z, d.weight, params));
            (i, bound.get().map(|m| m * BPS))
        })
        .collect();
    let mut out = vec![None; units.len()];
    bounds.into_iter().for_each(|(i, bound)| out[i] = bound);
    out
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

/// The stages of a candidate, in the only order in which they can be taken: measured, then judged. The bridge
/// comes last.
fn candidate(
    catalogue: &Catalogue,
    book: &EvidenceBook,
    context: &Context<'_>,
    unit: &Unit<'_>,
    parts: &Parts<'_>,
) -> Candidate {
    let measured = measure(catalogue, book, context, unit, parts);
    let condition = catalogue.condition(unit.place);
    let event_type = &catalogue.blocks[unit.place.block].event_type;
    let scope = catalogue.scope(unit.place);
    let excluded = exclusion::of(context.excluded, event_type, &scope).map(FailReason::from);
    let judgement = judge(&measured, context.gates, condition.map_or(0, |c| c.min_events), excluded);
    Candidate { measured, judgement, bridge: None }
}

/// How much of the evidence rests on single days and symbols, and what was bounded.
fn influence(
    unit: &Unit<'_>,
    net: SignProcess,
    params: &MixParams,
    left_out_symbols: Vec<Symbol>,
) -> Influence {
    Influence {
        same_series_as: None,
        days_to_decision: None,
        is_admitted: unit.is_admitted,
        capped_days: u64::from(net.capped()),
        top_day_share: unit.top_day_share,
        n_floored: u64::from(unit.left_out.floored),
        n_left_out_of_pool: u64::from(unit.left_out.apart),
        left_out_symbols,
        log_e_value: net.log_e(params),
        log_e_sup: net.log_sup(),
    }
}

/// How large an effect is stated to be, by the error whose normal interval is that of t.
fn claim(t: &ClusterT, prior: &AshPrior, level: f64, sign: f64) -> Claim {
    let posterior = prior.posterior(t.mean, estimate_se(t, level));
    let half = BPS * posterior.sd * normal_isf(0.5 * (1.0 - level));
    let gross_bps = sign * BPS * posterior.mean;
    let (low_bps, high_bps) = (gross_bps - half, gross_bps + half);
    Claim { gross_bps, sd_bps: BPS * posterior.sd, low_bps, high_bps }
}

/// The first stage: everything that the unit and its neighbours have shown.
fn measure(
    catalogue: &Catalogue,
    book: &EvidenceBook,
    context: &Context<'_>,
    unit: &Unit<'_>,
    parts: &Parts<'_>,
) -> Measured {
    let gates = context.gates;
    let params = book.params();
    let block = &catalogue.blocks[unit.place.block];
    let sign = unit.side.sign();
    let bps = sign * BPS;
    let evidence = unit.evidence;
    let (net, gross) = (evidence.net(unit.side), evidence.gross(unit.side));
    let t = unit.t.filter(|t| t.has_variance);
    let level = gates.shrinkage.interval_level;
    let defined = unit.t.filter(|_| unit.is_defined).zip(parts.prior);
    let posterior = defined.map(|(t, prior)| prior.posterior(t.mean, effective_se(&t)));
    let reach = normal_isf(0.5 * (1.0 - level));
    let is_found = is_found(parts, gates, &block.event_type);
    let interval = posterior.filter(|_| is_found).map(|p| (bps * p.mean, BPS * p.sd * reach));
    let (first, second) = unit.halves;
    let label = block.label(unit.side);
    let condition = catalogue.condition(unit.place);
    let scope = catalogue.scope(unit.place);
    let (traded, left_out_symbols) = traded_scope(catalogue, book, unit.place, &scope);
    let cohort = context.accounting.cohort(catalogue, unit.place);
    let share = context.shares[unit.place.block][local(catalogue, unit.place)];
    Measured {
        candidate_id: id_of(catalogue, unit.place),
        canonical_family: Arc::clone(&block.family),
        event_type: Arc::clone(&block.event_type),
        template_verb: Arc::clone(&label.verb),
        template_aliases: Arc::clone(&label.aliases),
        horizon: block.horizon.clone(),
        state: condition.map(|c| c.condition.clone()),
        scope: traded,
        direction_rule: unit.side,
        entry_lag_bars: catalogue.entry_lag_bars,
        n_events: unit.events,
        n_clusters: unit.days as u64,
        // One day is one cluster, which has no t.
        effective_n: Some(unit.t.map_or(1.0, |t| t.effective_n)),
        n_purged: u64::from(unit.left_out.purged),
        n_dropped: u64::from(unit.left_out.dropped),
        cost_bps: Some(unit.totals.mean_cost() * BPS),
        effect_raw_bps: Some(bps * unit.totals.mean()),
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
        posterior_mean_bps: posterior.map(|p| bps * p.mean),
        posterior_sd_bps: posterior.map(|p| BPS * p.sd),
        ci_low_bps: interval.map(|(mean, half)| mean - half),
        ci_high_bps: interval.map(|(mean, half)| mean + half),
        claim: defined.filter(|_| is_found).map(|(t, prior)| claim(&t, prior, level, sign)),
        lfsr: posterior.map(|p| p.lfsr_of(unit.side == DirectionRule::Follow)),
        lfsr_net: net_lfsr(unit, parts.prior),
        e_value: e_of_log(net.log_e(params)),
        e_sym: e_of_log(net.log_e_sym(params)),
        e_bet: e_of_log(net.log_e_bet()),
        e_sup: e_of_log(net.log_sup()),
        p_any: if unit.is_constant { 1.0 } else { pair_p_any(|side| evidence.net(side)) },
        e_pair: e_of_log(log_e_pair(evidence, params)),
        e_value_gross: e_of_log(gross.log_e(params)),
        p_any_gross: if unit.is_constant { 1.0 } else { pair_p_any(|side| evidence.gross(side)) },
        anytime_lower_bps: parts.lower.filter(|_| is_found),
        skewness: net.skewness(),
        worst_score: net.worst(),
        quarantined: evidence.quarantined,
        influence: Influence {
            days_to_decision: days_to_decision(unit, net.log_e(params), (share, parts.rejected), gates, book)
                .filter(|_| !is_found),
            same_series_as: unit.twin.map(|place| id_of(catalogue, place)),
            ..influence(unit, net, params, left_out_symbols)
        },
        weight_sum: unit.totals.weight,
        e_sup_date: unit.sup_day.map(|day| date(day).into()),
        is_tied: unit.is_tied,
        definition_hash: digest(&catalogue.definition(unit.place)).into(),
        cohort,
        p_threshold: p_threshold(context.accounting, share, parts.rejected, gates),
        group_id: catalogue.group_id(unit.place).into(),
        q_value_group: parts.q.grouped,
        q_value_global: parts.q.global,
        q_value_by: parts.q.by,
        q_value_ebh: parts.q.ebh,
        q_value_seed: parts.seed,
        q_value: parts.q.of(gates.multiplicity.publish_with),
        first_half_bps: first.map(|m| bps * m),
        second_half_bps: second.map(|m| bps * m),
        ontology_spec_hash: Arc::clone(context.spec_hash),
    }
}

/// Whether the procedure finds it. Of what it does not find an interval would be wrong: see
/// [`Measured::ci_low_bps`].
fn is_found(parts: &Parts<'_>, gates: &GatesSpec, event_type: &str) -> bool {
    let limits = gates.gate_v1_phase2.resolve(gates.profile, event_type);
    parts.q.of(gates.multiplicity.publish_with) <= limits.max_q_value
}

/// The candidate id of a unit.
fn id_of(catalogue: &Catalogue, place: UnitPlace) -> String {
    let block = &catalogue.blocks[place.block];
    let state = catalogue.condition(place).map_or("", |c| c.condition.id.as_ref());
    let scope = catalogue.scope(place);
    candidate_id(&block.event_type, &block.horizon.label, state, scope.label(), catalogue.entry_lag_bars)
}

/// Calendar days until a unit could be found as the next one, if counts and evidence go on as they have since
/// its first day.
fn days_to_decision(
    unit: &Unit<'_>,
    log_e: f64,
    (share, rejected): (f64, usize),
    gates: &GatesSpec,
    book: &EvidenceBook,
) -> Option<f64> {
    let level = gates.gate_v1_phase2.base.max_q_value * count(rejected + 1) * share;
    let counts_alone = unit.twin.is_none() && !unit.is_constant && !unit.is_excluded;
    if !counts_alone || log_e <= 0.0 || level <= 0.0 {
        return None;
    }
    let span = count(usize::try_from(book.through_day()? - unit.first_day + 1).ok()?);
    let needed = LN_2 - libm::log(level);
    #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    let counts = (unit.least.events as f64 / unit.totals.n).max(unit.least.days as f64 / count(unit.days));
    let times = (needed / log_e).max(counts) - 1.0;
    Some((times.max(0.0) * span).ceil())
}

/// The scope without the symbols that its pool leaves out, and these.
fn traded_scope(
    catalogue: &Catalogue,
    book: &EvidenceBook,
    place: UnitPlace,
    scope: &Scope,
) -> (Scope, Vec<Symbol>) {
    let Scope::Pooled(all) = scope else { return (scope.clone(), Vec::new()) };
    let members = pool_members(catalogue, book, place.block);
    if members.len() == all.len() {
        return (scope.clone(), Vec::new());
    }
    let left_out = all.iter().filter(|s| !members.contains(s)).cloned().collect();
    (Scope::Pooled(members.into()), left_out)
}

/// Posterior probability that the traded side does not pay its mean cost.
fn net_lfsr(unit: &Unit<'_>, prior: Option<&AshPrior>) -> Option<f64> {
    let t = unit.t.filter(|_| unit.is_defined)?;
    let sign = unit.side.sign();
    Some(1.0 - prior?.probability_above(sign * t.mean, effective_se(&t), unit.totals.mean_cost()))
}
