//! What a run leaves behind, whoever ran it: its files, and the version that follows from them.

use std::path::Path;

use backtestd_core::blueprints::{RunFacts, canonical_json, lives_of};
use backtestd_core::conclude::Conclusions;
use backtestd_core::discovery::{Catalogue, EvidenceBook};
use backtestd_core::market::Ts;
use backtestd_core::spec::CompiledSpec;
use backtestd_store::lake::{LakeError, write_bytes, write_phase2_reports};

use super::columns::columns_beside;
use super::{
    Publication, PublishContext, PublishError, publish_version, read_current, write_promotion_audit,
    write_run,
};

/// What one account earns that trades the blueprints of the run together.
pub const PORTFOLIO_FILE: &str = "portfolio.json";
/// The record of what the bridge traded: cut in time, deflated by the trials.
const PROMOTION_FILE: &str = "promotion.json";
/// In the state directory: the highest version that was published from it.
const LAST_VERSION: &str = "last_version";

/// Files of a run that could not be written, or a version that could not be published.
#[derive(Debug, thiserror::Error)]
pub enum RunFilesError {
    /// The run's blueprints or the version.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A parquet file.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

/// Writes what every run leaves below `data_root/reports`: `strategy_blueprints/`, `phase2/` and
/// `promotions/`, each in a folder of the run's name. Writing the same content again changes nothing.
///
/// # Errors
/// When a file cannot be written, or the run is there already with other content.
pub fn write_run_files(
    data_root: &Path,
    spec: &CompiledSpec,
    facts: &RunFacts,
    conclusions: &Conclusions,
) -> Result<(), RunFilesError> {
    let reports = data_root.join("reports");
    let candidates = &conclusions.discovery.candidates;
    let hypotheses = conclusions.discovery.summary.hypotheses;
    let (bridge, compiled) = (&conclusions.bridge, &conclusions.compiled);
    let by = (spec.hash.as_str(), &spec.gates.monitoring);
    write_run(&reports, by, facts, hypotheses, candidates, bridge, compiled)?;
    let phase2 = reports.join("phase2").join(&facts.run_id);
    write_phase2_reports(&phase2, &conclusions.discovery, &columns_beside(conclusions))?;
    write_promotion_audit(&reports, &spec.hash, &facts.run_id, candidates, &conclusions.compiled)?;
    let path = reports.join("promotions").join(&facts.run_id).join(PROMOTION_FILE);
    write_bytes(&path, (canonical_json(&conclusions.promotion) + "\n").as_bytes())?;
    if let Some(portfolio) = &conclusions.portfolio {
        let path = reports.join("strategy_blueprints").join(&facts.run_id).join(PORTFOLIO_FILE);
        write_bytes(&path, (canonical_json(portfolio) + "\n").as_bytes())?;
    }
    Ok(())
}

/// Publishes what a run concluded, with what monitoring says about what is in force. The state directory
/// remembers the number of the version, should the data root be lost. `now` is asked when all but the writing
/// is done.
///
/// # Errors
/// When the version in force cannot be read or the new one cannot be written; the directory is then as
/// before.
pub fn publish_conclusions(
    data_root: &Path,
    spec: &CompiledSpec,
    facts: &RunFacts,
    conclusions: &Conclusions,
    (catalogue, book): (&Catalogue, &EvidenceBook),
    (state, now): (&Path, &dyn Fn() -> Ts),
) -> Result<Publication, PublishError> {
    let dir = data_root.join("blueprints");
    let published = read_current(&dir)?.map(|version| version.blueprints).unwrap_or_default();
    let context = PublishContext {
        published_at: now(),
        run_id: facts.run_id.clone(),
        ontology_spec_hash: spec.hash.clone(),
        data_watermark: facts.data_watermark,
        code_version: facts.code_version.clone(),
        verdicts: conclusions.compiled.verdicts.clone(),
        overlap: conclusions.compiled.overlap.clone(),
        lives: lives_of(&published, catalogue, book, &spec.gates.monitoring),
        reasons: conclusions.compiled.reasons.clone(),
        memory: Some(state.join(LAST_VERSION)),
    };
    publish_version(&dir, &conclusions.compiled.blueprints, &context)
}
