//! What cannot be true is quarantined, and what is true is not.

use std::collections::BTreeMap;

use std::path::{Path, PathBuf};

use backtestd_core::clean::doubt::Judge;
use backtestd_core::market::{Bar, BarIndex, Market, Ts};
use backtestd_core::spec::Plausibility;
use backtestd_store::{Delivery, Fsync, Judged, Origin, Store, load_specs, release_by_id};

use crate::common::recorded::{extract, recording, say};
use crate::{args, run, store, symbol};

fn rules() -> Plausibility {
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("spec");
    load_specs(&specs).unwrap().sources.plausibility
}

/// How many records a store has, and those of them that are doubted, by series.
fn doubted(store: &Store) -> (usize, BTreeMap<String, Vec<String>>) {
    let rules = rules();
    let judge = Judge { rules: &rules, now: None };
    let (mut records, mut out) = (0, BTreeMap::new());
    for (series, _) in store.series().unwrap() {
        let rows = store.series_rows(&series, i64::MIN, i64::MAX).unwrap();
        let rows: Vec<_> = rows
            .times
            .iter()
            .enumerate()
            .map(|(i, time)| {
                let mut columns = [f64::NAN; 9];
                for (to, column) in columns.iter_mut().zip(&rows.columns) {
                    *to = column[i];
                }
                (*time, columns)
            })
            .collect();
        records += rows.len();
        let name = format!("{} {} {}", series.market, series.symbol, series.kind.name());
        for (time, doubt) in judge.series(series.kind, &rows, i64::MIN..i64::MAX) {
            let at = series.kind.instant(time);
            out.entry(name.clone()).or_insert_with(Vec::new).push(format!("{at}: {doubt}"));
        }
    }
    (records, out)
}

/// Real records, in the extracts and in the recordings, are true: crashes, halts and first days with them.
#[test]
fn recorded_history_is_true() {
    let (_dir, mut extracts) = store();
    let paths = ["archive/futures/um/monthly/klines", "archive/futures/um/daily/metrics", "archive/spot"];
    let summary = run(&mut extracts, &args(&paths.map(extract)));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    let (records, found) = doubted(&extracts);
    assert!(records > 30_000 && found.is_empty(), "{records} records: {found:?}");
}

#[test]
fn a_year_and_more_of_recorded_history_is_true() {
    let Some(archive) = recording("archive") else { return };
    let Some(frames) = recording("frames") else { return };
    let (_dir, mut store) = store();
    let perp =
        ["BTC", "ETH", "SOL", "XRP"].map(|s| frames.join(format!("perp_{s}USDT_5m_ohlcv_2025_2026.parquet")));
    let spot = ["BTC", "ETH", "SOL"].map(|s| frames.join(format!("spot_{s}USDT_5m_ohlcv_2025_2026.parquet")));
    let funding = ["16_symbols_2025_2026", "BTC_ETH_2019_2026"]
        .map(|s| frames.join(format!("perp_funding_{s}.parquet")));
    let paths: Vec<PathBuf> = perp.into_iter().chain(spot).chain(funding).chain([archive]).collect();
    let summary = run(&mut store, &args(&paths));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    let (records, found) = doubted(&store);
    for (series, doubts) in &found {
        say(&format!("{series}: {} doubted, the first {}", doubts.len(), doubts[0]));
    }
    say(&format!("{records} records, {} doubted", found.values().map(Vec::len).sum::<usize>()));
    assert!(records > 1_000_000 && found.is_empty());
}

fn bar(at: BarIndex, close: f64) -> Bar {
    let mut values = [100.0, 101.0, 99.0, close, 10.0, f64::NAN, 50.0, 5.0, f64::NAN];
    values[1] = close.max(101.0);
    values[2] = close.min(99.0);
    Bar::from_values(at, values)
}

fn put(store: &mut Store, bars: &[Bar]) -> Judged {
    let delivery = Delivery::new(Origin::Archive, "test");
    store.put_bars(Market::Perp, &symbol("BTCUSDT"), bars, delivery).unwrap().judged
}

/// Times, rules and whether released.
fn held(store: &Store) -> Vec<(i64, String, bool)> {
    let all = store.quarantine().unwrap().into_iter();
    all.map(|q| (q.time, q.rule, q.released.is_some())).collect()
}

#[test]
fn the_verdicts_do_not_depend_on_the_order_in_which_records_come() {
    let close = |i: i64| match i % 97 {
        13 => 0.01,
        40 => 900.0,
        60 | 61 => 55.0,
        _ => 100.0,
    };
    let bars: Vec<Bar> = (0..400).filter(|i| i % 31 != 7).map(|i| bar(BarIndex(i), close(i))).collect();
    let (_dir, mut whole) = store();
    whole.judge_by(&rules()).unwrap();
    put(&mut whole, &bars);
    assert!(held(&whole).len() >= 12, "{:?}", held(&whole));
    for step in [1, 2, 7, 100] {
        let (_dir, mut parts) = store();
        parts.judge_by(&rules()).unwrap();
        // Every second part first.
        let (odd, even): (Vec<_>, Vec<_>) = bars.chunks(step).enumerate().partition(|(i, _)| i % 2 == 1);
        for (_, part) in odd.into_iter().chain(even) {
            put(&mut parts, part);
        }
        assert_eq!(held(&parts), held(&whole), "parts of {step}");
        assert_eq!(parts.digest().unwrap(), whole.digest().unwrap());
    }
    // Judged when it is there already.
    let (_dir, mut late) = store();
    put(&mut late, &bars);
    assert_eq!(held(&late), []);
    let judged = late.judge_by(&rules()).unwrap();
    assert_eq!(judged.masked as usize, held(&whole).len());
    assert_eq!(held(&late), held(&whole));
    assert_eq!(late.judge_by(&rules()).unwrap(), Judged::default());
}

#[test]
fn what_is_in_quarantine_is_kept_in_the_log_and_unknown_elsewhere() {
    let (dir, mut store) = store();
    store.judge_by(&rules()).unwrap();
    store.tell_time(BarIndex(30).open());
    let bars: Vec<Bar> = (0..20).map(|i| bar(BarIndex(i), if i == 5 { 0.01 } else { 100.0 })).collect();
    put(&mut store, &bars);
    put(&mut store, &[bar(BarIndex(4000), 100.0)]);
    let expected = [(5, "leaves_and_returns".to_owned(), false), (4000, "beyond_now".to_owned(), false)];
    assert_eq!(held(&store), expected);
    let btc = symbol("BTCUSDT");
    let stored = store.bars(Market::Perp, &btc, BarIndex(0), BarIndex(5000)).unwrap();
    assert_eq!(stored.len(), 19);
    assert_eq!(store.raw(&[btc.clone()], BarIndex(0), 20).unwrap().symbols[0].perp.len(), 19);
    assert_eq!(store.range(Market::Perp, &btc).unwrap(), Some((BarIndex(0), BarIndex(19))));
    let (key, summary) = store.series().unwrap().pop().unwrap();
    assert_eq!((summary.records, store.series_rows(&key, 0, 5000).unwrap().times.len()), (21, 21));
    // A bar of next year is no truer when another bar comes, nor when the store is opened again.
    drop(store);
    let mut store = Store::open_with(dir.path(), Fsync::Never).unwrap();
    put(&mut store, &[bar(BarIndex(3999), 100.0)]);
    assert_eq!(held(&store)[..2], expected);
}

#[test]
fn a_release_is_of_a_value_and_outlives_every_judgement_of_it() {
    let (_dir, mut store) = store();
    store.judge_by(&rules()).unwrap();
    let bars: Vec<Bar> = (0..20).map(|i| bar(BarIndex(i), if i == 5 { 50.0 } else { 100.0 })).collect();
    put(&mut store, &bars);
    let id = store.quarantine().unwrap()[0].id();
    assert_eq!(id, "perp/bars/BTCUSDT/1970-01-01T00:25:00Z");
    let wrong = release_by_id(&mut store, &["perp/bars/BTCUSDT/1970-01-01T00:30:00Z".to_owned()], "x", Ts(0));
    assert!(wrong.unwrap().unwrap_err().contains("00:30:00Z is not in quarantine"));
    release_by_id(&mut store, &[id], "seen elsewhere", Ts(7)).unwrap().unwrap();
    let is_released = |store: &Store| held(store) == [(5, "leaves_and_returns".to_owned(), true)];
    assert!(is_released(&store));
    put(&mut store, &bars);
    let mut other = rules();
    other.prices.close_factor = 1.3;
    store.judge_by(&other).unwrap();
    assert!(is_released(&store));
    assert_eq!(store.quarantine().unwrap()[0].released.as_ref().unwrap().reason, "seen elsewhere");
    let count = |store: &Store| {
        store.bars(Market::Perp, &symbol("BTCUSDT"), BarIndex(0), BarIndex(20)).unwrap().len()
    };
    assert_eq!(count(&store), 20);
    // Another value is another question.
    let changed = put(&mut store, &[bar(BarIndex(5), 40.0)]);
    assert_eq!((changed.masked, changed.from, count(&store)), (1, Some(BarIndex(5)), 19));
    // The true value ends it.
    let changed = put(&mut store, &[bar(BarIndex(5), 100.0)]);
    assert_eq!((changed.unmasked, held(&store).len(), count(&store)), (1, 0, 20));
}
