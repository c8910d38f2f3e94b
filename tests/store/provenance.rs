//! What records came with: in stores of before, and where every row is contradicted.

use backtestd_core::market::Market;
use backtestd_store::{Delivery, Origin};

use crate::{FILE, T0, bar, btc, open};

#[test]
fn records_of_a_store_from_before_deliveries_were_kept_are_read_and_outweighed() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    std::fs::remove_file(dir.path().join("SEAL")).unwrap();
    {
        let db = fjall::Database::builder(dir.path().join("db")).open().unwrap();
        let bars = db.keyspace("bars", fjall::KeyspaceCreateOptions::default).unwrap();
        let summaries = db.keyspace("summaries", fjall::KeyspaceCreateOptions::default).unwrap();
        // Version 1: a version, the code of a table, nine columns.
        let time = ((T0.0 as u64) ^ (1 << 63)).to_be_bytes();
        let value: Vec<u8> =
            [1, 4].into_iter().chain(bar(0, 100.0).values().iter().flat_map(|v| v.to_le_bytes())).collect();
        bars.insert([&[0][..], b"BTCUSDT\0", &time].concat(), value).unwrap();
        let extent = [
            &[1][..],
            &T0.0.to_le_bytes(),
            &T0.0.to_le_bytes(),
            &1_u64.to_le_bytes(),
            &0x1ff_u32.to_le_bytes(),
        ];
        summaries.insert([&[1, 0][..], b"BTCUSDT\0"].concat(), extent.concat()).unwrap();
    }
    let mut store = open(dir.path());
    assert!(store.verify(&mut |_| {}).unwrap().damages.is_empty());
    assert!(store.bars(Market::Perp, &btc(), T0, T0 + 1).unwrap()[0].same_as(&bar(0, 100.0)));
    let again = store.put_bars(Market::Perp, &btc(), &[bar(0, 100.0)], FILE).unwrap();
    assert_eq!((again.unchanged, again.confirmed), (1, 1));
    let report = store
        .put_bars(Market::Perp, &btc(), &[bar(0, 101.0)], Delivery::new(Origin::Table, "x.csv"))
        .unwrap();
    assert_eq!((report.kept, report.conflicts), (1, 0));
    let found = store.conflicts().unwrap();
    assert_eq!((found.listed[0].old.made.label.as_str(), found.listed[0].new_stands), ("file.zip", false));
}

#[test]
fn a_table_that_contradicts_every_row_is_listed_in_part_and_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let bars = |close: f64| (0..1500).map(|n| bar(n, close)).collect::<Vec<_>>();
    store.put_bars(Market::Perp, &btc(), &bars(100.0), FILE).unwrap();
    for _ in 0..2 {
        let table = Delivery::new(Origin::Table, "rounded.csv");
        assert_eq!(store.put_bars(Market::Perp, &btc(), &bars(100.5), table).unwrap().kept, 1500);
        let found = store.conflicts().unwrap();
        assert_eq!((found.listed.len(), found.unlisted[0].records), (1000, 500));
        assert_eq!(found.unlisted[0].made.label, "rounded.csv");
    }
    assert!(store.verify(&mut |_| {}).unwrap().damages.is_empty());
}
