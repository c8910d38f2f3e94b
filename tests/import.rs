//! Importing real archive files: row counts, idempotence, units, defects, refusals.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "import/cases.rs"]
mod cases;
mod common;
#[path = "import/containers.rs"]
mod containers;
#[path = "import/doubts.rs"]
mod doubts;
#[path = "import/extracts.rs"]
mod extracts;
#[path = "import/layouts.rs"]
mod layouts;
#[path = "import/quotes.rs"]
mod quotes;
#[path = "import/ranks.rs"]
mod ranks;
#[path = "import/readme.rs"]
mod readme;
#[path = "import/recordings.rs"]
mod recordings;
#[path = "import/tables.rs"]
mod tables;

use std::path::PathBuf;

use backtestd::cli::import_cmd::{ImportArgs, ImportSummary, PreferArg, import};
use backtestd_binance::archive::FileKind;
use backtestd_core::market::{
    Bar, BarIndex, BookDepth, Kind, LongShortRatio, Market, RawPut, RawSymbol, Source, Symbol, Ts, parse_time,
};
use backtestd_store::lake::{export_raw, verify_parquet};
use backtestd_store::{Delivery, Fsync, Origin, Store};
use tempfile::TempDir;

fn data(path: &str) -> PathBuf {
    common::recorded::extract(path)
}

fn args(paths: &[PathBuf]) -> ImportArgs {
    ImportArgs {
        market: None,
        kind: None,
        symbol: None,
        continuous: false,
        prefer: PreferArg::Better,
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
fn a_month_of_perp_klines_is_complete_and_importing_it_again_changes_nothing() {
    let (_dir, mut store) = store();
    let args = args(&[data("archive/futures/um/monthly/klines/BTCUSDT")]);
    let first = run(&mut store, &args);
    assert!(first.refused.is_empty(), "{:?}", first.refused);
    assert_eq!((first.files, first.total().inserted), (1, 31 * 288));
    assert_eq!(first.findings, []);
    let range = store.range(Market::Perp, &symbol("BTCUSDT")).unwrap().unwrap();
    assert_eq!(range, (bar_at("2025-01-01T00:00:00Z"), bar_at("2025-01-31T23:55:00Z")));
    let bar = one_bar(&store, Market::Perp, "BTCUSDT", "2025-01-01T00:00:00Z");
    assert_eq!(
        bar.values(),
        [93548.8, 93690.0, 93514.2, 93648.4, 341.604, 31982601.3068, 8176.0, 148.318, 13885565.6511]
    );

    let again = run(&mut store, &args).total();
    assert!(again.is_noop());
    assert_eq!(again.unchanged, 31 * 288);
}

#[test]
fn an_exchange_halt_is_bars_without_volume_not_a_gap() {
    let (_dir, mut store) = store();
    run(&mut store, &args(&[data("archive/futures/um/monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2025-01.zip")]));
    let month = (bar_at("2025-01-01T00:00:00Z"), bar_at("2025-02-01T00:00:00Z"));
    let bars = store.bars(Market::Perp, &symbol("BTCUSDT"), month.0, month.1).unwrap();
    let silent: Vec<&Bar> = bars.iter().filter(|bar| bar.volume == 0.0).collect();
    let times: Vec<BarIndex> = silent.iter().map(|bar| bar.bar).collect();
    assert_eq!(times, [bar_at("2025-01-29T01:25:00Z"), bar_at("2025-01-29T01:30:00Z")]);
    for bar in silent {
        assert_eq!((bar.trades, bar.taker_buy_volume, bar.close), (0.0, 0.0, 101_770.1));
    }
}

#[test]
fn one_minute_spot_klines_in_either_time_unit_become_five_minute_bars() {
    let (_dir, mut store) = store();
    let summary = run(&mut store, &args(&[data("archive/spot/daily/klines")]));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    // A day of 2020 in ms and a day of 2026 in us, neither with a header.
    assert_eq!(summary.total().inserted, 2 * 288);
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
    assert_eq!(half.symbols[0].open_interest.len(), 18, "12:05 to 13:30");
    // The files begin with 00:00 until 2024-03-03 and with 00:05 from then on: nobody has 2024-03-04 00:00.
    let night = store.raw(&symbols, bar_at("2024-03-03T23:45:00Z"), 6).unwrap();
    let times: Vec<_> = night.symbols[0].open_interest.iter().map(|o| o.ts.to_string()).collect();
    assert_eq!(times.len(), 5, "{times:?}");
    assert_eq!((times[1].as_str(), times[2].as_str()), ("2024-03-03T23:55:00Z", "2024-03-04T00:05:00Z"));
    assert!(summary.findings.iter().any(|f| f.what.contains("open interest 0")));
    assert!(run(&mut store, &args).total().is_noop());
}

#[test]
fn long_short_ratios_come_with_the_metrics_each_column_from_the_first_row_that_knows_it() {
    let (_dir, mut store) = store();
    let file = |symbol: &str, day: &str| {
        data(&format!("archive/futures/um/daily/metrics/{symbol}/{symbol}-metrics-{day}.zip"))
    };
    let args = args(&[file("BTCUSDT", "2025-04-15"), file("SOLUSDT", "2025-01-23")]);
    let summary = run(&mut store, &args);
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    let ratios = |store: &Store, name: &str, time: &str, rows| {
        let block = store.raw(&[symbol(name)], bar_at(time), rows).unwrap();
        block.symbols.into_iter().flat_map(|raw| raw.long_short_ratio).collect::<Vec<_>>()
    };
    let columns = |r: &LongShortRatio| [r.top_accounts, r.top_positions, r.accounts, r.taker_volume];
    // The rows of 12:50:16 and later have a taker ratio and nothing else: they repeat the slot of 12:50.
    let day = ratios(&store, "BTCUSDT", "2025-04-15T12:45:00Z", 6);
    assert_eq!(day.len(), 6);
    assert_eq!(day[0].ts.to_string(), "2025-04-15T12:50:00Z");
    assert_eq!(columns(&day[0]), [0.86446119, 1.794472, 0.75910384, 1.372798]);
    assert_eq!(columns(&day[4]), [0.86754078, 1.79742, 0.76257009, 0.885984]);
    // A blank is unknown, not 0, and the other ratios of the row are not lost with it.
    let blank = ratios(&store, "SOLUSDT", "2025-01-23T14:40:00Z", 1);
    assert!(blank[0].top_accounts.is_nan());
    assert_eq!(columns(&blank[0])[1..], [2.951799, 2.61195424, 1.447177]);
    assert_eq!(
        store.coverage(&symbol("SOLUSDT")).unwrap(),
        [
            Source::Oi,
            Source::OiValue,
            Source::LsRatioTopAccounts,
            Source::LsRatioTopPositions,
            Source::LsRatioAccounts,
            Source::TakerLsRatio
        ]
    );
    assert!(run(&mut store, &args).total().is_noop());
}

#[test]
fn a_file_whose_rows_change_width_is_refused_whole_with_the_line() {
    let (_dir, mut store) = store();
    let summary = run(&mut store, &args(&[data("malformed/ETHUSDT_spot_5m_rows_change_width.csv")]));
    let (_, reason) = &summary.refused[0];
    assert!(reason.contains("rows_change_width.csv:51: 13 fields where 12 belong"), "{reason}");
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
    assert_eq!((summary.files, summary.passed_over), (0, 1));
}

#[test]
fn bars_that_were_stored_before_they_closed_are_quarantined_and_reported() {
    let (_dir, mut store) = store();
    let mut malformed = args(&[data("malformed/BTCUSDT_spot_5m_some_bars_unfinished.csv.gz")]);
    malformed.market = Some(Market::Spot);
    let summary = run(&mut store, &malformed);
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    let note = summary.findings.iter().find(|f| f.what.contains("before they closed")).unwrap();
    assert!(note.what.contains("2025-09-18T15:05:00Z"), "{note}");
    let at = bar_at("2025-09-20T00:30:00Z");
    assert!(store.bars(Market::Spot, &symbol("BTCUSDT"), at, at.next()).unwrap().is_empty());
    let total = summary.total();
    assert_eq!(total.inserted, 4617, "all are in the log, and some of them in quarantine");
    // Another recording of the same days contradicts 29 bars of the file: no other bar may be left out.
    let (_dir, mut other) = self::store();
    run(&mut other, &args(&[data("frames/spot_BTCUSDT_5m_ohlcv_2025_09_05.parquet")]));
    let days = (bar_at("2025-09-05T00:00:00Z"), bar_at("2025-09-21T00:45:00Z"));
    let bars = |store: &Store| store.bars(Market::Spot, &symbol("BTCUSDT"), days.0, days.1).unwrap();
    let (truth, kept) = (bars(&other), bars(&store));
    let as_kept = |bar: &&Bar| {
        let found = kept.binary_search_by_key(&bar.bar, |b| b.bar).map(|at| kept[at]);
        found.is_ok_and(|b| (b.close, b.volume) == (bar.close, bar.volume))
    };
    assert_eq!((truth.len(), truth.iter().filter(as_kept).count()), (4617, 4617 - 29));
    // Rows whose later columns are blank are kept with these unknown.
    let bar = one_bar(&store, Market::Spot, "BTCUSDT", "2025-09-20T05:40:00Z");
    assert_eq!((bar.volume, bar.trades.is_nan()), (13.90289, true));
}

#[test]
fn parquet_tables_fill_what_the_archive_lacks_and_agree_with_it_elsewhere() {
    let (_dir, mut store) = store();
    let month = data("archive/futures/um/monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2025-01.zip");
    run(&mut store, &args(&[month]));
    let summary = run(&mut store, &args(&[data("frames/perp_BTCUSDT_5m_ohlcv_2025_01_30.parquet")]));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    let total = summary.total();
    assert_eq!(total.conflicts, 0, "{:?}", total.listed);
    assert_eq!(total.unchanged, 2 * 288, "the month is known already, and better");
    assert_eq!(total.inserted, 3 * 288);
    let bar = one_bar(&store, Market::Perp, "BTCUSDT", "2025-01-31T12:00:00Z");
    assert!(bar.trades > 0.0);
    let bar = one_bar(&store, Market::Perp, "BTCUSDT", "2025-02-02T12:00:00Z");
    assert!(bar.trades.is_nan() && bar.volume > 0.0);
}

#[test]
fn a_funding_table_of_many_symbols_is_split_by_its_symbol_column() {
    let (_dir, mut store) = store();
    let summary = run(&mut store, &args(&[data("frames/perp_funding_5_symbols.parquet")]));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    assert_eq!((summary.series.len(), summary.total().inserted), (5, 760));
    let day = store.raw(&[symbol("BTCUSDT")], bar_at("2025-01-10T00:00:00Z"), 288).unwrap();
    let times: Vec<_> = day.symbols[0].funding.iter().map(|p| p.ts.to_string()).collect();
    assert_eq!(times, ["2025-01-10T08:00:00Z", "2025-01-10T16:00:00Z", "2025-01-11T00:00:00Z"]);
}

#[test]
fn settlements_follow_the_real_switches_between_eight_four_two_and_one_hours() {
    let (_dir, mut store) = store();
    run(&mut store, &args(&[data("frames/perp_funding_5_symbols.parquet")]));
    for (name, day, settlements) in [
        ("SOLUSDT", "2025-01-10", 3),
        ("ORCAUSDT", "2025-03-20", 6),
        ("ORCAUSDT", "2025-03-22", 12),
        ("ORCAUSDT", "2025-03-25", 6),
        ("PIPPINUSDT", "2026-02-01", 24),
        ("PIPPINUSDT", "2026-02-03", 6),
        ("RIVERUSDT", "2026-01-13", 6),
        ("RIVERUSDT", "2026-01-16", 24),
    ] {
        let raw = store.raw(&[symbol(name)], bar_at(&format!("{day}T00:00:00Z")), 288).unwrap();
        assert_eq!(raw.symbols[0].funding.len(), settlements, "{name} {day}");
    }
}

#[test]
fn mark_klines_of_an_hour_are_refused_because_they_cannot_be_five_minute_bars() {
    let (_dir, mut store) = store();
    let summary = run(&mut store, &args(&[data("frames/mark_SOLUSDT_1h_2025_01.parquet")]));
    let (_, reason) = &summary.refused[0];
    assert!(reason.contains("bars of 60 min cannot be made into 5-minute bars"), "{reason}");
}

#[test]
fn a_liquidation_capture_counts_each_order_once() {
    let (_dir, mut store) = store();
    let mut args = args(&[data("liquidations/recorded_2025-01.csv.gz")]);
    args.continuous = true;
    let summary = run(&mut store, &args);
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    // 3510 rows are 1837 orders: two recorders saw most of them.
    let note = &summary.findings[0].what;
    assert!(note.starts_with("1673 of 3510 rows repeat an order, dropped"), "{note}");
    let hour = store.raw(&[symbol("BTCUSDT")], bar_at("2025-01-27T17:00:00Z"), 2).unwrap();
    let bars = &hour.symbols[0].liquidations;
    let seen: Vec<_> = bars.iter().map(|b| (b.long_n, b.short_n, b.coverage)).collect();
    assert_eq!(seen, [(0.0, 5.0, 1.0), (12.0, 0.0, 1.0)]);
    assert!((bars[1].long_usd - 229_037.329_68).abs() < 1e-6, "{}", bars[1].long_usd);
}

#[test]
fn the_lake_reads_back_into_an_equal_store() {
    let (dir, mut store) = store();
    run(
        &mut store,
        &args(&[
            data("archive/futures/um/monthly/klines/SOLUSDT/5m/SOLUSDT-5m-2025-01.zip"),
            data("archive/futures/um/daily/metrics/SOLUSDT/SOLUSDT-metrics-2025-01-03.zip"),
            data("archive/spot/daily/klines"),
        ]),
    );
    // Everything else that the store can hold, with unknown values among it.
    let whole = common::market(3, 2, 400);
    for (name, raw) in common::symbols(2).iter().zip(whole.symbols) {
        let depth = (0..40).map(|i| BookDepth {
            ts: Ts(common::START.open().0 + i * 30_000),
            bid_1pct: if i % 7 == 0 { f64::NAN } else { 1e6 + i as f64 },
            ask_1pct: 2e6,
        });
        let raw = RawSymbol { depth: depth.collect(), ..raw };
        let beside_bars = raw.into_records().into_iter().filter(|r| r.kind() != Kind::Bars);
        let puts: Vec<RawPut> = beside_bars.map(|records| RawPut { symbol: name.clone(), records }).collect();
        store.put(&puts, Delivery::new(Origin::Stream, "test")).unwrap();
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
    for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Bars) {
        let folder = kind.facts().lake;
        assert!(lake.join("raw/perp/BTCUSDT").join(folder).is_dir(), "{folder}");
    }
    assert!(lake.join("raw/perp/SOLUSDT/open_interest").is_dir());
    let (_dir, mut copy) = self::store();
    let summary = run(&mut copy, &args(&[lake]));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    assert_eq!(copy.digest().unwrap(), store.digest().unwrap());
}
