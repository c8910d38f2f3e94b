//! The stages of a batch run, in order, each timed.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::again::ResearchMarkets;
use super::collect::Collected;
use super::deliver::{Concluded, Drawn, ReportOf, report_path, summarise, version_of};
use super::measures::{MeasureLook, look_at_measures, write_measures};
use super::request::Request;
use super::stages::{self, CONCLUDE, Outcome, PLACEBO, REPORT, StageRecord, Stages, TABLES, files_of};
use super::summary::RunSummary;
use super::table_files::write_tables;
use super::{ResearchError, look_at, read_ledger, remember_begun};
use crate::publish::{PublishError, write_run_files};
use backtestd_core::blueprints::RunFacts;
use backtestd_core::conclude::{
    History, Look, MeasureCount, Placebo, PlaceboInputs, Stage, closed_through, conclude, discovery_config,
    exclusions, find, lacking, needs_outcomes, outcome_table, placebo,
};
use backtestd_core::discovery::{
    Accounting, Catalogue, DiscoveryConfig, EvidenceBook, MeasuredTest, OutcomeTable, TrialLedger,
};
use backtestd_core::market::{BarIndex, DAY_MS, Ts, hex};
use backtestd_lab::calibrate::Lab;
use backtestd_store::Store;
use backtestd_store::lake::write_bytes;

/// Runs everything. `now` is only used where a version is published; `progress` hears of each long stage,
/// with the steps done and the steps in all.
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
    let mut stages = Stages::of(request);
    let (collected, pipeline) =
        stages.pipeline(store, &[], &mut |done, total| progress("features and events", done, total))?;
    let (excluded, lacking) = (exclusions(&collected.quality), lacking(&collected.quality));
    let looks: Vec<&Accounting> =
        std::iter::once(&accounting).chain(measure_looks.iter().map(|look| &look.accounting)).collect();
    let run_id = request.run_id(&looks, &excluded, &collected.log.data);
    stages.name(&run_id);
    tables(&mut stages, request, (&run_id, &pipeline), &collected)?;

    let facts = RunFacts {
        run_id,
        code_version: crate::CODE_VERSION.to_owned(),
        data_watermark: request.end.open(),
        discovery_start: request.first.open(),
        discovery_end: Ts((day + 1) * DAY_MS),
    };
    let mut table = || Ok(outcome_table(&request.spec, collected.outcomes_and_marked())?);
    let (book, evidence) = stages.evidence(&config, &catalogue, day, &pipeline, &mut table)?;
    remember_begun(store, &mut ledger, (&catalogue, &book), &request.spec.gates)?;
    let look = Look {
        catalogue: &catalogue,
        book: &book,
        accounting: &accounting,
        excluded: &excluded,
        lacking: &lacking,
    };
    let run = Ran { request, look, config: &config, collected: &collected, facts: &facts };
    let inputs = stages::conclude(store, request, (&pipeline, &evidence), &facts.run_id)?;
    let (told, drawn) = match run.known(&stages, &inputs)? {
        Ok((concluded, drawn)) => run.keep(&mut stages, inputs, concluded, drawn)?,
        Err(why) => run.conclude(&mut stages, (store, now), (inputs, why), &measure_looks, progress)?,
    };
    let summary = summarise(request, &facts.run_id, &collected, told, drawn, stages.times());
    let shared = json!({
        "start": summary.start, "end": summary.end, "ontology_spec_hash": summary.ontology_spec_hash,
        "code_version": summary.code_version,
    });
    stages.write(&summary.run_dir, &summary.run_id, &shared, &|stage| stage_log(stage, &summary))?;
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

/// Enters the hypotheses of a run into the ledger without looking at anything yet: [`run`] then finds them
/// there.
///
/// # Errors
/// When the catalogue was declared closed and has grown, or the store cannot be written.
pub fn admit(store: &mut Store, request: &Request) -> Result<(), ResearchError> {
    enter(store, request, closed_through(request.end.open())).map(|_| ())
}

/// A run whose evidence stands.
pub(super) struct Ran<'a> {
    pub(super) request: &'a Request,
    look: Look<'a>,
    config: &'a DiscoveryConfig,
    pub(super) collected: &'a Collected,
    pub(super) facts: &'a RunFacts,
}

/// An entry of the cache with what it tells.
type Known<T> = (StageRecord, T);

/// What the cache has of a run: its conclusions and its report, or why it has not.
type Cached = Result<(Known<Concluded>, Known<Drawn>), String>;

impl Ran<'_> {
    /// The conclusions and the report of an earlier run over the same; else why there are none. One is of no
    /// use without the other: the report shows more of the conclusions than their files hold.
    fn known(&self, stages: &Stages<'_>, inputs: &BTreeMap<String, String>) -> Result<Cached, ResearchError> {
        let (entry, told) = match stages.find(CONCLUDE, inputs) {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        let of = stages::report(self.request, &entry.key).map_err(PublishError::from)?;
        let (page, drawn) = match stages.find(REPORT, &of) {
            Ok(found) => found,
            Err(why) => return Ok(Err(format!("the report is drawn anew: {why}"))),
        };
        let known = serde_json::from_slice(&told).ok().zip(serde_json::from_slice(&drawn).ok());
        let known = known.map(|(told, drawn)| ((entry, told), (page, drawn)));
        Ok(known.ok_or_else(|| "its entry in the cache cannot be read".to_owned()))
    }

    /// Takes what is known.
    fn keep(
        &self,
        stages: &mut Stages<'_>,
        inputs: BTreeMap<String, String>,
        (entry, told): Known<Concluded>,
        (page, drawn): Known<Drawn>,
    ) -> Result<(Concluded, Drawn), ResearchError> {
        let of = stages::report(self.request, &entry.key).map_err(PublishError::from)?;
        stages.close(CONCLUDE, self.concluded(inputs, Ok(entry), &told));
        stages.close(REPORT, self.drawn(of, Ok(page), &drawn));
        Ok((told, drawn))
    }

    /// Discovery, bridge, blueprints; the run's files; the version and the report.
    fn conclude(
        &self,
        stages: &mut Stages<'_>,
        (store, now): (&Store, Ts),
        (inputs, why): (BTreeMap<String, String>, String),
        measure_looks: &[MeasureLook],
        progress: &mut dyn FnMut(&'static str, u64, u64),
    ) -> Result<(Concluded, Drawn), ResearchError> {
        let Self { request, look, facts, collected, .. } = self;
        let discovery = find(look, self.config);
        let (measures, counts) = tests_beside(self, measure_looks)?;
        let replay = needs_outcomes(&discovery).then(|| replay_link(look.book, request.first));
        let mut markets = ResearchMarkets::of(store, request);
        let mut conclusions = conclude(
            &request.spec,
            (look, self.config),
            discovery,
            &collected.outcomes,
            facts,
            replay,
            &mut markets,
        )?;
        conclusions.split_costs(&request.spec, &collected.outcomes, facts.discovery_end);
        write_run_files(&request.data_root, &request.spec, facts, &conclusions)?;
        let phase2 = request.data_root.join("reports/phase2").join(&facts.run_id);
        write_measures(&phase2, &measures, &request.spec.hash)?;
        let told = Concluded::of(&conclusions, counts);
        let key = stages.close(CONCLUDE, self.concluded(inputs, Err(why), &told));

        let funnel = conclusions.funnel();
        let mut drawn = Drawn::default();
        if let Some(history) = &collected.history {
            drawn.placebo = Some(placebo_of(self, history, &funnel, &phase2, progress)?);
            stages.close(PLACEBO, Outcome::plain("asked for with --placement-null"));
        }
        let memory = (store.dir(), now);
        let evidence = (look.catalogue, look.book);
        let (version, published) = version_of(request, facts, &conclusions, evidence, memory)?;
        drawn.version = version;
        let of = stages::report(request, &key).map_err(PublishError::from)?;
        let page =
            ReportOf { run: self, told: &told, drawn: &drawn, conclusions: &conclusions, funnel: &funnel };
        write_bytes(&report_path(request, &facts.run_id), page.render(&published, &measures).as_bytes())?;
        stages.close(REPORT, self.drawn(of, Err("drawn with its conclusions".to_owned()), &drawn));
        Ok((told, drawn))
    }

    fn concluded(
        &self,
        inputs: BTreeMap<String, String>,
        from: Result<StageRecord, String>,
        told: &Concluded,
    ) -> Outcome {
        let reports = self.request.data_root.join("reports");
        let folder = |name: &str| reports.join(name).join(&self.facts.run_id);
        let folders = ["strategy_blueprints", "phase2", "promotions"].map(folder);
        let payload = serde_json::to_vec(told).ok();
        let facts =
            json!({ "summary": told.discovery, "reasons": told.reasons, "blueprints": told.blueprints });
        Outcome { inputs, from, outputs: files_of(&folders), payload, facts }
    }

    fn drawn(
        &self,
        inputs: BTreeMap<String, String>,
        from: Result<StageRecord, String>,
        drawn: &Drawn,
    ) -> Outcome {
        let outputs = vec![report_path(self.request, &self.facts.run_id)];
        let facts = json!({ "version": drawn.version });
        Outcome { inputs, from, outputs, payload: serde_json::to_vec(drawn).ok(), facts }
    }
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

/// Link of the book's chain, as a daemon that took one day after another has it.
fn replay_link(book: &EvidenceBook, first: BarIndex) -> String {
    let start = book.first_link();
    let records = book.records(first.open().day() - 1, start);
    hex(&records.last().map_or(start, |r| r.link))
}

/// What a stage has to tell, in lines.
fn stage_log(stage: &str, summary: &RunSummary) -> String {
    match stage {
        "pipeline" => summary.pipeline_text(),
        "conclude" => summary.reasons.iter().map(|line| format!("{line}\n")).collect(),
        "bars" => format!("{} to {}\n", summary.history_from, summary.end),
        "tables" | "evidence" => format!("{} events, {} outcomes\n", summary.events, summary.outcomes),
        _ => format!(
            "{} blueprints, version {}\n",
            summary.blueprints,
            summary.version.as_deref().unwrap_or("none")
        ),
    }
}

/// Events, flags and outcomes as parquet, unless they are there as an earlier run of the same name wrote
/// them.
fn tables(
    stages: &mut Stages<'_>,
    request: &Request,
    (run_id, pipeline): (&str, &str),
    collected: &Collected,
) -> Result<(), ResearchError> {
    let inputs = stages::tables(request, pipeline, run_id);
    let from = stages.find(TABLES, &inputs).map(|(entry, _)| entry);
    if from.is_err() {
        write_tables(request, run_id, collected)?;
    }
    let root = &request.data_root;
    let outputs = vec![
        root.join("events/events.parquet"),
        root.join("events/event_flags.parquet"),
        root.join("runs").join(run_id).join("outcomes.parquet"),
    ];
    let facts = json!({ "events": collected.events.len(), "outcomes": collected.outcomes.len() });
    stages.close(TABLES, Outcome { inputs, from, outputs, payload: None, facts });
    Ok(())
}
