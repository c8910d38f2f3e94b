//! Booked outcomes → candidates → bridge → blueprints. Pure: the daemon's recompute and a batch run call the same
//! function with the same outcomes and get the same lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ResearchError;
use crate::blueprints::{CompileInputs, Compiled, RunFacts, SideCosts, compile};
use crate::bridge::{self, BridgeInputs, BridgeResult};
use crate::discovery::{CatalogueSpec, Discovery, DiscoveryConfig, Exclusion, OutcomeTable, discover};
use crate::market::Symbol;
use crate::outcomes::Outcome;
use crate::pipeline::QualityReport;
use crate::spec::CompiledSpec;

/// What follows from the outcomes.
#[derive(Clone, Debug)]
pub struct Conclusions {
    /// Candidates with their bridge columns, and the run in numbers.
    pub discovery: Discovery,
    /// The bridge's results by candidate index.
    pub bridge: BTreeMap<usize, BridgeResult>,
    /// Blueprints, verdicts and reasons.
    pub compiled: Compiled,
}

/// Runs discovery, bridge and compiler. Only UTC days that are closed at the run's watermark enter the evidence.
/// `quality` is counted up to the watermark: what it excludes stays in the catalogue with p = 1.
///
/// # Errors
/// When the outcomes belong to other specs.
pub fn conclude(
    spec: &CompiledSpec,
    symbols: &[Symbol],
    outcomes: &[Outcome],
    quality: &QualityReport,
    run: &RunFacts,
) -> Result<Conclusions, ResearchError> {
    let states: Vec<Arc<str>> = spec.states.iter().map(|s| s.id.as_str().into()).collect();
    let table = OutcomeTable::from_outcomes(outcomes, &states)?;
    let config = DiscoveryConfig {
        gates: spec.gates.clone(),
        families: spec.multiplicity.families.clone(),
        catalogue: Some(CatalogueSpec::from_spec(spec, symbols)),
        closed_through: Some(run.data_watermark.day() - 1),
        entry_lag_bars: spec.defaults.entry_lag_bars.get(),
        spec_hash: spec.hash.as_str().into(),
        excluded: exclusions(quality),
    };
    let mut discovery = discover(&table, &config);
    let inputs = BridgeInputs {
        gate: &spec.gates.gate_v1_bridge,
        strategies: &spec.strategies,
        price: spec.defaults.entry_price,
        markets: None,
    };
    let bridge = bridge::apply(&mut discovery.candidates, outcomes, &states, &inputs)?;
    let costs = &spec.defaults.costs;
    let compiled = compile(
        &discovery.candidates,
        &bridge,
        &CompileInputs {
            ontology_spec_hash: &spec.hash,
            strategies: &spec.strategies,
            price: spec.defaults.entry_price,
            costs: &|s| SideCosts {
                fee_bps: costs.fee_bps_at(s, run.data_watermark),
                slippage_bps: costs.slippage_bps(s),
            },
            event_spec_hash: &|event| spec.event(event).map(|e| e.spec_hash.clone()),
            run,
        },
    )?;
    Ok(Conclusions { discovery, bridge, compiled })
}

/// What `gate_e1` excludes, by event and scope: a symbol, or all of them for the pooled hypotheses.
fn exclusions(quality: &QualityReport) -> Vec<Exclusion> {
    let excluded = quality.events.iter().filter(|q| q.excluded);
    excluded
        .flat_map(|q| {
            q.findings.iter().map(|f| Exclusion {
                event_type: q.event_type.as_str().into(),
                scope: q.symbol.clone(),
                metric: f.metric,
                value: f.value,
                relation: f.relation,
                threshold: f.threshold,
                text: f.to_string(),
            })
        })
        .collect()
}
