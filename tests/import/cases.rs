//! Small inputs that once went wrong, each with its right answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backtestd::cli::import_cmd::ImportSummary;
use backtestd_binance::archive::FileKind;
use backtestd_core::clean::{CalendarPolicy, CleanPolicy, Joiner, Lagged, SymbolPolicy};
use backtestd_core::market::{Bar, BarIndex, Kind, Market, Source};
use backtestd_store::Store;

use crate::{args, bar_at, run, store, symbol};

fn case(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cases/import")).join(path)
}

/// Imports a case as perp klines, of one symbol when it is named.
fn klines(store: &mut Store, path: &str, only: Option<&str>) -> ImportSummary {
    let mut args = args(&[case(path)]);
    args.market = Some(Market::Perp);
    args.kind = Some(FileKind::Klines);
    args.symbol = only.map(symbol);
    run(store, &args)
}

fn bars(store: &Store, market: Market, name: &str) -> Vec<Bar> {
    store.bars(market, &symbol(name), BarIndex(0), BarIndex(i64::MAX / 2)).unwrap()
}

fn symbols(store: &Store) -> Vec<String> {
    store.symbols(Market::Perp).unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn d01_a_delivery_contract_is_never_stored_as_the_perpetual() {
    let (_dir, mut store) = store();
    let mut folder = args(&[case("d01/futures")]);
    folder.kind = Some(FileKind::Klines);
    let summary = run(&mut store, &folder);
    assert_eq!((summary.files, summary.passed_over), (1, 1));
    assert!(summary.passed[0].1.contains("BTCUSDT_250328 is a contract with delivery on 2025-03-28"));
    let stored = bars(&store, Market::Perp, "BTCUSDT");
    assert_eq!((stored.len(), stored[0].open), (3, 96_000.0));
    assert_eq!(symbols(&store), ["BTCUSDT"]);

    let named = case("d01/futures/um/monthly/klines/BTCUSDT_250328/5m/BTCUSDT_250328-5m-2025-01.zip");
    let refused = run(&mut store, &args(&[named])).refused;
    assert!(refused[0].1.contains("BTCUSDT_250328-5m-2025-01.zip: BTCUSDT_250328 is"), "{}", refused[0].1);
}

#[test]
fn d03_several_symbols_in_one_archive_or_table_are_split() {
    let (_dir, mut store) = store();
    klines(&mut store, "d03/BTCUSDT-5m-2025-01.zip", None);
    for (name, open) in [("BTCUSDT", 96_000.0), ("ETHUSDT", 3_400.0)] {
        let stored = bars(&store, Market::Perp, name);
        assert_eq!((stored.len(), stored[0].open), (3, open), "{name}");
    }
    let (_dir, mut store) = self::store();
    klines(&mut store, "d03/ohlcv_5m.csv", None);
    for (name, closes) in [("BTCUSDT", [96_000.0, 96_001.0]), ("ETHUSDT", [3_400.0, 3_401.0])] {
        let stored: Vec<f64> = bars(&store, Market::Perp, name).iter().map(|b| b.close).collect();
        assert_eq!(stored, closes, "{name}");
    }
    for path in ["d03/BTCUSDT-5m-2025-01.zip", "d03/ohlcv_5m.csv"] {
        let (_dir, mut store) = self::store();
        let summary = klines(&mut store, path, Some("BTCUSDT"));
        assert_eq!(symbols(&store), ["BTCUSDT"]);
        assert!(bars(&store, Market::Perp, "BTCUSDT").iter().all(|b| b.close > 90_000.0));
        let notes: Vec<&str> = summary.findings.iter().map(|f| f.what.as_str()).collect();
        assert!(notes.iter().any(|n| n.contains("ETHUSDT: not the --symbol BTCUSDT")), "{notes:?}");
    }
}

#[test]
fn d04_a_special_settlement_stands_beside_the_regular_one() {
    let (_dir, mut store) = store();
    let summary = run(&mut store, &args(&[case("d04/funding.csv")]));
    assert_eq!(summary.total().conflicts, 0, "{:?}", summary.total().listed);
    let raw = store.raw(&[symbol("BTCUSDT")], bar_at("2026-08-01T07:55:00Z"), 1).unwrap();
    let print = raw.symbols[0].funding[0];
    assert_eq!((print.rate, print.special_rate), (0.0001, 0.005));
    assert_eq!(print.paid(), 0.0051);
}

#[test]
fn d08_the_same_rows_are_the_same_store_and_a_bar_in_doubt_is_quarantined() {
    let digests = ["zip", "csv"].map(|ending| {
        let (_dir, mut store) = store();
        let summary = klines(&mut store, &format!("d08/BTCUSDT-5m-2025-01.{ending}"), None);
        assert_eq!(summary.total().inserted, 600);
        let doubts: Vec<String> =
            summary.in_doubt.iter().map(|s| format!("{}: {}", s.bar, s.reason)).collect();
        assert_eq!(doubts.len(), 1, "{doubts:?}");
        assert!(doubts[0].contains("% of what is usual there, and the next bar opens"), "{doubts:?}");
        let held = store.quarantine().unwrap();
        assert_eq!(held.iter().map(|q| q.rule.as_str()).collect::<Vec<_>>(), ["perhaps_unfinished"]);
        assert_eq!(summary.quarantined, held);
        assert_eq!(bars(&store, Market::Perp, "BTCUSDT").len(), 599, "stored, and unknown");
        (store.digest().unwrap(), held)
    });
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn d12_repeats_and_the_newest_first_make_the_same_bars() {
    let stores = ["d12/BTCUSDT-1m-twice.csv", "d12/BTCUSDT-1m-newest-first.csv"].map(|path| {
        let (_dir, mut store) = store();
        klines(&mut store, path, None);
        bars(&store, Market::Perp, "BTCUSDT")
    });
    assert_eq!(stores[0].len(), 2);
    assert_eq!(stores[0][0].values()[..5], [100.0, 105.5, 99.0, 104.5, 50.0]);
    assert!(stores[0].iter().zip(&stores[1]).all(|(a, b)| a.same_as(b)));
}

#[test]
fn d13_a_missed_settlement_keeps_the_interval() {
    let (_dir, mut store) = store();
    klines(&mut store, "d13/NEARUSDT-5m.csv", None);
    run(&mut store, &args(&[case("d13/NEARUSDT_funding.csv")]));
    let names = [symbol("NEARUSDT")];
    let rule = Lagged { lag_ms: 60_000, hold_ms: 900_000 };
    let policy = CleanPolicy {
        funding_lag_ms: 60_000,
        funding_grace_ms: 3_600_000,
        instants: BTreeMap::from([(Kind::OpenInterest, rule), (Kind::Depth, rule)]),
        min_coverage: BTreeMap::from([(Kind::Liquidations, 1.0), (Kind::Quotes, 1.0)]),
        calendars: CalendarPolicy::default(),
        symbols: vec![SymbolPolicy {
            collected: store.coverage(&names[0]).unwrap().into_iter().collect(),
            interest_rate_8h: f64::NAN,
            funding_interval_h: 8.0,
            taker_fee_bps: f64::NAN,
            maker_fee_bps: f64::NAN,
            fee_steps: Vec::new(),
            tick_size: f64::NAN,
        }],
    };
    let first = bar_at("2025-01-02T00:00:00Z");
    let block =
        Joiner::new(&names, policy, first).unwrap().push(&store.raw(&names, first, 288).unwrap()).unwrap();
    let column = |source| block.symbols[0].get(source).unwrap();
    let at = |time: &str| (bar_at(time) - first) as usize;
    for time in ["2025-01-02T08:30:00Z", "2025-01-02T16:30:00Z", "2025-01-02T20:30:00Z"] {
        assert_eq!(column(Source::FundingIntervalH)[at(time)], 4.0, "{time}");
    }
    // The bar closes at 16:30; the next settlement is at 20:00.
    assert_eq!(column(Source::MinutesToFunding)[at("2025-01-02T16:25:00Z")], 210.0);
}

#[test]
fn d14_a_word_in_a_folder_decides_nothing() {
    for path in ["d14/mark", "d14/last_30d", "d14/mark/BTCUSDT-5m-2025-01.csv", "d14/last_30d/BTCUSDT.csv"] {
        let (_dir, mut store) = store();
        let mut said = args(&[case(path)]);
        said.kind = Some(FileKind::Klines);
        let summary = run(&mut store, &said);
        assert!(summary.refused.is_empty(), "{:?}", summary.refused);
        assert_eq!(bars(&store, Market::Perp, "BTCUSDT").len(), 3, "{path}");

        let (_dir, mut store) = self::store();
        let silent = run(&mut store, &args(&[case(path)]));
        assert_eq!(silent.files, 0);
        let question = silent.refused.iter().chain(&silent.passed).next().unwrap();
        assert!(question.1.contains("give --"), "{}", question.1);
        assert!(store.series().unwrap().is_empty());
    }
}
