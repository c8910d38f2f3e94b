//! What cannot be true is quarantined, and what is true is not.

use std::collections::BTreeMap;

use std::path::{Path, PathBuf};

use backtestd_core::clean::doubt::Judge;
use backtestd_core::spec::Plausibility;
use backtestd_store::{Store, load_specs};

use crate::common::recorded::{extract, recording, say};
use crate::{args, run, store};

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
