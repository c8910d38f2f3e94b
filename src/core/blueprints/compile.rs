//! From candidates to blueprints. Pure: the same candidates, specs and facts give the same lines.

use std::collections::BTreeMap;

use super::diff::{Standing, Standings};
use super::overlap::{OverlapFacts, TradeSpan, group};
use super::record::{
    BLUEPRINT_SCHEMA, Barrier, Blueprint, BridgeEvidence, CostEvidence, Costs, Entry, Evidence, Exit,
    Lineage, PublicationFacts, ScopeMode, ShrinkageWeights, Status, SymbolScope, UNCONDITIONAL,
    fill_convention,
};
use crate::discovery::ledger::date;
use crate::discovery::{
    Candidate, Cohort, Condition, DiscoverySummary, EVENT_QUALITY_GATE, PromotionTrack, Scope,
};
use crate::market::{Symbol, Ts};
use crate::outcomes::EntryPrice;
use crate::spec::strategies::{OnWeakened, StrategiesSpec};
use crate::tradability::{BridgeResult, Trade};

const NS_PER_SECOND: i64 = 1_000_000_000;

/// Costs of one fill, bps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SideCosts {
    /// Taker fee of one fill, bps of notional.
    pub fee_bps: f64,
    /// Slippage of one fill, bps of notional.
    pub slippage_bps: f64,
}

/// What is known about the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFacts {
    /// Id of the discovery run.
    pub run_id: String,
    /// Version and commit of the program.
    pub code_version: String,
    /// Close of the last bar that the run had seen.
    pub data_watermark: Ts,
    /// Open of the first bar of the evidence.
    pub discovery_start: Ts,
    /// End of the evidence.
    pub discovery_end: Ts,
}

/// What candidates are compiled with.
#[derive(Clone, Copy)]
pub struct CompileInputs<'a> {
    /// Hash of the specs in force; candidates of other specs are refused.
    pub ontology_spec_hash: &'a str,
    /// How rules are traded.
    pub strategies: &'a StrategiesSpec,
    /// Which price enters.
    pub price: EntryPrice,
    /// Costs by symbol.
    pub costs: &'a dyn Fn(&Symbol) -> SideCosts,
    /// Hash of an event type's file.
    pub event_spec_hash: &'a dyn Fn(&str) -> Option<String>,
    /// What is known about the run that found the candidates.
    pub run: &'a RunFacts,
    /// How candidates were selected.
    pub selection: &'a SelectionFacts,
}

/// What all candidates of a run share about their selection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SelectionFacts {
    /// Hash of the catalogue.
    pub catalogue_hash: String,
    /// Trials in all: m.
    pub trials: usize,
    /// Cohorts of the trials, in ascending order.
    pub cohorts: Vec<Cohort>,
    /// The publishing procedure.
    pub procedure: String,
    /// q-value that a hypothesis may not exceed to be rejected.
    pub max_q_value: f64,
    /// Hypotheses that it rejected: k.
    pub rejected: usize,
    /// Link of the evidence book's chain, hex.
    pub replay: Option<String>,
}

impl SelectionFacts {
    /// Of a discovery.
    #[must_use]
    pub fn of(summary: &DiscoverySummary, max_q_value: f64, replay: Option<String>) -> Self {
        Self {
            catalogue_hash: summary.catalogue_hash.clone(),
            trials: summary.trials,
            cohorts: summary.cohorts.clone(),
            procedure: summary.publish_with.clone(),
            max_q_value,
            rejected: summary
                .discoveries_by_procedure
                .get(summary.publish_with.as_str())
                .copied()
                .unwrap_or(0),
            replay,
        }
    }
}

/// Candidates that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// They were made under other specs.
    #[error(
        "candidate {candidate_id} was made under specs {candidate}, but the specs in force are {in_force}; run discovery again"
    )]
    OtherSpecs {
        /// Id of the candidate that cannot be compiled.
        candidate_id: String,
        /// Hash of the specs that the candidate was made under.
        candidate: String,
        /// The hash in force.
        in_force: String,
    },
    /// Its event has no file.
    #[error("candidate {candidate_id}: event {event_type} is not in the specs in force; run discovery again")]
    UnknownEvent {
        /// Id of the candidate that cannot be compiled.
        candidate_id: String,
        /// The event type.
        event_type: String,
    },
}

/// What came of a run's candidates.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compiled {
    /// Blueprints by id. Revision 1 and not yet published: the next version's number is not the run's to
    /// know.
    pub blueprints: Vec<Blueprint>,
    /// What became of every candidate, by id.
    pub verdicts: Standings,
    /// Which of them trade the same moves.
    pub overlap: OverlapFacts,
    /// Where the candidates stopped, in words; says why there are no blueprints when there are none.
    pub reasons: Vec<String>,
}

/// Compiles the candidates that passed every gate and the bridge, best q first within the limits of the spec.
/// `bridge` holds the results by index.
///
/// # Errors
/// When a candidate was made under other specs.
pub fn compile(
    candidates: &[Candidate],
    bridge: &BTreeMap<usize, BridgeResult>,
    inputs: &CompileInputs<'_>,
) -> Result<Compiled, CompileError> {
    for candidate in candidates {
        if &*candidate.measured.ontology_spec_hash != inputs.ontology_spec_hash {
            return Err(CompileError::OtherSpecs {
                candidate_id: candidate.measured.candidate_id.clone(),
                candidate: candidate.measured.ontology_spec_hash.to_string(),
                in_force: inputs.ontology_spec_hash.to_owned(),
            });
        }
    }
    let max_share = inputs.strategies.selection.max_overlap_share;
    let mut out =
        Compiled { overlap: OverlapFacts { max_share, ..OverlapFacts::default() }, ..Compiled::default() };
    let mut passed: Vec<usize> = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let tradable = bridge.get(&at).is_some_and(|b| b.columns.tradable);
        if candidate.judgement.promotion_track == PromotionTrack::Standard
            && candidate.judgement.gate_phase2_final
            && tradable
        {
            passed.push(at);
        } else {
            out.reject(candidate, inputs, why_not(candidate, bridge.get(&at)));
        }
    }
    passed.sort_by(|a, b| {
        rank(&candidates[*a]).partial_cmp(&rank(&candidates[*b])).unwrap_or_else(|| a.cmp(b))
    });

    let limits = inputs.strategies.selection;
    let mut per_event: BTreeMap<&str, u32> = BTreeMap::new();
    for at in passed.iter().copied() {
        let candidate = &candidates[at];
        let of_event = per_event.entry(&candidate.measured.event_type).or_default();
        let limit = match () {
            () if *of_event >= limits.max_per_event => Some(("max_per_event", limits.max_per_event)),
            () if out.blueprints.len() >= limits.max_total as usize => Some(("max_total", limits.max_total)),
            () => None,
        };
        if let Some((name, most)) = limit {
            out.reject(
                candidate,
                inputs,
                format!("selection: {name} {most} is used up by candidates with smaller q"),
            );
            continue;
        }
        *of_event += 1;
        let Some(result) = bridge.get(&at) else { continue };
        let blueprint = blueprint(candidate, result, inputs)?;
        out.verdicts.insert(
            candidate.measured.candidate_id.clone(),
            Standing {
                direction_rule: candidate.measured.direction_rule,
                compiled_as: Some(blueprint.id.clone()),
                weakened: None,
                why: String::new(),
            },
        );
        out.overlap.candidates.insert(blueprint.id.clone(), candidate.measured.candidate_id.clone());
        out.overlap.trades.insert(blueprint.id.clone(), result.trades.iter().map(span).collect());
        out.blueprints.push(blueprint);
    }
    out.blueprints.sort_by(|a, b| a.id.cmp(&b.id));
    let mut groups = group(&out.blueprints, &[], &out.overlap);
    for blueprint in &mut out.blueprints {
        blueprint.overlap_group = groups.remove(&blueprint.id);
    }
    out.reasons = reasons(candidates, passed.len(), out.blueprints.len());
    Ok(out)
}

impl Compiled {
    fn reject(&mut self, candidate: &Candidate, inputs: &CompileInputs<'_>, why: String) {
        let verdict = Standing {
            direction_rule: candidate.measured.direction_rule,
            compiled_as: None,
            weakened: (is_unfit(candidate) || inputs.strategies.on_weakened == OnWeakened::Watch)
                .then_some(Status::Watch),
            why,
        };
        self.verdicts.insert(candidate.measured.candidate_id.clone(), verdict);
    }
}

fn span(trade: &Trade) -> TradeSpan {
    let (symbol, to) = (trade.symbol.clone(), trade.exit_bar.close());
    TradeSpan { symbol, side: trade.side, from: trade.entry, to }
}

/// Best first: smallest q, then largest expectancy, then id.
fn rank(candidate: &Candidate) -> (f64, f64, &str) {
    let expectancy = candidate.judgement.after_cost_expectancy_bps.unwrap_or(f64::NEG_INFINITY);
    (candidate.measured.q_value, -expectancy, &candidate.measured.candidate_id)
}

/// Its event's detector is not healthy there: it was not judged, which is no reason to take it away.
fn is_unfit(candidate: &Candidate) -> bool {
    candidate.judgement.fail_reasons.iter().any(|r| r.gate == EVENT_QUALITY_GATE)
}

fn why_not(candidate: &Candidate, bridge: Option<&BridgeResult>) -> String {
    if is_unfit(candidate) {
        let texts: Vec<String> = candidate
            .judgement
            .fail_reasons
            .iter()
            .filter(|r| r.gate == EVENT_QUALITY_GATE)
            .map(ToString::to_string)
            .collect();
        return texts.join("; ");
    }
    if !candidate.judgement.is_discovery {
        return format!("no discovery any more: q is {}", candidate.measured.q_value);
    }
    if candidate.judgement.fail_reasons.is_empty() {
        let looked = bridge.map_or("the bridge has not looked at it", |_| "its track is not standard");
        return looked.to_owned();
    }
    let texts: Vec<String> = candidate.judgement.fail_reasons.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// The funnel in sentences.
fn reasons(candidates: &[Candidate], passed: usize, published: usize) -> Vec<String> {
    let discoveries = candidates.iter().filter(|c| c.judgement.is_discovery).count();
    let mut out = vec![format!(
        "{} hypotheses with data, {discoveries} discoveries, {passed} passed every gate and the bridge, {published} blueprints",
        candidates.len()
    )];
    let mut failed: BTreeMap<&str, usize> = BTreeMap::new();
    for candidate in candidates.iter().filter(|c| c.judgement.is_discovery) {
        for reason in &candidate.judgement.fail_reasons {
            *failed.entry(reason.gate).or_default() += 1;
        }
    }
    out.extend(failed.iter().map(|(gate, n)| format!("{n} of the discoveries failed {gate}")));
    if discoveries == 0
        && let Some(best) = candidates.iter().min_by(|a, b| a.measured.q_value.total_cmp(&b.measured.q_value))
    {
        if best.measured.q_value >= 1.0 {
            out.push("no hypothesis has a q below 1: nothing stands out from chance".to_owned());
            return out;
        }
        out.push(format!(
            "the smallest q is {}: {} {} {} on {}{}",
            best.measured.q_value,
            best.measured.event_type,
            best.measured.direction_rule,
            best.measured.horizon.label,
            best.measured.scope.label(),
            best.measured.state.as_ref().map(|s| format!(" when {}", s.expression)).unwrap_or_default(),
        ));
    }
    out
}

fn blueprint(
    candidate: &Candidate,
    bridge: &BridgeResult,
    inputs: &CompileInputs<'_>,
) -> Result<Blueprint, CompileError> {
    let (rule, measured) = (&bridge.rule, &candidate.measured);
    let mode = match measured.scope {
        Scope::Single(_) => ScopeMode::SingleSymbol,
        Scope::Pooled(_) => ScopeMode::MultiSymbol,
    };
    let symbol_scope = SymbolScope::of_evidence(mode, measured.scope.symbols(), &bridge.signals_by_symbol);
    let event_spec_hash =
        (inputs.event_spec_hash)(&measured.event_type).ok_or_else(|| CompileError::UnknownEvent {
            candidate_id: measured.candidate_id.clone(),
            event_type: measured.event_type.to_string(),
        })?;
    let condition = measured.state.as_ref().map(|s| s.expression.to_string());
    let has_barrier = rule.has_barrier();
    let mut blueprint = Blueprint {
        schema: BLUEPRINT_SCHEMA.to_owned(),
        id: String::new(),
        revision: 1,
        rule_revision: 1,
        status: Status::Active,
        status_reason: None,
        event_type: measured.event_type.to_string(),
        canonical_family: measured.canonical_family.to_string(),
        template_verb: measured.template_verb.to_string(),
        template_aliases: measured.template_aliases.iter().map(ToString::to_string).collect(),
        state_id: candidate.state_id().to_owned(),
        condition: condition.unwrap_or_else(|| UNCONDITIONAL.to_owned()),
        bar_type: symbol_scope.bar_types.first().cloned(),
        costs: costs(&symbol_scope.symbols, bridge, inputs),
        symbol_scope,
        direction_rule: measured.direction_rule,
        entry: Entry {
            trigger: measured.event_type.to_string(),
            entry_lag_bars: rule.entry_lag_bars,
            bar: "5m".to_owned(),
            price: rule.price,
            cooldown_bars: rule.cooldown_bars,
            conditions: measured.state.iter().flat_map(Condition::parts).map(str::to_owned).collect(),
        },
        exit: Exit {
            time_stop_bars: rule.time_stop_bars,
            horizon: measured.horizon.label.to_string(),
            stop: rule.stop_bps.map(|bps| Barrier { bps }),
            target: rule.target_bps.map(|bps| Barrier { bps }),
            intrabar_path: has_barrier.then_some(rule.intrabar_path),
            stop_gap_fill: has_barrier.then_some(rule.stop_gap_fill),
        },
        fill_convention: Some(fill_convention(rule.price).to_owned()),
        overlap_group: None,
        sizing: rule.sizing,
        evidence: evidence(candidate, bridge),
        publication: publication(candidate, inputs),
        monitoring: None,
        promotion_track: candidate.judgement.promotion_track,
        discovered_through_ns: Some(inputs.run.data_watermark.nanos()),
        max_signal_age_ns: Some(i64::from(inputs.strategies.entry.max_signal_age_seconds) * NS_PER_SECOND),
        lineage: Lineage {
            run_id: inputs.run.run_id.clone(),
            candidate_id: measured.candidate_id.clone(),
            ontology_spec_hash: inputs.ontology_spec_hash.to_owned(),
            event_spec_hash,
            code_version: inputs.run.code_version.clone(),
            data_watermark: inputs.run.data_watermark.rfc3339(),
            data_watermark_ns: inputs.run.data_watermark.nanos(),
            discovery_start: inputs.run.discovery_start.rfc3339(),
            discovery_end: inputs.run.discovery_end.rfc3339(),
            first_published: None,
        },
    };
    blueprint.id = blueprint.identity();
    Ok(blueprint)
}

/// What stood at this run; an older publication of the same blueprint takes its place when versions are
/// compared.
fn publication(candidate: &Candidate, inputs: &CompileInputs<'_>) -> Option<PublicationFacts> {
    let selection = inputs.selection;
    let cohort = selection.cohorts.iter().find(|c| c.cohort == candidate.measured.cohort);
    Some(PublicationFacts {
        closed_through: date(inputs.run.discovery_end.day() - 1),
        definition_hash: candidate.measured.definition_hash.to_string(),
        catalogue_hash: selection.catalogue_hash.clone(),
        cohort: candidate.measured.cohort,
        cohort_trials: cohort.map_or(0, |c| c.units as u64),
        cohort_budget: cohort.map_or(0.0, |c| c.budget),
        trials: selection.trials as u64,
        procedure: selection.procedure.clone(),
        max_q_value: selection.max_q_value,
        rejected: selection.rejected as u64,
        p_threshold: candidate.measured.p_threshold,
        p_any: candidate.measured.p_any,
        q_value: candidate.measured.q_value,
        claim_gross_bps: candidate.claim_gross_bps()?,
        cost_bps: candidate.measured.cost_bps?,
        replay: selection.replay.clone(),
    })
}

/// Of several symbols the dearest one's: nobody pays more than the file says.
fn costs(symbols: &[Symbol], bridge: &BridgeResult, inputs: &CompileInputs<'_>) -> Costs {
    let dearest = symbols.iter().map(|s| (inputs.costs)(s)).fold((0.0_f64, 0.0_f64), |worst, c| {
        if c.fee_bps + c.slippage_bps > worst.0 + worst.1 { (c.fee_bps, c.slippage_bps) } else { worst }
    });
    Costs {
        fee_bps_per_side: dearest.0,
        slippage_bps_per_side: dearest.1,
        round_trip_bps: 2.0 * (dearest.0 + dearest.1),
        funding_included: bridge.funding_included,
    }
}

fn cost_evidence(bridge: &BridgeResult) -> Option<CostEvidence> {
    bridge.costs.map(|costs| CostEvidence {
        fee_bps: costs.fee_bps,
        spread_bps: costs.spread_bps,
        slippage_bps: costs.slippage_bps,
        impact_bps: costs.impact_bps,
        borrow_bps: costs.borrow_bps,
        funding_bps: bridge.summary.funding_bps,
        spread_measured: costs.measured_share,
    })
}

fn evidence(candidate: &Candidate, bridge: &BridgeResult) -> Evidence {
    let finite = |x: f64| Some(x).filter(|x| x.is_finite());
    Evidence {
        n_events: candidate.measured.n_events,
        n_clusters: candidate.measured.n_clusters,
        effect_raw_bps: candidate.measured.effect_raw_bps,
        effect_shrunk_bps: candidate.effect_shrunk_bps(),
        se_bps: candidate.measured.se_bps,
        t_stat: candidate.measured.t_stat,
        df: candidate.measured.df,
        p_value: finite(candidate.measured.p_value),
        e_value: finite(candidate.measured.e_value),
        e_sym: finite(candidate.measured.e_sym),
        e_bet: finite(candidate.measured.e_bet),
        e_sup: finite(candidate.measured.e_sup),
        e_sup_date: candidate.measured.e_sup_date.as_deref().map(str::to_owned),
        e_value_gross: finite(candidate.measured.e_value_gross),
        p_any: finite(candidate.measured.p_any),
        p_any_gross: finite(candidate.measured.p_any_gross),
        q_value: finite(candidate.measured.q_value),
        lfsr: candidate.measured.lfsr,
        lfsr_net: candidate.measured.lfsr_net,
        posterior_mean_bps: candidate.measured.posterior_mean_bps,
        posterior_sd_bps: candidate.measured.posterior_sd_bps,
        cost_bps: candidate.measured.cost_bps,
        skewness: candidate.measured.skewness,
        worst_score: candidate.measured.worst_score,
        weight_sum: finite(candidate.measured.weight_sum),
        n_purged: candidate.measured.n_purged,
        n_dropped: candidate.measured.n_dropped,
        anytime_lower_bps: candidate.measured.anytime_lower_bps,
        ci_low_bps: candidate.measured.ci_low_bps,
        ci_high_bps: candidate.measured.ci_high_bps,
        claim: candidate.measured.claim,
        after_cost_expectancy_bps: candidate.judgement.after_cost_expectancy_bps,
        stressed_after_cost_expectancy_bps: candidate.judgement.stressed_after_cost_expectancy_bps,
        first_half_bps: candidate.measured.first_half_bps,
        second_half_bps: candidate.measured.second_half_bps,
        shrinkage: ShrinkageWeights {
            family: candidate.measured.shrinkage_weight_family,
            event: candidate.measured.shrinkage_weight_event,
            state: candidate.measured.shrinkage_weight_state,
        },
        bridge: Some(BridgeEvidence {
            trades: bridge.columns.trades,
            gross_bps: bridge.columns.gross_bps,
            after_cost_bps: bridge.columns.after_cost_bps,
            stressed_bps: bridge.columns.stressed_bps,
            hit_rate: bridge.columns.hit_rate,
            max_drawdown_bps: bridge.columns.max_drawdown_bps,
            costs: cost_evidence(bridge),
        }),
    }
}
