//! `spec/gates.yaml` and `spec/multiplicity/*.yaml` as types: every threshold of discovery and of the bridge.
//!
//! Unknown keys are errors, so that a misspelt threshold cannot silently leave the default in force.

mod check;
mod multiplicity;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use multiplicity::{FamiliesFile, GroupKey, MultiplicitySpec, Relation, TaxonomyFile};

/// Most bets that a BET process can hold: its wealth is kept in this many registers.
pub const MAX_BETS: usize = 8;

/// Every threshold of discovery and of the bridge: `spec/gates.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GatesSpec {
    /// Version of this file's layout; 1.
    pub schema_version: u32,
    /// The profile of `gate_v1_phase2` in force.
    pub profile: Profile,
    /// How evidence is accumulated.
    pub evidence: EvidenceSpec,
    /// How many hypotheses are accounted for.
    pub multiplicity: ProcedureSpec,
    /// How effects are estimated.
    pub shrinkage: ShrinkageSpec,
    /// The gates of discovery.
    pub gate_v1_phase2: Phase2Gates,
    /// The paper-trading tier.
    pub gate_v1_fallback: FallbackGate,
    /// The tradability bridge.
    pub gate_v1_bridge: BridgeGate,
    /// Life after publication.
    pub monitoring: MonitoringSpec,
    /// Health of the event detectors.
    pub gate_e1: EventGate,
}

/// The monitoring section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MonitoringSpec {
    /// e-value of the fresh process that confirms a blueprint live.
    pub live_confirmed_e: f64,
    /// Detector value at which a blueprint is suspended (status `watch`).
    pub suspend_at: f64,
    /// Detector value at which it is retired.
    pub retire_at: f64,
    /// Bet sizes of the detector; each below `1 / score_clip`.
    pub bet_lambdas: Vec<f64>,
    /// Day scores count as at most this many scales.
    pub score_clip: f64,
    /// Share of the published gross estimate that must be left, in [0, 1].
    pub floor_share_of_claim: f64,
}

/// Threshold profile that candidates are judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Exploring: per-event relaxations allowed, survivors stay `fallback_only` unless they also pass
    /// `promotion`.
    Discovery,
    /// Publishing: survivors may be published.
    Promotion,
}

impl Profile {
    /// As the file writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Promotion => "promotion",
        }
    }
}

/// Which evidence feeds the multiplicity procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceKind {
    /// `1 / sup E`, doubled for two signs: valid however often one looks.
    PAny,
    /// Day-clustered CR2 t: valid at one pre-announced look.
    Cr2T,
}

/// Whether the tested null includes the round-trip cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NullKind {
    /// `E[return - cost] <= 0`.
    Net,
    /// `E[return] <= 0`.
    Gross,
}

/// The evidence section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceSpec {
    /// The evidence whose q decides.
    pub publish_on: EvidenceKind,
    /// The null it tests.
    pub hypothesis: NullKind,
    /// Stand-in for a missing `sigma_bar` column (sd of one bar's return, decimal).
    pub default_sigma_bar: f64,
    /// Weight of SYM in the mixture, by side.
    pub mix_sym: SideShares,
    /// Prior variance of SYM.
    pub sym_rho: f64,
    /// Bet sizes of BET, by side.
    pub bet_lambdas: SideBets,
    /// Most of its wealth that a bet can lose on one day, in (0, 1): losses beyond `bet_reserve / lambda`
    /// scales count as that many.
    pub bet_reserve: f64,
    /// Forgetting factor of the running scale, per active day.
    pub scale_decay: f64,
    /// Weight of the starting scale, in active days.
    pub scale_prior_days: f64,
    /// CR2 is undefined below this many active days.
    pub cr2_min_clusters: u32,
    /// CR2 is undefined below this many events.
    pub cr2_min_events: u32,
    /// CR2 is undefined below this many degrees of freedom.
    pub cr2_min_df: f64,
    /// How far single values can move a unit.
    pub influence: InfluenceSpec,
    /// Error level of the anytime lower bound.
    pub lower_bound_alpha: f64,
    /// The bound is computed for this many units, strongest evidence first.
    pub lower_bound_units: usize,
}

/// A share of each side of a hypothesis, declared before anything is seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SideShares {
    /// Of the side that trades with the event's direction, in [0, 1).
    pub follow: f64,
    /// Of the side that trades against it, in [0, 1).
    pub fade: f64,
}

/// Bet sizes of each side of a hypothesis, declared before anything is seen: at most 8, each in (0, 1).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SideBets {
    /// Of the side that trades with the event's direction.
    pub follow: Vec<f64>,
    /// Of the side that trades against it.
    pub fade: Vec<f64>,
}

/// Bounds of what one day, one event, one symbol or one `sigma_bar` can do to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InfluenceSpec {
    /// A day's scaled score counts as at most this many scales, gain or loss.
    pub max_day_score: f64,
    /// A bet's gain on one day counts as at most this many times the most that it can lose on one.
    pub max_gain_to_loss: f64,
    /// `sigma_bar` counts as at least this (sd of one bar's return, decimal).
    pub min_sigma_bar: f64,
    /// `sigma_bar` counts as at least this share of the symbol's typical one, in (0, 1).
    pub min_sigma_share: f64,
    /// Active days of the event on the symbol, before the day at hand, whose median is typical.
    pub history_days: u32,
    /// Fewest such days; with fewer, nothing is typical yet.
    pub min_history_days: u32,
    /// A pool leaves out a symbol while its round trip costs more than this many typical moves over the
    /// holding period.
    pub max_cost_to_move: f64,
    /// In a pool an event weighs at most this many times what one of the pool's typical symbol does (>= 1).
    pub max_pool_weight: f64,
}

/// A multiplicity procedure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Procedure {
    /// Benjamini-Bogomolov in the groups (family, event, template, horizon).
    GroupedBb,
    /// Weighted Benjamini-Hochberg over the whole catalogue.
    Global,
    /// Benjamini-Yekutieli over the whole catalogue: any dependence.
    StrictBy,
    /// e-BH on current e-values: any dependence, at any one stopping time.
    StrictEbh,
    /// The prior system's rule: reported for comparison, refused for publishing.
    SeedCompat,
}

/// Whether the catalogue may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatalogueKind {
    /// Later cohorts are expected: cohort b gets the share `6 / (pi^2 b^2)` of the budget.
    Open,
    /// Never: the one cohort gets all of it.
    Closed,
}

/// The multiplicity section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcedureSpec {
    /// The procedure whose q decides.
    pub publish_with: Procedure,
    /// Whether budget is reserved for later cohorts.
    pub catalogue: CatalogueKind,
    /// How a cohort's budget is spread over its trials.
    pub budget: BudgetSpec,
}

/// The shape of a cohort's budget, fixed when the cohort is opened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetSpec {
    /// Share of the pooled units without a condition, in [0, 1); 0 = every unit has the same.
    pub pooled_unconditional: f64,
    /// How much more of it the first trials to begin have than the last, in [0, 1): the j-th has a share in
    /// proportion to about `j^-by_order`; 0 = all have the same.
    pub by_order: f64,
}

/// The estimate that the economic gates judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Estimate {
    /// Posterior mean of the per-horizon adaptive shrinkage.
    Posterior,
    /// Family, event, state shrinkage.
    Hierarchical,
}

/// The shrinkage section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShrinkageSpec {
    /// The estimate that the economic gates judge.
    pub economic_estimate: Estimate,
    /// Pseudo-count that favours the point mass at zero.
    pub ash_null_penalty: f64,
    /// Number of EM iterations.
    pub ash_em_iterations: u32,
    /// Normal components: standard deviations `smax * 2^-k`, `k = 0..steps`.
    pub ash_grid_steps: u32,
    /// Level of `ci_low_bps .. ci_high_bps`.
    pub interval_level: f64,
}

/// `gate_v1_phase2`: base thresholds and, per profile, per-event overrides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase2Gates {
    /// Thresholds without an override.
    pub base: Phase2Thresholds,
    /// Overrides by profile and event type.
    pub profiles: BTreeMap<Profile, ProfileOverrides>,
}

/// One profile's overrides by event type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileOverrides {
    /// Event type to override.
    pub events: BTreeMap<String, Phase2Override>,
}

/// Thresholds of `gate_v1_phase2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase2Thresholds {
    /// Discovery: q of the publishing procedure at most this.
    pub max_q_value: f64,
    /// Economic: shrunk effect minus cost at least this, bps.
    pub min_after_cost_expectancy_bps: f64,
    /// Economic, conservative: the same with the cost multiplied by this (>= 1).
    pub conservative_cost_multiplier: f64,
    /// Stability: both halves of the history have the traded sign.
    pub require_sign_stability: bool,
    /// Sample size: events. Units with fewer have p = 1 in every procedure.
    pub min_sample_size: u32,
    /// Sample size: active days. Units with fewer have p = 1 in every procedure.
    pub min_clusters: u32,
    /// Local false sign rate at most this.
    pub max_lfsr: f64,
    /// State information: weight of the unit's own data in its shrunk effect, for units with a state.
    pub min_information_weight_state: f64,
}

/// What a profile may override for one event type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "as in Phase2Thresholds")]
pub struct Phase2Override {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_q_value: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_after_cost_expectancy_bps: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conservative_cost_multiplier: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_sign_stability: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_sample_size: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_clusters: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lfsr: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_information_weight_state: Option<f64>,
}

/// `gate_v1_fallback`: worth paper trading.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FallbackGate {
    /// q of the publishing procedure at most this.
    pub max_q_value: f64,
    /// CR2 t in the traded direction at least this.
    pub min_t_stat: f64,
    /// Shrunk effect minus cost at least this, bps.
    pub min_after_cost_expectancy_bps: f64,
    /// Number of events at least this.
    pub min_sample_size: u32,
}

/// `gate_v1_bridge`: tradability of a discovery.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BridgeGate {
    /// Trades in the evaluated sample.
    pub min_trades: u32,
    /// Mean after cost above this, bps.
    pub min_after_cost_bps: f64,
    /// Mean after stressed cost above this, bps.
    pub min_stressed_after_cost_bps: f64,
    /// Cost multiplier of the stress (>= 1).
    pub stress_cost_multiplier: f64,
    /// Gross mean over full round-trip cost at least this.
    pub min_edge_cost_ratio: f64,
    /// Turnover relative to the event count at most this.
    pub max_turnover: f64,
    /// Value of the order at which impact eats what is left after costs, quote currency, at least this; null
    /// = not asked.
    #[serde(default)]
    pub min_capacity: Option<f64>,
    /// Sum of the net returns of the worst UTC month, one unit a trade, at least this, bps; null = not asked.
    #[serde(default)]
    pub min_worst_month_bps: Option<f64>,
    /// Share of the best symbol in the summed net return at most this; null = not asked. A rule that traded
    /// one symbol is not asked.
    #[serde(default)]
    pub max_top_symbol_share: Option<f64>,
    /// Share of the best UTC day in it at most this; null = not asked.
    #[serde(default)]
    pub max_top_day_share: Option<f64>,
    /// Notional over equity that is bought and sold on an average day at most this; null = not asked.
    #[serde(default)]
    pub max_daily_turnover: Option<f64>,
    /// Share of the net result that is left at the worst of the shifted thresholds at least this; null = not
    /// asked. Only a batch run detects again: in a daemon nothing new passes this gate.
    #[serde(default)]
    pub min_threshold_share: Option<f64>,
}

/// `gate_e1`: health of a detector.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventGate {
    /// Onsets per 10 000 known rows at least this, whatever range the event's own file declares.
    pub min_prevalence_per_10k: f64,
    /// Onsets per 10 000 known rows at most this, likewise.
    pub max_prevalence_per_10k: f64,
    /// Share of events whose outcome could be computed.
    pub min_join_rate: f64,
    /// Share of events that follow another of the same type within 5 bars.
    pub max_clustering_5b: f64,
    /// Nothing is judged on fewer onsets than this; too few of them only where the declared range promises as
    /// many.
    pub min_onsets: u32,
    /// Whether the hypotheses of an event that fails on a symbol are left out of discovery there. They stay
    /// in the catalogue with p = 1.
    pub exclude_failing: bool,
}

impl Phase2Gates {
    /// The thresholds for one event type under one profile.
    #[must_use]
    pub fn resolve(&self, profile: Profile, event_type: &str) -> Phase2Thresholds {
        let over =
            self.profiles.get(&profile).and_then(|p| p.events.get(event_type)).copied().unwrap_or_default();
        let base = self.base;
        Phase2Thresholds {
            max_q_value: over.max_q_value.unwrap_or(base.max_q_value),
            min_after_cost_expectancy_bps: over
                .min_after_cost_expectancy_bps
                .unwrap_or(base.min_after_cost_expectancy_bps),
            conservative_cost_multiplier: over
                .conservative_cost_multiplier
                .unwrap_or(base.conservative_cost_multiplier),
            require_sign_stability: over.require_sign_stability.unwrap_or(base.require_sign_stability),
            min_sample_size: over.min_sample_size.unwrap_or(base.min_sample_size),
            min_clusters: over.min_clusters.unwrap_or(base.min_clusters),
            max_lfsr: over.max_lfsr.unwrap_or(base.max_lfsr),
            min_information_weight_state: over
                .min_information_weight_state
                .unwrap_or(base.min_information_weight_state),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> GatesSpec {
        serde_saphyr::from_str(include_str!("../../../../spec/gates.yaml")).unwrap()
    }

    #[test]
    fn an_override_holds_for_its_event_and_profile_only() {
        let gates = shipped().gate_v1_phase2;
        let relaxed = gates.resolve(Profile::Discovery, "LIQUIDITY_VACUUM");
        assert!((relaxed.max_q_value - 0.10).abs() < 1e-12 && !relaxed.require_sign_stability);
        assert_eq!(relaxed.min_sample_size, gates.base.min_sample_size);
        assert_eq!(gates.resolve(Profile::Promotion, "LIQUIDITY_VACUUM"), gates.base);
        assert_eq!(gates.resolve(Profile::Discovery, "VOL_SHOCK"), gates.base);
    }

    #[test]
    fn a_misspelt_threshold_is_refused() {
        let text = include_str!("../../../../spec/gates.yaml").replace("max_lfsr:", "max_lsfr:");
        let error = serde_saphyr::from_str::<GatesSpec>(&text).unwrap_err().to_string();
        assert!(error.contains("max_lsfr"), "{error}");
    }
}
