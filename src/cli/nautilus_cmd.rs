//! `backtestd export nautilus`: the store's bars as a NautilusTrader catalog.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::borrowed::ReadableStore;
use super::dirs::StateDir;
use super::{Progress, misuse};
use crate::nautilus::write_bars;
use backtestd_binance::clock::SystemClock;
use backtestd_core::clock::Clock;
use backtestd_core::market::{BARS_PER_DAY, BarIndex, Market, Symbol, Ts, parse_date};

/// Write the perpetual bars of the store as a NautilusTrader 1.x catalog (data/bar/...). Instruments are not written:
/// their layout belongs to the NautilusTrader version that reads them; create them there with the printed precisions.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  backtestd export nautilus --out ./catalog --symbols BTCUSDT --start 2025-01-01"
)]
pub struct ExportNautilusCmd {
    /// Directory of the catalog.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
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
}

impl ExportNautilusCmd {
    /// Runs the command.
    ///
    /// # Errors
    /// When the store is in use or empty, or a file cannot be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        misuse::check_days(self.start, self.end, SystemClock.now())?;
        let store = ReadableStore::open(&self.state.state)?;
        let symbols =
            if self.symbols.is_empty() { store.symbols(Market::Perp)? } else { self.symbols.clone() };
        if symbols.is_empty() {
            bail!("the store in {} has no bars; import or backfill first", self.state.state.display());
        }
        let first = self.start.map_or(BarIndex(i64::MIN / 2), Ts::bar);
        let end = self.end.map_or(BarIndex(i64::MAX / 2), |day| day.bar() + BARS_PER_DAY);
        let mut progress = Progress::new("nautilus", symbols.len() as u64, self.json);
        let mut files = Vec::new();
        for symbol in &symbols {
            let Some((from, to)) = store.range(Market::Perp, symbol)? else {
                bail!("the store has no perpetual bars of {symbol}; import or backfill it first");
            };
            let bars = store.bars(Market::Perp, symbol, first.max(from), end.min(to + 1))?;
            let export = write_bars(&self.out, symbol, &bars)?;
            files.push(json!({
                "instrument_id": symbol.nautilus_perp(), "path": export.path, "bars": export.bars,
                "skipped": export.skipped, "price_precision": export.price_precision,
                "size_precision": export.size_precision,
            }));
            progress.set(files.len() as u64);
        }
        progress.finish(&format!("{} instruments in {}", files.len(), self.out.display()));
        for file in &files {
            if self.json {
                println!("{file}");
            } else {
                println!(
                    "{}: {} bars, price_precision {}, size_precision {}",
                    file["instrument_id"].as_str().unwrap_or_default(),
                    file["bars"],
                    file["price_precision"],
                    file["size_precision"]
                );
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
