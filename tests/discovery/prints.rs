//! Real history with one absurd print ends where the same history without that bar ends: in events, outcomes,
//! candidates and blueprints, byte for byte; and the user is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backtestd::cli::import_cmd::{ImportArgs, PreferArg, import};
use backtestd::research::{Request, RunSummary, run};
use backtestd_binance::archive::FileKind;
use backtestd_core::market::{Bar, BarIndex, Market, Symbol, Ts};
use backtestd_core::spec::CompiledSpec;
use backtestd_store::{Delivery, Fsync, Origin, Store, load_specs};

use super::common::recorded::{extract, recording, say};
use super::common::{Rng, spec_dir};

const PRINTED: &str = "BTCUSDT";

/// Perpetual bars by symbol.
type Bars = BTreeMap<Symbol, Vec<Bar>>;

fn read(folders: &[PathBuf]) -> Bars {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open_with(dir.path(), Fsync::Never).unwrap();
    let args = ImportArgs {
        market: Some(Market::Perp),
        kind: Some(FileKind::Klines),
        symbol: None,
        continuous: false,
        prefer: PreferArg::Better,
        json: false,
        paths: folders.to_vec(),
    };
    import(&mut store, &args, false).unwrap();
    let all =
        |symbol: &Symbol| store.bars(Market::Perp, symbol, BarIndex(0), BarIndex(i64::MAX / 2)).unwrap();
    store.symbols(Market::Perp).unwrap().into_iter().map(|symbol| (symbol.clone(), all(&symbol))).collect()
}

/// The kinds of prints that people have met: a price in the wrong place, unit or field, and amounts that
/// cannot be.
const KINDS: usize = 10;

fn print(bar: &mut Bar, kind: usize) {
    match kind % KINDS {
        0 => (bar.low, bar.close) = (0.01, 0.01),
        1 => {
            bar.close /= 1000.0;
            bar.low = bar.close;
        }
        2 => {
            for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
                *price *= 1000.0;
            }
        }
        3 => bar.high *= 1e5,
        4 => (bar.volume, bar.quote_volume) = (1e9, 1e9 * bar.close),
        5 => {
            bar.close *= 10.0;
            bar.high = bar.close;
        }
        6 => {
            bar.close *= 1.3;
            bar.high = bar.high.max(bar.close);
        }
        7 => {
            for price in [&mut bar.open, &mut bar.high, &mut bar.low, &mut bar.close] {
                *price *= 0.1;
            }
            bar.quote_volume = f64::NAN;
            bar.taker_buy_quote = f64::NAN;
        }
        8 => bar.trades = 1e9,
        _ => {
            bar.open *= 0.7;
            bar.low = bar.open;
        }
    }
}

/// What a run over these bars wrote.
fn research(spec: &Arc<CompiledSpec>, bars: &Bars) -> (RunSummary, BTreeMap<PathBuf, Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open_with(&dir.path().join("state"), Fsync::Never).unwrap();
    store.judge_by(&spec.sources.plausibility).unwrap();
    for (symbol, bars) in bars {
        let delivery = Delivery::new(Origin::Archive, "test");
        store.put_bars(Market::Perp, symbol, bars, delivery).unwrap();
    }
    let all = bars.values().flatten().map(|bar| bar.bar);
    let data_root = dir.path().join("data");
    let range = all.clone().min().unwrap()..all.max().unwrap().next();
    let plain = Request::plain(spec, bars.keys().cloned().collect(), range, data_root.clone());
    let request = Request { write_features: true, ..plain };
    let summary = run(&mut store, &request, Ts(0), &mut |_, _, _| {}).unwrap();
    let mut files = BTreeMap::new();
    let mut open = vec![data_root.clone()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet" || e == "jsonl") {
                let name = path.strip_prefix(&data_root).unwrap().to_owned();
                files.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    (summary, files)
}

/// Holds the history with a print at each place against the one without the bar.
fn check(history: &Bars, places: usize) {
    let spec = Arc::new(load_specs(&spec_dir()).unwrap_or_else(|e| panic!("{e}")));
    let printed = Symbol::new(PRINTED).unwrap();
    let count = history[&printed].len();
    let mut draws = Rng(15);
    for place in 0..places {
        // The first and the last bar have a neighbour on one side only.
        let at = 1 + (draws.next() % (count as u64 - 2)) as usize;
        let (mut with, mut without) = (history.clone(), history.clone());
        print(&mut with.get_mut(&printed).unwrap()[at], place);
        let bar = without.get_mut(&printed).unwrap().remove(at).bar;
        let (told, found) = research(&spec, &with);
        let (clean, expected) = research(&spec, &without);
        let what = format!("print {} at {bar}", place % KINDS);
        assert_eq!(told.run_id, clean.run_id, "{what}");
        assert!(expected.keys().any(|name| name.ends_with("events.parquet")) && expected.len() > 5);
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
        for (name, bytes) in &expected {
            assert!(found[name] == *bytes, "{what}: {} differs", name.display());
        }
        assert_eq!((told.bars[&printed].quarantined, clean.bars[&printed].quarantined), (1, 0), "{what}");
        assert!(told.text().contains("1 records that cannot be true"), "{}", told.text());
    }
}

#[test]
fn a_print_in_a_real_month_changes_nothing_but_its_own_bar() {
    let month = |symbol: &str| extract("archive/futures/um/monthly/klines").join(Path::new(symbol));
    check(&read(&[month("BTCUSDT"), month("SOLUSDT")]), KINDS);
}

/// Some minutes: `cargo test --test discovery a_hundred -- --ignored`.
#[test]
#[ignore = "takes minutes: run by hand, as above"]
fn a_hundred_prints_in_half_a_real_year_change_nothing_but_their_own_bars() {
    let Some(klines) = recording("archive/futures/um/monthly/klines") else { return };
    let months = |symbol: &str| {
        let month = |m: u32| klines.join(format!("{symbol}/5m/{symbol}-5m-2025-{m:02}.zip"));
        (1..=6).map(month).collect::<Vec<_>>()
    };
    let history = read(&[months("BTCUSDT"), months("SOLUSDT")].concat());
    check(&history, 100);
    say(&format!("100 prints in {} bars", history.values().map(Vec::len).sum::<usize>()));
}
