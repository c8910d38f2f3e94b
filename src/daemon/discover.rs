//! One discovery run: booked outcomes in, a published version out. Blocks; runs on a thread of its own.
//!
//! The same conclusions as a batch run over the same outcomes (`research::conclude`), written to the same places.

use std::path::PathBuf;

use super::storage::RunInput;
use crate::blueprints::{Blueprint, PublishContext, RunFacts, publish_version, write_run};
use crate::lake::write_phase2_reports;
use crate::market::Ts;
use crate::research::conclude;

/// What to run.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its id.
    pub run_id: String,
    /// The clock: the instant of publication.
    pub now: Ts,
    /// Root of the data tree.
    pub data_root: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Id.
    pub run_id: String,
    /// Version in force after it.
    pub version: String,
    /// Whether it is new.
    pub changed: bool,
    /// Hypotheses tested.
    pub hypotheses: u64,
    /// Discoveries.
    pub discoveries: u64,
    /// Blueprints with status active.
    pub active: u64,
    /// Blueprints with status watch.
    pub watch: u64,
    /// Lines of the version.
    pub blueprints: Vec<Blueprint>,
    /// When.
    pub finished_at: Ts,
    /// Close of the last bar it saw.
    pub watermark: Ts,
    /// Specs.
    pub spec_hash: String,
}

/// Runs discovery, bridge and compiler over the outcomes, writes the run's reports, and publishes what changed.
///
/// # Errors
/// In words: when the outcomes cannot be used or a file cannot be written. The version in force stays.
pub fn run(input: &RunInput, request: &Request) -> Result<Found, String> {
    let facts = RunFacts {
        run_id: request.run_id.clone(),
        code_version: crate::CODE_VERSION.to_owned(),
        data_watermark: input.next.open(),
        discovery_start: input.first.open(),
        discovery_end: input.next.open(),
    };
    let spec = &input.spec;
    let conclusions = conclude(spec, &input.symbols, &input.outcomes, &input.quality, &facts)
        .map_err(|error| error.to_string())?;
    write_run(
        &request.data_root.join("reports"),
        &spec.hash,
        &facts,
        &conclusions.discovery.candidates,
        &conclusions.bridge,
        &conclusions.compiled,
    )
    .map_err(|error| error.to_string())?;
    let phase2 = request.data_root.join("reports/phase2").join(&request.run_id);
    write_phase2_reports(&phase2, &conclusions.discovery).map_err(|error| error.to_string())?;
    let context = PublishContext {
        published_at: request.now,
        run_id: request.run_id.clone(),
        ontology_spec_hash: spec.hash.clone(),
        data_watermark: facts.data_watermark,
        code_version: facts.code_version.clone(),
        verdicts: conclusions.compiled.verdicts.clone(),
        reasons: conclusions.compiled.reasons.clone(),
    };
    let published =
        publish_version(&request.data_root.join("blueprints"), &conclusions.compiled.blueprints, &context)
            .map_err(|error| error.to_string())?;
    let summary = &conclusions.discovery.summary;
    Ok(Found {
        run_id: request.run_id.clone(),
        version: published.version,
        changed: published.changed,
        hypotheses: summary.hypotheses as u64,
        discoveries: summary.discoveries as u64,
        active: published.manifest.counts.active,
        watch: published.manifest.counts.watch,
        blueprints: published.blueprints,
        finished_at: request.now,
        watermark: facts.data_watermark,
        spec_hash: spec.hash.clone(),
    })
}
