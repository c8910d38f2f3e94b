//! The shipped specs as one graph: every feature, state and event.
//!
//! The bars are BTCUSDT's of 2025 where the large recordings are (see tests/data/INDEX.md), and made up where
//! not; the columns that no archive has (quotes, liquidations, ...) are always made up.

use backtestd_store::load_specs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use backtestd_binance::archive::{FileKind, FileSpec, read_file};
use backtestd_core::graph::Graph;
use backtestd_core::graph::engine::{Engine, EngineOptions};
use backtestd_core::market::Records;
use backtestd_core::market::{Bar, BarIndex, Source, Symbol, SymbolColumns, TickBlock};
use divan::Bencher;
use divan::counter::ItemsCount;

#[path = "../../tests/operators/market.rs"]
mod market;
#[path = "../../tests/common/recorded.rs"]
mod recorded;

/// Longest window of the catalogue, and what stands below it: after so many rows every structure is full.
const WARM_ROWS: usize = 26_000;
const ROWS: usize = WARM_ROWS + 4096;
/// Symbols of the small benches: enough for the operators across symbols.
const FEW: usize = 4;
/// Symbols of a tick of the whole market.
const MANY: usize = 600;

const SERIAL: EngineOptions = EngineOptions { threads: false, ..EngineOptions::BATCH };
/// As the daemon runs it.
const DAEMON: EngineOptions = EngineOptions { threads: true, ..EngineOptions::LIVE };

fn graph() -> Arc<Graph> {
    static GRAPH: OnceLock<Arc<Graph>> = OnceLock::new();
    let load = || {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec");
        load_specs(&dir).map_or_else(|e| unreachable!("{e}"), |spec| spec.graph)
    };
    Arc::clone(GRAPH.get_or_init(load))
}

fn archive() -> PathBuf {
    recorded::recordings_dir().join("archive/futures/um/monthly/klines/BTCUSDT/5m")
}

/// Recorded bars, oldest first; empty without the archive.
fn recorded() -> Vec<Bar> {
    let spec = FileSpec {
        symbol: Symbol::new("BTCUSDT").ok(),
        interval_ms: Some(300_000),
        ..FileSpec::of(FileKind::Klines)
    };
    let mut bars = Vec::new();
    for month in 1..=12 {
        let file = archive().join(format!("BTCUSDT-5m-2025-{month:02}.zip"));
        let Ok(file) = read_file(&file, &spec, &mut |_| ()) else {
            break;
        };
        for put in file.puts {
            if let Records::Bars(_, mut more) = put.records {
                bars.append(&mut more);
            }
        }
    }
    bars
}

/// `ROWS` rows of `FEW` symbols. The first has the recorded bars; the others a stretch of them each, months
/// later.
fn block() -> &'static TickBlock {
    static BLOCK: OnceLock<TickBlock> = OnceLock::new();
    BLOCK.get_or_init(|| {
        let bars = recorded();
        let first = bars.first().map_or(BarIndex(5_800_000), |bar| bar.bar);
        let mut block = market::market(first, ROWS, FEW, true);
        if bars.is_empty() {
            recorded::skipped("no recorded bars, so the market is made up");
            return block;
        }
        let step = (bars.len() - ROWS) / (FEW - 1);
        for (s, columns) in block.symbols.iter_mut().enumerate() {
            put_bars(columns, &bars[s * step..][..ROWS]);
        }
        block
    })
}

/// Recorded bars in the place of made-up ones; spot, mark and index keep their distance from the perpetual.
fn put_bars(columns: &mut SymbolColumns, bars: &[Bar]) {
    let made_up: Vec<f64> = columns.get(Source::Close).map(<[f64]>::to_vec).unwrap_or_default();
    for anchored in
        [Source::SpotOpen, Source::SpotHigh, Source::SpotLow, Source::SpotClose, Source::Mark, Source::Index]
    {
        let distance: Vec<f64> = columns.get(anchored).map(<[f64]>::to_vec).unwrap_or_default();
        let moved = distance.iter().zip(&made_up).zip(bars).map(|((x, close), bar)| x / close * bar.close);
        columns.set(anchored, moved.collect());
    }
    type Field = fn(&Bar) -> f64;
    let fields: [(Source, Field); 9] = [
        (Source::Open, |b| b.open),
        (Source::High, |b| b.high),
        (Source::Low, |b| b.low),
        (Source::Close, |b| b.close),
        (Source::Volume, |b| b.volume),
        (Source::QuoteVolume, |b| b.quote_volume),
        (Source::Trades, |b| b.trades),
        (Source::TakerBuyVolume, |b| b.taker_buy_volume),
        (Source::TakerBuyQuote, |b| b.taker_buy_quote),
    ];
    for (source, field) in fields {
        columns.set(source, bars.iter().map(field).collect());
    }
}

/// Rows `[from, from + rows)` of the block for `symbols` symbols, which repeat its own.
fn rows(from: usize, rows: usize, symbols: usize) -> TickBlock {
    let whole = block();
    let cut = |columns: &SymbolColumns| {
        let mut out = SymbolColumns::new();
        for source in Source::ALL {
            if let Some(column) = columns.get(*source) {
                out.set(*source, column[from..from + rows].to_vec());
            }
        }
        out
    };
    let own: Vec<SymbolColumns> = whole.symbols.iter().map(cut).collect();
    let columns = (0..symbols).map(|s| own[s % own.len()].clone()).collect();
    TickBlock { first: whole.first + from as i64, rows, symbols: columns }
}

fn symbols(count: usize) -> Vec<Symbol> {
    let mut names = market::symbols(FEW.min(count));
    names.extend((names.len()..count).filter_map(|i| Symbol::new(&format!("S{i:03}USDT")).ok()));
    names
}

/// An engine that has seen `warm` rows.
/// The engine's state.
fn saved(engine: &Engine) -> Vec<u8> {
    match engine.checkpoint() {
        Ok(bytes) => bytes,
        Err(error) => unreachable!("{error}"),
    }
}

fn warm(symbols_count: usize, warm: usize, opts: EngineOptions) -> Engine {
    let names = symbols(symbols_count);
    let mut engine = Engine::new(graph(), &names, block().first, EngineOptions { threads: true, ..SERIAL });
    for from in (0..warm).step_by(512) {
        let pushed = engine.push(&rows(from, 512.min(warm - from), symbols_count));
        assert!(pushed.is_ok());
    }
    match Engine::restore(graph(), &names, &saved(&engine), opts) {
        Ok(engine) => engine,
        Err(error) => unreachable!("{error}"),
    }
}

/// Pushes of `n` rows, over and over.
fn push(bencher: Bencher<'_, '_>, symbols: usize, warm_rows: usize, n: usize, opts: EngineOptions) {
    let mut engine = warm(symbols, warm_rows, opts);
    let turns = if symbols > FEW { 16 } else { 4096 / n };
    let mut blocks: Vec<TickBlock> = (0..turns).map(|i| rows(WARM_ROWS + i * n, n, symbols)).collect();
    let mut turn = 0;
    bencher.counter(ItemsCount::new(n * symbols)).bench_local(|| {
        turn = (turn + 1) % blocks.len();
        blocks[turn].first = engine.next_bar();
        engine.push(&blocks[turn])
    });
}

/// Per symbol and bar, 512 bars a push, one core.
#[divan::bench(sample_count = 30, sample_size = 1)]
fn batch(bencher: Bencher<'_, '_>) {
    push(bencher, FEW, WARM_ROWS, 512, SERIAL);
}

/// One symbol alone, one bar a push.
#[divan::bench(sample_count = 2000, sample_size = 1)]
fn one_bar_of_one_symbol(bencher: Bencher<'_, '_>) {
    push(bencher, 1, WARM_ROWS, 1, EngineOptions::LIVE);
}

/// Per symbol and bar, four symbols, one bar a push, one core.
#[divan::bench(sample_count = 2000, sample_size = 1)]
fn one_bar(bencher: Bencher<'_, '_>) {
    push(bencher, FEW, WARM_ROWS, 1, EngineOptions::LIVE);
}

/// A tick of the whole market on all cores.
#[divan::bench(sample_count = 60, sample_size = 1)]
fn tick_of_600_symbols(bencher: Bencher<'_, '_>) {
    push(bencher, MANY, 9000, 1, DAEMON);
}

/// The same on one core.
#[divan::bench(sample_count = 60, sample_size = 1)]
fn tick_of_600_symbols_serial(bencher: Bencher<'_, '_>) {
    push(bencher, MANY, 9000, 1, EngineOptions::LIVE);
}

/// Per symbol.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn checkpoint(bencher: Bencher<'_, '_>) {
    let engine = warm(FEW, WARM_ROWS, EngineOptions::LIVE);
    let bytes = saved(&engine).len();
    println!(
        "a symbol: {} KB of history in memory, {} KB in a checkpoint",
        engine.history_bytes() / FEW / 1000,
        bytes / FEW / 1000
    );
    bencher.counter(ItemsCount::new(FEW)).bench_local(|| saved(&engine));
}

/// Per symbol.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn restore(bencher: Bencher<'_, '_>) {
    let bytes = saved(&warm(FEW, WARM_ROWS, EngineOptions::LIVE));
    let names = symbols(FEW);
    bencher
        .counter(ItemsCount::new(FEW))
        .bench_local(|| Engine::restore(graph(), &names, &bytes, EngineOptions::LIVE));
}
