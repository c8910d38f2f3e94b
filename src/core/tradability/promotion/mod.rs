//! What a record of trades is worth once it is known how many were tried: Sharpe ratios deflated by the
//! ledger's trials, the probability that choosing the best was overfitting, and the record cut in time.
//!
//! No gate reads it unless the specs require it ([`promote`]). Discovery controls its errors by other means
//! (anytime evidence over a whole ledger); these are the figures that readers of backtests know, computed
//! with the true number of trials. The last part is a test of what discovery finds in the parts before it
//! (`found_before_test`); of everything else, discovery has looked at its days too.

mod cscv;
mod gate;
mod sharpe;
mod split;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::evaluate::BridgeResult;
use super::rule::Trade;
use crate::discovery::Candidate;
use crate::market::Ts;
use crate::spec::strategies::PromotionSpec;

pub use cscv::Overfitting;
use cscv::overfitting;
pub use gate::promote;
pub use sharpe::SharpeStatistics;
pub use split::Split;

/// Trades of one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct WindowResult {
    /// Number of trades.
    pub trades: u64,
    /// Their mean after costs and funding, bps; null without trades.
    pub net_bps: Option<f64>,
}

/// One candidate that the bridge traded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PromotionRow {
    /// Id of the candidate.
    pub candidate_id: String,
    /// The first part of the history.
    pub train: WindowResult,
    /// The second part.
    pub validation: WindowResult,
    /// The last part.
    pub test: WindowResult,
    /// Trades that reach over a boundary, or begin too soon after one.
    pub purged: u64,
    /// Whether discovery finds it in the days before the test part alone: then the test part took no part in
    /// choosing it.
    pub found_before_test: bool,
    /// Sharpe ratio of the UTC days, not annualised, and what it is worth; null without variance.
    pub sharpe: Option<SharpeStatistics>,
}

/// The record of a run's candidates: `promotion.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PromotionReport {
    /// Layout of the file, always `backtestd.promotion/1`.
    pub schema: &'static str,
    /// Trials that Sharpe ratios are deflated by: every hypothesis of the ledger.
    pub trials: u64,
    /// UTC days of the history.
    pub days: u64,
    /// End of the first part, RFC 3339.
    pub train_end: String,
    /// End of the second part, RFC 3339.
    pub validation_end: String,
    /// Candidate by candidate.
    pub candidates: Vec<PromotionRow>,
    /// How likely the best of them was chosen by chance; null where the sample does not allow the question.
    pub overfitting: Option<Overfitting>,
}

impl PromotionReport {
    /// Of everything that the bridge traded in a history. `before_test` names what discovery finds in the
    /// days before its test part alone.
    #[must_use]
    pub fn of(
        candidates: &[Candidate],
        bridge: &BTreeMap<usize, BridgeResult>,
        split: &Split,
        before_test: &BTreeSet<String>,
        (trials, spec): (u64, &PromotionSpec),
    ) -> Self {
        let (start, end) = (split.start, split.end);
        let traded: Vec<(&Candidate, &BridgeResult)> =
            bridge.iter().filter_map(|(at, result)| Some((candidates.get(*at)?, result))).collect();
        let days: Vec<Vec<f64>> =
            traded.iter().map(|(_, result)| daily(&result.trades, start, end)).collect();
        let rows = traded.iter().zip(&days).map(|((candidate, result), days)| {
            let [train, validation, test, purged] = split.parts(&result.trades);
            PromotionRow {
                candidate_id: candidate.measured.candidate_id.clone(),
                train: result_of(&train),
                validation: result_of(&validation),
                test: result_of(&test),
                purged: purged.len() as u64,
                found_before_test: before_test.contains(&candidate.measured.candidate_id),
                sharpe: SharpeStatistics::of(days, trials),
            }
        });
        Self {
            schema: "backtestd.promotion/1",
            trials,
            days: days.first().map_or(0, |d| d.len() as u64),
            train_end: split.train_end.rfc3339(),
            validation_end: split.validation_end.rfc3339(),
            candidates: rows.collect(),
            overfitting: overfitting(&days, spec.cscv_blocks as usize),
        }
    }
}

fn result_of(trades: &[&Trade]) -> WindowResult {
    let net_bps = super::equity::mean(trades.iter().map(|t| t.net_bps(1.0)));
    WindowResult { trades: trades.len() as u64, net_bps }
}

/// Sum of the net returns of the trades that entered on each UTC day of the history, bps of one unit a trade.
fn daily(trades: &[Trade], start: Ts, end: Ts) -> Vec<f64> {
    let first = start.day();
    let mut out = vec![0.0; usize::try_from(end.day() - first).unwrap_or(0)];
    for trade in trades {
        let at = usize::try_from(trade.event_bar.open().day() - first).ok();
        if let Some(day) = at.and_then(|at| out.get_mut(at)) {
            *day += trade.net_bps(1.0);
        }
    }
    out
}
