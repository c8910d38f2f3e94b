//! Which of two values stands, in any order of files, and what the ledger of conflicts says of it.

use std::io::Write;
use std::path::{Path, PathBuf};

use backtestd::cli::import_cmd::{ImportSummary, PreferArg, import};
use backtestd::verify::{ConflictQuery, conflicts_json};
use backtestd_core::market::{Bar, BarIndex, Market, SeriesKey};
use backtestd_core::market::{Kind, RawPut, Records};
use backtestd_store::{Delivery, Lot, Origin, Store};
use proptest::prelude::*;

use crate::{args, bar_at, one_bar, run, store, symbol};

const T0: &str = "2025-01-02T00:00:00Z";

/// Rows of klines as the archive has them: close, volume, trades.
type Rows = Vec<(f64, f64, i64)>;

fn text(rows: &Rows) -> String {
    let first = bar_at(T0).open().0;
    let line = |(n, (close, volume, trades)): (usize, &(f64, f64, i64))| {
        let open = first + n as i64 * 300_000;
        format!("{open},100,200,50,{close},{volume},{},{volume},{trades},0,0,0\n", open + 299_999)
    };
    rows.iter().enumerate().map(line).collect()
}

/// Writes a zip whose member was made at a day of the month.
fn zip(path: &Path, rows: &Rows, day: u8) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let made = zip::DateTime::from_date_and_time(2025, 3, day, 4, 0, 0).unwrap();
    let mut out = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().last_modified_time(made);
    out.start_file("a.csv", options).unwrap();
    out.write_all(text(rows).as_bytes()).unwrap();
    out.finish().unwrap();
}

/// Writes deliveries of the same bars below `dir`, the best first.
fn deliveries(dir: &Path, rows: [&Rows; 5]) -> Vec<PathBuf> {
    let daily = dir.join("daily/klines/BTCUSDT/5m/BTCUSDT-5m-2025-01-02.zip");
    let again = dir.join("old/daily/klines/BTCUSDT/5m/BTCUSDT-5m-2025-01-02.zip");
    let monthly = dir.join("monthly/klines/BTCUSDT/5m/BTCUSDT-5m-2025-01.zip");
    zip(&daily, rows[0], 20);
    zip(&again, rows[1], 10);
    zip(&monthly, rows[2], 28);
    let whole = dir.join("BTCUSDT-5m-mine.csv");
    std::fs::write(&whole, text(rows[3])).unwrap();
    let running = dir.join("BTCUSDT-5m-a.csv");
    std::fs::write(&running, text(rows[4])).unwrap();
    vec![daily, again, monthly, whole, running]
}

fn import_all(store: &mut Store, files: &[PathBuf], prefer: PreferArg) -> ImportSummary {
    let mut args = args(files);
    args.kind = Some(backtestd_binance::archive::FileKind::Klines);
    args.market = Some(Market::Perp);
    args.prefer = prefer;
    let summary = import(store, &args, false).unwrap();
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    summary
}

fn all(limit: usize) -> ConflictQuery {
    ConflictQuery { limit, ..ConflictQuery::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 60, ..ProptestConfig::default() })]

    /// Daily archive, an earlier publication of it, the month, a whole table, a table of a running bar:
    /// whatever was read first and in how many calls, the best of those that were read stands.
    #[test]
    fn the_best_delivery_stands_in_any_order_and_any_number_of_calls(
        order in Just(vec![0_usize, 1, 2, 3, 4]).prop_shuffle(),
        count in 1..=5_usize,
        together in any::<bool>(),
        again in any::<bool>(),
    ) {
        let (dir, mut store) = store();
        let folder = dir.path().join("files");
        // Each has another close; archives have the same trades, the running table fewer.
        let rows: Vec<Rows> = (0..5)
            .map(|n| vec![(101.0 + n as f64, if n == 4 { 2.0 } else { 9.0 }, if n == 4 { 1 } else { 7 }); 3])
            .collect();
        let files = deliveries(&folder, [&rows[0], &rows[1], &rows[2], &rows[3], &rows[4]]);
        let chosen: Vec<PathBuf> = order[..count].iter().map(|n| files[*n].clone()).collect();
        for _ in 0..=usize::from(again) {
            if together {
                import_all(&mut store, &chosen, PreferArg::Better);
            } else {
                for file in &chosen {
                    import_all(&mut store, std::slice::from_ref(file), PreferArg::Better);
                }
            }
        }
        let best = order[..count].iter().min().unwrap();
        let bar = one_bar(&store, Market::Perp, "BTCUSDT", T0);
        prop_assert_eq!(bar.close, 101.0 + *best as f64);
        // Every pair of deliveries that met is in the ledger once, however often they were read.
        let found = conflicts_json(&store, &all(1000)).unwrap();
        let pairs = found["total"].as_u64().unwrap() / 3;
        prop_assert!((count as u64 - 1..=(count * (count - 1) / 2) as u64).contains(&pairs), "{}", found);
    }
}

#[test]
fn d06_the_daily_row_stands_and_the_conflict_is_listed() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/cases/import/d06/spot"));
    let find = |span: &str| {
        let name = if span == "daily" { "BTCUSDT-5m-2020-12-21.zip" } else { "BTCUSDT-5m-2020-12.zip" };
        folder.join(span).join("klines/BTCUSDT/5m").join(name)
    };
    let whole = vec![folder.to_owned()];
    let orders = [whole, vec![find("daily"), find("monthly")], vec![find("monthly"), find("daily")]];
    for paths in orders {
        for calls in [vec![paths.clone()], paths.iter().map(|path| vec![path.clone()]).collect()] {
            let (_dir, mut store) = store();
            for paths in calls {
                run(&mut store, &args(&paths));
            }
            let bars =
                store.bars(Market::Spot, &symbol("BTCUSDT"), BarIndex(0), BarIndex(i64::MAX / 2)).unwrap();
            let closes = |close: f64| bars.iter().filter(|bar| bar.close == close).count();
            assert_eq!((closes(258.5), closes(257.9)), (1, 0), "{paths:?}");
            assert_eq!(bars.iter().find(|bar| bar.close == 258.5).unwrap().volume, 10.0);
            let found = conflicts_json(&store, &all(10)).unwrap();
            assert_eq!(found["total"], 1, "{found:#}");
            let conflict = &found["conflicts"][0];
            let (stands, other) = match conflict["stands"].as_str() {
                Some("new") => (&conflict["new"], &conflict["old"]),
                _ => (&conflict["old"], &conflict["new"]),
            };
            assert_eq!(
                (&stands["source"], &other["source"]),
                (&"archive_daily".into(), &"archive_monthly".into())
            );
            assert!(stands["file"].as_str().unwrap().ends_with("BTCUSDT-5m-2020-12-21.zip"), "{stands}");
            assert!(other["file"].as_str().unwrap().ends_with("BTCUSDT-5m-2020-12.zip"), "{other}");
            assert_eq!(
                (&stands["values"]["close"], &other["values"]["close"]),
                (&258.5.into(), &257.9.into())
            );
        }
    }
}

#[test]
fn d07_the_running_last_row_of_a_table_never_replaces_the_archive_and_a_preference_does() {
    let (dir, mut store) = store();
    let (whole, running) = (vec![(106.5, 10.0, 5); 2], vec![(106.5, 10.0, 5), (106.1, 0.3, 1)]);
    let files = deliveries(dir.path(), [&whole, &whole, &whole, &whole, &running]);
    import_all(&mut store, &files[..1], PreferArg::Better);
    let second = "2025-01-02T00:05:00Z";
    let summary = import_all(&mut store, &files[4..], PreferArg::Better).total();
    assert_eq!((summary.conflicts, summary.kept, summary.unchanged), (0, 1, 1));
    let line = summary.listed[0].to_string();
    assert!(line.contains("close stays 106.5 (archive_daily), not 106.1 (table)"), "{line}");
    assert_eq!(one_bar(&store, Market::Perp, "BTCUSDT", second).close, 106.5);
    let summary = import_all(&mut store, &files[4..], PreferArg::New).total();
    assert_eq!((summary.conflicts, summary.kept), (1, 0));
    assert_eq!(one_bar(&store, Market::Perp, "BTCUSDT", second).close, 106.1);
    let summary = import_all(&mut store, &files[..1], PreferArg::Stored).total();
    assert_eq!((summary.conflicts, summary.kept), (0, 1));
    assert_eq!(one_bar(&store, Market::Perp, "BTCUSDT", second).close, 106.1);
    import_all(&mut store, &files[..1], PreferArg::Better);
    assert_eq!(one_bar(&store, Market::Perp, "BTCUSDT", second).close, 106.5);
    // The same two rows, however often they met.
    assert_eq!(conflicts_json(&store, &all(10)).unwrap()["total"], 1);
}

#[test]
fn rest_confirms_the_stream_and_the_archive_corrects_what_has_no_more_trades() {
    let (dir, mut store) = store();
    // Of the first bar the file has fewer trades than REST, of the second as many.
    let rows: Rows = vec![(103.0, 9.0, 6), (103.0, 9.0, 7)];
    let files = deliveries(dir.path(), [&rows, &rows, &rows, &rows, &rows]);
    let first = bar_at(T0);
    let bar = |n: i64, close: f64| {
        Bar::from_values(first + n, [100.0, 200.0, 50.0, close, 9.0, 9.0, 7.0, 0.0, 0.0])
    };
    let deliver = |store: &mut Store, origin, bars: Vec<Bar>| {
        let puts = [RawPut { symbol: symbol("BTCUSDT"), records: Records::Bars(Market::Perp, bars) }];
        let lot = Lot { puts: &puts, delivery: Delivery::new(origin, "test"), completes: None };
        store.put_history(&[lot], &[]).unwrap().remove(0).1
    };
    deliver(&mut store, Origin::Stream, vec![bar(0, 104.0), bar(1, 105.0)]);
    let report = deliver(&mut store, Origin::Rest, vec![bar(0, 104.0), bar(1, 106.0)]);
    assert_eq!((report.unchanged, report.confirmed, report.conflicts), (1, 1, 1));
    let late = deliver(&mut store, Origin::Stream, vec![bar(0, 104.0), bar(1, 105.0)]);
    assert_eq!((late.unchanged, late.confirmed, late.kept), (1, 0, 1), "a bar that REST has confirmed stays");
    let summary = import_all(&mut store, &files[..1], PreferArg::Better).total();
    assert_eq!((summary.conflicts, summary.kept), (1, 1));
    let again = deliver(&mut store, Origin::Rest, vec![bar(0, 104.0), bar(1, 106.0)]);
    assert_eq!((again.unchanged, again.kept), (1, 1), "what the file has corrected is not undone by REST");
    let key = SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol: symbol("BTCUSDT") };
    let stored = store.series_rows(&key, first.0, first.0 + 2).unwrap();
    assert_eq!(
        (&stored.columns[3], &stored.origins),
        (&vec![104.0, 103.0], &vec![Origin::Rest, Origin::ArchiveDaily])
    );
    let stream = conflicts_json(&store, &all(10)).unwrap();
    assert_eq!(stream["total"], 3, "stream and REST met once, the archive contradicts both bars");
}

#[test]
fn what_the_lake_says_of_its_rows_is_kept_on_the_way_back() {
    let (dir, mut store) = store();
    let rows: Rows = vec![(103.0, 9.0, 7); 4];
    let files = deliveries(dir.path(), [&rows, &rows, &rows, &rows, &rows]);
    import_all(&mut store, &files[..1], PreferArg::Better);
    let first = bar_at(T0);
    let bar = |n: i64| Bar::from_values(first + n, [100.0, 200.0, 50.0, 103.0, 9.0, 9.0, 7.0, 0.0, 0.0]);
    for (origin, n) in [(Origin::Rest, 2), (Origin::Stream, 5), (Origin::Table, 6)] {
        store.put_bars(Market::Perp, &symbol("BTCUSDT"), &[bar(n)], Delivery::new(origin, "test")).unwrap();
    }
    let key = SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol: symbol("BTCUSDT") };
    let said = |store: &Store| {
        let rows = store.series_rows(&key, first.0, first.0 + 9).unwrap();
        (rows.origins, rows.made)
    };
    let (origins, made) = said(&store);
    let daily = Origin::ArchiveDaily;
    assert_eq!(origins, [daily, daily, Origin::Rest, daily, Origin::Stream, Origin::Table]);
    assert_eq!(made[0].unwrap().to_string(), "2025-03-20T04:00:00Z");
    assert_eq!(made[4], None);
    let whole = (BarIndex(0), BarIndex(i64::MAX / 2));
    let lake = dir.path().join("lake");
    backtestd_store::lake::export_raw(&store, &lake, &[], whole.0, whole.1).unwrap();
    let (_dir, mut copy) = self::store();
    run(&mut copy, &args(&[lake]));
    assert_eq!(said(&copy), (origins, made));
    assert_eq!(copy.digest().unwrap(), store.digest().unwrap());
}
