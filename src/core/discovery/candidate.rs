//! A candidate: one tested hypothesis with everything that is known about it. A row of `phase2_candidates`.
//!
//! Effects, t, scores and bounds are in the direction of [`Candidate::direction_rule`]: positive is profit
//! for the rule. `None` means undefined (too few days, no variance), and is written as null.

use crate::market::hex;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::condition::Condition;
use super::membership::Influence;
use crate::market::Side;
use crate::market::Symbol;
use crate::outcomes::Horizon;

/// Which way the rule trades, relative to the event's direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectionRule {
    /// With the event's direction.
    Follow,
    /// Against the event's direction.
    Fade,
}

impl DirectionRule {
    /// Both sides, follow first.
    pub const BOTH: [Self; 2] = [Self::Follow, Self::Fade];

    /// +1 follow, -1 fade.
    #[must_use]
    pub const fn sign(self) -> f64 {
        match self {
            Self::Follow => 1.0,
            Self::Fade => -1.0,
        }
    }

    /// The side that the rule takes on an event of this direction; `None` on an undirected event, which has
    /// none.
    #[must_use]
    pub const fn side(self, direction: i8) -> Option<Side> {
        match (self, direction.signum()) {
            (Self::Follow, 1) | (Self::Fade, -1) => Some(Side::Long),
            (Self::Follow, -1) | (Self::Fade, 1) => Some(Side::Short),
            _ => None,
        }
    }
}

impl fmt::Display for DirectionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follow => "follow",
            Self::Fade => "fade",
        })
    }
}

/// Whose events a unit holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Every symbol of the catalogue, or (of a candidate) every one that its pool holds, in symbol order.
    /// Written as `ALL`.
    Pooled(Arc<[Symbol]>),
    /// The events of one symbol.
    Single(Symbol),
}

impl Scope {
    /// The column value: the symbol, or `ALL`.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Pooled(_) => "ALL",
            Self::Single(symbol) => symbol.as_str(),
        }
    }

    /// The symbols that the rule trades.
    #[must_use]
    pub fn symbols(&self) -> &[Symbol] {
        match self {
            Self::Pooled(symbols) => symbols,
            Self::Single(symbol) => std::slice::from_ref(symbol),
        }
    }
}

/// How far a candidate may go.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromotionTrack {
    /// Passed every gate of the promotion profile: may be published.
    Standard,
    /// Worth watching on paper: passed `gate_v1_fallback` only. Never published as active.
    FallbackOnly,
    /// Passed neither the promotion profile nor the fallback gate.
    #[default]
    None,
}

impl fmt::Display for PromotionTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "standard",
            Self::FallbackOnly => "fallback_only",
            Self::None => "none",
        })
    }
}

/// A gate that did not pass, with its number and its threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct FailReason {
    /// The gate: `ECONOMIC_GATE`, `MIN_SAMPLE_SIZE_GATE`, ...
    pub gate: &'static str,
    /// What was measured.
    pub metric: &'static str,
    /// Its value; `None` where it is undefined.
    pub value: Option<f64>,
    /// `>=`, `<=`, `>`.
    pub relation: &'static str,
    /// What it should have been.
    pub threshold: f64,
}

impl fmt::Display for FailReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gate, metric, relation, threshold, .. } = self;
        match self.value {
            Some(value) => write!(f, "{gate}: {metric} {value} is not {relation} {threshold}"),
            None => write!(f, "{gate}: {metric} is undefined, wanted {relation} {threshold}"),
        }
    }
}

/// What a gate asked and how it came out: its number beside its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The gate: `ECONOMIC_GATE`, `MIN_SAMPLE_SIZE_GATE`, ...
    pub gate: &'static str,
    /// What was measured.
    pub metric: &'static str,
    /// Its value; `None` where it is undefined.
    pub value: Option<f64>,
    /// `>=`, `<=`, `>`.
    pub relation: &'static str,
    /// What it should be.
    pub threshold: f64,
    /// Whether it is.
    pub passed: bool,
}

/// Filled by the bridge for candidates it evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BridgeColumns {
    /// Trades in the bridge's sample.
    pub trades: u64,
    /// Mean gross return per trade, bps.
    pub gross_bps: Option<f64>,
    /// Mean after the full round-trip cost and funding, bps.
    pub after_cost_bps: Option<f64>,
    /// The same with the stressed cost, bps.
    pub stressed_bps: Option<f64>,
    /// Gross over cost.
    pub edge_cost_ratio: Option<f64>,
    /// Trades per event of the sample: 1 = every event was traded.
    pub turnover: Option<f64>,
    /// Share of trades with a gain after cost.
    pub hit_rate: Option<f64>,
    /// Deepest fall of cumulated after-cost return, bps (>= 0).
    pub max_drawdown_bps: Option<f64>,
    /// Gate: the bridge's sample has enough trades.
    pub gate_has_trades: bool,
    /// Positive after cost.
    pub gate_after_cost_positive: bool,
    /// Positive after the stressed cost.
    pub gate_stressed_positive: bool,
    /// Edge large enough against the cost.
    pub gate_edge_cost_ratio: bool,
    /// Turnover under control.
    pub gate_turnover: bool,
    /// All of the bridge's gates.
    pub tradable: bool,
}

/// What a discovery claims, on its side, bps before costs: the posterior of the per-horizon adaptive
/// shrinkage by an error whose normal interval is that of t. `docs/walk-forward.md` measures that it is
/// unbiased and that intervals hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The mean, which is what a blueprint promises.
    pub gross_bps: f64,
    /// The standard deviation of the effect given the data.
    pub sd_bps: f64,
    /// Lower end of the interval at the level of `shrinkage.interval_level`.
    pub low_bps: f64,
    /// Its upper end.
    pub high_bps: f64,
}

/// What one hypothesis has shown: the first stage of a [`Candidate`], before anything is decided about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// `cand_` + 24 hex digits; see [`candidate_id`].
    pub candidate_id: String,
    /// Canonical family of the event type.
    pub canonical_family: Arc<str>,
    /// Event type that triggers the rule.
    pub event_type: Arc<str>,
    /// The label of the winning side: `mean_reversion`, `continuation`, ... as the event's spec names it.
    pub template_verb: Arc<str>,
    /// Other verbs that are this very test.
    pub template_aliases: Arc<[Arc<str>]>,
    /// Holding period from entry to exit.
    pub horizon: Horizon,
    /// State condition; `None` = every event (written as an empty `state_id`).
    pub state: Option<Condition>,
    /// Symbol, or all of them but those that the pool leaves out.
    pub scope: Scope,
    /// Side of the rule.
    pub direction_rule: DirectionRule,
    /// Bars from the deciding bar to the entry, at least 1.
    pub entry_lag_bars: u32,

    /// Events that enter the test.
    pub n_events: u64,
    /// Active UTC days.
    pub n_clusters: u64,
    /// `N^2 / sum n_g^2`: how many equally large clusters the events are worth.
    pub effective_n: Option<f64>,
    /// Events left out because their exit falls on a later day than the entry and nobody knows where they
    /// stood at midnight.
    pub n_purged: u64,
    /// Events left out because they cannot be scored.
    pub n_dropped: u64,
    /// Mean round-trip cost, bps.
    pub cost_bps: Option<f64>,
    /// Mean return, bps, before costs.
    pub effect_raw_bps: Option<f64>,
    /// CR2 standard error, bps.
    pub se_bps: Option<f64>,
    /// CR2 t-statistic of `effect_raw_bps`.
    pub t_stat: Option<f64>,
    /// Bell-McCaffrey degrees of freedom.
    pub df: Option<f64>,
    /// Two-sided CR2 p of `effect_raw_bps`; 1 where the test is undefined. A one-look diagnostic.
    pub p_value: f64,

    /// Family node of the hierarchical shrinkage, bps.
    pub effect_shrunk_family_bps: Option<f64>,
    /// Event node of the hierarchical shrinkage, bps.
    pub effect_shrunk_event_bps: Option<f64>,
    /// The unit's own hierarchical estimate.
    pub effect_shrunk_state_bps: Option<f64>,
    /// Weight of the family's own mean against the horizon's.
    pub shrinkage_weight_family: Option<f64>,
    /// Weight of the event's own mean against the family's.
    pub shrinkage_weight_event: Option<f64>,
    /// Weight of the unit's own mean against its parent; 1 where nothing lies between unit and event.
    pub shrinkage_weight_state: Option<f64>,
    /// Posterior mean of the per-horizon adaptive shrinkage, bps, by an error that is as sure as the t-test.
    /// Gates and ranks go by it; where t is large it says too little of the effect: see [`Measured::claim`].
    pub posterior_mean_bps: Option<f64>,
    /// Its standard deviation.
    pub posterior_sd_bps: Option<f64>,
    /// Lower end of the posterior's credible interval, bps; `None` of what is no discovery: there the point
    /// mass at zero swallows what is real, and the interval of a real edge of at least 3 bps holds it in 27
    /// to 37 of 100 cases.
    pub ci_low_bps: Option<f64>,
    /// Upper end of the same.
    pub ci_high_bps: Option<f64>,
    /// How large the effect is; `None` of what is no discovery.
    pub claim: Option<Claim>,
    /// Local false sign rate of the traded side.
    pub lfsr: Option<f64>,
    /// Posterior probability that the effect does not exceed the mean cost.
    pub lfsr_net: Option<f64>,

    /// Current MIX e-value against the publishing null, traded side.
    pub e_value: f64,
    /// Its SYM part.
    pub e_sym: f64,
    /// Its BET part.
    pub e_bet: f64,
    /// Largest MIX e-value so far (>= 1).
    pub e_sup: f64,
    /// `min(1, 2 min(1/sup E+, 1/sup E-))`: valid at every look. 1 where the returns have no variance.
    pub p_any: f64,
    /// Current pair e-value `(E+ + E-)/2`.
    pub e_pair: f64,
    /// The same as `e_value` before costs.
    pub e_value_gross: f64,
    /// The same as `p_any` before costs.
    pub p_any_gross: f64,
    /// Anytime lower bound of the score-weighted mean before costs, bps, at `lower_bound_alpha` for this
    /// hypothesis alone: not adjusted for having chosen it or its side. `None` of what is no discovery (of
    /// the fifty strongest null units of a world it would be above zero in three of four), where not
    /// computed, and without a crossing.
    pub anytime_lower_bps: Option<f64>,
    /// Skewness of the scaled day scores.
    pub skewness: Option<f64>,
    /// Worst scaled day score.
    pub worst_score: Option<f64>,
    /// A non-finite score froze this unit's evidence.
    pub quarantined: bool,
    /// What was bounded.
    pub influence: Influence,

    /// Sum of the score weights: the return units that the scores measure.
    pub weight_sum: f64,
    /// The UTC day (`YYYY-MM-DD`) of `e_sup`; `None` while E never exceeded 1.
    pub e_sup_date: Option<Arc<str>>,
    /// Both sides have the same evidence: `direction_rule` is the sign of the raw mean and nothing is a
    /// discovery.
    pub is_tied: bool,

    /// SHA-256 (hex) of what the unit is; see [`super::definition`].
    pub definition_hash: Arc<str>,
    /// Cohort of the catalogue, from 1.
    pub cohort: u32,
    /// The largest p that the publishing procedure rejects in this cohort today; `None` where it compares no
    /// single p.
    pub p_threshold: Option<f64>,
    /// Multiplicity group that the hypothesis is tested in.
    pub group_id: Arc<str>,
    /// q of `grouped_bb`.
    pub q_value_group: f64,
    /// q of `global`.
    pub q_value_global: f64,
    /// q of `strict_by`.
    pub q_value_by: f64,
    /// q of `strict_ebh`.
    pub q_value_ebh: f64,
    /// q of the prior system's rule, for comparison only; `None` for pooled units.
    pub q_value_seed: Option<f64>,
    /// q of the publishing procedure.
    pub q_value: f64,
    /// Mean of the first half of the events (days kept whole), bps.
    pub first_half_bps: Option<f64>,
    /// Mean of the second half, bps.
    pub second_half_bps: Option<f64>,
    /// Hash of the specs that made it.
    pub ontology_spec_hash: Arc<str>,
}

/// What the gates say of a [`Measured`]: the second stage of a [`Candidate`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// `q_value <= max_q_value`.
    pub is_discovery: bool,
    /// Economic estimate minus cost, bps.
    pub after_cost_expectancy_bps: Option<f64>,
    /// Economic estimate minus stressed cost, bps.
    pub stressed_after_cost_expectancy_bps: Option<f64>,
    /// Gate: the shrunk effect less the cost reaches `min_after_cost_expectancy_bps`.
    pub gate_economic: bool,
    /// Economic gate at the stressed cost.
    pub gate_economic_conservative: bool,
    /// Both halves have the traded sign (or the gate is off).
    pub gate_stability: bool,
    /// Own data carry enough weight (or there is no state).
    pub gate_state_information: bool,
    /// Enough events and days.
    pub gate_sample_size: bool,
    /// Sign certain enough.
    pub gate_lfsr: bool,
    /// All of the above, and a discovery.
    pub gate_phase2_final: bool,
    /// How far it may go.
    pub promotion_track: PromotionTrack,
    /// Every gate that failed.
    pub fail_reasons: Vec<FailReason>,
    /// Every gate of the profile in force, passed or failed.
    pub checks: Vec<Check>,
}

/// One tested hypothesis. Field names are the columns of `phase2_candidates`, except where a field holds
/// several.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// What it has shown.
    pub measured: Measured,
    /// What the gates say of that.
    pub judgement: Judgement,
    /// The bridge's verdict; `None` where it did not look.
    pub bridge: Option<BridgeColumns>,
}

impl Candidate {
    /// The third stage: what the bridge says of a candidate that the gates let through. A candidate that
    /// cannot be traded is not published.
    pub fn bridge(&mut self, columns: BridgeColumns, reasons: &[FailReason]) {
        if self.judgement.promotion_track == PromotionTrack::Standard && !columns.tradable {
            self.judgement.promotion_track = PromotionTrack::None;
        }
        self.judgement.fail_reasons.extend(reasons.iter().cloned());
        self.bridge = Some(columns);
    }

    /// The `state_id` column: empty without a condition.
    #[must_use]
    pub fn state_id(&self) -> &str {
        self.measured.state.as_ref().map_or("", |s| &s.id)
    }

    /// What a publication promises before costs, bps: the claim, else the estimate by which it is ranked.
    #[must_use]
    pub fn claim_gross_bps(&self) -> Option<f64> {
        self.measured.claim.map(|claim| claim.gross_bps).or_else(|| self.effect_shrunk_bps())
    }

    /// The estimate to show for sizing: posterior mean, else the hierarchical one.
    #[must_use]
    pub fn effect_shrunk_bps(&self) -> Option<f64> {
        self.measured.posterior_mean_bps.or(self.measured.effect_shrunk_state_bps)
    }
}

/// `cand_` and the first 24 hex digits of SHA-256 over the unit's identity. The side is not part of it: fade
/// and follow are one two-sided test, so the id survives a change of sign.
#[must_use]
pub fn candidate_id(
    event_type: &str,
    horizon: &str,
    state_id: &str,
    scope: &str,
    entry_lag_bars: u32,
) -> String {
    let key = format!("{event_type}|fade_follow|{horizon}|{state_id}|{scope}|{entry_lag_bars}");
    format!("cand_{}", hex(&Sha256::digest(key.as_bytes())[..12]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_depends_on_what_is_tested_and_on_nothing_else() {
        let a = candidate_id("VOL_SHOCK", "60m", "", "ALL", 1);
        assert_eq!(a.len(), 29);
        assert_eq!(a, candidate_id("VOL_SHOCK", "60m", "", "ALL", 1));
        assert_ne!(a, candidate_id("VOL_SHOCK", "60m", "", "BTCUSDT", 1));
        assert_ne!(a, candidate_id("VOL_SHOCK", "60m", "vol_regime_high", "ALL", 1));
    }

    #[test]
    fn a_failed_gate_says_its_number_and_its_threshold() {
        let reason = FailReason {
            gate: "ECONOMIC_GATE",
            metric: "after_cost_expectancy_bps",
            value: Some(-3.25),
            relation: ">=",
            threshold: 0.1,
        };
        assert_eq!(reason.to_string(), "ECONOMIC_GATE: after_cost_expectancy_bps -3.25 is not >= 0.1");
    }
}
