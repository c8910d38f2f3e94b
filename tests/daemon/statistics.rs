//! Statistics that the exchange only keeps for a month: fetched for the past, asked for after every bar, read
//! by expressions one bar later.

use backtestd_core::market::{Kind, Market, SeriesKey, Symbol};
use backtestd_store::{Origin, Store};
use serde_json::Value;

use crate::support::{Home, begin, committed, copy_tree, exchange, spec_dir};

const SPEED: f64 = 600.0;
const LIVE_BARS: i64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn long_short_ratios_come_with_history_and_after_every_bar() {
    let exchange = exchange(SPEED, false).await;
    let mut home = Home::new(&exchange, SPEED, 1);
    // The shipped specs do not read them: a feature that does.
    let spec = home.path("spec");
    copy_tree(&spec_dir(), &spec);
    let file = spec.join("features/positioning.yaml");
    let feature = "features:\n  crowding:\n    unit: ratio\n    doc: a test\n    \
                   expr: ls_ratio_top_accounts + ls_ratio_top_positions + ls_ratio_accounts + taker_ls_ratio\n";
    let text = std::fs::read_to_string(&file).unwrap().replacen("features:\n", feature, 1);
    std::fs::write(&file, text).unwrap();
    home.set("spec", &spec.display().to_string());
    home.set("collect", "open_interest,long_short_ratio");
    home.set("grace-ms", "60000");
    let mut daemon = home.start();
    home.wait_for("live ticks", |s| committed(s).bar() > begin().bar() + LIVE_BARS).await;
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));

    let store = Store::open(&home.path("state")).unwrap();
    let symbol = Symbol::new("BTCUSDT").unwrap();
    let rows = |kind, first: i64| {
        let series = SeriesKey { kind, market: Market::Perp, symbol: symbol.clone() };
        let (from, to) = (begin().bar() + first, begin().bar() + LIVE_BARS);
        store.series_rows(&series, from.open().0 + 1, to.open().0 + 1).unwrap()
    };
    let (ratios, interest) = (rows(Kind::LongShortRatio, -288), rows(Kind::OpenInterest, -288));
    assert_eq!(ratios.times.len(), 288 + LIVE_BARS as usize);
    assert_eq!(ratios.times, interest.times, "one record at the end of every bar");
    assert!(ratios.origins.iter().all(|origin| *origin == Origin::Rest));
    for (name, column) in ratios.names.iter().zip(&ratios.columns) {
        assert!(column.iter().all(|v| *v > 0.0 && *v < 100.0), "{name}: {column:?}");
        assert!(column.windows(2).any(|w| w[0] != w[1]), "{name} never moves");
    }
    let live = rows(Kind::LongShortRatio, 0);
    drop(store);

    // The bar that opens at an instant is the first that reads the record of that instant: it closes 5
    // minutes later, when a minute of publication lag has passed; the bar that closes at the instant does not
    // know it yet.
    let at = 3;
    let explained = |name: &str| -> Value {
        let time = backtestd_core::market::Ts(live.times[at]).to_string();
        let output = home
            .command(&[
                "spec", "explain", "--json", "--at", &time, "--symbol", "BTCUSDT", "crowding", "--state",
            ])
            .arg(home.path("state"))
            .arg("--spec")
            .arg(&spec)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
        let nodes = explained["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["expr"] == name).unwrap()["value"].clone()
    };
    for (name, column) in live.names.iter().zip(&live.columns) {
        assert_eq!(explained(name).as_f64(), Some(column[at]), "{name}");
    }
}
