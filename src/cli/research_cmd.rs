//! `backtestd research`: one batch run over the store.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;

use super::Progress;
use super::dirs::{DataRoot, SpecDir, StateDir};
use crate::daemon::clock::{Clock, SystemClock};
use crate::market::{BARS_PER_DAY, Market, Symbol, Ts, parse_date};
use crate::research::{self, Request};
use crate::spec::CompiledSpec;
use crate::store::Store;

/// One batch run over the store: clean, features, events, outcomes, discovery, bridge, blueprints, as a run directory.
/// Running it twice over the same store, specs and binary writes the same bytes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  backtestd research --symbols BTCUSDT,SOLUSDT --start 2025-01-01 --end 2025-12-31"
)]
pub struct ResearchCmd {
    /// Symbols, separated by commas. Default: every symbol with perp bars in the store.
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    symbols: Vec<Symbol>,
    /// First day (UTC), YYYY-MM-DD. Default: where the store begins.
    #[arg(long, value_parser = parse_date)]
    start: Option<Ts>,
    /// Last day (UTC), inclusive. Default: where the store ends.
    #[arg(long, value_parser = parse_date)]
    end: Option<Ts>,
    /// Name of the run. Default: the data watermark and a fingerprint of the inputs.
    #[arg(long = "run-id", alias = "run_id")]
    run_id: Option<String>,
    /// Threads. Default: the machine's cores, at most 8.
    #[arg(long = "max-analyzer-workers", alias = "max_analyzer_workers", value_name = "N")]
    workers: Option<usize>,
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

/// Runs it.
///
/// # Errors
/// When the specs do not load, the store is in use or lacks bars, or a file cannot be written.
pub fn run(cmd: &ResearchCmd) -> anyhow::Result<ExitCode> {
    let spec = Arc::new(CompiledSpec::load(&cmd.spec.spec)?);
    let mut store = Store::open(&cmd.state.state)?;
    let mut symbols = if cmd.symbols.is_empty() { store.symbols(Market::Perp)? } else { cmd.symbols.clone() };
    symbols.sort();
    symbols.dedup();
    if symbols.is_empty() {
        bail!("the store in {} has no perp bars; import or backfill first", cmd.state.state.display());
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
    let first = cmd.start.map_or(from, |day| day.bar().max(from));
    let end = cmd.end.map_or(to.next(), |day| (day.bar() + BARS_PER_DAY).min(to.next()));
    if first >= end {
        bail!("nothing to do between --start and --end: the store holds {from} to {}", to.close());
    }
    let threads =
        cmd.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get().min(8)));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build()?;
    let request = Request {
        spec,
        symbols,
        first,
        end,
        run_id: cmd.run_id.clone(),
        data_root: cmd.data.data_root.clone(),
        publish: cmd.publish,
    };
    let mut progress: Option<Progress> = None;
    let mut on_rows = |done: u64, total: u64| {
        progress.get_or_insert_with(|| Progress::new("features and events", total, cmd.json)).set(done);
    };
    let summary = pool.install(|| research::run(&mut store, &request, SystemClock.now(), &mut on_rows))?;
    if let Some(progress) = progress {
        progress.finish(&format!("{} events, {} outcomes", summary.events, summary.outcomes));
    }
    if cmd.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        print!("{}", summary.text());
    }
    Ok(ExitCode::SUCCESS)
}
