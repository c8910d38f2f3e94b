//! The lake is whole: months are written whole, whoever writes them, and read back into the same store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use backtestd::cli::import_cmd::{ImportArgs, PreferArg, import};
use backtestd::verify::{check_lake_rows, parquet_files};
use backtestd_core::clean::CleanPolicy;
use backtestd_core::market::{Bar, BarIndex, Market, RawPut, Symbol, Ts, parse_time};
use backtestd_store::lake::{LakeFile, export_clean, export_raw, list_files, read_parquet};
use backtestd_store::{Delivery, Fsync, Origin, Store, load_specs};
use tempfile::TempDir;

use crate::common::{START, market, spec_dir, symbols};

const ALL: (BarIndex, BarIndex) = (BarIndex(0), BarIndex(i64::MAX / 2));
/// Bars of forty days: parts of two months.
const ROWS: usize = 40 * 288;

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(&dir.path().join("state"), Fsync::Never).unwrap();
    (dir, store)
}

fn fill(store: &mut Store, seed: u64, rows: usize) {
    for (symbol, raw) in symbols(2).iter().zip(market(seed, 2, rows).symbols) {
        let put = |records| RawPut { symbol: symbol.clone(), records };
        let puts: Vec<RawPut> = raw.into_records().into_iter().map(put).collect();
        store.put(&puts, Delivery::new(Origin::Rest, "test")).unwrap();
    }
}

fn export(store: &Store, lake: &Path, range: (BarIndex, BarIndex), now: Ts) -> Vec<LakeFile> {
    let spec = load_specs(&spec_dir()).unwrap();
    let mut files = export_raw(store, lake, &[], range.0, range.1).unwrap();
    for name in store.symbols(Market::Perp).unwrap() {
        let collected = [store.coverage(&name).unwrap().into_iter().collect()];
        let one = std::slice::from_ref(&name);
        let policy =
            CleanPolicy::from_spec(&spec.sources, &spec.defaults, &spec.calendars, one, &collected).unwrap();
        files.extend(export_clean(store, lake, &name, policy, range, now).unwrap());
    }
    list_files(lake, &files).unwrap();
    files
}

fn later() -> Ts {
    Ts((START + 10 * ROWS as i64).open().0)
}

fn content(lake: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    parquet_files(lake)
        .unwrap()
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

#[test]
fn a_narrower_export_and_one_of_a_smaller_store_leave_whole_months() {
    let (dir, mut whole) = store();
    fill(&mut whole, 4, ROWS);
    let lake = dir.path().join("lake");
    export(&whole, &lake, ALL, later());
    let before = content(&lake);
    assert!(before.len() >= 20, "{:?}", before.keys());
    // Three days around the turn of the month, as its own run would ask for.
    let narrow = (START + 20 * 288, START + 23 * 288);
    assert!(export(&whole, &lake, narrow, later()).iter().all(|file| !file.written));
    assert_eq!(content(&lake), before);
    // A store that has the first days only.
    let (_dir, mut small) = store();
    fill(&mut small, 4, 3 * 288);
    export(&small, &lake, ALL, later());
    let rows = |content: &BTreeMap<PathBuf, Vec<u8>>| -> Vec<usize> {
        let count = |path: &PathBuf| read_parquet(path).unwrap().batches.iter().map(|b| b.num_rows()).sum();
        content.keys().map(count).collect()
    };
    assert_eq!(rows(&content(&lake)), rows(&before));
    let files = parquet_files(&lake).unwrap();
    let area = check_lake_rows(Some(&whole), &lake, &files, &mut |_| {}).unwrap();
    assert!(area.findings.is_empty(), "{:?}", area.findings);
}

#[test]
fn an_empty_store_that_imports_the_lake_is_the_same_and_writes_the_same_bytes() {
    let (dir, mut store) = store();
    fill(&mut store, 6, ROWS);
    let lake = dir.path().join("lake");
    export(&store, &lake, ALL, later());
    let (copied, mut copy) = self::store();
    let args = ImportArgs {
        market: None,
        kind: None,
        symbol: None,
        continuous: false,
        prefer: PreferArg::Better,
        json: false,
        paths: vec![lake.join("raw")],
    };
    let summary = import(&mut copy, &args, false).unwrap();
    assert!(summary.refused.is_empty() && summary.passed.is_empty(), "{summary:?}");
    assert_eq!(copy.digest().unwrap(), store.digest().unwrap());
    let again = copied.path().join("lake");
    export(&copy, &again, ALL, later());
    let strip = |lake: &Path| -> BTreeMap<PathBuf, Vec<u8>> {
        content(lake)
            .into_iter()
            .map(|(p, bytes)| (p.strip_prefix(lake).unwrap().to_owned(), bytes))
            .collect()
    };
    assert!(strip(&again) == strip(&lake), "the files differ");
    let lists = [&lake, &again].map(|lake| std::fs::read(lake.join("files.json")).unwrap());
    assert_eq!(lists[0], lists[1]);
}

#[test]
fn a_bar_with_a_false_date_makes_no_years_of_gap_rows() {
    let (dir, mut store) = store();
    let name = Symbol::new("BTCUSDT").unwrap();
    let bar = |at: BarIndex| Bar::from_values(at, [100.0, 101.0, 99.0, 100.0, 5.0, 500.0, 3.0, 2.0, 200.0]);
    let bar_at = |text: &str| parse_time(text).unwrap().bar();
    let real = bar_at("2025-03-01");
    let mut bars: Vec<Bar> = (0..288).map(|n| bar(real + n)).collect();
    // A symbol that was away for four months, a bar of before the exchange, a bar that nobody has seen yet.
    let dates = ["2025-07-02T00:00:00Z", "2011-01-01T00:00:00Z", "2031-01-01T00:00:00Z"];
    bars.extend(dates.map(|text| bar(bar_at(text))));
    bars.sort_by_key(|bar| bar.bar);
    store.put_bars(Market::Perp, &name, &bars, Delivery::new(Origin::Table, "x.csv")).unwrap();
    let lake = dir.path().join("lake");
    let files = export(&store, &lake, ALL, parse_time("2025-08-01").unwrap());
    let rows: BTreeMap<String, usize> = files
        .iter()
        .filter(|file| file.path.to_string_lossy().contains("cleaned"))
        .map(|file| {
            let month = file.path.parent().unwrap();
            (
                month
                    .strip_prefix(lake.join("cleaned/perp/BTCUSDT/5m/ohlcv_clean"))
                    .unwrap()
                    .display()
                    .to_string(),
                file.rows,
            )
        })
        .collect();
    let months: Vec<&str> = rows.keys().map(String::as_str).collect();
    assert_eq!(months[0], "year=2011/month=01");
    assert_eq!(
        months[1..],
        [
            "year=2025/month=03",
            "year=2025/month=04",
            "year=2025/month=05",
            "year=2025/month=06",
            "year=2025/month=07"
        ]
    );
    assert_eq!(rows["year=2025/month=05"], 31 * 288, "a hole of months is gap rows");
    assert_eq!(rows["year=2025/month=07"], 289, "nothing after the last bar that was seen");
}
