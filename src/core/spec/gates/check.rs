//! The ranges that the formulas need, and whatever of `gates.yaml` is outside of them.

use super::{
    EventGate, EvidenceSpec, GatesSpec, InfluenceSpec, MAX_BETS, MonitoringSpec, Phase2Override, Procedure,
};
use crate::spec::ranges::{OutOfRanges, Ranges};

/// Days of history that a book has room for.
const MOST_HISTORY_DAYS: u32 = 400;

impl GatesSpec {
    /// Checks the ranges that the formulas need.
    ///
    /// # Errors
    /// Every value outside its range.
    pub fn validate(&self) -> Result<(), OutOfRanges> {
        let mut found = Ranges::of("gates.yaml");
        self.evidence.check(&mut found);
        found.check(
            self.multiplicity.publish_with != Procedure::SeedCompat,
            "multiplicity.publish_with",
            "seed_compat",
            "grouped_bb, global, strict_by or strict_ebh: the prior system's rule ignores dependence and repeated \
             looks and may not publish (its q is reported as q_value_seed)",
        );
        let budget = &self.multiplicity.budget;
        for (field, share) in [
            ("multiplicity.budget.pooled_unconditional", budget.pooled_unconditional),
            ("multiplicity.budget.by_order", budget.by_order),
        ] {
            found.check((0.0..1.0).contains(&share), field, share, "from 0 to below 1");
        }
        let s = &self.shrinkage;
        found.share("shrinkage.interval_level", s.interval_level);
        found.check(
            s.ash_null_penalty >= 1.0,
            "shrinkage.ash_null_penalty",
            s.ash_null_penalty,
            "at least 1",
        );
        self.monitoring.check(&mut found);
        let base = &self.gate_v1_phase2.base;
        found.share("gate_v1_phase2.base.max_q_value", base.max_q_value);
        let stress = [
            ("gate_v1_phase2.base.conservative_cost_multiplier", base.conservative_cost_multiplier),
            ("gate_v1_bridge.stress_cost_multiplier", self.gate_v1_bridge.stress_cost_multiplier),
        ];
        for (field, value) in stress {
            found.check(value >= 1.0, field, value, "at least 1 (a stress cannot be cheaper than the cost)");
        }
        let bridge = &self.gate_v1_bridge;
        for (field, value) in [
            ("gate_v1_bridge.min_capacity", bridge.min_capacity),
            ("gate_v1_bridge.max_daily_turnover", bridge.max_daily_turnover),
            ("gate_v1_bridge.max_top_symbol_share", bridge.max_top_symbol_share),
            ("gate_v1_bridge.max_top_day_share", bridge.max_top_day_share),
        ] {
            found.positive(field, value.unwrap_or(1.0));
        }
        for (field, value) in [
            ("gate_v1_bridge.min_worst_month_bps", bridge.min_worst_month_bps),
            ("gate_v1_bridge.min_threshold_share", bridge.min_threshold_share),
        ] {
            let value = value.unwrap_or(0.0);
            found.check(value.is_finite(), field, value, "a number, or null for not asked");
        }
        for (profile, overrides) in &self.gate_v1_phase2.profiles {
            for (event, relaxed) in &overrides.events {
                let place = format!("gate_v1_phase2.profiles.{}.events.{event}", profile.name());
                relaxed.check(&place, &mut found);
            }
        }
        self.gate_e1.check(&mut found);
        found.result()
    }
}

/// Bets of which none can lose everything on a day's score of `worst`.
fn bets(found: &mut Ranges, field: &str, bets: &[f64], worst: f64, rule: &'static str) {
    found.check(!bets.is_empty(), field, "[]", "a list with at least one bet");
    for (at, &bet) in bets.iter().enumerate() {
        found.check(bet > 0.0 && bet * worst < 1.0, &format!("{field}[{at}]"), bet, rule);
    }
}

/// The process keeps one wealth a bet, in registers: a bet beyond them would be left out of the test.
const MOST_BETS: &str = "one of at most 8 bets";

impl EvidenceSpec {
    fn check(&self, found: &mut Ranges) {
        found.positive("evidence.default_sigma_bar", self.default_sigma_bar);
        for (field, share) in
            [("evidence.mix_sym.follow", self.mix_sym.follow), ("evidence.mix_sym.fade", self.mix_sym.fade)]
        {
            found.check((0.0..1.0).contains(&share), field, share, "from 0 to below 1");
        }
        found.positive("evidence.sym_rho", self.sym_rho);
        found.share("evidence.bet_reserve", self.bet_reserve);
        let sides = [("follow", &self.bet_lambdas.follow), ("fade", &self.bet_lambdas.fade)];
        for (side, lambdas) in sides {
            let field = format!("evidence.bet_lambdas.{side}");
            bets(found, &field, lambdas, 1.0, "above 0 and below 1");
            for (at, bet) in lambdas.iter().enumerate().skip(MAX_BETS) {
                found.check(false, &format!("{field}[{at}]"), bet, MOST_BETS);
            }
        }
        self.influence.check(found);
        found.share("evidence.scale_decay", self.scale_decay);
        found.positive("evidence.scale_prior_days", self.scale_prior_days);
        found.share("evidence.lower_bound_alpha", self.lower_bound_alpha);
    }
}

impl InfluenceSpec {
    fn check(&self, found: &mut Ranges) {
        found.check(
            self.max_day_score >= 1.0 && self.max_day_score.is_finite(),
            "evidence.influence.max_day_score",
            self.max_day_score,
            "at least 1",
        );
        found.positive("evidence.influence.max_gain_to_loss", self.max_gain_to_loss);
        found.positive("evidence.influence.min_sigma_bar", self.min_sigma_bar);
        found.share("evidence.influence.min_sigma_share", self.min_sigma_share);
        found.check(
            (1..=self.history_days).contains(&self.min_history_days),
            "evidence.influence.min_history_days",
            self.min_history_days,
            "from 1 to history_days",
        );
        found.check(
            self.history_days <= MOST_HISTORY_DAYS,
            "evidence.influence.history_days",
            self.history_days,
            "at most 400: that many are kept for every symbol of every event and holding period",
        );
        found.positive("evidence.influence.max_cost_to_move", self.max_cost_to_move);
        found.check(
            self.max_pool_weight >= 1.0 && self.max_pool_weight.is_finite(),
            "evidence.influence.max_pool_weight",
            self.max_pool_weight,
            "at least 1",
        );
    }
}

impl MonitoringSpec {
    fn check(&self, found: &mut Ranges) {
        found.check(
            self.live_confirmed_e > 1.0,
            "monitoring.live_confirmed_e",
            self.live_confirmed_e,
            "above 1",
        );
        found.check(self.suspend_at > 1.0, "monitoring.suspend_at", self.suspend_at, "above 1");
        found.check(
            self.retire_at >= self.suspend_at,
            "monitoring.retire_at",
            self.retire_at,
            "at least suspend_at",
        );
        found.positive("monitoring.score_clip", self.score_clip);
        let rule = "positive and below 1 / score_clip";
        bets(found, "monitoring.bet_lambdas", &self.bet_lambdas, self.score_clip, rule);
        let share = self.floor_share_of_claim;
        found.check((0.0..=1.0).contains(&share), "monitoring.floor_share_of_claim", share, "from 0 to 1");
    }
}

impl Phase2Override {
    fn check(&self, place: &str, found: &mut Ranges) {
        if let Some(k) = self.conservative_cost_multiplier {
            found.check(k >= 1.0, &format!("{place}.conservative_cost_multiplier"), k, "at least 1");
        }
        if let Some(q) = self.max_q_value {
            found.share(&format!("{place}.max_q_value"), q);
        }
        if let Some(a) = self.min_after_cost_expectancy_bps {
            let rule = "at least 0 (no relaxation allows a loss after costs)";
            found.check(a >= 0.0, &format!("{place}.min_after_cost_expectancy_bps"), a, rule);
        }
    }
}

impl EventGate {
    fn check(&self, found: &mut Ranges) {
        let (low, high) = (self.min_prevalence_per_10k, self.max_prevalence_per_10k);
        found.check(low >= 0.0, "gate_e1.min_prevalence_per_10k", low, "at least 0");
        let rule = "at least min_prevalence_per_10k";
        found.check(high >= low, "gate_e1.max_prevalence_per_10k", high, rule);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::gates::Profile;

    fn shipped() -> GatesSpec {
        serde_saphyr::from_str(include_str!("../../../../spec/gates.yaml")).unwrap()
    }

    #[test]
    fn the_shipped_gates_are_valid() {
        shipped().validate().unwrap();
    }

    #[test]
    fn a_bet_that_could_lose_everything_is_refused() {
        let mut gates = shipped();
        gates.evidence.bet_lambdas.fade.push(1.0);
        assert_eq!(
            gates.validate().unwrap_err().to_string(),
            "gates.yaml: evidence.bet_lambdas.fade[1] is 1, but must be above 0 and below 1"
        );
    }

    #[test]
    fn a_bet_that_the_process_has_no_room_for_is_refused_and_not_left_out() {
        let mut gates = shipped();
        gates.evidence.bet_lambdas.follow = vec![0.01; MAX_BETS];
        gates.validate().unwrap();
        gates.evidence.bet_lambdas.follow.push(0.02);
        assert_eq!(
            gates.validate().unwrap_err().to_string(),
            "gates.yaml: evidence.bet_lambdas.follow[8] is 0.02, but must be one of at most 8 bets"
        );
    }

    #[test]
    fn a_value_of_an_override_is_named_by_its_event() {
        let mut gates = shipped();
        let discovery = gates.gate_v1_phase2.profiles.get_mut(&Profile::Discovery).unwrap();
        discovery.events.get_mut("LIQUIDATION_CASCADE").unwrap().max_q_value = Some(1.3);
        assert_eq!(
            gates.validate().unwrap_err().0[0].field,
            "gate_v1_phase2.profiles.discovery.events.LIQUIDATION_CASCADE.max_q_value"
        );
    }

    #[test]
    fn every_value_that_cannot_be_used_is_found_at_once() {
        let mut gates = shipped();
        gates.evidence.mix_sym.fade = 1.0;
        gates.evidence.influence.max_day_score = 0.5;
        gates.evidence.influence.min_history_days = 0;
        gates.multiplicity.publish_with = Procedure::SeedCompat;
        gates.monitoring.retire_at = 10.0;
        gates.gate_v1_bridge.stress_cost_multiplier = f64::NAN;
        let fields: Vec<String> = gates.validate().unwrap_err().0.iter().map(|e| e.field.clone()).collect();
        assert_eq!(
            fields,
            [
                "evidence.mix_sym.fade",
                "evidence.influence.max_day_score",
                "evidence.influence.min_history_days",
                "multiplicity.publish_with",
                "monitoring.retire_at",
                "gate_v1_bridge.stress_cost_multiplier"
            ]
        );
    }
}
