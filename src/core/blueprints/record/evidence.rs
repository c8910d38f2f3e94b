//! Why a blueprint is believed, and what stood when it was published.

use serde::{Deserialize, Serialize};

use crate::discovery::Claim;

/// Why it is believed. Effects are bps per trade, in the traded direction; null = undefined.
#[allow(missing_docs, reason = "columns of phase2_candidates, documented at discovery::Candidate")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub n_events: u64,
    pub n_clusters: u64,
    pub effect_raw_bps: Option<f64>,
    pub effect_shrunk_bps: Option<f64>,
    pub se_bps: Option<f64>,
    pub t_stat: Option<f64>,
    pub df: Option<f64>,
    pub p_value: Option<f64>,
    pub e_value: Option<f64>,
    #[serde(default)]
    pub e_sym: Option<f64>,
    #[serde(default)]
    pub e_bet: Option<f64>,
    #[serde(default)]
    pub e_sup: Option<f64>,
    #[serde(default)]
    pub e_sup_date: Option<String>,
    #[serde(default)]
    pub e_value_gross: Option<f64>,
    pub p_any: Option<f64>,
    #[serde(default)]
    pub p_any_gross: Option<f64>,
    pub q_value: Option<f64>,
    pub lfsr: Option<f64>,
    #[serde(default)]
    pub lfsr_net: Option<f64>,
    #[serde(default)]
    pub posterior_mean_bps: Option<f64>,
    #[serde(default)]
    pub posterior_sd_bps: Option<f64>,
    #[serde(default)]
    pub cost_bps: Option<f64>,
    #[serde(default)]
    pub skewness: Option<f64>,
    #[serde(default)]
    pub worst_score: Option<f64>,
    #[serde(default)]
    pub weight_sum: Option<f64>,
    #[serde(default)]
    pub n_purged: u64,
    #[serde(default)]
    pub n_dropped: u64,
    pub anytime_lower_bps: Option<f64>,
    pub ci_low_bps: Option<f64>,
    pub ci_high_bps: Option<f64>,
    #[serde(default)]
    pub claim: Option<Claim>,
    pub after_cost_expectancy_bps: Option<f64>,
    pub stressed_after_cost_expectancy_bps: Option<f64>,
    pub first_half_bps: Option<f64>,
    pub second_half_bps: Option<f64>,
    pub shrinkage: ShrinkageWeights,
    #[serde(default)]
    pub bridge: Option<BridgeEvidence>,
}

impl Evidence {
    /// How large the effect is stated to be, with its interval, bps before costs: low, point, high. Lines of
    /// before have no claim and state their posterior.
    #[must_use]
    pub fn stated(&self) -> Option<[f64; 3]> {
        let claimed = self.claim.map(|c| [c.low_bps, c.gross_bps, c.high_bps]);
        claimed.or_else(|| Some([self.ci_low_bps?, self.effect_shrunk_bps?, self.ci_high_bps?]))
    }
}

/// How it was selected: the trial, everything that was tried, and what was claimed. Frozen at first
/// publication.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublicationFacts {
    /// The last UTC day that the evidence had seen, `YYYY-MM-DD`; monitoring begins on the next.
    pub closed_through: String,
    /// SHA-256 (hex) of what the tested unit is.
    pub definition_hash: String,
    /// Hash of the catalogue that was tested.
    pub catalogue_hash: String,
    /// Cohort of the unit.
    pub cohort: u32,
    /// Trials in the cohort: m_b.
    pub cohort_trials: u64,
    /// The cohort's share of the error budget: gamma_b.
    pub cohort_budget: f64,
    /// Trials in all: m.
    pub trials: u64,
    /// The procedure that decided.
    pub procedure: String,
    /// q-value that a hypothesis could not exceed to be rejected.
    pub max_q_value: f64,
    /// Hypotheses that it rejected: k.
    pub rejected: u64,
    /// The largest p that it rejected in this cohort, where it compares single p-values.
    pub p_threshold: Option<f64>,
    /// The unit's own.
    pub p_any: f64,
    /// The unit's own.
    pub q_value: f64,
    /// How large the effect is before costs, bps: `evidence.claim` on that day. What `docs/walk-forward.md`
    /// measures as unbiased; `evidence.effect_raw_bps` is the same before shrinkage.
    pub claim_gross_bps: f64,
    /// Mean round-trip cost, bps.
    pub cost_bps: f64,
    /// Link of the evidence book's chain (hex): equal links, equal histories of every unit.
    pub replay: Option<String>,
}

/// Weight of the own mean at each level.
#[allow(missing_docs, reason = "columns of phase2_candidates, documented at discovery::Candidate")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShrinkageWeights {
    pub family: Option<f64>,
    pub event: Option<f64>,
    pub state: Option<f64>,
}

/// What the bridge measured on the trades that the rule itself would have made.
#[allow(missing_docs, reason = "columns of phase2_candidates, documented at discovery::BridgeColumns")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BridgeEvidence {
    pub trades: u64,
    pub gross_bps: Option<f64>,
    pub after_cost_bps: Option<f64>,
    pub stressed_bps: Option<f64>,
    pub hit_rate: Option<f64>,
    pub max_drawdown_bps: Option<f64>,
    #[serde(default)]
    pub costs: Option<CostEvidence>,
}

/// What the bridge's trades paid on average, bps a round trip: gross less all of it is `after_cost_bps`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostEvidence {
    /// Fees of entry and exit.
    pub fee_bps: f64,
    /// Half the spread, at the entry and at the exit.
    pub spread_bps: f64,
    /// What fills lose beyond the best price.
    pub slippage_bps: f64,
    /// What the orders themselves move.
    pub impact_bps: f64,
    /// Interest on borrowed coins; perpetuals pay none.
    pub borrow_bps: f64,
    /// Funding paid (negative: received); null where it is unknown.
    pub funding_bps: Option<f64>,
    /// Share of the trades whose half spread was measured on past quotes; the others have the configured one.
    pub spread_measured: f64,
}
