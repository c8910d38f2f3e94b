//! Tests of what no single leg can trade: relative prices and variance.
//!
//! They are put to the same evidence, estimates and multiplicity as the hypotheses of discovery, each
//! statistic for itself: what is found here neither spends nor widens the error budget of what may be
//! published, and nothing here is published.

use crate::market::BPS;
use std::sync::Arc;

use super::candidate::Candidate;
use crate::spec::TestStatistic;

/// One tested hypothesis on a statistic that no single leg can trade.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredTest {
    /// What is measured.
    pub statistic: TestStatistic,
    /// Canonical family of the event type.
    pub canonical_family: Arc<str>,
    /// Event type that triggers the test.
    pub event_type: Arc<str>,
    /// The verb of the side that the data favour.
    pub template_verb: Arc<str>,
    /// Label of the holding period.
    pub horizon: Arc<str>,
    /// State condition, empty without one.
    pub state_id: String,
    /// Symbol, `ALL` when pooled.
    pub symbol: String,
    /// Events that enter the test.
    pub n_events: u64,
    /// Active UTC days.
    pub n_clusters: u64,
    /// Mean of the statistic on that side, before costs.
    pub effect: Option<f64>,
    /// CR2 standard error.
    pub se: Option<f64>,
    /// CR2 t-statistic of `effect`.
    pub t_stat: Option<f64>,
    /// Bell-McCaffrey degrees of freedom.
    pub df: Option<f64>,
    /// Mean round trip of both legs; 0 for a ratio.
    pub cost: Option<f64>,
    /// Mean of the first half of the events, days kept whole.
    pub first_half: Option<f64>,
    /// Mean of the second half.
    pub second_half: Option<f64>,
    /// Two-sided p that is valid at every look, of the null that the gates name.
    pub p_any: f64,
    /// Local false sign rate.
    pub lfsr: Option<f64>,
    /// q among the tests of this statistic, by the publishing procedure.
    pub q_value: f64,
    /// `q_value` is within `max_q_value`.
    pub is_found: bool,
}

impl MeasuredTest {
    /// Unit of effect, error, cost and halves: `bps`, or `1` for a ratio.
    #[must_use]
    pub const fn unit(&self) -> &'static str {
        if is_ratio(self.statistic) { "1" } else { "bps" }
    }
}

const fn is_ratio(statistic: TestStatistic) -> bool {
    matches!(statistic, TestStatistic::VarianceRatio)
}

/// A candidate of a discovery over this statistic, in the statistic's own unit.
#[must_use]
pub fn measured_test(statistic: TestStatistic, c: &Candidate) -> MeasuredTest {
    let scale = if is_ratio(statistic) { 1.0 / BPS } else { 1.0 };
    let scaled = |x: Option<f64>| x.map(|x| x * scale);
    MeasuredTest {
        statistic,
        canonical_family: Arc::clone(&c.measured.canonical_family),
        event_type: Arc::clone(&c.measured.event_type),
        template_verb: Arc::clone(&c.measured.template_verb),
        horizon: Arc::clone(&c.measured.horizon.label),
        state_id: c.state_id().to_owned(),
        symbol: c.measured.scope.label().to_owned(),
        n_events: c.measured.n_events,
        n_clusters: c.measured.n_clusters,
        effect: scaled(c.measured.effect_raw_bps),
        se: scaled(c.measured.se_bps),
        t_stat: c.measured.t_stat,
        df: c.measured.df,
        cost: scaled(c.measured.cost_bps),
        first_half: scaled(c.measured.first_half_bps),
        second_half: scaled(c.measured.second_half_bps),
        p_any: c.measured.p_any,
        lfsr: c.measured.lfsr,
        q_value: c.measured.q_value,
        is_found: c.judgement.is_discovery,
    }
}
