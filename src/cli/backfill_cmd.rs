//! `backtestd backfill`: history of a date range, from the archive and over REST, into the store.

mod archive;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use super::dirs::judge_from;
use super::misuse::{self, Misuse};
use super::{Progress, table};
use crate::daemon::config::resolve;
use crate::daemon::feed::covered::{asked, slots};
use crate::daemon::feed::{Asker, RangeEvent, SeriesDone, Stretch, backfill_range};
use crate::daemon::{exchange_clock, rest_config};
use backtestd_binance::archive::ArchiveHost;
use backtestd_binance::{Rest, install_tls};
use backtestd_core::clock::Clock;
use backtestd_core::market::{BARS_PER_DAY, BarIndex, Kind, Market, SeriesKey, Symbol, Ts, parse_date};
use backtestd_store::{MergeReport, Store};

use archive::Archived;

/// Missing files named in the text; all are in the JSON.
const LISTED_MISSING: usize = 10;

/// Fetch history of a date range into the store: over REST within the exchange's limits, or from the files of
/// its public archive, checked against their checksums. Killed at any moment, it goes on where it stopped;
/// what is stored already is not asked for again. REST keeps statistics (open interest, long/short ratios)
/// for 30 days only, the archive for years; liquidations and quotes have no history at either: import those.
/// A daemon must not be running on the same store.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    backtestd backfill --symbols BTCUSDT,SOLUSDT --start 2025-01-01 --end 2025-12-31\n  \
    backtestd backfill --source auto --symbols BTCUSDT --start 2023-01-01\n  \
    backtestd backfill --symbols BTCUSDT --start 2026-02-01 --kinds bars,funding --clock-source exchange \\\n      \
    --binance-futures-rest http://127.0.0.1:8901 --binance-spot-rest http://127.0.0.1:8901")]
pub struct BackfillCmd {
    /// Perpetual contracts, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "A,B", required = true)]
    symbols: Vec<Symbol>,
    /// First day (UTC), YYYY-MM-DD.
    #[arg(long, value_parser = parse_date)]
    start: Ts,
    /// Last day (UTC), inclusive. Default: up to now.
    #[arg(long, value_parser = parse_date)]
    end: Option<Ts>,
    /// What to fetch, separated by commas.
    #[arg(long, value_parser = fetched(), value_delimiter = ',', default_values_t = Fetched::all())]
    kinds: Vec<Fetched>,
    /// Where it comes from: `rest`; `archive`, its monthly and daily files; or `auto`: files where there are
    /// any, the rest over REST.
    #[arg(long, value_enum, default_value = "rest", value_name = "SOURCE")]
    source: Provenance,
    /// Address of the archive, the folder above futures and spot.
    #[arg(long = "binance-archive", alias = "archive-url", value_name = "URL")]
    archive: Option<String>,
    /// Directory of the store.
    #[arg(long, value_name = "DIR")]
    state: Option<String>,
    /// USD-M REST base URL.
    #[arg(long = "binance-futures-rest", value_name = "URL")]
    futures_rest: Option<String>,
    /// Spot REST base URL.
    #[arg(long = "binance-spot-rest", value_name = "URL")]
    spot_rest: Option<String>,
    /// 'system', or 'exchange': ask the exchange for the time (simulated exchanges).
    #[arg(long = "clock-source", value_name = "VALUE")]
    clock_source: Option<String>,
    /// With --clock-source exchange: how fast its time runs.
    #[arg(long = "clock-speed", value_name = "VALUE")]
    clock_speed: Option<String>,
    /// Configuration file (TOML), as of the daemon.
    #[arg(long, env = "BACKTESTD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the table as JSON.
    #[arg(long)]
    json: bool,
}

/// Where history comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Provenance {
    Archive,
    Rest,
    Auto,
}

/// What has history over REST: a kind of the table, or `spot` for the bars of the spot pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    kind: Kind,
    market: Market,
}

impl Fetched {
    /// Everything, in the order of the table.
    fn all() -> Vec<Self> {
        let kinds = Kind::ALL.iter().copied().filter(|kind| Rest::history_page(*kind).is_some());
        let markets = |kind: Kind| -> &[Market] {
            if kind == Kind::Bars { &[Market::Perp, Market::Spot] } else { &[Market::Perp] }
        };
        kinds
            .flat_map(|kind| markets(kind).iter().map(move |market| Self { kind, market: *market }))
            .collect()
    }

    const fn name(self) -> &'static str {
        match self.market {
            Market::Perp => self.kind.name(),
            Market::Spot => "spot",
        }
    }

    fn series(self, symbol: &Symbol) -> SeriesKey {
        SeriesKey { kind: self.kind, market: self.market, symbol: symbol.clone() }
    }
}

impl std::fmt::Display for Fetched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads a name of [`Fetched::all`].
fn fetched() -> impl TypedValueParser<Value = Fetched> {
    let names = Fetched::all().into_iter().map(Fetched::name);
    PossibleValuesParser::new(names).try_map(|name| {
        Fetched::all().into_iter().find(|fetched| fetched.name() == name).ok_or("not a kind with history")
    })
}

/// A line of the final table.
struct Line {
    done: SeriesDone,
    /// New records out of files of the archive.
    archived: u64,
    /// Records of the range in the store now.
    stored: u64,
    /// Slots without a record that the exchange was asked for, and those that it was not; none where records
    /// have no grid.
    holes: Option<(u64, u64)>,
}

/// Runs it.
///
/// # Errors
/// When the store is in use, the exchange cannot be reached, or it refuses a series of a perpetual.
pub fn run(cmd: &BackfillCmd) -> anyhow::Result<ExitCode> {
    let given = [
        ("state", &cmd.state),
        ("binance.futures_rest", &cmd.futures_rest),
        ("binance.spot_rest", &cmd.spot_rest),
        ("binance.archive", &cmd.archive),
        ("clock.source", &cmd.clock_source),
        ("clock.speed", &cmd.clock_speed),
    ];
    let flags: BTreeMap<&'static str, String> =
        given.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect();
    let config = resolve(&flags, &|name| std::env::var(name).ok(), cmd.config.as_deref())?.config;
    install_tls();
    let mut store = Store::open(&config.state)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let clock: Arc<dyn Clock> =
        runtime.block_on(exchange_clock(&config)).context("asking the exchange for the time")?;
    let rest = Rest::new(rest_config(&config), Arc::clone(&clock))?;
    let closed = clock.now().bar();
    let first = cmd.start.bar();
    let end = cmd.end.map_or(closed, |day| (day.bar() + BARS_PER_DAY).min(closed));
    misuse::check_days(Some(cmd.start), cmd.end, clock.now())?;
    let sources = judge_from(&mut store, &config.spec, clock.now())?;
    let patience_s = sources.map_or_else(Vec::new, |sources| sources.live.hole_patience_s);
    if first >= end {
        let what = format!("nothing to fetch: --start {} is not before {}", first.open(), end.open());
        return Err(Misuse::new(what).into());
    }
    let wanted = wanted(cmd, first, end);
    let files = match cmd.source {
        Provenance::Rest => Archived::default(),
        Provenance::Archive | Provenance::Auto => archive::fill(
            &mut store,
            &archive::Request {
                host: ArchiveHost::new(&config.binance.archive)?,
                folder: config.state.join("archive"),
                runtime: runtime.handle(),
                from: first.open(),
                to: end.open(),
                now: clock.now(),
                wanted: &wanted,
                quiet: cmd.json,
            },
        )?,
    };
    let done = match cmd.source {
        Provenance::Archive => {
            wanted.into_iter().map(|(series, wanted)| nothing_asked(series, wanted)).collect()
        }
        Provenance::Rest | Provenance::Auto => {
            let total = (end - first) as u64 * wanted.len() as u64;
            let asker = Asker { rest: &rest, clock: &clock, runtime: runtime.handle(), patience_s };
            over_rest(&mut store, &asker, wanted, total, cmd.json)?
        }
    };
    runtime.shutdown_background();
    let lines =
        done.into_iter().map(|done| line(&store, done, &files)).collect::<anyhow::Result<Vec<_>>>()?;
    if cmd.json {
        println!("{}", to_json(&lines, &files, first, end));
    } else {
        print!("{}", text(&lines, &files));
        let held: u64 = lines.iter().map(|line| line.done.report.judged.masked).sum();
        if held > 0 {
            println!("{held} records cannot be true and are in quarantine (backtestd quarantine list)");
        }
    }
    let is_lost = |l: &&Line| l.done.refused.is_some() && l.done.series.market == Market::Perp;
    if let Some(line) = lines.iter().find(is_lost) {
        bail!(
            "the exchange refuses {}: {}",
            name(&line.done.series),
            line.done.refused.as_deref().unwrap_or_default()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Every series with its stretch of the range.
fn wanted(cmd: &BackfillCmd, first: BarIndex, end: BarIndex) -> Vec<(SeriesKey, Stretch)> {
    let symbols: BTreeSet<&Symbol> = cmd.symbols.iter().collect();
    let mut wanted = Vec::new();
    for symbol in symbols {
        for kind in &cmd.kinds {
            let series = kind.series(symbol);
            let stretch = if series.kind.is_bar_like() {
                Stretch { from: first.0, to: end.0 }
            } else {
                Stretch { from: first.open().0, to: end.open().0 + 1 }
            };
            wanted.push((series, stretch));
        }
    }
    wanted
}

fn over_rest(
    store: &mut Store,
    asker: &Asker<'_>,
    wanted: Vec<(SeriesKey, Stretch)>,
    slots: u64,
    quiet: bool,
) -> anyhow::Result<Vec<SeriesDone>> {
    let mut progress = Progress::new("backfill", slots, quiet);
    let done = backfill_range(store, asker, wanted, &mut |event| match event {
        RangeEvent::Slots { series, slots } => {
            progress.item(&name(series));
            progress.advance(slots);
        }
        RangeEvent::Waiting { series, reason } => {
            progress.note(&format!("{}: {reason}; asking again", name(series)));
        }
    })?;
    let fetched: u64 = done.iter().map(|d| d.fetched).sum();
    progress.finish(&format!("{fetched} records fetched"));
    Ok(done)
}

/// A series that REST was not asked about.
fn nothing_asked(series: SeriesKey, wanted: Stretch) -> SeriesDone {
    SeriesDone { series, wanted, fetched: 0, report: MergeReport::default(), refused: None }
}

fn name(series: &SeriesKey) -> String {
    format!("{} {} {}", series.symbol, series.market, series.kind.name())
}

fn line(store: &Store, done: SeriesDone, files: &Archived) -> anyhow::Result<Line> {
    let (series, wanted) = (&done.series, done.wanted);
    let archived = files.series.get(series).map_or(0, |report| report.inserted + report.filled);
    if !series.kind.is_bar_like() {
        let stored = store.series_rows(series, wanted.from, wanted.to)?.times.len() as u64;
        return Ok(Line { done, archived, stored, holes: None });
    }
    let present = slots(store, series, BarIndex(wanted.from), BarIndex(wanted.to))?;
    let asked = asked(store, series)?;
    let mut holes = (0, 0);
    let mut next = wanted.from;
    for bar in present.iter().map(|bar| bar.0).chain([wanted.to]) {
        for slot in next..bar {
            let is_known = asked.iter().any(|s| s.from <= slot && slot < s.to);
            if is_known { holes.0 += 1 } else { holes.1 += 1 }
        }
        next = bar + 1;
    }
    Ok(Line { archived, stored: present.len() as u64, holes: Some(holes), done })
}

fn text(lines: &[Line], files: &Archived) -> String {
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|l| {
            let hole = |pick: fn((u64, u64)) -> u64| l.holes.map_or("-".to_owned(), |h| pick(h).to_string());
            vec![
                l.done.series.symbol.to_string(),
                l.done.series.market.to_string(),
                l.done.series.kind.name().to_owned(),
                l.archived.to_string(),
                l.done.fetched.to_string(),
                (l.done.report.inserted + l.done.report.filled).to_string(),
                l.done.report.conflicts.to_string(),
                l.stored.to_string(),
                hole(|h| h.0),
                hole(|h| h.1),
                l.done.refused.clone().unwrap_or_default(),
            ]
        })
        .collect();
    let head = [
        "symbol",
        "market",
        "kind",
        "from files",
        "fetched",
        "new",
        "changed",
        "stored",
        "holes known",
        "holes unknown",
        "refused",
    ];
    let mut out = table::render(&head, &rows);
    for conflict in lines.iter().flat_map(|l| &l.done.report.listed) {
        out.push_str(&format!("changed: {conflict}\n"));
    }
    if files.files + files.known + files.missing.len() > 0 {
        out.push_str(&format!(
            "archive: {} files of {:.1} MB imported, {} known before, {} not there\n",
            files.files,
            files.bytes as f64 / 1e6,
            files.known,
            files.missing.len()
        ));
    }
    for path in files.missing.iter().take(LISTED_MISSING) {
        out.push_str(&format!("not in the archive: {path}\n"));
    }
    out.push_str(
        "The exchange was asked for a known hole twice and has nothing there; it is asked again when this command runs \
         later. An unknown hole could not be asked for.\n",
    );
    out
}

fn to_json(lines: &[Line], files: &Archived, first: BarIndex, end: BarIndex) -> String {
    let series: Vec<_> = lines
        .iter()
        .map(|l| {
            json!({
                "symbol": l.done.series.symbol.as_str(), "market": l.done.series.market.to_string(),
                "kind": l.done.series.kind.name(), "archived": l.archived, "fetched": l.done.fetched,
                "inserted": l.done.report.inserted, "filled": l.done.report.filled,
                "conflicts": l.done.report.conflicts, "stored": l.stored,
                "holes_known": l.holes.map(|h| h.0), "holes_unknown": l.holes.map(|h| h.1),
                "refused": l.done.refused,
            })
        })
        .collect();
    let archive = json!({
        "files": files.files, "bytes": files.bytes, "known": files.known, "missing": files.missing,
    });
    json!({ "start": first.open().rfc3339(), "end": end.open().rfc3339(), "archive": archive, "series": series })
        .to_string()
}
