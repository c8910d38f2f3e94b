//! What cannot be true is quarantined, and what is true is not.

use std::collections::BTreeMap;

use std::path::{Path, PathBuf};

use backtestd_core::clean::doubt::Judge;
use backtestd_core::market::{Bar, BarIndex, Market, Ts, parse_time};
use backtestd_core::spec::Plausibility;
use backtestd_store::{Delivery, Fsync, Judged, Origin, Prefer, Store, load_specs, release_by_id};

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
    assert_eq!(store.raw(std::slice::from_ref(&btc), BarIndex(0), 20).unwrap().symbols[0].perp.len(), 19);
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
    // Another value is another question, and what is in doubt does not stand before what somebody has
    // released.
    let changed = put(&mut store, &[bar(BarIndex(5), 40.0)]);
    assert_eq!((changed, count(&store), is_released(&store)), (Judged::default(), 20, true));
    let delivery = Delivery { prefer: Prefer::New, ..Delivery::new(Origin::Archive, "test") };
    let changed = store.put_bars(Market::Perp, &symbol("BTCUSDT"), &[bar(BarIndex(5), 40.0)], delivery);
    let changed = changed.unwrap().judged;
    assert_eq!((changed.masked, changed.from, count(&store)), (1, Some(BarIndex(5)), 19));
    // The true value ends it.
    let changed = put(&mut store, &[bar(BarIndex(5), 100.0)]);
    assert_eq!((changed.unmasked, held(&store).len(), count(&store)), (1, 0, 20));
}

/// A print of the archive beside a true bar of lesser origins, and an absurd count of trades beside a true
/// one of equal rank.
#[test]
fn what_cannot_be_true_never_stands_before_what_can_whatever_its_rank_and_the_order() {
    let whole = |bar: Bar| Bar { quote_volume: 1000.0, taker_buy_quote: 500.0, ..bar };
    let true_bars = || (0..40).map(|i| whole(bar(BarIndex(i), 100.0)));
    let printed = |change: fn(&mut Bar)| -> Vec<Bar> {
        let mut bars: Vec<Bar> = true_bars().collect();
        change(&mut bars[20]);
        bars
    };
    let truth: Vec<Bar> = true_bars().collect();
    type Case = (fn(&mut Bar), Origin, Origin);
    let cases: [Case; 4] = [
        (|bar| (bar.close, bar.low) = (0.01, 0.01), Origin::ArchiveDaily, Origin::Table),
        (|bar| (bar.close, bar.high) = (130.0, 130.0), Origin::ArchiveMonthly, Origin::Rest),
        (|bar| bar.trades = 1e9, Origin::ArchiveMonthly, Origin::ArchiveDaily),
        (|bar| bar.trades = 60_000.0, Origin::Table, Origin::Table),
    ];
    for (change, wrong, right) in cases {
        let lots = [(printed(change), wrong), (truth.clone(), right)];
        for order in [[0, 1], [1, 0]] {
            for step in [40, 7] {
                let (_dir, mut store) = store();
                store.judge_by(&rules()).unwrap();
                for (bars, origin) in order.map(|n: usize| &lots[n]) {
                    for part in bars.chunks(step) {
                        let delivery = Delivery::new(*origin, "test");
                        store.put_bars(Market::Perp, &symbol("BTCUSDT"), part, delivery).unwrap();
                    }
                }
                let stored = store.bars(Market::Perp, &symbol("BTCUSDT"), BarIndex(0), BarIndex(40)).unwrap();
                assert!(
                    stored.len() == 40 && stored[20].same_as(&truth[20]),
                    "{wrong:?} {order:?}: {stored:?}"
                );
                assert_eq!(held(&store), []);
                let conflicts = store.conflicts().unwrap().listed;
                let stands: Vec<_> = conflicts.iter().map(|c| (c.at.bar().0, c.new_stands)).collect();
                assert_eq!(stands, [(20, order == [0, 1])]);
            }
        }
    }
}

/// A closed bar as a frame of the stream has it.
fn bar_of_frame(line: &str) -> (String, Bar) {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let frame: serde_json::Value = serde_json::from_str(line["frame"].as_str().unwrap()).unwrap();
    let k = &frame["data"]["k"];
    let number = |key: &str| k[key].as_str().unwrap().parse::<f64>().unwrap();
    let values = ["o", "h", "l", "c", "v", "q"].map(number);
    let trades = k["n"].as_f64().unwrap();
    let [open, high, low, close, volume, quote] = values;
    let values = [open, high, low, close, volume, quote, trades, number("V"), number("Q")];
    (k["s"].as_str().unwrap().to_owned(), Bar::from_values(Ts(k["t"].as_i64().unwrap()).bar(), values))
}

#[test]
fn frames_that_cannot_be_true_replace_nothing_and_are_quarantined() {
    let text = std::fs::read_to_string(extract("cases/frames/implausible.jsonl")).unwrap();
    let frames: Vec<(String, Bar)> = text.lines().map(bar_of_frame).collect();
    assert_eq!(frames.len(), 3);
    let now = parse_time("2026-03-01").unwrap();
    let expected = ["average_price", "beyond_now", "bounds"];
    for ((name, bar), rule) in frames.iter().zip(expected) {
        for is_known in [false, true] {
            let (_dir, mut store) = store();
            store.judge_by(&rules()).unwrap();
            store.tell_time(now);
            let whole = |bar: Bar| Bar { quote_volume: 1000.0, taker_buy_quote: 500.0, ..bar };
            let truth: Vec<Bar> = (-3..=3).map(|i| whole(self::bar(bar.bar + i, 100.0))).collect();
            let is_past = bar.bar.open() < now;
            if is_known && is_past {
                let rest = Delivery::new(Origin::Rest, "rest");
                store.put_bars(Market::Perp, &symbol(name), &truth, rest).unwrap();
            }
            let stream = Delivery::new(Origin::Stream, "stream");
            store.put_bars(Market::Perp, &symbol(name), &[*bar], stream).unwrap();
            let shown = store.bars(Market::Perp, &symbol(name), bar.bar, bar.bar.next()).unwrap();
            if is_known && is_past {
                assert!(shown[0].same_as(&truth[3]), "{rule}: what REST has confirmed stands");
            } else {
                assert_eq!(shown.len(), 0, "{rule}");
                assert_eq!(store.quarantine().unwrap()[0].rule, rule);
            }
        }
    }
}
