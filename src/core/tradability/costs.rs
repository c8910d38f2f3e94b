//! The cost of every candidate's evidence in its parts.

use std::collections::BTreeMap;

use crate::discovery::{Candidate, ConditionTest};
use crate::outcomes::{CostParts, CostSum, Outcome};

/// A candidate whose outcomes are looked for.
struct Wanted<'a> {
    at: usize,
    candidate: &'a Candidate,
    condition: ConditionTest,
}

/// Mean cost of the outcomes that each candidate was tested on, in its parts: what `cost_bps` is the sum of.
/// `None` where there are none at hand. Of a pool, the symbols that it leaves out as things stand are left
/// out throughout.
#[must_use]
pub fn evidence_costs<'a, S: AsRef<str>>(
    candidates: &[Candidate],
    outcomes: impl IntoIterator<Item = &'a Outcome>,
    states: &[S],
) -> Vec<Option<CostParts>> {
    let mut wanted: BTreeMap<(&str, u32, u32), Vec<Wanted<'_>>> = BTreeMap::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let measured = &candidate.measured;
        let asked: Vec<&str> = measured.state.iter().map(|c| &*c.expression).collect();
        let Some(condition) = ConditionTest::resolve(&asked, states) else { continue };
        let of = (&*measured.event_type, measured.horizon.bars, measured.entry_lag_bars);
        wanted.entry(of).or_default().push(Wanted { at, candidate, condition });
    }
    let mut sums = vec![CostSum::default(); candidates.len()];
    for outcome in outcomes.into_iter().filter(|o| is_evidence(o)) {
        let event = &outcome.event;
        let of = (&*event.event_type, outcome.horizon.bars, outcome.entry_lag_bars);
        for one in wanted.get(&of).into_iter().flatten() {
            let is_in_scope = one.candidate.measured.scope.symbols().contains(&event.symbol);
            if is_in_scope && one.condition.holds(event) {
                sums[one.at].add(&outcome.costs);
            }
        }
    }
    sums.iter().map(CostSum::mean).collect()
}

/// Whether an outcome has a side, a return and a scale, and is over on the day of its event: the others are
/// no evidence.
fn is_evidence(outcome: &Outcome) -> bool {
    let event = &outcome.event;
    let last_day = crate::market::Ts(outcome.matured().0 - 1).day();
    event.direction != 0
        && last_day == event.bar.open().day()
        && outcome.forward_return.is_finite()
        && outcome.cost_bps_round_trip.is_finite()
        && event.sigma_event > 0.0
        && event.sigma_event.is_finite()
}
