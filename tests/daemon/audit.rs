//! What the exchange corrects days later is found by the daily comparison, and told.

use backtestd_core::market::{BARS_PER_DAY, BarIndex, DAY_MS, Kind, Market, SeriesKey, Symbol};
use backtestd_lab::sim::{Fault, FaultKind, Scenario};
use backtestd_store::Store;
use serde_json::Value;

use super::support::{Home, begin, exchange_of};

const SPEED: f64 = 150.0;

/// A bar of BTCUSDT, a bit more than two days before the start.
fn bar() -> BarIndex {
    begin().bar() - 2 * BARS_PER_DAY - 60
}

fn close_of(home: &Home) -> f64 {
    let store = Store::open(&home.path("state")).unwrap();
    let symbol = Symbol::new("BTCUSDT").unwrap();
    let series = SeriesKey { kind: Kind::Bars, market: Market::Perp, symbol };
    let rows = store.series_rows(&series, bar().0, bar().next().0).unwrap();
    let column = rows.names.iter().position(|name| *name == "close").unwrap();
    rows.columns[column][0]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bar_that_the_exchange_corrects_two_days_later_is_corrected_by_the_audit_and_told() {
    // Half an hour after the start: the history that was fetched has the first version, the audit an hour
    // after midnight finds the last one.
    let seconds = (2 * DAY_MS + 60 * 300_000 + 1_800_000) / 1000;
    let correction = Fault {
        seconds,
        symbols: vec![Symbol::new("BTCUSDT").unwrap()],
        ..Fault::once(FaultKind::CorrectedKline, bar(), 1)
    };
    let exchange = exchange_of(Scenario { faults: vec![correction], ..Scenario::default() }, SPEED).await;
    let home = Home::new(&exchange, SPEED, 4);
    let mut daemon = home.start();
    home.wait_until_live().await;
    daemon.kill();
    let first = close_of(&home);

    let mut daemon = home.start();
    home.wait_until_live().await;
    let corrected = |gaps: &Value| -> Option<Value> {
        let series = gaps["series"].as_array().unwrap().iter();
        let mut of_btc = series.filter(|s| {
            (s["symbol"].as_str(), s["market"].as_str(), s["kind"].as_str())
                == (Some("BTCUSDT"), Some("perp"), Some("bars"))
        });
        let ranges = of_btc.next()?["ranges"].as_array()?.clone();
        ranges.into_iter().find(|r| r["why"].as_str().is_some_and(|why| why.contains("by rest audit")))
    };
    let client = backtestd::daemon::client::Client::new(&home.socket()).unwrap();
    let mut told = None;
    for _ in 0..300 {
        told = corrected(&client.get("/v1/gaps", &[]).await.unwrap());
        if told.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let told = told.expect("the ledger tells of the correction");
    assert_eq!(told["from"], bar().open().to_string(), "{told}");
    assert_eq!((&told["state"], told["records"].as_u64()), (&"repaired".into(), Some(1)), "{told}");
    assert!(told["why"].as_str().unwrap().starts_with("corrected by"), "{told}");
    daemon.assert_alive();
    assert_eq!(daemon.terminate().0.code(), Some(0));
    let last = close_of(&home);
    assert!((first / last - 1.001).abs() < 1e-4, "{first} was the first version, {last} is the last");
}
