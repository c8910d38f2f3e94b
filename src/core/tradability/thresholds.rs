//! Rules whose events are detected again with other thresholds. Only what passed every other gate is asked:
//! each shift runs the detectors over the whole history again.

use std::collections::{BTreeMap, BTreeSet};

use super::equity::mean;
use super::evaluate::{BridgeError, BridgeInputs, BridgeResult};
use super::judge::Judge;
use super::markets::{Markets, OtherThresholds};
use super::robustness::Shifted;
use super::trading::trade;
use crate::discovery::{Candidate, PromotionTrack};

/// Measures and judges what is left at shifted thresholds, in the results of those that may still be
/// published.
pub(super) fn judge(
    candidates: &[Candidate],
    results: &mut BTreeMap<usize, BridgeResult>,
    inputs: &BridgeInputs<'_>,
    markets: &mut dyn Markets,
) -> Result<(), BridgeError> {
    let shift = inputs.strategies.robustness.threshold_shift;
    if shift.is_none() && inputs.gate.min_threshold_share.is_none() {
        return Ok(());
    }
    let passed = |at: &usize, result: &BridgeResult| {
        result.columns.tradable && candidates[*at].judgement.promotion_track == PromotionTrack::Standard
    };
    let places: Vec<usize> = results.iter().filter(|(at, r)| passed(at, r)).map(|(at, _)| *at).collect();
    let survivors: Vec<Candidate> = places.iter().map(|at| candidates[*at].clone()).collect();
    let mut found: Vec<Vec<Shifted>> = vec![Vec::new(); places.len()];
    for factor in shift.iter().flat_map(|shift| [1.0 - shift, 1.0 + shift]) {
        let Some(shifted) = again(&survivors, factor, inputs, markets)? else { break };
        for (of, shifted) in found.iter_mut().zip(shifted) {
            of.push(shifted);
        }
    }
    for (at, shifted) in places.into_iter().zip(found) {
        let Some(result) = results.get_mut(&at) else { continue };
        result.robustness.thresholds = Some(shifted).filter(|s| s.len() == 2);
        let mut judge = Judge::default();
        judge.thresholds(result.robustness.threshold_share(result.columns.after_cost_bps), inputs.gate);
        result.columns.tradable = judge.failures.0.is_empty();
        result.fail_reasons.extend(judge.failures.0);
        result.gates.extend(judge.failures.1);
    }
    Ok(())
}

/// What the rules of these candidates make of the events at thresholds multiplied by `factor`.
fn again(
    survivors: &[Candidate],
    factor: f64,
    inputs: &BridgeInputs<'_>,
    markets: &mut dyn Markets,
) -> Result<Option<Vec<Shifted>>, BridgeError> {
    if survivors.is_empty() {
        return Ok(None);
    }
    let conditions = survivors.iter().filter_map(|c| c.measured.state.as_ref());
    // A part is a state, its negation, or a label of a regime, which every event carries.
    let states: BTreeSet<&str> =
        conditions.flat_map(|c| c.parts()).map(|part| part.strip_prefix("not ").unwrap_or(part)).collect();
    let events = survivors.iter().map(|c| &*c.measured.event_type).collect();
    let asked = OtherThresholds { events, states, factor, end: inputs.end };
    let Some(found) = markets.detect_again(&asked)? else { return Ok(None) };
    let traded = trade(survivors, &found.outcomes, &found.states, inputs, markets)?;
    let shifted = traded.iter().map(|trading| {
        let trades = &trading.simulation.trades;
        let after_cost_bps = mean(trades.iter().map(|t| t.net_bps(1.0)));
        Shifted { factor, trades: trades.len() as u64, after_cost_bps }
    });
    Ok(Some(shifted.collect()))
}
