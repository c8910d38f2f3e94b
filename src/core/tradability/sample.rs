//! The events of a candidate as signals, with their booked outcomes.

use crate::discovery::{Candidate, ConditionTest};
use crate::outcomes::{CostParts, Outcome};
use crate::tradability::Signal;

/// A candidate's events, aligned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Signals in the order of the outcomes.
    pub signals: Vec<Signal>,
    /// Unsigned forward return (NaN: entry or exit on a gap) and funding paid per unit long (NaN: not
    /// collected).
    pub outcomes: Vec<(f64, f64)>,
    /// The parts of each signal's cost.
    pub costs: Vec<CostParts>,
}

/// A candidate whose events cannot be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SampleError {
    /// Its condition is unknown to the specs at hand.
    #[error(
        "candidate {candidate_id}: condition '{state_id}' is no state of these specs; run discovery again"
    )]
    UnknownState {
        /// Id of the candidate without a sample.
        candidate_id: String,
        /// Id of the unknown condition.
        state_id: String,
    },
}

impl Sample {
    /// The outcomes that `candidate` was tested on. `states` are the graph's state ids in order. Undirected
    /// events have no side and are left out.
    ///
    /// # Errors
    /// When the candidate's condition is no state of these specs.
    pub fn of_candidate<'a, S: AsRef<str>>(
        candidate: &Candidate,
        outcomes: impl IntoIterator<Item = &'a Outcome>,
        states: &[S],
    ) -> Result<Self, SampleError> {
        let unknown = || SampleError::UnknownState {
            candidate_id: candidate.measured.candidate_id.clone(),
            state_id: candidate.state_id().to_owned(),
        };
        let asked: Vec<&str> = candidate.measured.state.iter().map(|c| &*c.expression).collect();
        let condition = ConditionTest::resolve(&asked, states).ok_or_else(unknown)?;
        let symbols = candidate.measured.scope.symbols();
        let mut sample = Self::default();
        for outcome in outcomes {
            let event = &outcome.event;
            let is_ours = event.event_type == candidate.measured.event_type
                && outcome.horizon == candidate.measured.horizon
                && outcome.entry_lag_bars == candidate.measured.entry_lag_bars
                && symbols.contains(&event.symbol)
                && condition.holds(event);
            let Some(side) = candidate.measured.direction_rule.side(event.direction).filter(|_| is_ours)
            else {
                continue;
            };
            sample.signals.push(Signal {
                symbol: event.symbol.clone(),
                bar: event.bar,
                side,
                sigma_bar: event.sigma_bar,
                cost_bps: outcome.cost_bps_round_trip,
            });
            sample.outcomes.push((outcome.forward_return, outcome.funding_paid));
            sample.costs.push(outcome.costs);
        }
        Ok(sample)
    }
}
