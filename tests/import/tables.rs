//! Tables and folders as people have them.

use std::io::Write;
use std::path::Path;

use backtestd_binance::archive::FileKind;
use backtestd_core::market::{Bar, BarIndex, Market};
use backtestd_store::Store;
use sha2::{Digest, Sha256};

use crate::containers::{Format, table_of, write_table};
use crate::{args, data, run, store, symbol};

fn perp_bars(store: &Store, name: &str) -> Vec<Bar> {
    store.bars(Market::Perp, &symbol(name), BarIndex(0), BarIndex(i64::MAX / 2)).unwrap()
}

const ROWS: &str = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,\
                    taker_buy_quote_volume,ignore\n\
                    1735776000000,100.0,101.5,99.0,100.5,10,1735776299999,1000.0,5,5.0,500.0,0\n\
                    1735776300000,100.5,102.5,100.0,101.5,10,1735776599999,1010.0,5,5.0,505.0,0\n";

fn zip_of(path: &Path, members: &[(&str, &str)]) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, text) in members {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

fn perp_klines(store: &mut Store, path: &Path) -> backtestd::cli::import_cmd::ImportSummary {
    let mut args = args(&[path.to_owned()]);
    args.market = Some(Market::Perp);
    args.kind = Some(FileKind::Klines);
    run(store, &args)
}

#[test]
fn what_other_systems_leave_in_archives_and_folders_is_no_obstacle() {
    let (dir, mut store) = store();
    let folder = dir.path().join("downloads");
    std::fs::create_dir_all(folder.join("__MACOSX")).unwrap();
    zip_of(
        &folder.join("BTCUSDT-5m-2025-01.ZIP"),
        &[("__MACOSX/._BTCUSDT-5m-2025-01.csv", "not a table"), ("BTCUSDT-5m-2025-01.CSV", ROWS)],
    );
    std::fs::write(folder.join("ETHUSDT-5m-2025-01.CSV"), ROWS).unwrap();
    std::fs::write(folder.join("__MACOSX/._x.csv"), "no").unwrap();
    std::fs::write(folder.join("._ETHUSDT-5m-2025-01.csv"), "no").unwrap();
    let summary = perp_klines(&mut store, &folder);
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    assert_eq!((summary.files, summary.passed_over), (2, 0));
    assert_eq!((perp_bars(&store, "BTCUSDT").len(), perp_bars(&store, "ETHUSDT").len()), (2, 2));
}

#[test]
fn a_foreign_file_in_a_folder_is_passed_over_and_named_but_refused_when_given() {
    let (dir, mut store) = store();
    let folder = dir.path().join("data");
    std::fs::create_dir(&folder).unwrap();
    let foreign = folder.join("backtest_results.csv");
    std::fs::write(&foreign, "strategy,profit\nx,1\n").unwrap();
    std::fs::write(folder.join("notes.txt"), "hello").unwrap();
    std::fs::write(folder.join("BTCUSDT-5m-2025-01.csv"), ROWS).unwrap();
    for kind in [None, Some(FileKind::Klines)] {
        let mut args = args(std::slice::from_ref(&folder));
        args.market = Some(Market::Perp);
        args.kind = kind;
        let summary = run(&mut store, &args);
        assert!(summary.refused.is_empty(), "{:?}", summary.refused);
        assert_eq!((summary.files, summary.passed_over), (1, 2), "{kind:?}");
        assert!(summary.passed.iter().any(|(file, _)| *file == foreign));
    }
    assert_eq!(run(&mut store, &args(std::slice::from_ref(&foreign))).refused.len(), 1);
    assert_eq!(perp_klines(&mut store, &foreign).refused.len(), 1);
}

#[cfg(unix)]
#[test]
fn a_folder_with_links_to_itself_is_walked_once() {
    let (dir, mut store) = store();
    let folder = dir.path().join("data");
    std::fs::create_dir_all(folder.join("deep")).unwrap();
    std::fs::write(folder.join("BTCUSDT-5m-2025-01.csv"), ROWS).unwrap();
    std::os::unix::fs::symlink(&folder, folder.join("deep/up")).unwrap();
    std::os::unix::fs::symlink(&folder, folder.join("self")).unwrap();
    std::os::unix::fs::symlink(folder.join("BTCUSDT-5m-2025-01.csv"), folder.join("deep/BTCUSDT-5m.csv"))
        .unwrap();
    let summary = perp_klines(&mut store, &folder);
    assert_eq!((summary.files, summary.total().inserted), (1, 2));
}

#[test]
fn a_checksum_beside_a_file_is_honoured() {
    let (dir, mut store) = store();
    let path = dir.path().join("BTCUSDT-5m-2025-01.zip");
    zip_of(&path, &[("BTCUSDT-5m-2025-01.csv", ROWS)]);
    let sum = dir.path().join("BTCUSDT-5m-2025-01.zip.CHECKSUM");
    let hash: String =
        Sha256::digest(std::fs::read(&path).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
    std::fs::write(&sum, format!("{}  BTCUSDT-5m-2025-01.zip\n", "0".repeat(64))).unwrap();
    let refused = perp_klines(&mut store, &path).refused;
    assert!(refused[0].1.contains(&hash) && refused[0].1.contains("CHECKSUM says 0000"), "{}", refused[0].1);
    assert!(store.series().unwrap().is_empty());
    std::fs::write(&sum, format!("{hash}  BTCUSDT-5m-2025-01.zip\n")).unwrap();
    assert!(perp_klines(&mut store, &path).refused.is_empty());
}

#[test]
fn an_empty_file_is_noted() {
    let (dir, mut store) = store();
    for (name, text) in [("BTCUSDT-5m-1.csv", ""), ("BTCUSDT-5m-2.csv", ROWS.lines().next().unwrap())] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let summary = perp_klines(&mut store, &path);
        assert_eq!(summary.findings[0].what, "no rows: nothing to import", "{name}");
    }
}

#[test]
fn coin_margined_contracts_are_known_by_name_and_place() {
    let (dir, mut store) = store();
    for (name, file) in [
        ("BNBUSD_PERP", "futures/cm/monthly/klines/BNBUSD_PERP/5m/BNBUSD_PERP-5m-2025-01.csv"),
        ("DOTUSD", "futures/cm/daily/indexPriceKlines/DOTUSD/5m/DOTUSD-5m-2025-01-01.csv"),
        ("BTCUSD_250328", "BTCUSD_250328-5m-2025-01.csv"),
    ] {
        let path = dir.path().join("x").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, ROWS).unwrap();
        let mut named = args(&[path]);
        named.market = Some(Market::Perp);
        let refused = run(&mut store, &named).refused;
        assert!(refused[0].1.contains(&format!("{name} is a COIN-M")), "{}", refused[0].1);
    }
    let summary = perp_klines(&mut store, &dir.path().join("x"));
    assert_eq!((summary.files, summary.passed_over), (0, 3));
    assert!(store.series().unwrap().is_empty());
}

#[test]
fn a_flag_outweighs_a_folder_above_but_not_the_files_own_name() {
    let (dir, mut store) = store();
    let folder = dir.path().join("spot/ETHUSDT");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("BTCUSDT-5m.csv"), ROWS).unwrap();
    let mut said = args(&[folder.join("BTCUSDT-5m.csv")]);
    said.market = Some(Market::Perp);
    assert!(run(&mut store, &said).refused.is_empty());
    assert_eq!(perp_bars(&store, "BTCUSDT").len(), 2);
    said.symbol = Some(symbol("ETHUSDT"));
    let error = backtestd::cli::import_cmd::import(&mut store, &said, false).unwrap_err().to_string();
    assert!(error.contains("contradicts --symbol"), "{error}");
    // A folder below the one that is searched is no folder above.
    said.symbol = None;
    said.paths = vec![dir.path().to_owned()];
    assert_eq!(run(&mut store, &said).files, 0);
}

#[test]
fn a_market_that_nothing_says_is_asked_for_or_taken_from_the_kind() {
    let (dir, mut store) = store();
    let path = dir.path().join("BTCUSDT-5m-2025-01.csv");
    let headless: String = ROWS.lines().skip(1).map(|line| format!("{line}\n")).collect();
    for (text, kind, fits) in [
        (ROWS, None, false),
        (ROWS, Some(FileKind::Klines), true),
        (headless.as_str(), Some(FileKind::Klines), false),
    ] {
        std::fs::write(&path, text).unwrap();
        let mut args = args(std::slice::from_ref(&path));
        args.kind = kind;
        let summary = run(&mut store, &args);
        assert_eq!(summary.refused.is_empty(), fits, "{:?}", summary.refused);
        assert!(fits || summary.refused[0].1.contains("give --market"), "{:?}", summary.refused);
    }
}

#[test]
fn raw_metrics_mean_the_same_in_every_format() {
    let header = ["create_time", "symbol", "sum_open_interest", "sum_open_interest_value"];
    let rows: Vec<Vec<String>> = (0..4)
        .map(|i| {
            let time = format!("2026-07-01 00:{:02}:0{}", i * 5, i % 2);
            vec![time, "BTCUSDT".to_owned(), format!("{}.5", 100 + i), format!("{}.25", 1000 + i)]
        })
        .collect();
    let digests: Vec<_> = Format::ALL
        .iter()
        .map(|format| {
            let (dir, mut store) = store();
            let path = write_table(dir.path(), "BTCUSDT-metrics-2026-07-01", *format, &header, &rows);
            let summary = run(&mut store, &args(&[path]));
            assert!(summary.refused.is_empty(), "{:?}", summary.refused);
            let raw = store.raw(&[symbol("BTCUSDT")], crate::bar_at("2026-07-01T00:00:00Z"), 3).unwrap();
            let first = raw.symbols[0].open_interest[0];
            assert_eq!((first.ts.to_string().as_str(), first.contracts), ("2026-07-01T00:05:00Z", 100.5));
            store.digest().unwrap()
        })
        .collect();
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn settlements_some_milliseconds_off_the_hour_belong_to_it() {
    let (dir, mut store) = store();
    let path = dir.path().join("BTCUSDT-fundingRate.csv");
    std::fs::write(
        &path,
        "calc_time,funding_interval_hours,last_funding_rate\n1735775999997,8,0.0001\n1735804800006,8,0.0002\n",
    )
    .unwrap();
    run(&mut store, &args(&[path]));
    let raw = store.raw(&[symbol("BTCUSDT")], crate::bar_at("2025-01-01T23:00:00Z"), 200).unwrap();
    let times: Vec<_> = raw.symbols[0].funding.iter().map(|p| p.ts.to_string()).collect();
    assert_eq!(times, ["2025-01-02T00:00:00Z", "2025-01-02T08:00:00Z"]);
}

#[test]
fn the_tables_of_libraries_are_read() {
    let candles = ["date", "open", "high", "low", "close", "volume"];
    let row = |minute: i64, price: &str| -> Vec<String> {
        [&format!("2025-01-02 00:{minute:02}:00+00:00"), price, price, price, price, "10"]
            .map(str::to_owned)
            .to_vec()
    };
    let (dir, mut store) = store();
    let futures = dir.path().join("binance/futures");
    std::fs::create_dir_all(&futures).unwrap();
    let rows = [row(0, "100.5"), row(5, "101.5")];
    write_table(&futures, "BTC_USDT_USDT-5m-futures", Format::Feather, &candles, &rows);
    write_table(&futures, "BTC_USDT_USDT-1h-funding_rate", Format::Feather, &candles, &[row(0, "0.0001")]);
    let mut found = args(&[dir.path().join("binance")]);
    found.market = None;
    let summary = run(&mut store, &found);
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    assert_eq!(perp_bars(&store, "BTCUSDT").iter().map(|b| b.close).collect::<Vec<_>>(), [100.5, 101.5]);
    let raw = store.raw(&[symbol("BTCUSDT")], crate::bar_at("2025-01-01T23:55:00Z"), 1).unwrap();
    assert_eq!(raw.symbols[0].funding[0].rate, 0.0001);

    // A nested column that is not needed is no obstacle, and several markets in one table are kept apart.
    let header = ["timestamp", "symbol", "open", "high", "low", "close"];
    let unified = |name: &str, price: &str| -> Vec<String> {
        ["1735776000000", name, price, price, price, price].map(str::to_owned).to_vec()
    };
    let rows = [
        unified("ETH/USDT:USDT", "3400"),
        unified("ETH/USDT:USDT-250328", "3500"),
        unified("SOL/USDT", "200"),
    ];
    let path = write_table(dir.path(), "ohlcv_5m", Format::ParquetBrotli, &header, &rows);
    let summary = perp_klines(&mut store, &path);
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    assert_eq!(perp_bars(&store, "ETHUSDT").iter().map(|b| b.close).collect::<Vec<_>>(), [3400.0]);
    assert_eq!(perp_bars(&store, "SOLUSDT").len(), 1);
    assert!(table_of(&header, &rows).contains("ETH/USDT:USDT-250328"));
}

#[test]
fn every_bar_that_was_stored_too_early_is_found() {
    // 29 by another recording of the same days, which the other tests compare with bar by bar.
    let (_dir, mut store) = store();
    let mut malformed = args(&[data("malformed/BTCUSDT_spot_5m_some_bars_unfinished.csv.gz")]);
    malformed.market = Some(Market::Spot);
    let summary = run(&mut store, &malformed);
    let note = summary.findings.iter().find(|f| f.what.contains("before they closed")).unwrap();
    assert!(note.what.starts_with("29 bars"), "{note}");
    assert_eq!((summary.total().inserted, summary.in_doubt.len()), (4617, 0));
    assert_eq!(summary.quarantined.len(), 29, "stored, and unknown");
    assert!(summary.quarantined.iter().all(|q| q.rule == "unfinished"));
}

#[test]
fn a_true_bar_before_a_halt_stays_in_every_format() {
    let (dir, mut store) = store();
    let month = data("archive/futures/um/monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2025-01.zip");
    let mut text = String::new();
    let mut zip = zip::ZipArchive::new(std::fs::File::open(&month).unwrap()).unwrap();
    std::io::Read::read_to_string(&mut zip.by_index(0).unwrap(), &mut text).unwrap();
    let csv = dir.path().join("BTCUSDT-5m-2025-01.csv");
    std::fs::write(&csv, text).unwrap();
    let summary = perp_klines(&mut store, &csv);
    assert_eq!(summary.total().inserted, 31 * 288);
    let halt = crate::bar_at("2025-01-29T02:40:00Z");
    assert_eq!(summary.in_doubt.iter().map(|s| s.bar).collect::<Vec<_>>(), [halt], "alone it cannot be told");
    // The exchange's own file of another contract shows the same halt.
    run(&mut store, &args(&[data("archive/futures/um/monthly/klines/SOLUSDT/5m/SOLUSDT-5m-2025-01.zip")]));
    // Its own bar there is in doubt for as long as the other one is a table's word.
    let held = store.quarantine().unwrap();
    assert!(held.iter().all(|q| q.series.symbol == symbol("SOLUSDT")), "{held:?}");
    assert_eq!(perp_klines(&mut store, &csv).in_doubt, []);
}
