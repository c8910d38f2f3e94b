//! The gates of `gate_v1_phase2` on one candidate, every failure with its number and its threshold. Gates only remove
//! rows after the error-controlled selection; they never make a discovery.

use super::candidate::{Candidate, FailReason, PromotionTrack};
use crate::spec::gates::{Estimate, GatesSpec, Phase2Thresholds, Profile};

/// Fills the economic numbers, the gates, the reasons and the track.
pub(super) fn judge(candidate: &mut Candidate, gates: &GatesSpec, min_events_state: u32) {
    let active = gates.gate_v1_phase2.resolve(gates.profile, &candidate.event_type);
    let estimate = match gates.shrinkage.economic_estimate {
        Estimate::Posterior => candidate.posterior_mean_bps,
        Estimate::Hierarchical => candidate.effect_shrunk_state_bps,
    };
    candidate.after_cost_expectancy_bps = net(estimate, candidate.cost_bps, 1.0);
    candidate.stressed_after_cost_expectancy_bps =
        net(estimate, candidate.cost_bps, active.conservative_cost_multiplier);
    let verdict = Verdict::new(candidate, estimate, &active, min_events_state);
    candidate.is_discovery = verdict.discovery;
    candidate.gate_economic = verdict.economic;
    candidate.gate_economic_conservative = verdict.conservative;
    candidate.gate_stability = verdict.stability;
    candidate.gate_state_information = verdict.information;
    candidate.gate_sample_size = verdict.sample;
    candidate.gate_lfsr = verdict.lfsr;
    candidate.gate_phase2_final = verdict.is_final();
    candidate.fail_reasons = verdict.reasons.clone();
    let limits = gates.gate_v1_phase2.resolve(Profile::Promotion, &candidate.event_type);
    let promotion = Verdict::new(candidate, estimate, &limits, min_events_state);
    if verdict.is_final() && promotion.is_final() {
        candidate.promotion_track = PromotionTrack::Standard;
        return;
    }
    // What keeps a row from `standard` although the profile in force lets it pass.
    let unsaid: Vec<FailReason> =
        promotion.reasons.into_iter().filter(|r| !candidate.fail_reasons.contains(r)).collect();
    if verdict.is_final() {
        candidate.fail_reasons.extend(unsaid);
    }
    let mut fallback = Verdict::default();
    candidate.promotion_track = if fallback.passes_fallback(candidate, gates) {
        PromotionTrack::FallbackOnly
    } else {
        PromotionTrack::None
    };
    // Of rows that the paper tier would look at, what it asks for beside q.
    if candidate.q_value <= gates.gate_v1_fallback.max_q_value {
        candidate.fail_reasons.append(&mut fallback.reasons);
    }
}

fn net(estimate: Option<f64>, cost: Option<f64>, multiplier: f64) -> Option<f64> {
    Some(estimate? - multiplier * cost?)
}

#[derive(Clone, Default)]
struct Verdict {
    discovery: bool,
    economic: bool,
    conservative: bool,
    stability: bool,
    information: bool,
    sample: bool,
    lfsr: bool,
    reasons: Vec<FailReason>,
}

impl Verdict {
    fn new(c: &Candidate, estimate: Option<f64>, limits: &Phase2Thresholds, min_events_state: u32) -> Self {
        let mut v = Self::default();
        let after = net(estimate, c.cost_bps, 1.0);
        let stressed = net(estimate, c.cost_bps, limits.conservative_cost_multiplier);
        let least = limits.min_after_cost_expectancy_bps;
        v.discovery = v.at_most("MULTIPLICITY", "q_value", Some(c.q_value), limits.max_q_value);
        if c.is_tied && v.discovery {
            // Both signs rejected equally: there is no direction to publish.
            v.discovery = v.at_most("DIRECTION_GATE", "direction_tied", Some(1.0), 0.0);
        }
        v.economic = v.at_least("ECONOMIC_GATE", "after_cost_expectancy_bps", after, least);
        v.conservative =
            v.at_least("ECONOMIC_CONSERVATIVE", "stressed_after_cost_expectancy_bps", stressed, least);
        v.stability = !limits.require_sign_stability || v.both_halves(c);
        v.information = c.state.is_none()
            || v.at_least(
                "STATE_INFORMATION_WEIGHT",
                "shrinkage_weight_state",
                c.shrinkage_weight_state,
                limits.min_information_weight_state,
            );
        let events = f64::from(limits.min_sample_size.max(min_events_state));
        #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let (n, days) = (c.n_events as f64, c.n_clusters as f64);
        let enough_events = v.at_least("MIN_SAMPLE_SIZE_GATE", "n_events", Some(n), events);
        let enough_days =
            v.at_least("MIN_SAMPLE_SIZE_GATE", "n_clusters", Some(days), f64::from(limits.min_clusters));
        v.sample = enough_events && enough_days && v.holds_symbols(c);
        v.lfsr = v.at_most("LFSR_GATE", "lfsr", c.lfsr, limits.max_lfsr);
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
    fn holds_symbols(&mut self, c: &Candidate) -> bool {
        #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let symbols = c.scope.symbols().len() as f64;
        self.at_least("POOL_GATE", "pool_symbols", Some(symbols), 1.0)
    }

    fn both_halves(&mut self, c: &Candidate) -> bool {
        let mut all = true;
        for (metric, value) in [("first_half_bps", c.first_half_bps), ("second_half_bps", c.second_half_bps)]
        {
            if value.is_none_or(|v| v <= 0.0) {
                self.reasons.push(FailReason {
                    gate: "STABILITY_GATE",
                    metric,
                    value,
                    relation: ">",
                    threshold: 0.0,
                });
                all = false;
            }
        }
        all
    }

    fn at_least(
        &mut self,
        gate: &'static str,
        metric: &'static str,
        value: Option<f64>,
        threshold: f64,
    ) -> bool {
        let ok = value.is_some_and(|v| v >= threshold);
        if !ok {
            self.reasons.push(FailReason { gate, metric, value, relation: ">=", threshold });
        }
        ok
    }

    fn at_most(
        &mut self,
        gate: &'static str,
        metric: &'static str,
        value: Option<f64>,
        threshold: f64,
    ) -> bool {
        let ok = value.is_some_and(|v| v <= threshold);
        if !ok {
            self.reasons.push(FailReason { gate, metric, value, relation: "<=", threshold });
        }
        ok
    }

    /// `gate_v1_fallback`: worth paper trading.
    fn passes_fallback(&mut self, c: &Candidate, gates: &GatesSpec) -> bool {
        let f = gates.gate_v1_fallback;
        let gate = "FALLBACK_GATE";
        #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let n = c.n_events as f64;
        let least = f.min_after_cost_expectancy_bps;
        let q = self.at_most(gate, "q_value", Some(c.q_value), f.max_q_value);
        let t = self.at_least(gate, "t_stat", c.t_stat, f.min_t_stat);
        let after = self.at_least(gate, "after_cost_expectancy_bps", c.after_cost_expectancy_bps, least);
        let events = self.at_least(gate, "n_events", Some(n), f64::from(f.min_sample_size));
        q && t && after && events && !c.is_tied
    }
}
