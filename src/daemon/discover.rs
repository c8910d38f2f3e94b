//! One discovery run: the evidence of closed days in, a published version out. Blocks; runs on a thread of
//! its own.
//!
//! The same conclusions as a batch run over the same days (`research::conclude`), written to the same places.
//! Everything that a run decides is a function of the closed days, the specs and the ledger: between two
//! midnights there is nothing new to say.

use std::path::PathBuf;
use std::sync::Arc;

use super::run_report;
use super::storage::RunInput;
use crate::publish::{publish_conclusions, write_run_files};
use backtestd_core::blueprints::{Blueprint, RunFacts};
use backtestd_core::clock::Clock;
use backtestd_core::conclude::{Look, conclude, find};
use backtestd_core::discovery::{Cohort, Discovery, Nearest};
use backtestd_core::market::Ts;
use backtestd_core::market::hex;
use backtestd_core::outcomes::Outcome;
use backtestd_core::tradability::Markets;

/// What to run.
#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Id of the run.
    pub run_id: String,
    /// The clock, asked for the instant of publication when that comes.
    pub clock: Arc<dyn Clock>,
    /// Root of the data tree.
    pub data_root: PathBuf,
    /// The state directory, which remembers the number of the version.
    pub state: PathBuf,
    /// Whether it writes an HTML report.
    pub with_report: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Id of the run.
    pub run_id: String,
    /// Version in force after it.
    pub version: String,
    /// Whether it is new.
    pub changed: bool,
    /// Number of hypotheses tested.
    pub hypotheses: u64,
    /// Number of discoveries of the publishing procedure.
    pub discoveries: u64,
    /// Number of trials in the ledger: every hypothesis ever looked at.
    pub trials: u64,
    /// The trials by cohort.
    pub cohorts: Vec<Cohort>,
    /// What is nearest to being found: something to wait by.
    pub nearest: Vec<Nearest>,
    /// Last UTC day in the evidence.
    pub closed_through: Option<String>,
    /// How often closed days were taken again.
    pub replays: i64,
    /// What it looked at.
    pub fingerprint: String,
    /// Blueprints with status active.
    pub active: u64,
    /// Blueprints with status watch.
    pub watch: u64,
    /// Lines of the version.
    pub blueprints: Vec<Blueprint>,
    /// The instant at which the run was done.
    pub finished_at: Ts,
    /// The instant at which the version in force was published.
    pub published_at_ns: i64,
    /// Close of the last bar it saw.
    pub watermark: Ts,
    /// Hash of the specs that the run was made under.
    pub spec_hash: String,
    /// The HTML report, if one was written.
    pub report: Option<PathBuf>,
}

fn look(input: &RunInput) -> Look<'_> {
    let looked = &input.looked;
    Look {
        catalogue: &looked.catalogue,
        book: &looked.book,
        accounting: &looked.accounting,
        excluded: &looked.excluded,
        lacking: &looked.lacking,
    }
}

/// The candidates: the part that needs no outcomes.
#[must_use]
pub(super) fn candidates(input: &RunInput) -> Discovery {
    find(&look(input), &input.looked.config)
}

/// Runs bridge and compiler over the candidates and the outcomes of closed days, writes the run's reports,
/// and publishes what changed, with what monitoring says about what is published.
///
/// # Errors
/// In words: when the outcomes cannot be used or a file cannot be written. The version in force stays.
pub(super) fn run(
    input: &RunInput,
    discovery: Discovery,
    outcomes: &[Outcome],
    request: &Request,
    markets: &mut dyn Markets,
) -> Result<Found, String> {
    let looked = &input.looked;
    let watermark = looked.closed_end.open();
    let facts = RunFacts {
        run_id: request.run_id.clone(),
        code_version: crate::CODE_VERSION.to_owned(),
        data_watermark: watermark,
        discovery_start: input.first.open(),
        discovery_end: watermark,
    };
    let spec = &input.spec;
    let replay = Some(hex(&looked.link));
    let mut conclusions =
        conclude(spec, (&look(input), &looked.config), discovery, outcomes, &facts, replay, markets)
            .map_err(|error| error.to_string())?;
    conclusions.split_costs(spec, outcomes, facts.discovery_end);
    write_run_files(&request.data_root, spec, &facts, &conclusions).map_err(|error| error.to_string())?;
    let evidence = (&*looked.catalogue, &*looked.book);
    let now = || request.clock.now();
    let published =
        publish_conclusions(&request.data_root, spec, &facts, &conclusions, evidence, (&request.state, &now))
            .map_err(|error| error.to_string())?;
    let finished_at = request.clock.now();
    let report = if request.with_report {
        run_report::write(input, &conclusions, &facts, &published, &request.data_root)
    } else {
        None
    };
    let summary = &conclusions.discovery.summary;
    Ok(Found {
        run_id: request.run_id.clone(),
        version: published.version,
        changed: published.changed,
        hypotheses: summary.hypotheses as u64,
        discoveries: summary.discoveries as u64,
        trials: summary.trials as u64,
        cohorts: summary.cohorts.clone(),
        nearest: summary.nearest.clone(),
        closed_through: summary.closed_through.clone(),
        replays: looked.replays,
        fingerprint: looked.fingerprint.clone(),
        active: published.manifest.counts.active,
        watch: published.manifest.counts.watch,
        blueprints: published.blueprints,
        finished_at,
        published_at_ns: published.manifest.published_at_ns,
        watermark: facts.data_watermark,
        spec_hash: spec.hash.clone(),
        report,
    })
}
