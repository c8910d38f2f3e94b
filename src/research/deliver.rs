//! What a run tells: its summary, its report, and the version that follows from it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ResearchError;
use super::collect::Collected;
use super::driver::Ran;
use super::request::Request;
use super::summary::{EventCount, RunSummary, StageTime, peak_memory_mib, quality_lines};
use crate::publish::{PublishError, publish_conclusions, read_current};
use crate::report::{ReportInput, SymbolFacts, render};
use backtestd_core::blueprints::{Blueprint, Life, RunFacts, lives_of};
use backtestd_core::conclude::{Conclusions, MeasureCount, Placebo, Stage};
use backtestd_core::discovery::{Catalogue, EvidenceBook, MeasuredTest};
use backtestd_core::market::Ts;
use backtestd_core::pipeline::POOLED;

/// What the conclusions come to, as far as a summary tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Concluded {
    hypotheses: u64,
    trials: u64,
    cohorts: u64,
    discoveries: u64,
    passed_gates: u64,
    pub(super) blueprints: u64,
    pub(super) reasons: Vec<String>,
    /// `summary.json` of discovery.
    pub(super) discovery: Value,
    measures: Vec<MeasureCount>,
}

/// What the report told beside the conclusions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Drawn {
    /// The version that the run made or found.
    pub(super) version: Option<String>,
    /// The null twins. A run that has them is never kept.
    #[serde(skip)]
    pub(super) placebo: Option<Placebo>,
}

impl Concluded {
    /// Of a run's conclusions and of its tests beside discovery.
    pub(super) fn of(conclusions: &Conclusions, measures: Vec<MeasureCount>) -> Self {
        let discovery = &conclusions.discovery;
        let passed = discovery.candidates.iter().filter(|c| c.judgement.gate_phase2_final).count() as u64;
        Self {
            hypotheses: discovery.summary.hypotheses as u64,
            trials: discovery.summary.trials as u64,
            cohorts: discovery.summary.cohorts.len() as u64,
            discoveries: discovery.summary.discoveries as u64,
            passed_gates: passed,
            blueprints: conclusions.compiled.blueprints.len() as u64,
            reasons: conclusions.compiled.reasons.clone(),
            discovery: serde_json::to_value(&discovery.summary).unwrap_or_default(),
            measures,
        }
    }
}

/// Where the report of a run is.
pub(super) fn report_path(request: &Request, run_id: &str) -> PathBuf {
    request.data_root.join("reports/research").join(run_id).join("report.html")
}

/// The version that the run made or found, and its lines.
pub(super) fn version_of(
    request: &Request,
    facts: &RunFacts,
    conclusions: &Conclusions,
    (catalogue, book): (&Catalogue, &EvidenceBook),
    memory: (&Path, Ts),
) -> Result<(Option<String>, Vec<Blueprint>), ResearchError> {
    if !request.publish {
        return Ok((None, in_force(request, catalogue, book)?));
    }
    let publication = publish_conclusions(
        &request.data_root,
        &request.spec,
        facts,
        conclusions,
        (catalogue, book),
        (memory.0, &|| memory.1),
    )?;
    Ok((Some(publication.version), publication.blueprints))
}

/// The version in force, with what this run's book says about it; the files stay as they are.
fn in_force(
    request: &Request,
    catalogue: &Catalogue,
    book: &EvidenceBook,
) -> Result<Vec<Blueprint>, ResearchError> {
    let current = read_current(&request.data_root.join("blueprints")).map_err(PublishError::from)?;
    let mut published = current.map(|v| v.blueprints).unwrap_or_default();
    let mut lives = lives_of(&published, catalogue, book, &request.spec.gates.monitoring);
    for blueprint in &mut published {
        if let Some(Life::Monitored(monitoring)) = lives.remove(&blueprint.id) {
            blueprint.monitoring = Some(monitoring);
        }
    }
    Ok(published)
}

/// What the run came to.
pub(super) fn summarise(
    request: &Request,
    run_id: &str,
    collected: &Collected,
    told: Concluded,
    drawn: Drawn,
    stages: Vec<StageTime>,
) -> RunSummary {
    let (event_findings, unavailable) = quality_lines(&collected.quality);
    let unknown = collected.outcomes.iter().filter(|o| o.forward_return.is_nan()).count() as u64;
    RunSummary {
        ontology_spec_hash: request.spec.hash.clone(),
        code_version: crate::CODE_VERSION.to_owned(),
        start: request.first.open().rfc3339(),
        end: request.end.open().rfc3339(),
        history_from: collected.history_from.open().rfc3339(),
        bars: collected.bars.clone(),
        events: collected.events.len() as u64,
        events_by_type: events_by_type(collected),
        event_findings,
        unavailable,
        partial_sources: collected.quality.partial_sources.clone(),
        outcomes: collected.outcomes.len() as u64 - unknown,
        outcomes_unknown: unknown,
        outcomes_open: collected.open_outcomes as u64,
        hypotheses: told.hypotheses,
        trials: told.trials,
        cohorts: told.cohorts,
        discoveries: told.discoveries,
        passed_gates: told.passed_gates,
        blueprints: told.blueprints,
        reasons: told.reasons,
        version: drawn.version,
        placebo: drawn.placebo,
        measures: told.measures,
        run_dir: request.data_root.join("runs").join(run_id),
        report: report_path(request, run_id),
        uses_cache: request.stage_cache,
        stages,
        peak_memory_mib: peak_memory_mib(),
        run_id: run_id.to_owned(),
    }
}

fn events_by_type(collected: &Collected) -> Vec<EventCount> {
    let pooled = collected.quality.events.iter().filter(|q| q.symbol == POOLED);
    let count = pooled.map(|q| EventCount {
        family: q.family.clone(),
        event_type: q.event_type.clone(),
        events: q.unavailable.is_none().then_some(q.tally.onsets),
        per_10k: q.per_10k,
    });
    count.collect()
}

/// Everything that a report shows.
pub(super) struct ReportOf<'a> {
    pub(super) run: &'a Ran<'a>,
    pub(super) told: &'a Concluded,
    pub(super) drawn: &'a Drawn,
    pub(super) conclusions: &'a Conclusions,
    pub(super) funnel: &'a [Stage],
}

impl ReportOf<'_> {
    /// The report as HTML.
    pub(super) fn render(&self, published: &[Blueprint], measures: &[MeasuredTest]) -> String {
        let Self { run, told, drawn, conclusions, funnel } = self;
        let (request, collected) = (run.request, run.collected);
        let symbols: Vec<SymbolFacts> = collected
            .bars
            .iter()
            .map(|(symbol, count)| SymbolFacts {
                symbol: symbol.to_string(),
                bars: count.bars,
                gaps: count.gaps,
                quarantined: count.quarantined,
            })
            .collect();
        let unknown = collected.outcomes.iter().filter(|o| o.forward_return.is_nan()).count();
        render(&ReportInput {
            run_id: &run.facts.run_id,
            start: &request.first.open().rfc3339(),
            end: &request.end.open().rfc3339(),
            ontology_spec_hash: &request.spec.hash,
            code_version: crate::CODE_VERSION,
            version: drawn.version.as_deref(),
            symbols: &symbols,
            events: collected.events.len() as u64,
            outcomes: (collected.outcomes.len() - unknown) as u64,
            hypotheses: told.hypotheses,
            max_q_value: request.spec.gates.gate_v1_phase2.base.max_q_value,
            quality: &collected.quality,
            candidates: &conclusions.discovery.candidates,
            bridge: &conclusions.bridge,
            blueprints: &conclusions.compiled.blueprints,
            published,
            portfolio: conclusions.portfolio.as_ref(),
            reasons: &told.reasons,
            funnel,
            placebo: drawn.placebo.as_ref(),
            measures,
            measure_counts: &told.measures,
        })
    }
}
