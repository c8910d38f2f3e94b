//! What only the large recordings can show: a whole year, whole folders, two recorders of the same
//! settlements.

use backtestd_binance::archive::FileKind;
use backtestd_core::market::Market;

use crate::common::recorded::recording;
use crate::{args, bar_at, one_bar, run, store, symbol};

#[test]
fn a_year_of_perp_klines_is_complete() {
    let Some(klines) = recording("archive/futures/um/monthly/klines/BTCUSDT") else { return };
    let (_dir, mut store) = store();
    let args = args(&[klines]);
    let first = run(&mut store, &args);
    assert!(first.refused.is_empty(), "{:?}", first.refused);
    assert_eq!((first.files, first.total().inserted), (12, 105_120));
    assert_eq!(first.findings, []);
    let range = store.range(Market::Perp, &symbol("BTCUSDT")).unwrap().unwrap();
    assert_eq!(range, (bar_at("2025-01-01T00:00:00Z"), bar_at("2025-12-31T23:55:00Z")));
    // A halt is bars without volume, not a gap.
    let bar = one_bar(&store, Market::Perp, "BTCUSDT", "2025-08-29T06:25:00Z");
    assert_eq!((bar.volume, bar.trades), (0.0, 0.0));
    assert_eq!(run(&mut store, &args).total().unchanged, 105_120);
}

#[test]
fn three_days_and_a_month_of_one_minute_spot_klines_become_five_minute_bars() {
    let Some(spot) = recording("archive/spot") else { return };
    let (_dir, mut store) = store();
    let summary = run(&mut store, &args(&[spot]));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    assert_eq!(summary.total().inserted, 3 * 288 + 31 * 288);
}

#[test]
fn every_recorded_day_of_open_interest_is_read() {
    let Some(metrics) = recording("archive/futures/um/daily/metrics/BTCUSDT") else { return };
    let (_dir, mut store) = store();
    let mut args = args(&[metrics]);
    args.kind = Some(FileKind::Metrics);
    let summary = run(&mut store, &args);
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    assert!(summary.findings.iter().any(|f| f.what.contains("open interest 0")));
    assert!(run(&mut store, &args).total().is_noop());
}

#[test]
fn a_table_of_fourteen_months_agrees_with_the_archive_where_both_have_bars() {
    let Some(table) = recording("frames/perp_BTCUSDT_5m_ohlcv_2025_2026.parquet") else { return };
    let Some(archive) = recording("archive/futures/um/monthly/klines/BTCUSDT/5m") else { return };
    let (_dir, mut store) = store();
    run(&mut store, &args(&[archive]));
    let total = run(&mut store, &args(&[table])).total();
    assert_eq!((total.conflicts, total.unchanged), (0, 105_120), "{:?}", total.listed);
}

#[test]
fn two_recorders_of_the_same_settlements_agree() {
    let Some(sixteen) = recording("frames/perp_funding_16_symbols_2025_2026.parquet") else { return };
    let Some(two) = recording("frames/perp_funding_BTC_ETH_2019_2026.parquet") else { return };
    let (_dir, mut store) = store();
    let summary = run(&mut store, &args(&[sixteen, two]));
    assert!(summary.refused.is_empty(), "{:?}", summary.refused);
    assert_eq!((summary.series.len(), summary.total().conflicts), (16, 0), "{:?}", summary.total().listed);
}
