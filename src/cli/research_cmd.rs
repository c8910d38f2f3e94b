//! `backtestd research`: one batch run over the store.

use backtestd_store::load_specs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::builder::FalseyValueParser;

use super::Progress;
use super::borrowed::ReadableStore;
use super::dirs::{DataRoot, SpecDir, StateDir, judge};
use super::misuse::{self, Misuse};
use crate::research::{self, Request, WalkRequest};
use backtestd_binance::clock::SystemClock;
use backtestd_core::clock::Clock;
use backtestd_core::conclude::PlaceboRequest;
use backtestd_core::discovery::Trial;
use backtestd_core::market::{BARS_PER_DAY, Market, Symbol, Ts, parse_date};
use backtestd_core::spec::CompiledSpec;
use backtestd_store::Store;

/// Which part of the store a command reads.
#[derive(Debug, clap::Args)]
pub(super) struct Selection {
    /// Symbols, separated by commas. Default: every symbol with perp bars in the store.
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    symbols: Vec<Symbol>,
    /// First day (UTC), YYYY-MM-DD. Default: where the store begins.
    #[arg(long, value_parser = parse_date)]
    start: Option<Ts>,
    /// Last day (UTC), inclusive. Default: where the store ends.
    #[arg(long, value_parser = parse_date)]
    end: Option<Ts>,
}

impl Selection {
    /// The research over it.
    ///
    /// # Errors
    /// When the store lacks bars of a symbol, or there is nothing between start and end.
    pub(super) fn request(
        &self,
        store: &Store,
        state: &Path,
        spec: &Arc<CompiledSpec>,
        data_root: &Path,
    ) -> anyhow::Result<Request> {
        misuse::check_days(self.start, self.end, SystemClock.now())?;
        let mut symbols =
            if self.symbols.is_empty() { store.symbols(Market::Perp)? } else { self.symbols.clone() };
        symbols.sort();
        symbols.dedup();
        if symbols.is_empty() {
            bail!("the store in {} has no perp bars; import or backfill first", state.display());
        }
        let (mut first, mut last) = (None, None);
        for symbol in &symbols {
            let Some((from, to)) = store.range(Market::Perp, symbol)? else {
                bail!("the store has no perp bars of {symbol}; import or backfill it first");
            };
            first = first.min(Some(from)).or(Some(from));
            last = last.max(Some(to));
        }
        let (Some(from), Some(to)) = (first, last) else { bail!("the store has no perp bars") };
        let first = self.start.map_or(from, |day| day.bar().max(from));
        let end = self.end.map_or(to.next(), |day| (day.bar() + BARS_PER_DAY).min(to.next()));
        if first >= end {
            let what =
                format!("nothing to do between --start and --end: the store holds {from} to {}", to.close());
            return Err(Misuse::new(what).into());
        }
        Ok(Request::plain(spec, symbols, first..end, data_root.to_owned()))
    }
}

/// One batch run over the store: clean, features, events, outcomes, discovery, bridge, blueprints, as a run
/// directory. Running it twice over the same store, specs and binary writes the same bytes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  backtestd research --symbols BTCUSDT,SOLUSDT --start 2025-01-01 --end 2025-12-31\n  BACKTEST_STAGE_CACHE=1 backtestd research      # skips what an earlier run computed from the same\n  backtestd research --placement-null 20          # the same, beside its placebo\n  backtestd research --walk-forward 7d --from 2025-04-01   # what it would have published, and what came of it"
)]
pub(super) struct ResearchCmd {
    #[command(flatten)]
    selection: Selection,
    /// Name of the run. Default: the data watermark and a fingerprint of the inputs.
    #[arg(long = "run-id", alias = "run_id", value_parser = misuse::run_id)]
    run_id: Option<String>,
    /// Threads. Default: the machine's cores, at most 8.
    #[arg(long = "max-analyzer-workers", alias = "max_analyzer_workers", value_name = "N")]
    workers: Option<usize>,
    /// Hold the run against its own placebo: N times the events are moved to other days of the same weekday
    /// and volatility, and N times whole days change their sign; each goes through the same discovery. Shown
    /// in the report.
    #[arg(long, default_value_t = 0, value_name = "N")]
    placement_null: usize,
    /// Seed of the placebo.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Live through history as the daemon would have instead: a look every so many days from --from on, each
    /// with what was known by then. Leaves `reports/walk_forward/<run>/`: the versions with the instants of
    /// the past (`blueprints/`), what came after each claim as parquet, and a report.
    #[arg(long = "walk-forward", alias = "walk_forward", value_name = "7d", value_parser = days, requires = "from",
          conflicts_with_all = ["publish", "placement_null"])]
    walk_forward: Option<u32>,
    /// The first look is at the midnight (UTC) that begins this day, YYYY-MM-DD.
    #[arg(long, value_parser = parse_date, value_name = "DATE", requires = "walk_forward")]
    from: Option<Ts>,
    /// Take stages whose inputs have not changed from the cache below the data root (`cache/stages/`), and
    /// say which were taken and why others were not. The files are the same either way.
    #[arg(long = "stage-cache", alias = "stage_cache", env = "BACKTEST_STAGE_CACHE",
          value_parser = FalseyValueParser::new())]
    stage_cache: bool,
    /// Publish the blueprints as a new version if their content changed.
    #[arg(long)]
    publish: bool,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataRoot,
    #[command(flatten)]
    spec: SpecDir,
}

/// Reads `7d`: a whole number of days, at least one.
fn days(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('d').and_then(|digits| digits.parse().ok());
    number.filter(|days| *days > 0).ok_or_else(|| format!("'{text}' is no number of days, as in 7d"))
}

/// How often a snapshot is taken anew because the daemon looked at other hypotheses meanwhile.
const SNAPSHOTS: u32 = 5;

/// The store and what is to be run over it. Where the store is a daemon's, the hypotheses are in its ledger
/// before this process looks at anything.
fn admitted(cmd: &ResearchCmd, spec: &Arc<CompiledSpec>) -> anyhow::Result<(ReadableStore, Request)> {
    for _ in 0..SNAPSHOTS {
        let mut store = ReadableStore::open(&cmd.state.state)?;
        judge(&mut store, spec, SystemClock.now())?;
        let request = Request {
            run_id: cmd.run_id.clone(),
            publish: cmd.publish,
            placebo: PlaceboRequest { draws: cmd.placement_null, seed: cmd.seed },
            write_features: cmd.walk_forward.is_none(),
            stage_cache: cmd.stage_cache,
            ..cmd.selection.request(&store, &cmd.state.state, spec, &cmd.data.data_root)?
        };
        let known = store.trials()?;
        research::admit(&mut store, &request)?;
        let new: Vec<Trial> = store.trials()?.into_iter().filter(|trial| !known.contains(trial)).collect();
        if store.announce(&new)? {
            return Ok((store, request));
        }
    }
    bail!("the daemon's ledger of trials changed each time; try again when its run has ended")
}

/// Runs it.
///
/// # Errors
/// When the specs do not load, the store is in use or lacks bars, or a file cannot be written.
pub(super) fn run(cmd: &ResearchCmd) -> anyhow::Result<ExitCode> {
    let spec = Arc::new(load_specs(&cmd.spec.spec)?);
    let (mut store, request) = admitted(cmd, &spec)?;
    let threads =
        cmd.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get().min(8)));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build()?;
    let mut progress: Option<(&'static str, Progress)> = None;
    let mut on_stage = |stage: &'static str, done: u64, total: u64| {
        if progress.as_ref().is_some_and(|(name, _)| *name != stage)
            && let Some((_, before)) = progress.take()
        {
            before.finish("done");
        }
        let bar = progress.get_or_insert_with(|| (stage, Progress::new(stage, total, cmd.json)));
        bar.1.set(done);
    };
    let (json, text, done) = if let (Some(step_days), Some(from)) = (cmd.walk_forward, cmd.from) {
        let walk = WalkRequest { from, step_days };
        let summary = pool.install(|| research::walk_forward(&mut store, &request, walk, &mut on_stage))?;
        let done = format!("{} versions, {} trades", summary.totals.versions, summary.totals.trades);
        (serde_json::to_string(&summary)?, summary.text(), done)
    } else {
        let now = SystemClock.now();
        let summary = pool.install(|| research::run(&mut store, &request, now, &mut on_stage))?;
        let done = format!("{} events, {} outcomes", summary.events, summary.outcomes);
        (serde_json::to_string(&summary)?, summary.text(), done)
    };
    if let Some((_, progress)) = progress {
        progress.finish(&done);
    }
    if cmd.json {
        println!("{json}");
    } else {
        print!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}
