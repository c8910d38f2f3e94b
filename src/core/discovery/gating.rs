//! The gates of `gate_v1_phase2` on one candidate, every failure with its number and its threshold. Gates
//! only remove rows after the error-controlled selection; they never make a discovery.

use super::candidate::{FailReason, Judgement, Measured, PromotionTrack};
use super::failures::Failures;
use crate::spec::gates::{Estimate, GatesSpec, Phase2Thresholds, Profile};

/// The economic numbers, the gates, the reasons and the track of what a hypothesis has shown. `excluded` are
/// the reasons for which its detector is not trusted; they stand first.
pub(super) fn judge(
    measured: &Measured,
    gates: &GatesSpec,
    min_events_state: u32,
    excluded: impl Iterator<Item = FailReason>,
) -> Judgement {
    let active = gates.gate_v1_phase2.resolve(gates.profile, &measured.event_type);
    let estimate = match gates.shrinkage.economic_estimate {
        Estimate::Posterior => measured.posterior_mean_bps,
        Estimate::Hierarchical => measured.effect_shrunk_state_bps,
    };
    let verdict = GateResults::new(measured, estimate, &active, min_events_state);
    let mut judgement = Judgement {
        is_discovery: verdict.discovery,
        after_cost_expectancy_bps: net(estimate, measured.cost_bps, 1.0),
        stressed_after_cost_expectancy_bps: net(
            estimate,
            measured.cost_bps,
            active.conservative_cost_multiplier,
        ),
        gate_economic: verdict.economic,
        gate_economic_conservative: verdict.conservative,
        gate_stability: verdict.stability,
        gate_state_information: verdict.information,
        gate_sample_size: verdict.sample,
        gate_lfsr: verdict.lfsr,
        gate_phase2_final: verdict.is_final(),
        promotion_track: PromotionTrack::None,
        fail_reasons: verdict.reasons.0.clone(),
        checks: verdict.reasons.1.clone(),
    };
    promote(&mut judgement, measured, gates, &verdict, (estimate, min_events_state));
    judgement.fail_reasons.splice(0..0, excluded);
    judgement
}

/// The track, and what keeps a row from `standard` although the profile in force lets it pass.
fn promote(
    judgement: &mut Judgement,
    measured: &Measured,
    gates: &GatesSpec,
    verdict: &GateResults,
    (estimate, min_events_state): (Option<f64>, u32),
) {
    let limits = gates.gate_v1_phase2.resolve(Profile::Promotion, &measured.event_type);
    let promotion = GateResults::new(measured, estimate, &limits, min_events_state);
    if verdict.is_final() && promotion.is_final() {
        judgement.promotion_track = PromotionTrack::Standard;
        return;
    }
    let unsaid: Vec<FailReason> =
        promotion.reasons.0.into_iter().filter(|r| !judgement.fail_reasons.contains(r)).collect();
    if verdict.is_final() {
        judgement.fail_reasons.extend(unsaid);
    }
    let mut fallback = GateResults::default();
    if fallback.passes_fallback(measured, judgement.after_cost_expectancy_bps, gates) {
        judgement.promotion_track = PromotionTrack::FallbackOnly;
    }
    // Of rows that the paper tier would look at, what it asks for beside q.
    if measured.q_value <= gates.gate_v1_fallback.max_q_value {
        judgement.fail_reasons.append(&mut fallback.reasons.0);
    }
}

fn net(estimate: Option<f64>, cost: Option<f64>, multiplier: f64) -> Option<f64> {
    Some(estimate? - multiplier * cost?)
}

#[derive(Clone, Default)]
struct GateResults {
    discovery: bool,
    economic: bool,
    conservative: bool,
    stability: bool,
    information: bool,
    sample: bool,
    lfsr: bool,
    reasons: Failures,
}

impl GateResults {
    fn new(c: &Measured, estimate: Option<f64>, limits: &Phase2Thresholds, min_events_state: u32) -> Self {
        let mut v = Self::default();
        let after = net(estimate, c.cost_bps, 1.0);
        let stressed = net(estimate, c.cost_bps, limits.conservative_cost_multiplier);
        let least = limits.min_after_cost_expectancy_bps;
        v.discovery = v.reasons.at_most("MULTIPLICITY", "q_value", Some(c.q_value), limits.max_q_value);
        if c.is_tied && v.discovery {
            // Both signs rejected equally: there is no direction to publish.
            v.discovery = v.reasons.at_most("DIRECTION_GATE", "direction_tied", Some(1.0), 0.0);
        }
        v.economic = v.reasons.at_least("ECONOMIC_GATE", "after_cost_expectancy_bps", after, least);
        v.conservative = v.reasons.at_least(
            "ECONOMIC_CONSERVATIVE",
            "stressed_after_cost_expectancy_bps",
            stressed,
            least,
        );
        v.stability = !limits.require_sign_stability || v.both_halves(c);
        v.information = c.state.is_none()
            || v.reasons.at_least(
                "STATE_INFORMATION_WEIGHT",
                "shrinkage_weight_state",
                c.shrinkage_weight_state,
                limits.min_information_weight_state,
            );
        let events = f64::from(limits.min_sample_size.max(min_events_state));
        #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let (n, days) = (c.n_events as f64, c.n_clusters as f64);
        let enough_events = v.reasons.at_least("MIN_SAMPLE_SIZE_GATE", "n_events", Some(n), events);
        let enough_days = v.reasons.at_least(
            "MIN_SAMPLE_SIZE_GATE",
            "n_clusters",
            Some(days),
            f64::from(limits.min_clusters),
        );
        v.sample = enough_events && enough_days && v.holds_symbols(c);
        v.lfsr = v.reasons.at_most("LFSR_GATE", "lfsr", c.lfsr, limits.max_lfsr);
        v
    }

    fn is_final(&self) -> bool {
        self.discovery
            && self.economic
            && self.conservative
            && self.stability
            && self.information
            && self.sample
            && self.lfsr
    }

    /// A pool that leaves every symbol out trades nothing.
    fn holds_symbols(&mut self, c: &Measured) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let symbols = c.scope.symbols().len() as f64;
        self.reasons.at_least("POOL_GATE", "pool_symbols", Some(symbols), 1.0)
    }

    fn both_halves(&mut self, c: &Measured) -> bool {
        let halves = [("first_half_bps", c.first_half_bps), ("second_half_bps", c.second_half_bps)];
        let agree = halves.map(|(metric, value)| self.reasons.above("STABILITY_GATE", metric, value, 0.0));
        agree.into_iter().all(|agrees| agrees)
    }

    /// `gate_v1_fallback`: worth paper trading.
    fn passes_fallback(&mut self, c: &Measured, after_cost_bps: Option<f64>, gates: &GatesSpec) -> bool {
        let f = gates.gate_v1_fallback;
        let gate = "FALLBACK_GATE";
        #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let n = c.n_events as f64;
        let least = f.min_after_cost_expectancy_bps;
        let q = self.reasons.at_most(gate, "q_value", Some(c.q_value), f.max_q_value);
        let t = self.reasons.at_least(gate, "t_stat", c.t_stat, f.min_t_stat);
        let after = self.reasons.at_least(gate, "after_cost_expectancy_bps", after_cost_bps, least);
        let events = self.reasons.at_least(gate, "n_events", Some(n), f64::from(f.min_sample_size));
        q && t && after && events && !c.is_tied
    }
}
