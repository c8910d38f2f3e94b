//! The HTML report of a discovery run: the page that `research` writes, at the same place. Blocks.
//!
//! A page is for people, so that it cannot be written is no reason to fail a run that has published already.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::storage::RunInput;
use crate::publish::Publication;
use crate::report::{ReportInput, render};
use backtestd_core::blueprints::RunFacts;
use backtestd_core::conclude::Conclusions;
use backtestd_core::pipeline::{POOLED, Tally};
use backtestd_store::lake::write_bytes;

const FILE: &str = "report.html";

fn folder(data_root: &Path, run_id: &str) -> PathBuf {
    data_root.join("reports/research").join(run_id)
}

/// Writes the page, whole or not at all, and returns its path; none, with a warning, where that fails.
pub(super) fn write(
    input: &RunInput,
    conclusions: &Conclusions,
    facts: &RunFacts,
    published: &Publication,
    data_root: &Path,
) -> Option<PathBuf> {
    let path = folder(data_root, &facts.run_id).join(FILE);
    // Whoever reads the path in `status` stands in another directory.
    let path = std::path::absolute(&path).unwrap_or(path);
    match write_bytes(&path, page(input, conclusions, facts, published).as_bytes()) {
        Ok(()) => Some(path),
        Err(error) => {
            tracing::warn!(%error, run_id = facts.run_id, "the report of the run could not be written");
            None
        }
    }
}

fn page(input: &RunInput, conclusions: &Conclusions, facts: &RunFacts, published: &Publication) -> String {
    let (discovery, compiled) = (&conclusions.discovery, &conclusions.compiled);
    let hypotheses = discovery.summary.hypotheses as u64;
    let counted = |count: fn(&Tally) -> u64| {
        let single = input.quality.events.iter().filter(|q| q.symbol != POOLED);
        single.map(|q| count(&q.tally)).sum()
    };
    render(&ReportInput {
        run_id: &facts.run_id,
        start: &facts.discovery_start.rfc3339(),
        end: &facts.discovery_end.rfc3339(),
        ontology_spec_hash: &input.spec.hash,
        code_version: &facts.code_version,
        version: Some(&published.version),
        symbols: &input.bars,
        events: counted(|t| t.onsets),
        outcomes: counted(|t| t.outcomes - t.outcomes_unknown),
        hypotheses,
        max_q_value: input.spec.gates.gate_v1_phase2.base.max_q_value,
        quality: &input.quality,
        candidates: &discovery.candidates,
        bridge: &conclusions.bridge,
        blueprints: &compiled.blueprints,
        portfolio: conclusions.portfolio.as_ref(),
        reasons: &compiled.reasons,
        funnel: &conclusions.funnel(),
        placebo: None,
        measures: &[],
        measure_counts: &[],
        published: &published.blueprints,
    })
}

/// Removes the pages of runs; everything else that a run has left stays.
pub(super) fn remove(data_root: &Path, run_ids: &[String]) {
    for run_id in run_ids {
        let folder = folder(data_root, run_id);
        match fs::remove_file(folder.join(FILE)) {
            // A folder with anything else in it stays, and says so by this error.
            Ok(()) => drop(fs::remove_dir(&folder)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, run_id, "an old report could not be removed"),
        }
    }
}
