//! The promotion gate: a rule is published only if discovery finds it in the days before the last part of the
//! record, and that part, and what the whole of it is worth after all trials, say so too. Off by default.

use std::collections::BTreeMap;

use super::{PromotionReport, PromotionRow};
use crate::discovery::{Candidate, PromotionTrack};
use crate::spec::strategies::PromotionSpec;
use crate::tradability::BridgeResult;
use crate::tradability::judge::{Judge, Relation};

/// Judges what the bridge lets through, where the specs require it: what fails loses its track, with the
/// reasons. What passes was chosen without the test part, which nothing has read before.
pub fn promote(
    candidates: &mut [Candidate],
    bridge: &mut BTreeMap<usize, BridgeResult>,
    report: &PromotionReport,
    spec: &PromotionSpec,
) {
    if !spec.required {
        return;
    }
    let overfitting = report.overfitting.as_ref().map(|found| found.pbo);
    for (row, (at, result)) in report.candidates.iter().zip(bridge.iter_mut()) {
        let Some(candidate) = candidates.get_mut(*at) else { continue };
        if !result.columns.tradable {
            continue;
        }
        let mut judge = Judge::default();
        judge.promotion(row, overfitting, spec);
        let failed = judge.failures.0;
        result.gates.extend(judge.failures.1);
        if failed.is_empty() {
            continue;
        }
        result.columns.tradable = false;
        result.fail_reasons.extend(failed.iter().cloned());
        candidate.judgement.fail_reasons.extend(failed);
        candidate.bridge = Some(result.columns.clone());
        if candidate.judgement.promotion_track == PromotionTrack::Standard {
            candidate.judgement.promotion_track = PromotionTrack::None;
        }
    }
}

impl Judge {
    /// By the days before the test part, the test part, the Sharpe ratio deflated by all trials, and the
    /// probability of overfitting.
    fn promotion(&mut self, row: &PromotionRow, overfitting: Option<f64>, spec: &PromotionSpec) {
        let found = Some(f64::from(u8::from(row.found_before_test)));
        let of = ("PROMOTION_SELECTION_GATE", "promotion_found_before_test");
        self.ask(of, found, Relation::AtLeast, 1.0);
        let trades = Some(row.test.trades as f64);
        let of = ("PROMOTION_TEST_TRADES_GATE", "promotion_test_trades");
        self.ask(of, trades, Relation::AtLeast, f64::from(spec.min_test_trades));
        let of = ("PROMOTION_TEST_GATE", "promotion_test_after_cost_bps");
        self.ask(of, row.test.net_bps, Relation::Above, spec.min_test_after_cost_bps);
        if let Some(least) = spec.min_deflated_sharpe {
            let of = ("PROMOTION_DEFLATED_GATE", "promotion_deflated_sharpe");
            self.ask(of, row.sharpe.map(|s| s.dsr), Relation::AtLeast, least);
        }
        if let Some(most) = spec.max_overfitting {
            let of = ("PROMOTION_OVERFITTING_GATE", "promotion_overfitting");
            self.ask(of, overfitting, Relation::AtMost, most);
        }
    }
}
