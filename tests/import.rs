//! Importing real archive files: row counts, idempotence, units, defects, refusals.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
#[path = "import/quotes.rs"]
mod quotes;

use std::path::{Path, PathBuf};

use backtestd::cli::import_cmd::{ImportArgs, ImportSummary, import};
use backtestd_binance::archive::FileKind;
use backtestd_core::market::{Bar, BarIndex, BookDepth, Market, Symbol, Ts, parse_time};
use backtestd_core::market::{RawPut, Records};
use backtestd_store::lake::{export_raw, verify_parquet};
use backtestd_store::{Delivery, Fsync, Origin, Store};
use tempfile::TempDir;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");

fn data(path: &str) -> PathBuf {
    Path::new(DATA).join(path)
}

fn args(paths: &[PathBuf]) -> ImportArgs {
    ImportArgs {
        market: None,
        kind: None,
        symbol: None,
        continuous: false,
        json: false,
        paths: paths.to_vec(),
    }
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(dir.path(), Fsync::Never).unwrap();
    (dir, store)
}

fn run(store: &mut Store, args: &ImportArgs) -> ImportSummary {
    import(store, args, false).unwrap()
}

fn symbol(name: &str) -> Symbol {
    Symbol::new(name).unwrap()
}

fn bar_at(time: &str) -> BarIndex {
    parse_time(time).unwrap().bar()
}

fn one_bar(store: &Store, market: Market, name: &str, time: &str) -> Bar {
    let at = bar_at(time);
    store.bars(market, &symbol(name), at, at.next()).unwrap()[0]
}

#[test]
fn a_year_of_perp_klines_is_complete_and_importing_it_again_changes_nothing() {
    let (_dir, mut store) = store();
    let args = args(&[data("archive/futures/um/monthly/klines/BTCUSDT")]);
    let first = run(&mut store, &args);
    assert!(first.refused.is_empty(), "{:?}", first.refused);
    assert_eq!((first.files, first.total().inserted), (12, 105_120));
    assert_eq!(first.findings, []);
    let range = store.range(Market::Perp, &symbol("BTCUSDT")).unwrap().unwrap();
    assert_eq!(range, (bar_at("2025-01-01T00:00:00Z"), bar_at("2025-12-31T23:55:00Z")));
    let bar = one_bar(&store, Market::Perp, "BTCUSDT", "2025-01-01T00:00:00Z");
    assert_eq!(
        bar.values(),
        [93548.8, 93690.0, 93514.2, 93648.4, 341.604, 31982601.3068, 8176.0, 148.318, 13885565.6511]
    );

    let again = run(&mut store, &args).total();
    assert!(again.is_noop());
    assert_eq!(again.unchanged, 105_120);
}

#[test]
fn an_exchange_halt_is_bars_without_volume_not_a_gap() {
    let (_dir, mut store) = store();
    run(&mut store, &args(&[data("archive/futures/um/monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2025-01.zip")]));
    let bar = one_bar(&store, Market::Perp, "BTCUSDT", "2025-01-29T01:25:00Z");
    assert_eq!((bar.volume, bar.trades, bar.taker_buy_volume), (0.0, 0.0, 0.0));
    assert!(bar.close > 0.0);
}

#[test]
fn one_minute_spot_klines_in_either_time_unit_become_five_minute_bars() {
    let (_dir, mut store) = store();
    let summary =
        run(&mut store, &args(&[data("archive/spot/daily/klines"), data("archive/spot/monthly/klines")]));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    // Three days of 2020 in ms, a month of 2026 in us, neither with a header.
    assert_eq!(summary.total().inserted, 3 * 288 + 31 * 288);
    let bar = one_bar(&store, Market::Spot, "BTCUSDT", "2026-03-01T00:00:00Z");
    assert_eq!(bar.open, 66973.26);
    let bar = one_bar(&store, Market::Spot, "BTCUSDT", "2020-01-01T00:00:00Z");
    assert_eq!((bar.open, bar.trades > 700.0), (7195.24, true));
}

#[test]
fn open_interest_labels_are_floored_zeros_are_unknown_and_slots_are_single() {
    let (_dir, mut store) = store();
    let mut args = args(&[data("archive/futures/um/daily/metrics/BTCUSDT")]);
    args.kind = Some(FileKind::Metrics);
    let summary = run(&mut store, &args);
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    let symbols = [symbol("BTCUSDT")];
    let day = store.raw(&symbols, bar_at("2025-04-15T12:45:00Z"), 6).unwrap();
    let oi: Vec<_> = day.symbols[0].open_interest.iter().map(|o| (o.ts.to_string(), o.contracts)).collect();
    // 12:50 and 12:55 came with later rows of 0 in the same slot; the 13:14:22 row of 0 falls into 13:10.
    assert_eq!(
        oi,
        [
            ("2025-04-15T12:50:00Z".to_owned(), 80508.417),
            ("2025-04-15T12:55:00Z".to_owned(), 80495.601),
            ("2025-04-15T13:00:00Z".to_owned(), 80468.489),
            ("2025-04-15T13:05:00Z".to_owned(), 80501.03),
            ("2025-04-15T13:10:00Z".to_owned(), 80504.337),
            ("2025-04-15T13:15:00Z".to_owned(), 80638.804),
        ]
    );
    // The half day that is missing stays missing.
    let half = store.raw(&symbols, bar_at("2024-02-16T12:00:00Z"), 144).unwrap();
    assert!(half.symbols[0].open_interest.len() < 25, "{}", half.symbols[0].open_interest.len());
    assert!(summary.findings.iter().any(|f| f.what.contains("open interest 0")));
    assert!(run(&mut store, &args).total().is_noop());
}

#[test]
fn a_file_whose_rows_change_width_is_refused_whole_with_the_line() {
    let (_dir, mut store) = store();
    let summary = run(&mut store, &args(&[data("malformed/ETHUSDT_spot_5m_rows_change_width.csv")]));
    let (_, reason) = &summary.refused[0];
    assert!(reason.contains("rows_change_width.csv:1010: 13 fields where 12 belong"), "{reason}");
    assert_eq!(store.range(Market::Spot, &symbol("ETHUSDT")).unwrap(), None);
}

#[test]
fn a_name_that_contradicts_a_flag_is_refused_for_a_file_and_passed_over_in_a_folder() {
    let (_dir, mut store) = store();
    let mut wrong = args(&[data("archive/futures/um/monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2025-01.zip")]);
    wrong.symbol = Some(symbol("SOLUSDT"));
    let error = import(&mut store, &wrong, false).unwrap_err().to_string();
    assert!(error.contains("contradicts --symbol"), "{error}");
    wrong.paths = vec![data("archive/futures/um/monthly/klines/BTCUSDT")];
    let summary = run(&mut store, &wrong);
    assert_eq!((summary.files, summary.passed_over), (0, 12));
}

#[test]
fn bars_that_were_stored_before_they_closed_are_left_out_and_reported() {
    let (_dir, mut store) = store();
    let mut args = args(&[data("malformed/BTCUSDT_spot_5m_some_bars_unfinished.csv.gz")]);
    args.market = Some(Market::Spot);
    let summary = run(&mut store, &args);
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    let note = summary.findings.iter().find(|f| f.what.contains("before they closed")).unwrap();
    assert!(note.what.contains("2025-09-18T15:05:00Z"), "{note}");
    let at = bar_at("2025-09-20T00:30:00Z");
    assert!(store.bars(Market::Spot, &symbol("BTCUSDT"), at, at.next()).unwrap().is_empty());
    let total = summary.total();
    assert!((9331 - 40..9331 - 10).contains(&total.inserted), "{}", total.inserted);
    // Rows whose later columns are blank are kept with these unknown.
    let bar = one_bar(&store, Market::Spot, "BTCUSDT", "2025-09-20T05:40:00Z");
    assert_eq!((bar.volume, bar.trades.is_nan()), (13.90289, true));
}

#[test]
fn parquet_tables_fill_what_the_archive_lacks_and_agree_with_it_elsewhere() {
    let (_dir, mut store) = store();
    let month = data("archive/futures/um/monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2025-03.zip");
    run(&mut store, &args(&[month]));
    let summary = run(&mut store, &args(&[data("frames/perp_BTCUSDT_5m_ohlcv_2025_2026.parquet")]));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    let total = summary.total();
    assert_eq!(total.conflicts, 0, "{:?}", total.listed);
    assert_eq!(total.unchanged, 31 * 288, "the month is known already, and better");
    let bar = one_bar(&store, Market::Perp, "BTCUSDT", "2025-03-05T12:00:00Z");
    assert!(bar.trades > 0.0);
    let bar = one_bar(&store, Market::Perp, "BTCUSDT", "2025-06-05T12:00:00Z");
    assert!(bar.trades.is_nan() && bar.volume > 0.0);
}

#[test]
fn a_funding_table_of_many_symbols_is_split_by_its_symbol_column() {
    let (_dir, mut store) = store();
    let summary = run(
        &mut store,
        &args(&[
            data("frames/perp_funding_16_symbols_2025_2026.parquet"),
            data("frames/perp_funding_BTC_ETH_2019_2026.parquet"),
        ]),
    );
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    assert_eq!(summary.series.len(), 16);
    assert_eq!(summary.total().conflicts, 0, "{:?}", summary.total().listed);
    let day = store.raw(&[symbol("BTCUSDT")], bar_at("2025-06-01T00:00:00Z"), 288).unwrap();
    let times: Vec<_> = day.symbols[0].funding.iter().map(|p| p.ts.to_string()).collect();
    assert_eq!(times, ["2025-06-01T08:00:00Z", "2025-06-01T16:00:00Z", "2025-06-02T00:00:00Z"]);
}

#[test]
fn mark_klines_of_an_hour_are_refused_because_they_cannot_be_five_minute_bars() {
    let (_dir, mut store) = store();
    let summary = run(&mut store, &args(&[data("frames/mark_SOLUSDT_1h_2025_2026.parquet")]));
    let (_, reason) = &summary.refused[0];
    assert!(reason.contains("bars of 60 min cannot be made into 5-minute bars"), "{reason}");
}

#[test]
fn a_liquidation_capture_counts_each_order_once() {
    let (_dir, mut store) = store();
    let mut args = args(&[data("liquidations/recorded_2025-01.csv")]);
    args.continuous = true;
    let summary = run(&mut store, &args);
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    assert!(summary.findings[0].what.contains("rows repeat an order, dropped"), "{}", summary.findings[0]);
    let day = store.raw(&[symbol("BTCUSDT")], bar_at("2025-01-27T00:00:00Z"), 288).unwrap();
    let bars = &day.symbols[0].liquidations;
    assert!(bars.iter().any(|b| b.coverage == 1.0 && b.long_usd > 0.0));
}

#[test]
fn the_lake_reads_back_into_an_equal_store() {
    let (dir, mut store) = store();
    run(
        &mut store,
        &args(&[
            data("archive/futures/um/monthly/klines/SOLUSDT/5m/SOLUSDT-5m-2025-02.zip"),
            data("archive/futures/um/daily/metrics/SOLUSDT/SOLUSDT-metrics-2025-02-03.zip"),
            data("archive/spot/daily/klines"),
        ]),
    );
    // Everything else that the store can hold, with unknown values among it.
    let whole = common::market(3, 2, 400);
    for (name, raw) in common::symbols(2).iter().zip(whole.symbols) {
        let put = |records| RawPut { symbol: name.clone(), records };
        let depth = (0..40).map(|i| BookDepth {
            ts: Ts(common::START.open().0 + i * 30_000),
            bid_1pct: if i % 7 == 0 { f64::NAN } else { 1e6 + i as f64 },
            ask_1pct: 2e6,
        });
        let puts = [
            put(Records::Funding(raw.funding)),
            put(Records::Mark(raw.mark)),
            put(Records::Liquidations(raw.liquidations)),
            put(Records::Quotes(raw.quotes)),
            put(Records::Depth(depth.collect())),
        ];
        store.put(&puts, Delivery { origin: Origin::Stream, label: "test" }).unwrap();
    }
    let lake = dir.path().join("data/lake");
    let all = (BarIndex(0), BarIndex(i64::MAX / 2));
    let files = export_raw(&store, &lake, &[], all.0, all.1).unwrap();
    assert!(files.iter().all(|f| f.written));
    let again = export_raw(&store, &lake, &[], all.0, all.1).unwrap();
    assert!(again.iter().all(|f| !f.written), "a second export rewrites nothing");
    for file in &files {
        verify_parquet(&file.path).unwrap();
    }
    for folder in ["funding", "mark_index", "liquidations", "book_ticker_5m", "book_depth"] {
        assert!(lake.join("raw/perp/BTCUSDT").join(folder).is_dir(), "{folder}");
    }
    assert!(lake.join("raw/perp/SOLUSDT/open_interest").is_dir());
    let (_dir, mut copy) = self::store();
    let summary = run(&mut copy, &args(&[lake]));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    assert_eq!(copy.digest().unwrap(), store.digest().unwrap());
}
