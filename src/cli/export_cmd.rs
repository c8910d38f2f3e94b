//! `backtestd export lake`: the store as parquet.

use backtestd_store::load_specs;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::borrowed::ReadableStore;
use super::dirs::{DataRoot, SpecDir, StateDir, judge};
use super::{Progress, misuse};
use backtestd_binance::clock::SystemClock;
use backtestd_core::clean::CleanPolicy;
use backtestd_core::clock::Clock;
use backtestd_core::market::{BARS_PER_DAY, BarIndex, Market, Symbol, Ts, parse_date};
use backtestd_store::lake::{LakeFile, export_clean, export_raw, list_files};

/// Write the raw and the cleaned bars of the store as monthly parquet files. Every month that lies between
/// --start and --end, or in part, is written whole, and rows of a file that this store lacks stay in it.
/// Files that already hold their content are left alone, so running it again is cheap.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  backtestd export lake --symbols BTCUSDT --start 2025-01-01 --end 2025-12-31"
)]
pub struct ExportLakeCmd {
    /// Symbols, separated by commas. Default: all.
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    symbols: Vec<Symbol>,
    /// First day (UTC), YYYY-MM-DD. Default: where the store begins.
    #[arg(long, value_parser = parse_date)]
    start: Option<Ts>,
    /// Last day (UTC), inclusive. Default: where the store ends.
    #[arg(long, value_parser = parse_date)]
    end: Option<Ts>,
    /// Print the files as JSON.
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
/// When the specs do not load, the store is in use or empty, or a file cannot be written.
pub fn run(cmd: &ExportLakeCmd) -> anyhow::Result<ExitCode> {
    let spec = load_specs(&cmd.spec.spec)?;
    let now = SystemClock.now();
    misuse::check_days(cmd.start, cmd.end, now)?;
    let mut store = ReadableStore::open(&cmd.state.state)?;
    judge(&mut store, &spec, now)?;
    let lake = cmd.data.data_root.join("lake");
    let mut symbols = cmd.symbols.clone();
    if symbols.is_empty() {
        symbols = store.symbols(Market::Perp)?;
        symbols.extend(store.symbols(Market::Spot)?);
    }
    symbols.sort();
    symbols.dedup();
    if symbols.is_empty() {
        bail!("the store in {} has no bars; import or backfill first", cmd.state.state.display());
    }
    let first = cmd.start.map_or(BarIndex(i64::MIN / 2), Ts::bar);
    let end = cmd.end.map_or(BarIndex(i64::MAX / 2), |day| day.bar() + BARS_PER_DAY);
    let now = SystemClock.now();
    let mut progress = Progress::new("lake", symbols.len() as u64 + 1, cmd.json);
    let mut files = export_raw(&store, &lake, &cmd.symbols, first, end)?;
    progress.advance(1);
    for symbol in &symbols {
        let collected = [store.coverage(symbol)?.into_iter().collect()];
        let policy = CleanPolicy::from_spec(
            &spec.sources,
            &spec.defaults,
            &spec.calendars,
            std::slice::from_ref(symbol),
            &collected,
        )?;
        files.extend(export_clean(&store, &lake, symbol, policy, (first, end), now)?);
        progress.advance(1);
    }
    list_files(&lake, &files)?;
    let written = files.iter().filter(|f| f.written).count();
    let rows: usize = files.iter().map(|f| f.rows).sum();
    progress.finish(&format!("{} files, {rows} rows, {written} files written", files.len()));
    if cmd.json {
        println!("{}", to_json(&files));
    }
    Ok(ExitCode::SUCCESS)
}

fn to_json(files: &[LakeFile]) -> serde_json::Value {
    let one = |f: &LakeFile| serde_json::json!({"path": f.path, "rows": f.rows, "written": f.written});
    serde_json::json!({ "files": files.iter().map(one).collect::<Vec<_>>() })
}
