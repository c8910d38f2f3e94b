//! Where hypotheses stopped: each stage counts what passed it and all stages before.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::discovery::Candidate;
use crate::tradability::BridgeResult;

/// A stage of the funnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Short label of the stage, as tables and charts show it.
    pub name: &'static str,
    /// What it asks.
    pub what: &'static str,
    /// How many are left.
    pub count: u64,
}

type Test = fn(&Candidate) -> bool;

/// The stages of one discovery, from the catalogue to the blueprints.
#[must_use]
pub fn funnel(
    hypotheses: u64,
    candidates: &[Candidate],
    bridge: &BTreeMap<usize, BridgeResult>,
    blueprints: usize,
) -> Vec<Stage> {
    let mut out = vec![
        Stage { name: "Hypotheses", what: "units of the catalogue", count: hypotheses },
        Stage { name: "With data", what: "at least one matured event", count: candidates.len() as u64 },
    ];
    let tests: [(&'static str, &'static str, Test); 7] = [
        ("Discoveries", "q within the limit, over the whole catalogue", |c| c.judgement.is_discovery),
        ("Sample size", "enough events and days", |c| c.judgement.gate_sample_size),
        ("Sign certain", "local false sign rate within the limit", |c| c.judgement.gate_lfsr),
        ("Pays its cost", "shrunk effect beyond the round trip", |c| c.judgement.gate_economic),
        ("Pays stressed cost", "the same at the stressed cost", |c| c.judgement.gate_economic_conservative),
        ("Both halves agree", "first and second half have the traded sign", |c| c.judgement.gate_stability),
        ("All gates", "state information too", |c| c.judgement.gate_phase2_final),
    ];
    let mut left: Vec<(usize, &Candidate)> = candidates.iter().enumerate().collect();
    for (name, what, test) in tests {
        left.retain(|(_, c)| test(c));
        out.push(Stage { name, what, count: left.len() as u64 });
    }
    left.retain(|(at, _)| bridge.get(at).is_some_and(|b| b.columns.tradable));
    out.push(Stage { name: "Tradable", what: "passed the bridge", count: left.len() as u64 });
    out.push(Stage { name: "Blueprints", what: "compiled", count: blueprints as u64 });
    out
}
