//! What was bounded in a run: days, sigmas and symbols that could have decided more than they may.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::format::thousands;
use backtestd_core::discovery::Candidate;

/// A note; empty where nothing had to be bounded and every hypothesis had the counts that it takes.
pub(super) fn bounded(candidates: &[Candidate]) -> Markup {
    let mut said: Vec<String> = Vec::new();
    let few = candidates.iter().filter(|c| !c.influence.is_admitted).count();
    if few > 0 {
        said.push(format!(
            "{} of {} hypotheses have too few events or days to be accepted; their p counts as 1",
            thousands(few as u64),
            thousands(candidates.len() as u64)
        ));
    }
    let capped = candidates.iter().filter(|c| c.influence.capped_days > 0).count();
    if let Some(most) = candidates.iter().max_by_key(|c| c.influence.capped_days).filter(|_| capped > 0) {
        said.push(format!(
            "{} have days whose score counts as less than it is, most often {} on {} ({} days)",
            thousands(capped as u64),
            most.event_type,
            most.scope.label(),
            most.influence.capped_days
        ));
    }
    let one_day = candidates.iter().filter(|c| c.is_discovery && rests_on_one_day(c)).count();
    if one_day > 0 {
        said.push(format!("{one_day} of the discoveries would have no gain without their largest day"));
    }
    let floored: u64 = candidates.iter().map(|c| c.influence.n_floored).max().unwrap_or(0);
    if floored > 0 {
        said.push(format!(
            "up to {} events of a hypothesis have a sigma that counts as more than it is",
            thousands(floored)
        ));
    }
    let mut apart: BTreeMap<&str, usize> = BTreeMap::new();
    for symbol in candidates.iter().flat_map(|c| &c.influence.left_out_symbols) {
        *apart.entry(symbol.as_str()).or_default() += 1;
    }
    if !apart.is_empty() {
        let names: Vec<String> = apart.iter().map(|(name, n)| format!("{name} ({n})")).collect();
        said.push(format!(
            "pooled hypotheses leave out a symbol whose round trip costs more than it usually moves: {}",
            names.join(", ")
        ));
    }
    html! {
        @if !said.is_empty() { p.note { (said.join(". ")) "." } }
    }
}

fn rests_on_one_day(c: &Candidate) -> bool {
    c.influence.top_day_share.is_some_and(|share| share >= 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::tests::candidate;
    use backtestd_core::market::Symbol;

    #[test]
    fn what_was_bounded_is_said_and_nothing_else() {
        assert_eq!(bounded(&[candidate()]).into_string(), "");
        let mut bent = candidate();
        (bent.influence.is_admitted, bent.influence.capped_days, bent.influence.n_floored) = (false, 2, 7);
        bent.influence.left_out_symbols = vec![Symbol::new("USDCUSDT").unwrap()];
        bent.influence.top_day_share = Some(1.4);
        let note = bounded(&[candidate(), bent]).into_string();
        for part in [
            "1 of 2 hypotheses have too few events or days",
            "1 have days whose score counts as less than it is, most often VOL_SHOCK on BTCUSDT (2 days)",
            "1 of the discoveries would have no gain without their largest day",
            "up to 7 events",
            "USDCUSDT (1)",
        ] {
            assert!(note.contains(part), "{part}: {note}");
        }
    }
}
