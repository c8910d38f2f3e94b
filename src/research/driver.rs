//! The stages of a batch run, in order, each timed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use arrow::array::RecordBatch;
use rayon::prelude::*;
use serde_json::json;

use super::again::ResearchMarkets;
use super::collect::{Collected, collect};
use super::measures::{MeasureLook, look_at_measures, write_measures};
use super::request::Request;
use super::summary::{EventCount, RunSummary, StageTime, peak_memory_mib, quality_lines};
use super::tables::{events_table, flags_table, outcomes_table};
use super::{ResearchError, look_at, read_ledger, remember_begun};
use crate::publish::{PublishError, publish_conclusions, read_current, write_run_files};
use crate::report::{ReportInput, SymbolFacts, render};
use backtestd_core::blueprints::{Blueprint, Life, RunFacts, lives_of};
use backtestd_core::conclude::{
    Conclusions, History, Look, MeasureCount, Placebo, PlaceboInputs, Stage, closed_through, conclude,
    discovery_config, exclusions, find, lacking, needs_outcomes, outcome_table, placebo,
};
use backtestd_core::discovery::{
    Accounting, Catalogue, DiscoveryConfig, EvidenceBook, MeasuredTest, OutcomeTable, TrialLedger,
};
use backtestd_core::market::hex;
use backtestd_core::market::{BarIndex, DAY_MS, Ts};
use backtestd_core::pipeline::POOLED;
use backtestd_lab::calibrate::Lab;
use backtestd_store::Store;
use backtestd_store::lake::{SCHEMA_KEY, in_order_of_time, write_bytes, write_parquet};

/// Runs everything. `now` is only used where a version is published; `progress` hears of each long stage, with the steps
/// done and the steps in all.
///
/// # Errors
/// When a symbol has no bars, the store or lake fails, or the run's name belongs to other inputs.
pub fn run(
    store: &mut Store,
    request: &Request,
    now: Ts,
    progress: &mut dyn FnMut(&'static str, u64, u64),
) -> Result<RunSummary, ResearchError> {
    let day = closed_through(request.end.open());
    let Admitted { config, catalogue, mut ledger, accounting, measure_looks } = enter(store, request, day)?;
    let mut stages = Vec::new();
    let mut clock = Instant::now();
    let mut lap = |stage: &'static str| {
        stages.push(StageTime { stage, ms: clock.elapsed().as_millis() as u64 });
        clock = Instant::now();
    };

    let collected = collect(store, request, &mut |done, total| progress("features and events", done, total))?;
    let (excluded, lacking) = (exclusions(&collected.quality), lacking(&collected.quality));
    let looks: Vec<&Accounting> =
        std::iter::once(&accounting).chain(measure_looks.iter().map(|look| &look.accounting)).collect();
    let run_id = request.run_id(&looks, &excluded, &collected.data);
    lap("pipeline");
    write_tables(request, &run_id, &collected)?;
    lap("tables");

    let facts = RunFacts {
        run_id: run_id.clone(),
        code_version: crate::CODE_VERSION.to_owned(),
        data_watermark: request.end.open(),
        discovery_start: request.first.open(),
        discovery_end: Ts((day + 1) * DAY_MS),
    };
    let table = outcome_table(&request.spec, collected.outcomes_and_marked())?;
    let mut book = config.open_book(&catalogue);
    book.advance(&table, &catalogue, day);
    remember_begun(store, &mut ledger, (&catalogue, &book), &request.spec.gates)?;
    let look = Look {
        catalogue: &catalogue,
        book: &book,
        accounting: &accounting,
        excluded: &excluded,
        lacking: &lacking,
    };
    let discovery = find(&look, &config);
    let run = Ran { request, look, config: &config, collected: &collected, facts: &facts };
    let (measures, measure_counts) = tests_beside(&run, &measure_looks)?;
    let replay = needs_outcomes(&discovery).then(|| replay_link(&book, request.first));
    let mut markets = ResearchMarkets::of(store, request);
    let mut conclusions =
        conclude(&request.spec, discovery, &collected.outcomes, &facts, replay, &mut markets)?;
    conclusions.split_costs(&request.spec, &collected.outcomes, facts.discovery_end);
    lap("discovery");

    write_run_files(&request.data_root, &request.spec, &facts, &conclusions)?;
    let phase2 = request.data_root.join("reports/phase2").join(&run_id);
    write_measures(&phase2, &measures, &request.spec.hash)?;
    let stages_passed = conclusions.funnel();
    let (version, published) =
        version_of(request, &facts, &conclusions, (&catalogue, &book), (store.dir(), now))?;
    lap("write");
    let twin = match &collected.history {
        Some(history) => {
            let twin = placebo_of(&run, history, &stages_passed, &phase2, progress)?;
            lap("placebo");
            Some(twin)
        }
        None => None,
    };

    let mut summary = summarise(request, run_id, &collected, &conclusions, version, stages);
    summary.placebo = twin;
    summary.measures = measure_counts;
    let page = report(request, &summary, &collected, &conclusions, &stages_passed, &published, &measures);
    write_bytes(&summary.report, page.as_bytes())?;
    write_stages(&summary, &collected, &conclusions)?;
    let manifest = serde_json::to_vec_pretty(&summary).unwrap_or_default();
    write_bytes(&summary.run_dir.join("run_manifest.json"), &manifest)?;
    Ok(summary)
}

/// What a run may look at.
pub(super) struct Admitted {
    config: DiscoveryConfig,
    catalogue: Catalogue,
    ledger: TrialLedger,
    /// Every trial of the ledger, these among them.
    pub(super) accounting: Accounting,
    measure_looks: Vec<MeasureLook>,
}

/// Enters the hypotheses of a run into the ledger.
pub(super) fn enter(store: &mut Store, request: &Request, day: i64) -> Result<Admitted, ResearchError> {
    let config = discovery_config(&request.spec, &request.symbols, request.end.open());
    let catalogue = config.catalogue(&OutcomeTable::default());
    let mut ledger = read_ledger(store, catalogue.statistic)?;
    let procedure = &request.spec.gates.multiplicity;
    let accounting = look_at(store, &mut ledger, &catalogue, procedure, day)?;
    let measure_looks = look_at_measures(store, &request.spec, &request.symbols, day)?;
    Ok(Admitted { config, catalogue, ledger, accounting, measure_looks })
}

/// Enters the hypotheses of a run into the ledger without looking at anything yet: [`run`] then finds them there.
///
/// # Errors
/// When the catalogue was declared closed and has grown, or the store cannot be written.
pub fn admit(store: &mut Store, request: &Request) -> Result<(), ResearchError> {
    enter(store, request, closed_through(request.end.open())).map(|_| ())
}

/// A run whose conclusions stand.
struct Ran<'a> {
    request: &'a Request,
    look: Look<'a>,
    config: &'a DiscoveryConfig,
    collected: &'a Collected,
    facts: &'a RunFacts,
}

/// Runs the null twins of a run and writes what they came to beside its candidates.
fn placebo_of(
    run: &Ran<'_>,
    history: &History,
    real: &[Stage],
    phase2: &Path,
    progress: &mut dyn FnMut(&'static str, u64, u64),
) -> Result<Placebo, ResearchError> {
    let inputs = PlaceboInputs {
        spec: &run.request.spec,
        outcomes: &run.collected.outcomes,
        history,
        look: run.look,
        config: run.config,
        facts: run.facts,
        real,
        groups: Lab::default().placement.volatility_groups,
    };
    let request = run.request.placebo;
    let twin = placebo(&inputs, request, &mut |done, total| progress("placebo", done, total))?;
    write_bytes(&phase2.join("placement_null.json"), &serde_json::to_vec_pretty(&twin).unwrap_or_default())?;
    Ok(twin)
}

/// The tests of what no single leg can trade, and how many there are by statistic.
fn tests_beside(
    run: &Ran<'_>,
    looks: &[MeasureLook],
) -> Result<(Vec<MeasuredTest>, Vec<MeasureCount>), ResearchError> {
    let both = (run.collected.outcomes.as_slice(), run.collected.measured.as_slice());
    let (mut tests, mut counts) = (Vec::new(), Vec::new());
    for beside in looks {
        let found = beside.tests(&run.request.spec, both, &run.look, run.config)?;
        counts.push(MeasureCount::of(beside.statistic(), &beside.accounting, &found));
        tests.extend(found);
    }
    Ok((tests, counts))
}

/// The version that the run made or found, and its lines.
fn version_of(
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

/// Link of the book's chain, as a daemon that took one day after another has it.
fn replay_link(book: &EvidenceBook, first: BarIndex) -> String {
    let start = book.first_link();
    let records = book.records(first.open().day() - 1, start);
    hex(&records.last().map_or(start, |r| r.link))
}

fn write_tables(request: &Request, run_id: &str, collected: &Collected) -> Result<(), ResearchError> {
    let spec = &request.spec;
    let event_types: Vec<String> = spec.events.iter().map(|e| e.event_type.clone()).collect();
    let states: Vec<String> = spec.states.iter().map(|s| s.id.clone()).collect();
    let spec_hash = |event: &str| spec.event(event).map(|e| e.spec_hash.clone()).unwrap_or_default();
    let root = &request.data_root;
    let rows = (request.end - request.first) as usize;

    let events = || {
        let table = events_table(run_id, &spec_hash, &collected.events)?;
        write(&root.join("events/events.parquet"), "backtestd.events/1", &spec.hash, &[table])
    };
    let flags = || {
        let tables: Vec<RecordBatch> = request
            .symbols
            .par_iter()
            .map(|s| flags_table(s, request.first, rows, &event_types, &collected.events))
            .collect::<Result<_, _>>()?;
        write(&root.join("events/event_flags.parquet"), "backtestd.event_flags/1", &spec.hash, &tables)
    };
    let outcomes = || {
        let table = outcomes_table(&states, &collected.outcomes, &collected.measured)?;
        let path = root.join("runs").join(run_id).join("outcomes.parquet");
        write(&path, "backtestd.outcomes/1", &spec.hash, &[table])
    };
    let (flags, (events, outcomes)) = rayon::join(flags, || rayon::join(events, outcomes));
    flags.and(events).and(outcomes)
}

fn write(path: &Path, schema: &str, spec_hash: &str, batches: &[RecordBatch]) -> Result<(), ResearchError> {
    let Some(rows) = in_order_of_time(path, batches)? else { return Ok(()) };
    let metadata = BTreeMap::from([
        (SCHEMA_KEY.to_owned(), schema.to_owned()),
        ("ontology_spec_hash".to_owned(), spec_hash.to_owned()),
    ]);
    write_parquet(path, &rows.schema(), std::slice::from_ref(&rows), &metadata)?;
    Ok(())
}

/// `<stage>.json` and `<stage>.log` beside the manifest: what each stage came to.
fn write_stages(
    summary: &RunSummary,
    collected: &Collected,
    conclusions: &Conclusions,
) -> Result<(), ResearchError> {
    for stage in &summary.stages {
        let facts = match stage.stage {
            "pipeline" => json!({
                "history_from": summary.history_from, "bars": summary.bars, "events": summary.events,
                "outcomes": summary.outcomes, "outcomes_unknown": summary.outcomes_unknown,
                "outcomes_open": summary.outcomes_open, "quality": collected.quality,
            }),
            "discovery" => json!({ "summary": conclusions.discovery.summary, "reasons": summary.reasons }),
            "tables" => json!({ "events": summary.events, "outcomes": collected.outcomes.len() }),
            _ => json!({ "blueprints": summary.blueprints, "version": summary.version }),
        };
        let record = json!({
            "stage": stage.stage, "ms": stage.ms, "run_id": summary.run_id, "start": summary.start,
            "end": summary.end, "ontology_spec_hash": summary.ontology_spec_hash,
            "code_version": summary.code_version, "facts": facts,
        });
        let file = |ending: &str| summary.run_dir.join(format!("{}.{ending}", stage.stage));
        write_bytes(&file("json"), &serde_json::to_vec_pretty(&record).unwrap_or_default())?;
        write_bytes(&file("log"), stage_log(stage.stage, summary).as_bytes())?;
    }
    Ok(())
}

/// What a stage has to tell, in lines.
fn stage_log(stage: &str, summary: &RunSummary) -> String {
    match stage {
        "pipeline" => summary.pipeline_text(),
        "discovery" => summary.reasons.iter().map(|line| format!("{line}\n")).collect(),
        "tables" => format!("{} events, {} outcomes\n", summary.events, summary.outcomes),
        _ => format!(
            "{} blueprints, version {}\n",
            summary.blueprints,
            summary.version.as_deref().unwrap_or("none")
        ),
    }
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

fn summarise(
    request: &Request,
    run_id: String,
    collected: &Collected,
    conclusions: &Conclusions,
    version: Option<String>,
    stages: Vec<StageTime>,
) -> RunSummary {
    let (event_findings, unavailable) = quality_lines(&collected.quality);
    let events_by_type = collected
        .quality
        .events
        .iter()
        .filter(|q| q.symbol == POOLED)
        .map(|q| EventCount {
            family: q.family.clone(),
            event_type: q.event_type.clone(),
            events: q.unavailable.is_none().then_some(q.tally.onsets),
            per_10k: q.per_10k,
        })
        .collect();
    let unknown = collected.outcomes.iter().filter(|o| o.forward_return.is_nan()).count() as u64;
    let discovery = &conclusions.discovery;
    let passed = discovery.candidates.iter().filter(|c| c.judgement.gate_phase2_final).count() as u64;
    let root = &request.data_root;
    RunSummary {
        ontology_spec_hash: request.spec.hash.clone(),
        code_version: crate::CODE_VERSION.to_owned(),
        start: request.first.open().rfc3339(),
        end: request.end.open().rfc3339(),
        history_from: collected.history_from.open().rfc3339(),
        bars: collected.bars.clone(),
        events: collected.events.len() as u64,
        events_by_type,
        event_findings,
        unavailable,
        partial_sources: collected.quality.partial_sources.clone(),
        outcomes: collected.outcomes.len() as u64 - unknown,
        outcomes_unknown: unknown,
        outcomes_open: collected.open_outcomes as u64,
        hypotheses: discovery.summary.hypotheses as u64,
        trials: discovery.summary.trials as u64,
        cohorts: discovery.summary.cohorts.len() as u64,
        discoveries: discovery.summary.discoveries as u64,
        passed_gates: passed,
        blueprints: conclusions.compiled.blueprints.len() as u64,
        reasons: conclusions.compiled.reasons.clone(),
        version,
        placebo: None,
        measures: Vec::new(),
        run_dir: root.join("runs").join(&run_id),
        report: root.join("reports/research").join(&run_id).join("report.html"),
        stages,
        peak_memory_mib: peak_memory_mib(),
        run_id,
    }
}

fn report(
    request: &Request,
    summary: &RunSummary,
    collected: &Collected,
    conclusions: &Conclusions,
    funnel: &[Stage],
    published: &[Blueprint],
    measures: &[MeasuredTest],
) -> String {
    let symbols: Vec<SymbolFacts> = summary
        .bars
        .iter()
        .map(|(symbol, count)| SymbolFacts {
            symbol: symbol.to_string(),
            bars: count.bars,
            gaps: count.gaps,
            quarantined: count.quarantined,
        })
        .collect();
    render(&ReportInput {
        run_id: &summary.run_id,
        start: &summary.start,
        end: &summary.end,
        ontology_spec_hash: &summary.ontology_spec_hash,
        code_version: &summary.code_version,
        version: summary.version.as_deref(),
        symbols: &symbols,
        events: summary.events,
        outcomes: summary.outcomes,
        hypotheses: summary.hypotheses,
        max_q_value: request.spec.gates.gate_v1_phase2.base.max_q_value,
        quality: &collected.quality,
        candidates: &conclusions.discovery.candidates,
        bridge: &conclusions.bridge,
        blueprints: &conclusions.compiled.blueprints,
        published,
        portfolio: conclusions.portfolio.as_ref(),
        reasons: &summary.reasons,
        funnel,
        placebo: summary.placebo.as_ref(),
        measures,
        measure_counts: &summary.measures,
    })
}
