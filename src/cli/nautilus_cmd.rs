//! `backtestd export nautilus`: the store as a NautilusTrader catalog, with signals and the trades that
//! follow from them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::borrowed::ReadableStore;
use super::dirs::{DataRoot, SpecDir, StateDir, judge};
use super::{Progress, misuse};
use crate::nautilus::{
    Catalog, InstrumentFacts, Layout, Precision, SIGNALS, SeriesExport, TRADES, order_rules, trade_line,
    write_bars, write_funding, write_lines, write_prices,
};
use crate::publish::{Version, current_version, read_version, version_name, version_number};
use crate::research::{Request, StoreMarkets, collect};
use backtestd_binance::clock::SystemClock;
use backtestd_core::blueprints::{SignalContext, Status, signal_record, trades_of};
use backtestd_core::clock::Clock;
use backtestd_core::market::{
    BARS_PER_DAY, BarIndex, Kind, MarkBar, Market, Record, SeriesKey, Symbol, Ts, parse_date,
};
use backtestd_core::outcomes::Event;
use backtestd_core::spec::CompiledSpec;
use backtestd_core::tradability::{Markets, OrderRules};
use backtestd_store::lake::write_bytes;
use backtestd_store::{Store, load_specs};

/// File of what instruments are made of.
const INSTRUMENTS: &str = "instruments.json";

/// Layout of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What NautilusTrader 1.x reads.
    NautilusV1,
    /// What NautilusTrader 2.x reads: decimals and timestamps, other folders.
    NautilusV2,
}

/// Write the store as a NautilusTrader catalog: bars of perpetuals and spot pairs, settlements, mark and
/// index prices, what instruments are made of, and, where there are blueprints, what is announced of each
/// detection and the trades that the blueprints make of it. Run again, it adds what is missing.
#[derive(Args, Debug)]
#[command(
    disable_version_flag = true,
    after_help = "Examples:\n  backtestd export nautilus --out ./catalog --symbols BTCUSDT --start 2025-01-01\n  backtestd export nautilus --out ./catalog --state state/demo --data-root data/demo\n  backtestd export nautilus --out ./catalog2 --format nautilus-v2   # for NautilusTrader 2.x, in a folder of its own"
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
    /// Layout of the catalog.
    #[arg(long, value_enum, default_value_t = Format::NautilusV1)]
    format: Format,
    /// Version whose blueprints the signals name, vNNNNNN. Default: the one in force; without one there are
    /// no signals.
    #[arg(long, value_name = "vNNNNNN", value_parser = parse_version)]
    version: Option<u32>,
    /// Print what was written as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateDir,
    #[command(flatten)]
    data: DataRoot,
    #[command(flatten)]
    spec: SpecDir,
}

fn parse_version(name: &str) -> Result<u32, String> {
    version_number(name).ok_or_else(|| format!("'{name}' is no version; one is called v000001"))
}

/// A store, and the part of it that is asked for.
struct Part<'a> {
    store: &'a Store,
    spec: &'a Arc<CompiledSpec>,
    symbols: Vec<Symbol>,
    first: BarIndex,
    end: BarIndex,
}

impl ExportNautilusCmd {
    /// Runs the command.
    ///
    /// # Errors
    /// When the store is in use or lacks a symbol, the specs are not those of the blueprints, or a file
    /// cannot be written.
    pub fn run(&self) -> anyhow::Result<ExitCode> {
        misuse::check_days(self.start, self.end, SystemClock.now())?;
        let layout = match self.format {
            Format::NautilusV1 => Layout::V1,
            Format::NautilusV2 => Layout::V2,
        };
        let spec = Arc::new(load_specs(&self.spec.or_shipped())?);
        let mut store = ReadableStore::open(&self.state.state)?;
        judge(&mut store, &spec, SystemClock.now())?;
        let part = self.part(&store, &spec)?;
        let version = self.version_of(&part)?;
        let mut catalog = Catalog::open(&self.out, layout)?;
        let mut progress = Progress::new("nautilus", part.symbols.len() as u64 + 1, self.json);
        let (mut series, mut instruments) = (Vec::new(), Vec::new());
        for symbol in &part.symbols {
            part.write_symbol(&mut catalog, symbol, &mut series, &mut instruments)?;
            progress.advance(1);
        }
        catalog.save()?;
        instruments = with_known(&catalog.own().join(INSTRUMENTS), instruments)?;
        let text = serde_json::to_string_pretty(&instruments)? + "\n";
        write_bytes(&catalog.own().join(INSTRUMENTS), text.as_bytes())?;
        let lines = version.as_ref().map(|v| part.write_signals(&catalog, v)).transpose()?;
        progress.finish(&format!("{} instruments in {}", instruments.len(), self.out.display()));
        self.tell(&series, version.as_ref(), lines);
        Ok(ExitCode::SUCCESS)
    }

    /// Everything that can be wrong with the request is found before anything is written.
    fn part<'a>(&self, store: &'a Store, spec: &'a Arc<CompiledSpec>) -> anyhow::Result<Part<'a>> {
        let known = store.symbols(Market::Perp)?;
        if known.is_empty() {
            bail!("the store in {} has no bars; import or backfill first", self.state.state.display());
        }
        let mut symbols = if self.symbols.is_empty() { known.clone() } else { self.symbols.clone() };
        symbols.sort();
        symbols.dedup();
        let missing: Vec<&str> = symbols.iter().filter(|s| !known.contains(s)).map(Symbol::as_str).collect();
        if !missing.is_empty() {
            let has: Vec<&str> = known.iter().map(Symbol::as_str).collect();
            bail!(
                "--symbols: the store has no perpetual bars of {}; it has {}. Nothing was written",
                missing.join(", "),
                has.join(", ")
            );
        }
        let mut range: Option<(BarIndex, BarIndex)> = None;
        for symbol in &symbols {
            if let Some((from, to)) = store.range(Market::Perp, symbol)? {
                let (first, last) = range.unwrap_or((from, to));
                range = Some((first.min(from), last.max(to)));
            }
        }
        let Some((from, to)) = range else { bail!("the store has no perpetual bars") };
        let first = self.start.map_or(from, |day| day.bar().max(from));
        let end = self.end.map_or(to.next(), |day| (day.bar() + BARS_PER_DAY).min(to.next()));
        if first >= end {
            bail!(
                "--start and --end leave nothing: the store holds {} to {}. Nothing was written",
                from.open(),
                to.close()
            );
        }
        Ok(Part { store, spec, symbols, first, end })
    }

    fn version_of(&self, part: &Part<'_>) -> anyhow::Result<Option<Version>> {
        let dir = self.data.data_root.join("blueprints");
        let number = match self.version {
            Some(number) => Some(number),
            None => current_version(&dir)?,
        };
        let Some(number) = number else { return Ok(None) };
        let version = read_version(&dir, number).with_context(|| version_name(number))?;
        if version.manifest.ontology_spec_hash != part.spec.hash {
            bail!(
                "{} of {} was made under specs {}, but the specs at hand are {}; name the tree with --spec, or another \
                 version with --version. Nothing was written",
                version.manifest.version,
                dir.display(),
                version.manifest.ontology_spec_hash,
                part.spec.hash
            );
        }
        Ok(Some(version))
    }

    fn tell(&self, series: &[SeriesExport], version: Option<&Version>, lines: Option<[usize; 2]>) {
        let version = version.map(|v| v.manifest.version.as_str());
        if self.json {
            let [signals, trades] = lines.unwrap_or_default();
            let all = json!({"series": series, "version": version, "signals": signals, "trades": trades});
            println!("{all}");
            return;
        }
        for s in series {
            println!(
                "{:<66} {:>8} rows in {} files, {} added, {} written anew, {} unknown",
                s.folder, s.rows, s.files, s.added, s.rewritten, s.skipped
            );
        }
        match (version, lines) {
            (Some(version), Some([signals, trades])) => {
                println!("{version}: {signals} signals of its events, {trades} trades of its blueprints");
            }
            _ => println!("no version of blueprints in {}: no signals", self.data.data_root.display()),
        }
    }
}

/// The instruments at hand, and those that an earlier export wrote.
fn with_known(path: &Path, new: Vec<Value>) -> anyhow::Result<Vec<Value>> {
    let before: Vec<Value> = match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| format!("{}", path.display()))?,
        Err(_) => Vec::new(),
    };
    let name = |v: &Value| v["instrument_id"].as_str().unwrap_or_default().to_owned();
    let all: BTreeMap<String, Value> = before.into_iter().chain(new).map(|v| (name(&v), v)).collect();
    Ok(all.into_values().collect())
}

impl Part<'_> {
    fn write_symbol(
        &self,
        catalog: &mut Catalog,
        symbol: &Symbol,
        series: &mut Vec<SeriesExport>,
        instruments: &mut Vec<Value>,
    ) -> anyhow::Result<()> {
        for market in [Market::Perp, Market::Spot] {
            let Some((from, to)) = self.store.range(market, symbol)? else { continue };
            // The precision is that of the whole history, whichever part of it is asked for.
            let all = self.store.bars(market, symbol, from, to.next())?;
            let steps = self.steps(market, symbol)?;
            let needed = Precision::of_bars(&all).widest(Precision::of_steps(&steps));
            let facts = |precision| {
                let fee = self.spec.defaults.costs.fee_bps_at(symbol, self.end.open());
                InstrumentFacts::new((market, symbol), precision, steps, [fee, fee])
            };
            let precision = catalog.fix_precision(&facts(needed).instrument_id, needed);
            let begin = all.partition_point(|b| b.bar < self.first);
            let end = all.partition_point(|b| b.bar < self.end);
            series.push(write_bars(catalog, (market, symbol), &all[begin..end], precision)?);
            instruments.push(serde_json::to_value(facts(precision))?);
        }
        series.push(write_funding(catalog, symbol, &self.store.funding(symbol, self.first, self.end)?)?);
        let key = SeriesKey { kind: Kind::Mark, market: Market::Perp, symbol: symbol.clone() };
        if self.store.summary(&key)?.is_some() {
            let rows = self.store.series_rows(&key, self.first.0, self.end.0)?;
            let masked = self.store.masked(&key, self.first.0, self.end.0)?;
            let is_true = |row: &usize| !masked.contains(&rows.times[*row]);
            let marks: Vec<MarkBar> =
                (0..rows.times.len()).filter(is_true).map(|row| mark_bar(&rows, row)).collect();
            series.extend(write_prices(catalog, symbol, &marks)?);
        }
        Ok(())
    }

    /// Steps as a daemon over this store was told them by the exchange; of perpetuals, else the ticks of the
    /// specs.
    fn steps(&self, market: Market, symbol: &Symbol) -> anyhow::Result<OrderRules> {
        let listed = order_rules(self.store, market, symbol)?;
        let ticks = &self.spec.defaults.tick_sizes;
        let of_spec = ticks.get(symbol).copied().filter(|_| market == Market::Perp);
        Ok(OrderRules { tick: listed.tick.or(of_spec), ..listed })
    }

    /// What is announced of each detection that a blueprint of the version may trade, and the trades that
    /// follow.
    fn write_signals(&self, catalog: &Catalog, version: &Version) -> anyhow::Result<[usize; 2]> {
        let lines: Vec<_> = version.blueprints.iter().filter(|b| b.status != Status::Retired).collect();
        let types: BTreeSet<&str> = lines.iter().map(|b| b.event_type.as_str()).collect();
        let request = Request::plain(self.spec, self.symbols.clone(), self.first..self.end, PathBuf::new());
        let collected = collect(self.store, &request, &mut |_, _| {})?;
        let events: Vec<Event> = collected
            .events
            .into_iter()
            .map(|row| row.event)
            .filter(|e| types.contains(&*e.event_type))
            .collect();
        let mut markets = BTreeMap::new();
        for symbol in &self.symbols {
            let market = StoreMarkets::of(self.store).market(symbol, self.first, self.end)?;
            markets.extend(market.map(|m| (symbol.clone(), m)));
        }
        let states: Vec<&str> = self.spec.graph.states.iter().map(|s| s.name.as_str()).collect();
        let signals: Vec<Value> = events
            .iter()
            .map(|event| {
                let close = markets.get(&event.symbol).map(|m| m.bars.at(event.bar)[3]);
                let context = SignalContext {
                    states: &states,
                    version: Some(&version.manifest.version),
                    blueprints: &version.blueprints,
                    reference_close: close,
                    now: event.detected(),
                };
                Value::Object(signal_record(event, &context))
            })
            .collect();
        let trades: Vec<Value> = lines
            .iter()
            .flat_map(|b| {
                let made = trades_of(b, &events, &states, &markets).trades;
                made.into_iter().map(|trade| trade_line(b, &trade)).collect::<Vec<_>>()
            })
            .collect();
        write_lines(&catalog.own(), SIGNALS, &signals)?;
        write_lines(&catalog.own(), TRADES, &trades)?;
        Ok([signals.len(), trades.len()])
    }
}

fn mark_bar(rows: &backtestd_store::SeriesRows, row: usize) -> MarkBar {
    let mut columns = [f64::NAN; backtestd_core::market::MAX_COLUMNS];
    for (value, column) in columns.iter_mut().zip(&rows.columns) {
        *value = column[row];
    }
    MarkBar::from_columns(rows.times[row], &columns)
}
