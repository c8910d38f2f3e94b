//! Book ticker and book depth files: recorded messages and constructed files in the archive's own layout.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use backtestd_binance::aggregate::QuoteAggregator;
use backtestd_binance::update::{BookTicker, Stamped, Update};
use backtestd_core::market::{BarIndex, Market, QuoteBar, Ts};
use backtestd_store::Store;
use serde_json::Value;

use crate::common::recorded::{extract, recording};
use crate::{args, bar_at, run, store, symbol};

const HEADER: &str =
    "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n";

const RECORDED: &str = "ws_recordings/usdm_btcusdt_20240808.gz";

/// Recorded quotes as rows of the archive, in the order of their reception.
fn rows_of(recording: &Path) -> Vec<(i64, String)> {
    let file = std::fs::File::open(recording).unwrap();
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file).read_to_string(&mut text).unwrap();
    let quotes = text.lines().filter(|line| line.contains("@bookTicker"));
    quotes
        .map(|line| {
            let message: Value = serde_json::from_str(line.split_once(' ').unwrap().1).unwrap();
            let d = &message["data"];
            let field = |name: &str| d[name].as_str().map_or_else(|| d[name].to_string(), str::to_owned);
            let row = ["u", "b", "B", "a", "A", "T", "E"].map(field).join(",") + "\n";
            (d["T"].as_i64().unwrap(), row)
        })
        .collect()
}

/// Those of the 18 seconds around 2024-08-08 23:55 that the repository has.
fn recorded_rows() -> Vec<(i64, String)> {
    let rows = rows_of(&extract(RECORDED));
    assert_eq!(rows.len(), 4300);
    rows
}

fn write_zip(dir: &Path, name: &str, rows: &[String]) -> PathBuf {
    let path = dir.join(format!("{name}.zip"));
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    zip.start_file(format!("{name}.csv"), zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(HEADER.as_bytes()).unwrap();
    for row in rows {
        zip.write_all(row.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    path
}

/// What the live aggregator makes of the rows.
fn live(rows: &[(i64, String)]) -> Vec<QuoteBar> {
    let first = Ts(rows.iter().map(|(ts, _)| *ts).min().unwrap()).bar();
    let last = Ts(rows.iter().map(|(ts, _)| *ts).max().unwrap()).bar();
    let mut aggregator = QuoteAggregator::new(&[symbol("BTCUSDT")], first);
    for (ts, row) in rows {
        let v: Vec<&str> = row.trim().split(',').collect();
        let number = |i: usize| v[i].parse().unwrap();
        let update = Update::BookTicker(BookTicker {
            market: Market::Perp,
            symbol: symbol("BTCUSDT"),
            update_id: v[0].parse().unwrap(),
            bid: number(1),
            bid_quantity: number(2),
            ask: number(3),
            ask_quantity: number(4),
            event_ts: Some(Ts(*ts)),
        });
        aggregator.observe(&Stamped { arrival: Ts(*ts), update });
    }
    let mut out = Vec::new();
    let mut bar = first;
    while bar <= last {
        out.push(aggregator.finish(bar).remove(0).1);
        bar = bar.next();
    }
    out
}

fn stored(store: &Store, from: BarIndex, rows: usize) -> Vec<QuoteBar> {
    store.raw(&[symbol("BTCUSDT")], from, rows).unwrap().symbols.remove(0).quotes
}

/// Equal bit for bit; NaN equals NaN.
fn text(bars: &[QuoteBar]) -> Vec<String> {
    bars.iter().map(|b| format!("{b:?}")).collect()
}

#[test]
fn a_book_ticker_file_comes_to_what_the_stream_of_the_same_quotes_comes_to() {
    let bars = imported_as_live(&recorded_rows());
    // From 23:54:53.301 on; the last quote, of 23:55:11.265, counts for five seconds.
    let seconds: Vec<f64> = bars.iter().map(|b| (b.coverage * 300.0).round()).collect();
    assert_eq!(seconds, [7.0, 16.0]);
    assert!((0.01..1.0).contains(&bars[1].spread_bps_mean), "a tick is 0.016 bps of BTC: {bars:?}");

    if let Some(whole) = recording(RECORDED) {
        let rows = rows_of(&whole);
        assert_eq!(rows.len(), 66_089);
        let bars = imported_as_live(&rows);
        let busy = bars.iter().find(|b| b.coverage > 0.7).expect("most of a bar was recorded");
        assert!((0.01..1.0).contains(&busy.spread_bps_mean), "{busy:?}");
    }
}

/// Imports the rows as a file, twice; the bars, which must be those that the live aggregator makes of the
/// rows.
fn imported_as_live(rows: &[(i64, String)]) -> Vec<QuoteBar> {
    let (dir, mut store) = store();
    let csv: Vec<String> = rows.iter().map(|(_, row)| row.clone()).collect();
    let path = write_zip(dir.path(), "BTCUSDT-bookTicker-2024-08-08", &csv);
    let summary = run(&mut store, &args(std::slice::from_ref(&path)));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    let expected = live(rows);
    assert_eq!(text(&stored(&store, expected[0].bar, expected.len())), text(&expected));
    let digest = store.digest().unwrap();
    let again = run(&mut store, &args(&[path]));
    assert!(again.total().is_noop(), "{:?}", again.total());
    assert_eq!(store.digest().unwrap(), digest);
    expected
}

#[test]
fn a_bar_split_over_two_files_is_whole_whatever_their_order() {
    let rows = recorded_rows();
    let expected = text(&live(&rows));
    let first = Ts(rows[0].0).bar();
    // Inside the second bar, six seconds before the recording ends.
    let cut = rows.iter().position(|(ts, _)| *ts >= first.next().open().0 + 5_000).unwrap();
    let part = |rows: &[(i64, String)]| rows.iter().map(|(_, row)| row.clone()).collect::<Vec<_>>();
    for reversed in [false, true] {
        let (dir, mut store) = store();
        let mut paths = vec![
            write_zip(dir.path(), "BTCUSDT-bookTicker-1", &part(&rows[..cut])),
            write_zip(dir.path(), "BTCUSDT-bookTicker-2", &part(&rows[cut..])),
        ];
        if reversed {
            paths.reverse();
        }
        for path in &paths {
            let summary = run(&mut store, &args(std::slice::from_ref(path)));
            assert!(summary.refused.is_empty(), "{:?}", summary.refused);
            assert_eq!(summary.total().conflicts, 0, "a completed bar is no contradiction");
        }
        assert_eq!(text(&stored(&store, first, expected.len())), expected, "reversed: {reversed}");
        let digest = store.digest().unwrap();
        for path in &paths {
            run(&mut store, &args(std::slice::from_ref(path)));
        }
        assert_eq!(store.digest().unwrap(), digest, "importing the parts again changes nothing");
    }
}

#[test]
fn rows_out_of_order_and_crossed_quotes_change_nothing_and_are_reported() {
    let (dir, mut store) = store();
    let mut rows = recorded_rows();
    let expected = text(&live(&rows));
    // Ids and times go back and forth by up to a few hundred rows.
    for block in rows.chunks_mut(400) {
        block.reverse();
    }
    let mut csv: Vec<String> = rows.iter().map(|(_, row)| row.clone()).collect();
    // A crossed and a one-sided quote, each followed by a good one within its second.
    let (ts, last) = rows.iter().max_by_key(|(ts, row)| (*ts, row.clone())).unwrap();
    let id: i64 = last.split(',').next().unwrap().parse().unwrap();
    let second = ts - ts.rem_euclid(1000);
    csv.insert(0, format!("{},61900.0,1,61800.0,1,{second},{second}\n", id - 2));
    csv.insert(0, format!("{},61800.0,0,61800.1,1,{second},{second}\n", id - 1));
    let path = write_zip(dir.path(), "BTCUSDT-bookTicker-2024-08-08", &csv);
    let summary = run(&mut store, &args(&[path]));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    let first = live(&rows)[0].bar;
    assert_eq!(text(&stored(&store, first, expected.len())), expected);
    let notes: Vec<&str> = summary.findings.iter().map(|f| f.what.as_str()).collect();
    assert!(notes.iter().any(|n| n.starts_with("2 crossed or one-sided quotes")), "{notes:?}");
    assert!(notes.iter().any(|n| n.contains("update_id is below")), "{notes:?}");
}

#[test]
fn a_malformed_row_is_named_and_nothing_of_its_file_is_stored() {
    let good = "5,100.0,1,100.1,1,1722902400123,1722902400123\n";
    for (bad, expected) in [
        ("6,100.0,1,100.1,1\n", ":3: 5 fields where 7 belong"),
        ("6,100.0,1,abc,1,1722902401000,1722902401000\n", ":3: best_ask_price is 'abc': not a finite number"),
        (
            "6,-1,1,100.1,1,1722902401000,1722902401000\n",
            ":3: best_bid_price is '-1': a quote needs a number",
        ),
        ("6,100.0,,100.1,1,1722902401000,1722902401000\n", ":3: best_bid_qty is '': a quote needs a number"),
        ("x,100.0,1,100.1,1,1722902401000,1722902401000\n", ":3: update_id is 'x': not a whole number"),
        ("6,100.0,1,100.1,1,yesterday,1722902401000\n", ":3: transaction_time is 'yesterday': not a time"),
        (
            "6,100.0,1,100.1,1,4000000000000,4000000000000\n",
            ":3: transaction_time is '4000000000000': more than a month",
        ),
        (
            "6,100.0,1,100.1,1,1722895200000,1722895200000\n",
            ":3: transaction_time is '1722895200000': more than an hour",
        ),
    ] {
        let (dir, mut store) = store();
        let path = write_zip(dir.path(), "BTCUSDT-bookTicker-2024-08-06", &[good.to_owned(), bad.to_owned()]);
        let summary = run(&mut store, &args(&[path]));
        assert_eq!(summary.files, 0, "{bad}");
        assert!(summary.refused[0].1.contains(expected), "{} does not say {expected}", summary.refused[0].1);
        assert!(store.series().unwrap().is_empty(), "{bad}");
    }
}

#[test]
fn a_quote_just_before_midnight_counts_in_the_first_seconds_of_the_next_days_file() {
    let (dir, mut store) = store();
    let midnight = 1_722_902_400_000_i64;
    let quote = |id: i64, ts: i64| format!("{id},100.0,1,100.1,1,{ts},{ts}\n");
    let before = write_zip(dir.path(), "BTCUSDT-bookTicker-2024-08-05", &[quote(1, midnight - 1500)]);
    let after = write_zip(dir.path(), "BTCUSDT-bookTicker-2024-08-06", &[quote(2, midnight + 10_000)]);
    run(&mut store, &args(&[before, after]));
    let bars = stored(&store, Ts(midnight).bar() - 1, 2);
    // Two snapshots of the first quote before midnight; three after it, then five of the second.
    let seconds: Vec<f64> = bars.iter().map(|b| (b.coverage * 300.0).round()).collect();
    assert_eq!(seconds, [2.0, 3.0 + 5.0]);
}

/// Imports `rows` generated quotes, 100 a second, with the binary; its summary.
fn import_generated(rows: i64) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("BTCUSDT-bookTicker-2024-08-06.csv");
    let mut out = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    out.write_all(HEADER.as_bytes()).unwrap();
    for i in 0..rows {
        let (id, price, ts) = (5_000_000_000_000 + i, 61_000 + i % 97, 1_722_902_400_000 + i * 10);
        writeln!(out, "{id},{price}.10,1.234,{price}.20,5.678,{ts},{ts}").unwrap();
    }
    out.into_inner().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_backtestd"))
        .args(["import", "--json", "--state"])
        .arg(dir.path().join("state"))
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn memory_stays_flat_while_a_large_file_streams_by() {
    let (small, large) = (import_generated(5_000), import_generated(700_000));
    assert_eq!(large["series"][0]["inserted"], 24, "two hours are 24 bars");
    let peak = |summary: &Value| summary["peak_memory_mib"].as_i64().unwrap();
    let more = peak(&large) - peak(&small);
    assert!(more < 12, "{more} MiB more for a file of 50 MB than for one of 0.3 MB");
}

#[test]
fn book_depth_keeps_the_snapshots_at_one_percent() {
    let (dir, mut store) = store();
    let path = dir.path().join("BTCUSDT-bookDepth-2024-08-06.csv");
    let mut text = "timestamp,percentage,depth,notional\n".to_owned();
    for (at, bid, ask) in
        [("00:00:09", 1000.5, 900.25), ("00:00:39", 0.0, 950.0), ("00:01:09", 1100.0, 980.0)]
    {
        for (percent, notional) in [(-5, 9000.0), (-1, bid), (1, ask), (5, 8000.0)] {
            text.push_str(&format!("2024-08-06 {at},{percent},12.5,{notional}\n"));
        }
        text.push_str(&format!("2024-08-06 {at},-0.20,1.5,100.0\n"));
    }
    std::fs::write(&path, &text).unwrap();
    let summary = run(&mut store, &args(std::slice::from_ref(&path)));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    let raw = store.raw(&[symbol("BTCUSDT")], bar_at("2024-08-06T00:00:00Z"), 1).unwrap();
    let depth: Vec<_> =
        raw.symbols[0].depth.iter().map(|d| (d.ts.to_string(), d.bid_1pct, d.ask_1pct)).collect();
    assert_eq!(depth.len(), 3);
    assert_eq!(depth[0], ("2024-08-06T00:00:09Z".to_owned(), 1000.5, 900.25));
    assert!(depth[1].1.is_nan(), "an empty side is unknown, not zero");
    assert_eq!(depth[1].2, 950.0);
    assert!(summary.findings.iter().any(|f| f.what.starts_with("1 rows at 1 % with notional 0")));
    assert!(run(&mut store, &args(std::slice::from_ref(&path))).total().is_noop());

    std::fs::write(&path, text + "2024-08-06 00:02:09,-1,1.0,-5\n").unwrap();
    let refused = run(&mut store, &args(&[path])).refused;
    assert!(refused[0].1.contains(":17: notional is '-5'"), "{}", refused[0].1);
}

#[test]
fn a_capture_that_ends_inside_a_covered_bar_does_not_spoil_it() {
    let dir = tempfile::tempdir().unwrap();
    let order = |filled: f64, at_s: i64| {
        format!("BTC,SELL,LIMIT,IOC,9,100,101,FILLED,1,{filled},{},0\n", 1_737_936_000_000 + at_s * 1000)
    };
    let capture = |name: &str, seconds: &[i64]| {
        let path = dir.path().join(format!("{name}_liquidations.csv"));
        let rows: String = seconds.iter().map(|s| order(1.0 + *s as f64 / 1000.0, *s)).collect();
        std::fs::write(&path, rows).unwrap();
        path
    };
    let whole = capture("whole", &[1, 200, 310, 550, 700, 910]);
    // The second recorder came in the middle of the bar that the first one covered.
    let late = capture("late", &[550, 700, 910, 1300, 1600]);
    for order in [[&whole, &late], [&late, &whole]] {
        let (_dir, mut store) = store();
        for path in order {
            let mut args = args(std::slice::from_ref(path));
            args.continuous = true;
            assert!(run(&mut store, &args).refused.is_empty());
        }
        let raw = store.raw(&[symbol("BTCUSDT")], Ts(1_737_936_000_000).bar(), 6).unwrap();
        let seen: Vec<_> =
            raw.symbols[0].liquidations.iter().map(|b| (b.long_n, b.coverage == 1.0)).collect();
        // Bars 1 (two orders) and 2 are covered by the first, 3 and 4 by the second.
        assert_eq!(seen, [(2.0, false), (2.0, true), (1.0, true), (1.0, true), (1.0, true), (1.0, false)]);
    }
}
