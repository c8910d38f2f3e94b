//! `backtestd calibrate`: does discovery keep its promises in worlds whose truth is known?

use backtestd_store::load_specs;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, bail};

use super::dirs::{DataRoot, SpecDir, StateDir};
use super::research_cmd::Selection;
use super::{FINDINGS, Progress};
use crate::research::collect;
use backtestd_core::conclude::{discovery_config, exclusions, outcome_table};
use backtestd_core::discovery::DiscoveryConfig;
use backtestd_core::market::derive;
use backtestd_core::spec::CompiledSpec;
use backtestd_lab::calibrate::{
    CalibrationSummary, Lab, PipelineLevel, PipelineTally, RunResult, Study, WorldKind, judge, many,
    real_series, resample, tally,
};
use backtestd_lab::sim::Scenario;
use backtestd_store::Store;
use backtestd_store::lake::write_bytes;

/// Worlds that the acceptance criteria need.
const CRITERIA_WORLDS: [WorldKind; 15] = [
    WorldKind::Null,
    WorldKind::Skew,
    WorldKind::Struct,
    WorldKind::Subcost,
    WorldKind::Drift,
    WorldKind::Retire,
    WorldKind::Rare1,
    WorldKind::Rare3,
    WorldKind::Rare5,
    WorldKind::Tails,
    WorldKind::Pegged,
    WorldKind::Prints,
    WorldKind::Crash,
    WorldKind::Regimes,
    WorldKind::Rough,
];
/// Runs of each pipeline world, and their length, where nothing else is asked for.
const PIPELINE_RUNS: usize = 8;
const PIPELINE_DAYS: usize = 180;
/// Draws of each real series.
const SCORE_DRAWS: usize = 2000;

/// What is put to the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Level {
    /// Outcome tables of simulated worlds, discovery alone: many runs.
    Tables,
    /// Bars of the simulated exchange through the whole pipeline: few runs.
    Pipeline,
    /// Day scores of the store's own history, centred and drawn anew.
    Scores,
}

/// Measures how often discovery is wrong, what it finds and how honest its numbers are, in worlds whose truth
/// is known.
///
/// Every world is lived through day by day with the code that production runs; publication counts at every
/// look. The acceptance criteria are printed with their numbers; the exit code is 3 when one does not hold.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  backtestd calibrate                                    # every criterion, some minutes\n  backtestd calibrate --worlds null,struct --runs 10 --days 365\n  backtestd calibrate --level pipeline --runs 4\n  backtestd calibrate --level scores --symbols BTCUSDT,SOLUSDT\n\nTo hold a run on real data against its own placebo, see: backtestd research --placement-null 20"
)]
pub(super) struct CalibrateCmd {
    /// What is put to the test.
    #[arg(long, value_enum, default_value = "tables")]
    level: Level,
    /// Worlds, separated by commas: null, skew, struct, sparse, subcost, drift, retire, rare1, rare3, rare5,
    /// rare_follow, tails, pegged, prints, crash, regimes, rough. Pipeline: null, struct.
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    worlds: Vec<WorldKind>,
    /// Runs of each world (scores: draws of each series). Default: what the criteria ask for.
    #[arg(long, value_name = "N")]
    runs: Option<usize>,
    /// Days of a world. Default: 730 (pipeline: 180).
    #[arg(long, value_name = "N")]
    days: Option<usize>,
    /// Seed of the study: the same seed gives the same numbers on any number of threads.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Worlds at a time. Default: the machine's cores, at most 8.
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Write calibration.json and calibration.html there.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the numbers as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataRoot,
    #[command(flatten)]
    spec: SpecDir,
}

/// Runs it.
///
/// # Errors
/// When the specs do not load, the worlds do not fit the level, or a file cannot be written.
pub(super) fn run(cmd: &CalibrateCmd) -> anyhow::Result<ExitCode> {
    if cmd.runs == Some(0) || cmd.days == Some(0) {
        bail!("--runs and --days must be at least 1");
    }
    let spec = Arc::new(load_specs(&cmd.spec.spec)?);
    let summary = match cmd.level {
        Level::Tables => tables(cmd, &spec)?,
        Level::Pipeline => pipeline(cmd, &spec)?,
        Level::Scores => scores(cmd, &spec)?,
    };
    if let Some(dir) = &cmd.out {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let json = serde_json::to_string_pretty(&summary)?;
        write_bytes(&dir.join("calibration.json"), json.as_bytes())?;
        write_bytes(&dir.join("calibration.html"), crate::report::calibration_page(&summary).as_bytes())?;
    }
    if cmd.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{}", summary.text());
        if let Some(dir) = &cmd.out {
            println!("written      {}", dir.join("calibration.html").display());
        }
    }
    Ok(if summary.failures() > 0 { ExitCode::from(FINDINGS) } else { ExitCode::SUCCESS })
}

impl CalibrateCmd {
    fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get().min(8)))
    }

    fn summary(&self, level: &'static str, days: usize) -> CalibrationSummary {
        CalibrationSummary {
            schema: "backtestd.calibration/1",
            level,
            seed: self.seed,
            days,
            code_version: crate::CODE_VERSION,
            worlds: Vec::new(),
            pipeline: Vec::new(),
            scores: None,
            criteria: Vec::new(),
        }
    }
}

/// Progress that worker threads may report to.
struct SharedProgress {
    bar: Mutex<Option<Progress>>,
    done: AtomicU64,
}

impl SharedProgress {
    fn new(stage: &str, total: usize, quiet: bool) -> Self {
        Self { bar: Mutex::new(Some(Progress::new(stage, total as u64, quiet))), done: AtomicU64::new(0) }
    }

    fn tick(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            bar.set(done);
        }
    }

    fn finish(&self, outcome: &str) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish(outcome);
        }
    }
}

fn tables(cmd: &CalibrateCmd, spec: &CompiledSpec) -> anyhow::Result<CalibrationSummary> {
    let mut lab = Lab::default();
    if let Some(days) = cmd.days {
        lab = lab.over_days(days);
    }
    let days = lab.world.days;
    let mut worlds = if cmd.worlds.is_empty() { CRITERIA_WORLDS.to_vec() } else { cmd.worlds.clone() };
    worlds.sort();
    worlds.dedup();
    let plan: Vec<(WorldKind, u64)> = worlds
        .iter()
        .flat_map(|&kind| {
            let runs = cmd.runs.unwrap_or_else(|| lab.runs.get(&kind).copied().unwrap_or(1));
            (0..runs).map(move |i| (kind, derive(cmd.seed, &format!("{kind} {i}"))))
        })
        .collect();
    let study = Study::new(lab, spec.gates.clone(), spec.multiplicity.families.clone())?;
    let progress = SharedProgress::new("worlds", plan.len(), cmd.json);
    let work = |i: usize| study.run(plan[i].1, plan[i].0);
    let results: Vec<RunResult> =
        many(plan.len(), cmd.jobs(), &work, &|| progress.tick())?.into_iter().collect::<Result<_, _>>()?;
    progress.finish(&format!("{} worlds of {days} days", plan.len()));

    let mut by_kind: BTreeMap<WorldKind, Vec<RunResult>> = BTreeMap::new();
    results.into_iter().for_each(|r| by_kind.entry(r.kind).or_default().push(r));
    let tallies: BTreeMap<WorldKind, _> =
        by_kind.iter().map(|(kind, runs)| (*kind, tally(*kind, runs, study.lab()))).collect();
    let criteria = judge(&tallies, None, &[], study.lab());
    Ok(CalibrationSummary {
        worlds: tallies.into_values().collect(),
        criteria,
        ..cmd.summary("tables", days)
    })
}

fn pipeline(cmd: &CalibrateCmd, spec: &Arc<CompiledSpec>) -> anyhow::Result<CalibrationSummary> {
    let days = cmd.days.unwrap_or(PIPELINE_DAYS);
    let worlds =
        if cmd.worlds.is_empty() { vec![WorldKind::Null, WorldKind::Struct] } else { cmd.worlds.clone() };
    let mut tallies = Vec::new();
    for world in worlds {
        let (name, scenario) = match world {
            WorldKind::Null => {
                ("null", Scenario { edges: Vec::new(), faults: Vec::new(), ..Scenario::default() })
            }
            WorldKind::Struct => ("planted", Scenario { faults: Vec::new(), ..Scenario::default() }),
            other => bail!("--level pipeline knows the worlds null and struct, not {other}"),
        };
        let level = PipelineLevel { spec: Arc::clone(spec), scenario, days };
        let runs = cmd.runs.unwrap_or(PIPELINE_RUNS);
        let progress = SharedProgress::new(&format!("markets, {name}"), runs, cmd.json);
        let work = |i: usize| level.run(derive(cmd.seed, &format!("market {i}")));
        let results =
            many(runs, cmd.jobs(), &work, &|| progress.tick())?.into_iter().collect::<Result<Vec<_>, _>>()?;
        progress.finish(&format!("{runs} markets of {days} days"));
        tallies.push(PipelineTally::new(name, &level, &results));
    }
    let criteria = judge(&BTreeMap::new(), None, &tallies, &Lab::default());
    Ok(CalibrationSummary { pipeline: tallies, criteria, ..cmd.summary("pipeline", days) })
}

fn scores(cmd: &CalibrateCmd, spec: &Arc<CompiledSpec>) -> anyhow::Result<CalibrationSummary> {
    let store = Store::open(&cmd.state.state)?;
    let request = cmd.selection.request(&store, &cmd.state.state, spec, &cmd.data.data_root)?;
    let mut progress: Option<Progress> = None;
    let mut on_rows = |done: u64, total: u64| {
        progress.get_or_insert_with(|| Progress::new("features and events", total, cmd.json)).set(done);
    };
    let collected = collect(&store, &request, &mut on_rows)?;
    if let Some(progress) = progress {
        progress.finish(&format!("{} outcomes", collected.outcomes.len()));
    }
    let table = outcome_table(spec, collected.outcomes_and_marked())?;
    let config = DiscoveryConfig {
        excluded: exclusions(&collected.quality),
        ..discovery_config(spec, &request.symbols, request.end.open())
    };
    let catalogue = config.catalogue(&table);
    let mut book = config.open_book(&catalogue);
    book.advance(&table, &catalogue, request.end.open().day() - 1);

    let lab = Lab::default();
    let acceptance = &lab.acceptance;
    let series = real_series(&catalogue, &book, acceptance.power_min_days as usize);
    if series.is_empty() {
        bail!(
            "no event type has {} active days between {} and {}; import a longer history",
            acceptance.power_min_days,
            request.first.open(),
            request.end.open()
        );
    }
    let progress = SharedProgress::new("series", series.len(), cmd.json);
    let draws = cmd.runs.unwrap_or(SCORE_DRAWS);
    let tally =
        resample(&series, cmd.seed, draws, cmd.jobs(), book.params(), acceptance, &|| progress.tick())?;
    progress.finish(&format!("{} series, {draws} draws each", series.len()));
    let criteria = judge(&BTreeMap::new(), Some(&tally), &[], &lab);
    Ok(CalibrationSummary { scores: Some(tally), criteria, ..cmd.summary("scores", acceptance.scores_days) })
}
